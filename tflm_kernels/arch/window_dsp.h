// Sums over windows with the DSP extension: two rows at a time.

#ifndef TFLM_KERNELS_ARCH_WINDOW_DSP_H_
#define TFLM_KERNELS_ARCH_WINDOW_DSP_H_

#include <arm_acle.h>

#include <cstdint>

#include "tflm_kernels/arch/dsp.h"
#include "tflm_kernels/window.h"

namespace tflm_train {

// An element; the first makes the sums, the others add to them. Loads of four words
// need named registers, which leaves six for the sums and the pointers.
#define TFLM_TRAIN_LOAD               \
  "ldmia %[x]!, {r4, r5, r6, r7}\n\t" \
  "ldmia %[w]!, {r8, r9, r10, r11}\n\t"
#define TFLM_TRAIN_FIRST     \
  TFLM_TRAIN_LOAD            \
  "smuad %[s0], r4, r8\n\t"  \
  "smuad %[s1], r5, r9\n\t"  \
  "smuad %[s2], r6, r10\n\t" \
  "smuad %[s3], r7, r11\n\t"
#define TFLM_TRAIN_NEXT             \
  TFLM_TRAIN_LOAD                   \
  "smlad %[s0], r4, r8, %[s0]\n\t"  \
  "smlad %[s1], r5, r9, %[s1]\n\t"  \
  "smlad %[s2], r6, r10, %[s2]\n\t" \
  "smlad %[s3], r7, r11, %[s3]\n\t"
#define TFLM_TRAIN_NEXT_2 TFLM_TRAIN_NEXT TFLM_TRAIN_NEXT
#define TFLM_TRAIN_NEXT_4 TFLM_TRAIN_NEXT_2 TFLM_TRAIN_NEXT_2
// To the next pair of rows.
#define TFLM_TRAIN_SKIP "ldr r4, %[skip]\n\tadd %[x], %[x], r4\n\t"
#define TFLM_TRAIN_SUM(TEXT, ...)                                                           \
  asm(TEXT                                                                                  \
      : [x] "+r"(plane), [w] "+r"(weights), [s0] "=&r"(s0), [s1] "=&r"(s1), [s2] "=&r"(s2), \
        [s3] "=&r"(s3)__VA_ARGS__                                                           \
      : [skip] "m"(window.row_skip)                                                         \
      : "r4", "r5", "r6", "r7", "r8", "r9", "r10", "r11", "cc", "memory")
// One row, two rows, or as many as there are.
#define TFLM_TRAIN_SUM_ROWS(FIRST_ROW, ROW)                  \
  if constexpr (kRowPairs == 1) {                            \
    TFLM_TRAIN_SUM(FIRST_ROW, );                             \
  } else if constexpr (kRowPairs == 2) {                     \
    TFLM_TRAIN_SUM(FIRST_ROW TFLM_TRAIN_SKIP ROW, );         \
  } else {                                                   \
    int32_t rows = window.row_pairs;                         \
    TFLM_TRAIN_SUM(FIRST_ROW                                 \
                   "1:\n\t"                                  \
                   "ldr r5, %[rows]\n\t"                     \
                   "subs r5, #1\n\t"                         \
                   "beq 2f\n\t"                              \
                   "str r5, %[rows]\n\t" TFLM_TRAIN_SKIP ROW \
                   "b 1b\n"                                  \
                   "2:",                                     \
                   , [rows] "+m"(rows));                     \
  }

template <int kRowPairs, int kColumns>
TFLM_TRAIN_INLINE void SumWindow(const int16_t* plane, const Window& window, int32_t* sums) {
  const int16_t* weights = window.weights;
  int32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0;
#if defined(__OPTIMIZE__)
  if constexpr (kColumns == 1) {
    TFLM_TRAIN_SUM_ROWS(TFLM_TRAIN_FIRST, TFLM_TRAIN_NEXT)
  } else if constexpr (kColumns == 2) {
    TFLM_TRAIN_SUM_ROWS(TFLM_TRAIN_FIRST TFLM_TRAIN_NEXT, TFLM_TRAIN_NEXT_2)
  } else if constexpr (kColumns == 3) {
    TFLM_TRAIN_SUM_ROWS(TFLM_TRAIN_FIRST TFLM_TRAIN_NEXT_2, TFLM_TRAIN_NEXT_2 TFLM_TRAIN_NEXT)
  } else if constexpr (kColumns == 4) {
    TFLM_TRAIN_SUM_ROWS(TFLM_TRAIN_FIRST TFLM_TRAIN_NEXT_2 TFLM_TRAIN_NEXT, TFLM_TRAIN_NEXT_4)
  } else if constexpr (kColumns == 5) {
    TFLM_TRAIN_SUM_ROWS(TFLM_TRAIN_FIRST TFLM_TRAIN_NEXT_4, TFLM_TRAIN_NEXT_4 TFLM_TRAIN_NEXT)
  } else if constexpr (kColumns == 7) {
    TFLM_TRAIN_SUM_ROWS(TFLM_TRAIN_FIRST TFLM_TRAIN_NEXT_4 TFLM_TRAIN_NEXT_2,
                        TFLM_TRAIN_NEXT_4 TFLM_TRAIN_NEXT_2 TFLM_TRAIN_NEXT)
  }
#endif
  if constexpr (kColumns == 0
#if !defined(__OPTIMIZE__)
                || true  // a frame pointer takes one of the registers
#endif
  ) {
    for (int32_t row = 0; row < window.row_pairs; ++row, plane += window.row_step / 2) {
      for (int32_t i = 0; i < window.columns * kElement; i += kElement, weights += kElement) {
        s0 = __smlad(dsp::LoadPair(plane + i), dsp::LoadPair(weights), s0);
        s1 = __smlad(dsp::LoadPair(plane + i + 2), dsp::LoadPair(weights + 2), s1);
        s2 = __smlad(dsp::LoadPair(plane + i + 4), dsp::LoadPair(weights + 4), s2);
        s3 = __smlad(dsp::LoadPair(plane + i + 6), dsp::LoadPair(weights + 6), s3);
      }
    }
  }
  sums[0] = s0;
  sums[1] = s1;
  sums[2] = s2;
  sums[3] = s3;
}

TFLM_TRAIN_INLINE void ScaleSums(const int32_t* m, int32_t* sums) {
  int32_t s0 = sums[0], s1 = sums[1], s2 = sums[2], s3 = sums[3];
  asm("ldmia %[m], {r4, r5, r6, r7}\n\t"
      "smmulr %[s0], %[s0], r4\n\t"
      "smmulr %[s1], %[s1], r5\n\t"
      "smmulr %[s2], %[s2], r6\n\t"
      "smmulr %[s3], %[s3], r7"
      : [s0] "+r"(s0), [s1] "+r"(s1), [s2] "+r"(s2), [s3] "+r"(s3)
      : [m] "r"(m), "m"(*reinterpret_cast<const int32_t(*)[kWindowLanes]>(m))
      : "r4", "r5", "r6", "r7");
  sums[0] = s0;
  sums[1] = s1;
  sums[2] = s2;
  sums[3] = s3;
}

#undef TFLM_TRAIN_LOAD
#undef TFLM_TRAIN_FIRST
#undef TFLM_TRAIN_NEXT
#undef TFLM_TRAIN_NEXT_2
#undef TFLM_TRAIN_NEXT_4
#undef TFLM_TRAIN_SKIP
#undef TFLM_TRAIN_SUM
#undef TFLM_TRAIN_SUM_ROWS

}  // namespace tflm_train

#endif  // TFLM_KERNELS_ARCH_WINDOW_DSP_H_
