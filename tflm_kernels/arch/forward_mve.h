// The inner loops of the forward layers with Helium. Only for forward_ops.h.

#ifndef TFLM_KERNELS_ARCH_FORWARD_MVE_H_
#define TFLM_KERNELS_ARCH_FORWARD_MVE_H_

#include <arm_mve.h>

#include <cstdint>

#include "tflm_kernels/forward_ops.h"

namespace tflm_train {

inline void Widen(const int8_t* from, int32_t offset, int32_t n, int16_t* to) {
  const int16_t zero = static_cast<int16_t>(offset);
  for (int32_t i = 0; i < n; i += 8) {
    const mve_pred16_t live = vctp16q(static_cast<uint32_t>(n - i));
    const int16x8_t values = vldrbq_z_s16(from + i, live);
    vst1q_p_s16(to + i, vsubq_n_s16(values, zero), live);
  }
}

inline TwoByTwo DotTwoByTwo(const int16_t* a0, const int16_t* a1, const int8_t* w0,
                            const int8_t* w1, int32_t n, TwoByTwo sums) {
  int32_t s00 = sums.s00, s01 = sums.s01, s10 = sums.s10, s11 = sums.s11;
  for (int32_t i = 0; i < n; i += 8) {
    const mve_pred16_t live = vctp16q(static_cast<uint32_t>(n - i));
    const int16x8_t x0 = vld1q_z_s16(a0 + i, live);
    const int16x8_t x1 = vld1q_z_s16(a1 + i, live);
    const int16x8_t v0 = vldrbq_z_s16(w0 + i, live);
    const int16x8_t v1 = vldrbq_z_s16(w1 + i, live);
    s00 = vmladavaq_s16(s00, x0, v0);
    s01 = vmladavaq_s16(s01, x0, v1);
    s10 = vmladavaq_s16(s10, x1, v0);
    s11 = vmladavaq_s16(s11, x1, v1);
  }
  return {s00, s01, s10, s11};
}

inline void DepthwiseSums(const DepthwiseTap* taps, int32_t count, int32_t offset, int32_t n,
                          int32_t* acc) {
  for (int32_t c = 0; c < n; c += 4) {
    const mve_pred16_t live = vctp32q(static_cast<uint32_t>(n - c));
    int32x4_t sums = vdupq_n_s32(0);
    for (int32_t k = 0; k < count; ++k) {
      const int32x4_t x = vldrbq_z_s32(taps[k].pixel + c, live);
      const int32x4_t w = vldrbq_z_s32(taps[k].weights + c, live);
      sums = vaddq_s32(sums, vmulq_s32(vsubq_n_s32(x, offset), w));
    }
    vst1q_p_s32(acc + c, sums, live);
  }
}

// VQRDMULH is the first rounding of Requantize, VRSHL with the fix for negative
// values the second.
inline void FinishRow(const int32_t* sums, const ChannelConstants& constants,
                      const OutputParams& output, int32_t n, int8_t* y) {
  const int32x4_t zeros = vdupq_n_s32(0);
  for (int32_t c = 0; c < n; c += 4) {
    const mve_pred16_t live = vctp32q(static_cast<uint32_t>(n - c));
    int32x4_t value = vldrwq_z_s32(sums + c, live);
    if (constants.bias != nullptr) value = vaddq_s32(value, vldrwq_z_s32(constants.bias + c, live));
    const int32x4_t shift = vldrwq_z_s32(constants.shift + c, live);
    const int32x4_t right = vminq_s32(shift, zeros);
    value = vshlq_s32(value, vmaxq_s32(shift, zeros));
    value = vqrdmulhq_s32(value, vldrwq_z_s32(constants.multiplier + c, live));
    // Minus one where the value is negative and there is a second rounding.
    value = vaddq_s32(value, vshrq_n_s32(vandq_s32(value, right), 31));
    value = vaddq_n_s32(vrshlq_s32(value, right), output.y_zero_point);
    value = vmaxq_s32(value, vdupq_n_s32(output.act_min));
    value = vminq_s32(value, vdupq_n_s32(output.act_max));
    vstrbq_p_s32(y + c, value, live);
  }
}

}  // namespace tflm_train

#endif  // TFLM_KERNELS_ARCH_FORWARD_MVE_H_
