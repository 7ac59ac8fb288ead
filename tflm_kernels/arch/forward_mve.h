// The inner loops of the forward layers with Helium. Only for forward_ops.cc.

#ifndef TFLM_KERNELS_ARCH_FORWARD_MVE_H_
#define TFLM_KERNELS_ARCH_FORWARD_MVE_H_

#include <arm_mve.h>

#include <cstdint>

#include "tflm_kernels/forward_ops.h"

namespace tflm_train {

void Widen(const int8_t* from, int32_t offset, int32_t n, int16_t* to) {
  const int16_t zero = static_cast<int16_t>(offset);
  for (int32_t i = 0; i < n; i += 8) {
    const mve_pred16_t live = vctp16q(static_cast<uint32_t>(n - i));
    const int16x8_t values = vldrbq_z_s16(from + i, live);
    vst1q_p_s16(to + i, vsubq_n_s16(values, zero), live);
  }
}

void DotTwoByTwo(const int16_t* const a[2], const int8_t* const w[2], int32_t n, int32_t sums[4]) {
  int32_t s00 = sums[0], s01 = sums[1], s10 = sums[2], s11 = sums[3];
  for (int32_t i = 0; i < n; i += 8) {
    const mve_pred16_t live = vctp16q(static_cast<uint32_t>(n - i));
    const int16x8_t x0 = vld1q_z_s16(a[0] + i, live);
    const int16x8_t x1 = vld1q_z_s16(a[1] + i, live);
    const int16x8_t w0 = vldrbq_z_s16(w[0] + i, live);
    const int16x8_t w1 = vldrbq_z_s16(w[1] + i, live);
    s00 = vmladavaq_s16(s00, x0, w0);
    s01 = vmladavaq_s16(s01, x0, w1);
    s10 = vmladavaq_s16(s10, x1, w0);
    s11 = vmladavaq_s16(s11, x1, w1);
  }
  sums[0] = s00;
  sums[1] = s01;
  sums[2] = s10;
  sums[3] = s11;
}

void DepthwiseSums(const DepthwiseTap* taps, int32_t count, int32_t offset, int32_t n,
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

}  // namespace tflm_train

#endif  // TFLM_KERNELS_ARCH_FORWARD_MVE_H_
