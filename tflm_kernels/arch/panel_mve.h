// Panels with Helium: vectors of eight elements, multiplied and summed at once. Only for panel.cc.

#ifndef TFLM_KERNELS_ARCH_PANEL_MVE_H_
#define TFLM_KERNELS_ARCH_PANEL_MVE_H_

#include <arm_mve.h>

#include <cstdint>

#include "tflm_kernels/arch/panel_generic.h"

namespace tflm_train {

bool PackLanes(PixelCursor* cursor, int32_t depth, int lanes, int32_t offset,
                      int16_t* panel) {
  const int32_t stride = cursor->EvenStride(depth);
  // The offsets of a gather are 16 bits.
  if (stride == 0 || stride > UINT16_MAX / kQuantum) {
    return PackLanesGeneric(cursor, depth, lanes, offset, panel);
  }
  const int8_t* from = cursor->Skip(depth);
  const uint16x8_t offsets = vmulq_n_u16(vidupq_n_u16(0, 1), static_cast<uint16_t>(stride));
  const int16x8_t zeros = vdupq_n_s16(0);
  int16x8_t seen = zeros;
  for (int32_t k = 0; k < depth; k += kQuantum, from += kQuantum * stride) {
    const mve_pred16_t inside = vctp16q(static_cast<uint32_t>(depth - k));
    for (int lane = 0; lane < kLanes; ++lane, panel += kQuantum) {
      int16x8_t values = zeros;
      if (lane < lanes) {
        values = vldrbq_gather_offset_z_s16(from + lane, offsets, inside);
        seen = vorrq_s16(seen, values);
        values = vsubq_x_n_s16(values, static_cast<int16_t>(offset), inside);
        values = vpselq_s16(values, zeros, inside);
      }
      vst1q_s16(panel, values);
    }
  }
  return vmaxavq_s16(0, seen) != 0;
}

void PackProducts(const int8_t* q, const int8_t* m, int32_t depth, int16_t* panel) {
  for (int32_t k = 0; k < depth; k += kQuantum, panel += kQuantum * kLanes) {
    const mve_pred16_t inside = vctp16q(static_cast<uint32_t>(depth - k));
    vst1q_s16(panel, vmulq_s16(vldrbq_z_s16(q + k, inside), vldrbq_z_s16(m + k, inside)));
  }
}

void MultiplyPanels(const int16_t* a, const int16_t* b, int32_t depth, int32_t* sums) {
  int32_t c0 = 0, c1 = 0, c2 = 0, c3 = 0;
  int32_t d0 = 0, d1 = 0, d2 = 0, d3 = 0;
  int32_t steps = (depth + kQuantum - 1) / kQuantum;
  // Eight sums need all even registers, that of hardware loops included; the
  // compiler would move them about in the loop.
  if (steps > 0) {
  asm("1:\n\t"
      "vldrh.u16 q1, [%[a], #16]\n\t"
      "vldrh.u16 q0, [%[a]], #64\n\t"
      "vldrh.u16 q2, [%[b], #16]\n\t"
      "vldrh.u16 q3, [%[b], #32]\n\t"
      "vmladava.s16 %[c1], q0, q2\n\t"
      "vmladava.s16 %[d1], q1, q2\n\t"
      "vldrh.u16 q2, [%[b], #48]\n\t"
      "vmladava.s16 %[c2], q0, q3\n\t"
      "vmladava.s16 %[d2], q1, q3\n\t"
      "vldrh.u16 q3, [%[b]], #64\n\t"
      "vmladava.s16 %[c3], q0, q2\n\t"
      "vmladava.s16 %[d3], q1, q2\n\t"
      "subs %[steps], #1\n\t"
      "vmladava.s16 %[c0], q0, q3\n\t"
      "vmladava.s16 %[d0], q1, q3\n\t"
      "bne 1b"
      : [a] "+r"(a), [b] "+r"(b), [steps] "+r"(steps), [c0] "+Te"(c0), [c1] "+Te"(c1),
        [c2] "+Te"(c2), [c3] "+Te"(c3), [d0] "+Te"(d0), [d1] "+Te"(d1), [d2] "+Te"(d2),
        [d3] "+Te"(d3)
      :
      : "q0", "q1", "q2", "q3", "cc", "memory");
  }
  sums[0] = c0;
  sums[1] = c1;
  sums[2] = c2;
  sums[3] = c3;
  sums[4] = d0;
  sums[5] = d1;
  sums[6] = d2;
  sums[7] = d3;
}

}  // namespace tflm_train

#endif  // TFLM_KERNELS_ARCH_PANEL_MVE_H_
