// Dot products of panels with Helium: vectors of eight elements.

#ifndef TFLM_KERNELS_ARCH_MULTIPLY_MVE_H_
#define TFLM_KERNELS_ARCH_MULTIPLY_MVE_H_

#include <arm_mve.h>

#include <cstdint>

#include "tflm_kernels/panel.h"

namespace tflm_train {

constexpr int kPanelSums = 2 * kLanes;  // of two lanes with one panel

// sums[p][r][j] = dot product of lane r of `b`, r = 0 and 1, with lane j of the p-th of
// `panels` panels that lie one after another from `a` on. For lanes 2 and 3 of `b` pass its
// panel + 2 * kQuantum. All have `steps` quanta; with one, another is read behind `b`.
__attribute__((noinline)) inline void MultiplyPanels(const int16_t* b, const int16_t* a, int32_t steps, int32_t panels,
                           int32_t* sums) {
  // Eight sums need all even registers, that of hardware loops included; left to the compiler
  // they are moved about in the loop.
  register int32_t c0 asm("r0"), c1 asm("r2"), c2 asm("r4"), c3 asm("r6");
  register int32_t d0 asm("r8"), d1 asm("r10"), d2 asm("r12"), d3 asm("lr");
  // The first and the last step of `b` stay in registers. The loop of eight steps between them
  // is entered behind those that its first round does not need.
  constexpr int32_t kUnrolled = 8;
  constexpr int32_t kStepBytes = 14 * 4, kHeldStepBytes = 12 * 4, kLoopBytes = 2 * 4;
  const int32_t between = steps > 2 ? steps - 2 : 0;
  const int32_t rounds = (between + kUnrolled - 1) / kUnrolled;
  const int32_t skipped = kUnrolled * rounds - between;
  int32_t entry = between > 0   ? skipped * kStepBytes
                  : steps > 1 ? kUnrolled * kStepBytes + kLoopBytes
                              : kUnrolled * kStepBytes + kLoopBytes + kHeldStepBytes;
  const int16_t* last = b + (between + 1) * kQuantum * kLanes;
  const struct {
    const int16_t* b;
    int32_t rounds;
  } start = {b + kQuantum * kLanes, rounds};
  int16x8_t first0, first1, last0, last1, q0, q1, x0, x1;
  // clang-format off
#define TFLM_TRAIN_PANEL_HELD(VMLADAV, y0, y1)      \
  "vldrh.u16 %q[x0], [%[a], #16]\n\t"               \
  "vldrh.u16 %q[x1], [%[a], #32]\n\t"               \
  VMLADAV " %[c1], %q[" y0 "], %q[x0]\n\t"          \
  VMLADAV " %[d1], %q[" y1 "], %q[x0]\n\t"          \
  "vldrh.u16 %q[x0], [%[a], #48]\n\t"               \
  VMLADAV " %[c2], %q[" y0 "], %q[x1]\n\t"          \
  VMLADAV " %[d2], %q[" y1 "], %q[x1]\n\t"          \
  "vldrh.u16 %q[x1], [%[a]], #64\n\t"               \
  VMLADAV " %[c3], %q[" y0 "], %q[x0]\n\t"          \
  VMLADAV " %[d3], %q[" y1 "], %q[x0]\n\t"          \
  VMLADAV " %[c0], %q[" y0 "], %q[x1]\n\t"          \
  VMLADAV " %[d0], %q[" y1 "], %q[x1]\n\t"
#define TFLM_TRAIN_PANEL_STEP                       \
  "vldrh.u16 %q[q1], [%[b], #16]\n\t"               \
  "vldrh.u16 %q[q0], [%[b]], #64\n\t"               \
  TFLM_TRAIN_PANEL_HELD("vmladava.s16", "q0", "q1")
  asm volatile(
      "vldrh.u16 %q[first0], [%[b]]\n\t"
      "vldrh.u16 %q[first1], [%[b], #16]\n\t"
      "vldrh.u16 %q[last0], [%[tmp]]\n\t"
      "vldrh.u16 %q[last1], [%[tmp], #16]\n\t"
      "adr.w %[tmp], 2f\n\t"
      "ldr %[b], %[entry]\n\t"
      "add %[tmp], %[b]\n\t"
      "orr %[tmp], #1\n\t"
      "str %[tmp], %[entry]\n"
      "1:\n\t"
      TFLM_TRAIN_PANEL_HELD("vmladav.s16", "first0", "first1")
      "ldrd %[b], %[tmp], %[start]\n\t"
      "ldr pc, %[entry]\n"
      "2:\n\t"
      TFLM_TRAIN_PANEL_STEP TFLM_TRAIN_PANEL_STEP TFLM_TRAIN_PANEL_STEP TFLM_TRAIN_PANEL_STEP
      TFLM_TRAIN_PANEL_STEP TFLM_TRAIN_PANEL_STEP TFLM_TRAIN_PANEL_STEP TFLM_TRAIN_PANEL_STEP
      "subs.w %[tmp], #1\n\t"
      "bne.w 2b\n\t"
      TFLM_TRAIN_PANEL_HELD("vmladava.s16", "last0", "last1")
      "stm %[sums]!, {r0, r2, r4, r6, r8, r10, r12, lr}\n\t"
      "subs %[panels], #1\n\t"
      "bne 1b"
      : [a] "+r"(a), [b] "+r"(b), [sums] "+r"(sums), [panels] "+r"(panels), [tmp] "+r"(last),
        [entry] "+m"(entry), 
        [c0] "=&r"(c0), [c1] "=&r"(c1), [c2] "=&r"(c2), [c3] "=&r"(c3), [d0] "=&r"(d0),
        [d1] "=&r"(d1), [d2] "=&r"(d2), [d3] "=&r"(d3), [first0] "=&w"(first0),
        [first1] "=&w"(first1), [last0] "=&w"(last0), [last1] "=&w"(last1), [q0] "=&w"(q0),
        [q1] "=&w"(q1), [x0] "=&w"(x0), [x1] "=&w"(x1)
      : [start] "m"(start)
      : "cc", "memory");
#undef TFLM_TRAIN_PANEL_STEP
#undef TFLM_TRAIN_PANEL_HELD
  // clang-format on
}

}  // namespace tflm_train

#endif  // TFLM_KERNELS_ARCH_MULTIPLY_MVE_H_
