// Counts the gradients of operators without weights. options: an operator's custom_options.

#ifndef BENCHMARKS_TARGET_GRADIENTS_H_
#define BENCHMARKS_TARGET_GRADIENTS_H_

#include <cstdint>

#include "benchmarks/target/measure.h"

namespace tflm_train_bench {

Measured CountPoolGrad(const uint8_t* options);
Measured CountMaxPoolGrad(const uint8_t* options);
Measured CountResizeGrad(const uint8_t* options);
Measured CountProductGrad(const uint8_t* options);
Measured CountL2NormGrad(const uint8_t* options);
Measured CountMoveGrad(const uint8_t* options);
Measured CountAccumulate(const uint8_t* options);

}  // namespace tflm_train_bench

#endif  // BENCHMARKS_TARGET_GRADIENTS_H_
