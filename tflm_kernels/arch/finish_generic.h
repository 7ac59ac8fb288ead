// Requantisation of a row of sums without vectors.
// Only for forward_ops.h.

#ifndef TFLM_KERNELS_ARCH_FINISH_GENERIC_H_
#define TFLM_KERNELS_ARCH_FINISH_GENERIC_H_

#include <cstdint>

#include "tflm_kernels/forward_ops.h"
#include "tflm_kernels/numerics.h"

namespace tflm_train {

inline void FinishRow(const int32_t* sums, const ChannelConstants& constants,
                      const OutputParams& output, int32_t n, int8_t* y) {
  // By value: bytes are written, which may alias anything that lies in memory.
  const int32_t zero_point = output.y_zero_point, min = output.act_min, max = output.act_max;
  const int32_t* const multiplier = constants.multiplier;
  const int32_t* const shift = constants.shift;
  const int32_t* const bias = constants.bias;
  for (int32_t c = 0; c < n; ++c) {
    const int32_t sum = sums[c] + (bias == nullptr ? 0 : bias[c]);
    const int32_t value = Requantize(sum, multiplier[c], shift[c]) + zero_point;
    y[c] = static_cast<int8_t>(value < min ? min : value > max ? max : value);
  }
}

}  // namespace tflm_train

#endif  // TFLM_KERNELS_ARCH_FINISH_GENERIC_H_
