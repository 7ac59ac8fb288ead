// Dot products of panels with the DSP extension: pairs of elements, two products at a time.

#ifndef TFLM_KERNELS_ARCH_MULTIPLY_DSP_H_
#define TFLM_KERNELS_ARCH_MULTIPLY_DSP_H_

#include <arm_acle.h>

#include <cstdint>
#include <cstring>

#include "tflm_kernels/panel.h"

namespace tflm_train {

// One pair of the depth. With the two pointers fourteen registers are in use, all
// there are: the compiler would spill sums in the loop. The count is in memory for
// the same reason.
#define TFLM_TRAIN_STEP                  \
  "ldrd %[a0], %[a1], [%[a]], #16\n\t"   \
  "ldrd %[b0], %[b1], [%[b]], #8\n\t"    \
  "smlad %[c0], %[a0], %[b0], %[c0]\n\t" \
  "smlad %[d0], %[a1], %[b0], %[d0]\n\t" \
  "smlad %[c1], %[a0], %[b1], %[c1]\n\t" \
  "smlad %[d1], %[a1], %[b1], %[d1]\n\t" \
  "ldrd %[b0], %[b1], [%[b]], #8\n\t"    \
  "smlad %[c2], %[a0], %[b0], %[c2]\n\t" \
  "smlad %[d2], %[a1], %[b0], %[d2]\n\t" \
  "smlad %[c3], %[a0], %[b1], %[c3]\n\t" \
  "smlad %[d3], %[a1], %[b1], %[d3]\n\t"
#define TFLM_TRAIN_TWO_STEPS TFLM_TRAIN_STEP TFLM_TRAIN_STEP
#define TFLM_TRAIN_FOUR_STEPS TFLM_TRAIN_TWO_STEPS TFLM_TRAIN_TWO_STEPS

inline void MultiplyPanels(const int16_t* a, const int16_t* b, int32_t depth, int32_t* sums) {
  int32_t c0 = 0, c1 = 0, c2 = 0, c3 = 0, d0 = 0, d1 = 0, d2 = 0, d3 = 0;
  const int32_t steps = (depth + 1) >> 1;
#if defined(__OPTIMIZE__)
  int32_t a0, a1, b0, b1;
  int32_t count;
  asm("ldr %[a0], %[steps]\n\t"
      "asrs %[a0], %[a0], #3\n\t"
      "beq 2f\n"
      "1:\n\t"
      "str %[a0], %[count]\n\t" TFLM_TRAIN_FOUR_STEPS TFLM_TRAIN_FOUR_STEPS
      "ldr %[a0], %[count]\n\t"
      "subs %[a0], #1\n\t"
      "bne 1b\n"
      "2:\n\t"
      "ldr %[a0], %[steps]\n\t"
      "tst %[a0], #4\n\t"
      "beq 3f\n\t" TFLM_TRAIN_FOUR_STEPS
      "ldr %[a0], %[steps]\n"
      "3:\n\t"
      "tst %[a0], #2\n\t"
      "beq 4f\n\t" TFLM_TRAIN_TWO_STEPS
      "ldr %[a0], %[steps]\n"
      "4:\n\t"
      "tst %[a0], #1\n\t"
      "beq 5f\n\t" TFLM_TRAIN_STEP "5:"
      : [a] "+r"(a), [b] "+r"(b), [c0] "+r"(c0), [c1] "+r"(c1), [c2] "+r"(c2), [c3] "+r"(c3),
        [d0] "+r"(d0), [d1] "+r"(d1), [d2] "+r"(d2), [d3] "+r"(d3), [count] "=m"(count),
        [a0] "=&r"(a0), [a1] "=&r"(a1), [b0] "=&r"(b0), [b1] "=&r"(b1)
      : [steps] "m"(steps)
      : "cc", "memory");
#else
  // Without optimisation a frame pointer takes one of the registers.
  for (int32_t k = 0; k < steps; ++k, a += 2 * kLanes, b += 2 * kLanes) {
    int32_t a0, a1, pairs[4];
    std::memcpy(&a0, a, sizeof(a0));
    std::memcpy(&a1, a + 2, sizeof(a1));
    std::memcpy(pairs, b, sizeof(pairs));
    c0 = __smlad(a0, pairs[0], c0);
    c1 = __smlad(a0, pairs[1], c1);
    c2 = __smlad(a0, pairs[2], c2);
    c3 = __smlad(a0, pairs[3], c3);
    d0 = __smlad(a1, pairs[0], d0);
    d1 = __smlad(a1, pairs[1], d1);
    d2 = __smlad(a1, pairs[2], d2);
    d3 = __smlad(a1, pairs[3], d3);
  }
#endif
  sums[0] = c0;
  sums[1] = c1;
  sums[2] = c2;
  sums[3] = c3;
  sums[4] = d0;
  sums[5] = d1;
  sums[6] = d2;
  sums[7] = d3;
}

#undef TFLM_TRAIN_STEP
#undef TFLM_TRAIN_TWO_STEPS
#undef TFLM_TRAIN_FOUR_STEPS

}  // namespace tflm_train

#endif  // TFLM_KERNELS_ARCH_MULTIPLY_DSP_H_
