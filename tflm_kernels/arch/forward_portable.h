// The inner loops of the forward layers in plain C++. Only for forward_ops.h.

#ifndef TFLM_KERNELS_ARCH_FORWARD_PORTABLE_H_
#define TFLM_KERNELS_ARCH_FORWARD_PORTABLE_H_

#include <cstdint>
#include <cstring>

#include "tflm_kernels/arch/finish_generic.h"
#include "tflm_kernels/forward_ops.h"

namespace tflm_train {

inline void Widen(const int8_t* from, int32_t offset, int32_t n, int16_t* to) {
  for (int32_t i = 0; i < n; ++i) to[i] = static_cast<int16_t>(from[i] - offset);
}

inline TwoByTwo DotTwoByTwo(const int16_t* a0, const int16_t* a1, const int8_t* w0,
                            const int8_t* w1, int32_t n, TwoByTwo sums) {
  int32_t s00 = sums.s00, s01 = sums.s01, s10 = sums.s10, s11 = sums.s11;
  for (int32_t i = 0; i < n; ++i) {
    s00 += a0[i] * w0[i];
    s01 += a0[i] * w1[i];
    s10 += a1[i] * w0[i];
    s11 += a1[i] * w1[i];
  }
  return {s00, s01, s10, s11};
}

inline void DepthwiseSums(const DepthwiseTap* taps, int32_t count, int32_t offset, int32_t n,
                          int32_t* acc) {
  std::memset(acc, 0, sizeof(int32_t) * n);
  const int16_t zero = static_cast<int16_t>(offset);
  for (int32_t k = 0; k < count; ++k) {
    const int8_t* const pixel = taps[k].pixel;
    const int8_t* const weights = taps[k].weights;
    for (int32_t c = 0; c < n; ++c) {
      acc[c] += static_cast<int16_t>(weights[c]) * static_cast<int16_t>(pixel[c] - zero);
    }
  }
}

}  // namespace tflm_train

#endif  // TFLM_KERNELS_ARCH_FORWARD_PORTABLE_H_
