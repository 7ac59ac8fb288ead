// The input gradient of 3x3 depthwise layers in strips.

#ifndef TFLM_KERNELS_DEPTHWISE_STRIPS_H_
#define TFLM_KERNELS_DEPTHWISE_STRIPS_H_

#include <cstddef>
#include <cstdint>

#include "tflm_kernels/depthwise_windows.h"
#include "tflm_kernels/spec/op_params.h"

namespace tflm_train {

struct StripPlan {
  explicit StripPlan(const DepthwiseInputGradParams& params);

  size_t bytes() const;

  bool usable;
  int32_t columns;  // of inputs, done at a time
};

// As InputGradByWindows.
void InputGradByStrips(const DepthwiseInputGradParams& params, const StripPlan& plan,
                       const int8_t* grad_out, const DepthwiseWeights& weights, int8_t* grad_in,
                       void* scratch);

}  // namespace tflm_train

#endif  // TFLM_KERNELS_DEPTHWISE_STRIPS_H_
