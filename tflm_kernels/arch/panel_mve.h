// Panels with Helium: vectors of eight elements, multiplied and summed at once. Only for panel.cc.

#ifndef TFLM_KERNELS_ARCH_PANEL_MVE_H_
#define TFLM_KERNELS_ARCH_PANEL_MVE_H_

#include <arm_mve.h>

#include <cstdint>

#include "tflm_kernels/arch/panel_generic.h"

namespace tflm_train {

void PackLanes(PixelCursor* cursor, int32_t depth, int lanes, int32_t offset, int16_t* panel) {
  const int32_t stride = cursor->EvenStride(depth);
  if (lanes < kLanes || stride == 0 || stride > EvenLanes::kMaxStride || offset != 0) {
    return PackLanesGeneric(cursor, depth, lanes, offset, panel);
  }
  EvenLanes(stride).Pack(cursor->Skip(depth), depth, panel);
}

void PackLane(const int8_t* bytes, int32_t stride, int32_t depth, int16_t* lane) {
  if (stride > EvenLanes::kMaxStride) return PackLaneGeneric(bytes, stride, depth, lane);
  const uint16x8_t at = vmulq_n_u16(vidupq_n_u16(0, 1), static_cast<uint16_t>(stride));
  for (; depth > 0; depth -= kQuantum, bytes += kQuantum * stride, lane += kQuantum * kLanes) {
    const mve_pred16_t inside = vctp16q(static_cast<uint32_t>(depth));
    vst1q_s16(lane, vldrbq_gather_offset_z_s16(bytes, at, inside));
  }
}

void ClearLane(int32_t depth, int16_t* lane) {
  for (; depth > 0; depth -= kQuantum, lane += kQuantum * kLanes) vst1q_s16(lane, vdupq_n_s16(0));
}

void PackProducts(const int8_t* q, const int8_t* m, int32_t depth, int16_t* panel) {
#pragma GCC unroll 4
  for (; depth >= kQuantum; depth -= kQuantum, panel += kQuantum * kLanes) {
    vst1q_s16(panel, vmulq_s16(vldrbq_s16(q), vldrbq_s16(m)));
    q += kQuantum;
    m += kQuantum;
  }
  if (depth > 0) {
    const mve_pred16_t inside = vctp16q(static_cast<uint32_t>(depth));
    vst1q_s16(panel, vmulq_s16(vldrbq_z_s16(q, inside), vldrbq_z_s16(m, inside)));
  }
}

void PackInterleavedProducts(const int8_t* q, int32_t stride, const int8_t* m, int32_t depth,
                             int16_t* panel) {
  const int8_t* q0 = q;
  const int8_t* q1 = q0 + stride;
  const int8_t* q2 = q1 + stride;
  const int8_t* q3 = q2 + stride;
  const int32_t rest = depth % kQuantum;
  for (int32_t quanta = depth / kQuantum; quanta > 0; --quanta) {
    const int16x8_t factors = vldrbq_s16(m);
    vst1q_s16(panel + 8, vmulq_s16(vldrbq_s16(q1), factors));
    vst1q_s16(panel + 16, vmulq_s16(vldrbq_s16(q2), factors));
    vst1q_s16(panel + 24, vmulq_s16(vldrbq_s16(q3), factors));
    vst1q_s16(panel, vmulq_s16(vldrbq_s16(q0), factors));
    q0 += kQuantum;
    q1 += kQuantum;
    q2 += kQuantum;
    q3 += kQuantum;
    m += kQuantum;
    panel += kQuantum * kLanes;
  }
  if (rest == 0) return;
  const mve_pred16_t inside = vctp16q(static_cast<uint32_t>(rest));
  const int16x8_t factors = vldrbq_z_s16(m, inside);
  vst1q_s16(panel, vmulq_s16(vldrbq_z_s16(q0, inside), factors));
  vst1q_s16(panel + 8, vmulq_s16(vldrbq_z_s16(q1, inside), factors));
  vst1q_s16(panel + 16, vmulq_s16(vldrbq_z_s16(q2, inside), factors));
  vst1q_s16(panel + 24, vmulq_s16(vldrbq_z_s16(q3, inside), factors));
}

}  // namespace tflm_train

#endif  // TFLM_KERNELS_ARCH_PANEL_MVE_H_
