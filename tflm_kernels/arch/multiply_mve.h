// Dot products of panels with Helium: vectors of eight elements.

#ifndef TFLM_KERNELS_ARCH_MULTIPLY_MVE_H_
#define TFLM_KERNELS_ARCH_MULTIPLY_MVE_H_

#include <arm_mve.h>

#include <cstdint>

#include "tflm_kernels/panel.h"

namespace tflm_train {

// Eight sums need all even registers, that of hardware loops included; left to
// the compiler they are moved about in the loop. LAST: what ends the step.
#define TFLM_TRAIN_PANEL_STEP(VMLADAV, LAST)                           \
  "vldrh.u16 q1, [%[a], #16]\n\t"                                      \
  "vldrh.u16 q0, [%[a]], #64\n\t"                                      \
  "vldrh.u16 q2, [%[b], #16]\n\t"                                      \
  "vldrh.u16 q3, [%[b], #32]\n\t" VMLADAV " %[c1], q0, q2\n\t" VMLADAV \
  " %[d1], q1, q2\n\t"                                                 \
  "vldrh.u16 q2, [%[b], #48]\n\t" VMLADAV " %[c2], q0, q3\n\t" VMLADAV \
  " %[d2], q1, q3\n\t"                                                 \
  "vldrh.u16 q3, [%[b]], #64\n\t" VMLADAV " %[c3], q0, q2\n\t" VMLADAV \
  " %[d3], q1, q2\n\t" LAST VMLADAV " %[c0], q0, q3\n\t" VMLADAV " %[d0], q1, q3\n\t"
#define TFLM_TRAIN_PANEL_ADD "vmladava.s16"

inline void MultiplyPanels(const int16_t* a, const int16_t* b, int32_t depth, int32_t* sums) {
  int32_t c0, c1, c2, c3, d0, d1, d2, d3;
  int32_t steps = (depth + kQuantum - 1) / kQuantum;
  // The first step makes the sums, then one or two are done at a time.
  asm(TFLM_TRAIN_PANEL_STEP("vmladav.s16", "subs %[steps], #1\n\t")
      "beq 3f\n\t"
      "lsrs %[steps], #1\n\t"
      "bcc 2f\n\t"
      TFLM_TRAIN_PANEL_STEP(TFLM_TRAIN_PANEL_ADD, "")
      "cmp %[steps], #0\n\t"
      "beq 3f\n"
      "2:\n\t"
      TFLM_TRAIN_PANEL_STEP(TFLM_TRAIN_PANEL_ADD, "")
      TFLM_TRAIN_PANEL_STEP(TFLM_TRAIN_PANEL_ADD, "subs %[steps], #1\n\t")
      "bne 2b\n"
      "3:"
      : [a] "+r"(a), [b] "+r"(b), [steps] "+r"(steps), [c0] "=&Te"(c0), [c1] "=&Te"(c1),
        [c2] "=&Te"(c2), [c3] "=&Te"(c3), [d0] "=&Te"(d0), [d1] "=&Te"(d1), [d2] "=&Te"(d2),
        [d3] "=&Te"(d3)
      :
      : "q0", "q1", "q2", "q3", "cc", "memory");
  sums[0] = c0;
  sums[1] = c1;
  sums[2] = c2;
  sums[3] = c3;
  sums[4] = d0;
  sums[5] = d1;
  sums[6] = d2;
  sums[7] = d3;
}

#undef TFLM_TRAIN_PANEL_STEP
#undef TFLM_TRAIN_PANEL_ADD

}  // namespace tflm_train

#endif  // TFLM_KERNELS_ARCH_MULTIPLY_MVE_H_
