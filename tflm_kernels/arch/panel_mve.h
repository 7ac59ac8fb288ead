// Panels with Helium: vectors of eight elements, multiplied and summed at once. Only for panel.cc.

#ifndef TFLM_KERNELS_ARCH_PANEL_MVE_H_
#define TFLM_KERNELS_ARCH_PANEL_MVE_H_

#include <arm_mve.h>

#include <cstdint>

#include "tflm_kernels/arch/panel_generic.h"

namespace tflm_train {

void PackLanes(PixelCursor* cursor, int32_t depth, int lanes, int32_t offset, int16_t* panel) {
  const int32_t stride = cursor->EvenStride(depth);
  // The offsets of a gather are 16 bits.
  if (lanes < kLanes || stride == 0 || stride > UINT16_MAX / kQuantum) {
    return PackLanesGeneric(cursor, depth, lanes, offset, panel);
  }
  const int8_t* from = cursor->Skip(depth);
  const uint16x8_t at = vmulq_n_u16(vidupq_n_u16(0, 1), static_cast<uint16_t>(stride));
  const int16_t minus = static_cast<int16_t>(offset);
  int32_t k = depth;
  for (; k >= kQuantum; k -= kQuantum, panel += kQuantum * kLanes) {
    vst1q_s16(panel, vsubq_n_s16(vldrbq_gather_offset_s16(from, at), minus));
    vst1q_s16(panel + 8, vsubq_n_s16(vldrbq_gather_offset_s16(from + 1, at), minus));
    vst1q_s16(panel + 16, vsubq_n_s16(vldrbq_gather_offset_s16(from + 2, at), minus));
    vst1q_s16(panel + 24, vsubq_n_s16(vldrbq_gather_offset_s16(from + 3, at), minus));
    from += kQuantum * stride;
  }
  if (k > 0) {
    const mve_pred16_t inside = vctp16q(static_cast<uint32_t>(k));
    const int16x8_t zeros = vdupq_n_s16(0);
    for (int lane = 0; lane < kLanes; ++lane, panel += kQuantum) {
      const int16x8_t bytes = vldrbq_gather_offset_z_s16(from + lane, at, inside);
      vst1q_s16(panel, vsubq_m_n_s16(zeros, bytes, minus, inside));
    }
  }
}

void PackProducts(const int8_t* q, const int8_t* m, int32_t depth, int16_t* panel) {
  for (int32_t k = 0; k < depth; k += kQuantum, panel += kQuantum * kLanes) {
    const mve_pred16_t inside = vctp16q(static_cast<uint32_t>(depth - k));
    vst1q_s16(panel, vmulq_s16(vldrbq_z_s16(q + k, inside), vldrbq_z_s16(m + k, inside)));
  }
}

}  // namespace tflm_train

#endif  // TFLM_KERNELS_ARCH_PANEL_MVE_H_
