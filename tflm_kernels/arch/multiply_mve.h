// Dot products of panels with Helium: vectors of eight elements.

#ifndef TFLM_KERNELS_ARCH_MULTIPLY_MVE_H_
#define TFLM_KERNELS_ARCH_MULTIPLY_MVE_H_

#include <arm_mve.h>

#include <cstdint>

#include "tflm_kernels/panel.h"

namespace tflm_train {

// Eight sums need all even registers, that of hardware loops included; left to the compiler
// they are moved about in the loop.
// clang-format off
#define TFLM_TRAIN_PANEL_STEP(VMLADAV)     \
  "vldrh.u16 %q[q1], [%[a], #16]\n\t"      \
  "vldrh.u16 %q[q0], [%[a]], #64\n\t"      \
  "vldrh.u16 %q[x0], [%[b], #16]\n\t"      \
  "vldrh.u16 %q[x1], [%[b], #32]\n\t"      \
  VMLADAV " %[c1], %q[q0], %q[x0]\n\t"     \
  VMLADAV " %[d1], %q[q1], %q[x0]\n\t"     \
  "vldrh.u16 %q[x0], [%[b], #48]\n\t"      \
  VMLADAV " %[c2], %q[q0], %q[x1]\n\t"     \
  VMLADAV " %[d2], %q[q1], %q[x1]\n\t"     \
  "vldrh.u16 %q[x1], [%[b]], #64\n\t"      \
  VMLADAV " %[c3], %q[q0], %q[x0]\n\t"     \
  VMLADAV " %[d3], %q[q1], %q[x0]\n\t"     \
  VMLADAV " %[c0], %q[q0], %q[x1]\n\t"     \
  VMLADAV " %[d0], %q[q1], %q[x1]\n\t"
#define TFLM_TRAIN_PANEL_ADD TFLM_TRAIN_PANEL_STEP("vmladava.s16")

// The dot products of two lanes of `a` with the four lanes of `b`.
TFLM_TRAIN_INLINE void MultiplyPanels(const int16_t* a, const int16_t* b, int32_t depth,
                                      int32x4_t* row0, int32x4_t* row1) {
  // Named, because the compiler does not always find them itself.
  register int32_t c0 asm("r0"), c1 asm("r2"), c2 asm("r4"), c3 asm("r6");
  register int32_t d0 asm("r8"), d1 asm("r10"), d2 asm("r12"), d3 asm("lr");
  int32x4_t q0, q1;
  int16x8_t x0, x1;
  // The first step makes the sums, then one, two and any number of fours follow.
  int32_t steps = (depth - 1) / kQuantum;
  asm(TFLM_TRAIN_PANEL_STEP("vmladav.s16")
      "lsrs %[steps], #1\n\t"
      "bcc 2f\n\t"
      TFLM_TRAIN_PANEL_ADD
      "2:\n\t"
      "lsrs %[steps], #1\n\t"
      "bcc 3f\n\t"
      TFLM_TRAIN_PANEL_ADD TFLM_TRAIN_PANEL_ADD
      "3:\n\t"
      "cmp %[steps], #0\n\t"
      "beq 5f\n"
      "4:\n\t"
      TFLM_TRAIN_PANEL_ADD TFLM_TRAIN_PANEL_ADD
      TFLM_TRAIN_PANEL_ADD TFLM_TRAIN_PANEL_ADD
      "subs %[steps], #1\n\t"
      "bne 4b\n"
      "5:\n\t"
      "vmov %q[q0][2], %q[q0][0], %[c0], %[c2]\n\t"
      "vmov %q[q0][3], %q[q0][1], %[c1], %[c3]\n\t"
      "vmov %q[q1][2], %q[q1][0], %[d0], %[d2]\n\t"
      "vmov %q[q1][3], %q[q1][1], %[d1], %[d3]"
      : [a] "+r"(a), [b] "+r"(b), [steps] "+r"(steps), [c0] "=&r"(c0), [c1] "=&r"(c1),
        [c2] "=&r"(c2), [c3] "=&r"(c3), [d0] "=&r"(d0), [d1] "=&r"(d1), [d2] "=&r"(d2),
        [d3] "=&r"(d3), [q0] "=&w"(q0), [q1] "=&w"(q1), [x0] "=&w"(x0), [x1] "=&w"(x1)
      :
      : "cc", "memory");
  *row0 = q0;
  *row1 = q1;
}

// A run of pairs of pixels whose sums are rounded, saturated and written as they are.
struct PanelPairs {
  const int16_t* a;  // two lanes of the first panel; those of the others follow
  const int16_t* b;
  int32_t steps;     // of the depth, kQuantum each; more than 4
  int32_t pairs;     // at least 1
  int8_t* q;         // four bytes of the first pixel
  int32_t to_second, to_next;  // to the pair's second pixel, from there to the next pair
  int32_t shift;     // negative
};

// kRest: what steps - 1 leaves when divided by 4.
template <int kRest>
inline void MultiplyPairs(const PanelPairs& pairs) {
  register int32_t c0 asm("r0"), c1 asm("r2"), c2 asm("r4"), c3 asm("r6");
  register int32_t d0 asm("r8"), d1 asm("r10"), d2 asm("r12"), d3 asm("lr");
  const int16_t* a = pairs.a;
  const int16_t* b = pairs.b;
  int8_t* q = pairs.q;
  int32_t left = pairs.pairs, fours;
  const int32_t all_fours = (pairs.steps - 1) / 4;
  const int16_t* const first_b = pairs.b;
  const int32_t to_second = pairs.to_second, to_next = pairs.to_next, shift = pairs.shift;
  int32x4_t q0, q1;
  int16x8_t x0, x1;
#define TFLM_TRAIN_PAIRS(REST)                                        \
  asm volatile("1:\n\t"                                               \
      TFLM_TRAIN_PANEL_STEP("vmladav.s16")                            \
      "ldr %[fours], %[all_fours]\n\t" REST                           \
      "2:\n\t"                                                        \
      TFLM_TRAIN_PANEL_ADD TFLM_TRAIN_PANEL_ADD                       \
      TFLM_TRAIN_PANEL_ADD TFLM_TRAIN_PANEL_ADD                       \
      "subs %[fours], #1\n\t"                                         \
      "bne 2b\n\t"                                                    \
      "vmov %q[q0][2], %q[q0][0], %[c0], %[c2]\n\t"                   \
      "vmov %q[q0][3], %q[q0][1], %[c1], %[c3]\n\t"                   \
      "vmov %q[q1][2], %q[q1][0], %[d0], %[d2]\n\t"                   \
      "vmov %q[q1][3], %q[q1][1], %[d1], %[d3]\n\t"                   \
      "ldr %[c0], %[shift]\n\t"                                       \
      "ldr %[c1], %[to_second]\n\t"                                   \
      "vrshl.s32 %q[q0], %[c0]\n\t"                                   \
      "vrshl.s32 %q[q1], %[c0]\n\t"                                   \
      "ldr %[c2], %[to_next]\n\t"                                     \
      "vqmovnb.s32 %q[q0], %q[q0]\n\t"                                \
      "vqmovnb.s32 %q[q1], %q[q1]\n\t"                                \
      "ldr %[b], %[first_b]\n\t"                                      \
      "vqmovnb.s16 %q[q0], %q[q0]\n\t"                                \
      "vqmovnb.s16 %q[q1], %q[q1]\n\t"                                \
      "vstrb.32 %q[q0], [%[q]]\n\t"                                   \
      "add %[q], %[c1]\n\t"                                           \
      "vstrb.32 %q[q1], [%[q]]\n\t"                                   \
      "add %[q], %[c2]\n\t"                                           \
      "subs %[left], #1\n\t"                                          \
      "bne 1b"                                                        \
      : [a] "+r"(a), [b] "+r"(b), [q] "+l"(q), [left] "+r"(left), [fours] "=&r"(fours),    \
        [c0] "=&r"(c0), [c1] "=&r"(c1), [c2] "=&r"(c2), [c3] "=&r"(c3), [d0] "=&r"(d0),    \
        [d1] "=&r"(d1), [d2] "=&r"(d2), [d3] "=&r"(d3), [q0] "=&w"(q0), [q1] "=&w"(q1),    \
        [x0] "=&w"(x0), [x1] "=&w"(x1)                                                     \
      : [all_fours] "m"(all_fours), [first_b] "m"(first_b), [to_second] "m"(to_second),    \
        [to_next] "m"(to_next), [shift] "m"(shift)                                         \
      : "cc", "memory")
  if constexpr (kRest == 0) {
    TFLM_TRAIN_PAIRS("");
  } else if constexpr (kRest == 1) {
    TFLM_TRAIN_PAIRS(TFLM_TRAIN_PANEL_ADD);
  } else if constexpr (kRest == 2) {
    TFLM_TRAIN_PAIRS(TFLM_TRAIN_PANEL_ADD TFLM_TRAIN_PANEL_ADD);
  } else {
    TFLM_TRAIN_PAIRS(TFLM_TRAIN_PANEL_ADD TFLM_TRAIN_PANEL_ADD TFLM_TRAIN_PANEL_ADD);
  }
#undef TFLM_TRAIN_PAIRS
}

inline void MultiplyPairs(const PanelPairs& pairs) {
  switch ((pairs.steps - 1) % 4) {
    case 0:
      return MultiplyPairs<0>(pairs);
    case 1:
      return MultiplyPairs<1>(pairs);
    case 2:
      return MultiplyPairs<2>(pairs);
    default:
      return MultiplyPairs<3>(pairs);
  }
}

#undef TFLM_TRAIN_PANEL_STEP
#undef TFLM_TRAIN_PANEL_ADD
// clang-format on

}  // namespace tflm_train

#endif  // TFLM_KERNELS_ARCH_MULTIPLY_MVE_H_
