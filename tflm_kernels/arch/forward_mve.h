// The inner loops of the forward layers with Helium. Only for forward_ops.h. Patches
// are the int8 themselves, one pixel's after the other's; the offset comes in by the
// sum of the weights.

#ifndef TFLM_KERNELS_ARCH_FORWARD_MVE_H_
#define TFLM_KERNELS_ARCH_FORWARD_MVE_H_

#include <arm_mve.h>

#include <cstdint>

#include "tflm_kernels/forward_ops.h"

namespace tflm_train {

inline void FillPatch(const int8_t* from, int32_t n, int32_t pixel, int32_t first,
                      const Patches& patches) {
  int8_t* const to = static_cast<int8_t*>(patches.data) + pixel * patches.depth + first;
  for (int32_t i = 0; i < n; i += 16) {
    const mve_pred16_t live = vctp8q(static_cast<uint32_t>(n - i));
    vstrbq_p_s8(to + i, vldrbq_z_s8(from + i, live), live);
  }
}

inline TwoByTwo DotTwoByTwo(const Patches& patches, const int8_t* w0, const int8_t* w1,
                            TwoByTwo sums) {
  const int32_t n = patches.depth;
  const int8_t* const a0 = static_cast<const int8_t*>(patches.data);
  const int8_t* const a1 = a0 + n;
  int32_t s00 = sums.s00, s01 = sums.s01, s10 = sums.s10, s11 = sums.s11;
  int32_t sum0 = 0, sum1 = 0;
  for (int32_t i = 0; i < n; i += 16) {
    const mve_pred16_t live = vctp8q(static_cast<uint32_t>(n - i));
    const int8x16_t x0 = vldrbq_z_s8(a0 + i, live);
    const int8x16_t x1 = vldrbq_z_s8(a1 + i, live);
    const int8x16_t v0 = vldrbq_z_s8(w0 + i, live);
    const int8x16_t v1 = vldrbq_z_s8(w1 + i, live);
    s00 = vmladavaq_s8(s00, x0, v0);
    s01 = vmladavaq_s8(s01, x0, v1);
    s10 = vmladavaq_s8(s10, x1, v0);
    s11 = vmladavaq_s8(s11, x1, v1);
    sum0 = vaddvaq_s8(sum0, v0);
    sum1 = vaddvaq_s8(sum1, v1);
  }
  sum0 *= patches.offset;
  sum1 *= patches.offset;
  return {s00 - sum0, s01 - sum1, s10 - sum0, s11 - sum1};
}

inline void DepthwiseSums(const DepthwiseTap* taps, int32_t count, int32_t at, int32_t offset,
                          int32_t multiplier, int32_t n, int32_t* acc) {
  for (int32_t c = 0; c < n && multiplier == 1; c += 4) {
    const mve_pred16_t live = vctp32q(static_cast<uint32_t>(n - c));
    int32x4_t sums = vldrwq_z_s32(acc + c, live);
    for (int32_t k = 0; k < count; ++k) {
      const int32x4_t x = vldrbq_z_s32(taps[k].pixel + at + c, live);
      const int32x4_t w = vldrbq_z_s32(taps[k].weights + c, live);
      sums = vaddq_s32(sums, vmulq_s32(vsubq_n_s32(x, offset), w));
    }
    vst1q_p_s32(acc + c, sums, live);
  }
  for (int32_t c = 0; c < n && multiplier != 1; c += multiplier) {
    for (int32_t k = 0; k < count; ++k) {
      const int32_t x = taps[k].pixel[at + c / multiplier] - offset;
      for (int32_t j = 0; j < multiplier; j += 4) {
        const mve_pred16_t live = vctp32q(static_cast<uint32_t>(multiplier - j));
        const int32x4_t w = vldrbq_z_s32(taps[k].weights + c + j, live);
        vst1q_p_s32(acc + c + j, vmlaq_n_s32(vldrwq_z_s32(acc + c + j, live), w, x), live);
      }
    }
  }
}

// Channels c .. c + 3 of their layer, as many as are live. VQRDMULH is the first
// rounding of Requantize, VRSHL with the fix for negative values the second.
inline int32x4_t FinishFour(int32x4_t sums, const Finish& finish, int32_t c, mve_pred16_t live) {
  const ChannelConstants& constants = finish.constants;
  const OutputParams& output = finish.output;
  const int32x4_t zeros = vdupq_n_s32(0);
  int32x4_t value = sums;
  if (constants.bias != nullptr) value = vaddq_s32(value, vldrwq_z_s32(constants.bias + c, live));
  const int32x4_t shift = vldrwq_z_s32(constants.shift + c, live);
  int32x4_t right = shift;
  if (!finish.is_small) {
    right = vminq_s32(shift, zeros);
    value = vshlq_s32(value, vmaxq_s32(shift, zeros));
  }
  value = vqrdmulhq_s32(value, vldrwq_z_s32(constants.multiplier + c, live));
  // Minus one where the value is negative and there is a second rounding.
  const int32x4_t minus = finish.is_small ? value : vandq_s32(value, right);
  value = vaddq_s32(value, vshrq_n_s32(minus, 31));
  value = vaddq_n_s32(vrshlq_s32(value, right), output.y_zero_point);
  value = vmaxq_s32(value, vdupq_n_s32(output.act_min));
  return vminq_s32(value, vdupq_n_s32(output.act_max));
}

inline void FinishRow(const int32_t* sums, const Finish& finish, int32_t n, int8_t* y) {
  for (int32_t c = 0; c < n; c += 4) {
    const mve_pred16_t live = vctp32q(static_cast<uint32_t>(n - c));
    vstrbq_p_s32(y + c, FinishFour(vldrwq_z_s32(sums + c, live), finish, c, live), live);
  }
}

inline void FinishTile(const TwoByTwo& first, const TwoByTwo& second, const Finish& finish,
                       int32_t c, int8_t* y0, int8_t* y1) {
  const mve_pred16_t all = vctp32q(4);
  const int32x4_t sums0 = {first.s00, first.s01, second.s00, second.s01};
  const int32x4_t sums1 = {first.s10, first.s11, second.s10, second.s11};
  vstrbq_s32(y0, FinishFour(sums0, finish, c, all));
  vstrbq_s32(y1, FinishFour(sums1, finish, c, all));
}

}  // namespace tflm_train

#endif  // TFLM_KERNELS_ARCH_FORWARD_MVE_H_
