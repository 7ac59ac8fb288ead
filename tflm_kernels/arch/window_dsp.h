// Sums over windows with the DSP extension: two rows at a time.

#ifndef TFLM_KERNELS_ARCH_WINDOW_DSP_H_
#define TFLM_KERNELS_ARCH_WINDOW_DSP_H_

#include <arm_acle.h>

#include <cstdint>

#include "tflm_kernels/arch/dsp.h"
#include "tflm_kernels/window.h"

namespace tflm_train {

// Loads of four words need named registers, which leaves six for sums and pointers:
// whole rows of windows are one piece of assembly, and all else is in memory.
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
// The sums as bytes of s0.
#define TFLM_TRAIN_ROUND          \
  "ldrd r8, r9, %[f01]\n\t"       \
  "ldrd r10, r11, %[f23]\n\t"     \
  "smmulr %[s0], %[s0], r8\n\t"   \
  "smmulr %[s1], %[s1], r9\n\t"   \
  "smmulr %[s2], %[s2], r10\n\t"  \
  "smmulr %[s3], %[s3], r11\n\t"  \
  "ssat %[s0], #8, %[s0]\n\t"     \
  "ssat %[s1], #8, %[s1]\n\t"     \
  "ssat %[s2], #8, %[s2]\n\t"     \
  "ssat %[s3], #8, %[s3]\n\t"     \
  "bfi %[s0], %[s1], #8, #8\n\t"  \
  "bfi %[s0], %[s2], #16, #8\n\t" \
  "bfi %[s0], %[s3], #24, #8\n\t"
// To the next pair of rows.
#define TFLM_TRAIN_SKIP "ldr r4, %[skip]\n\tadd %[x], r4\n\t"
// A window's result; then to the next window or out of the loop.
#define TFLM_TRAIN_FINISH     \
  TFLM_TRAIN_ROUND            \
  "ldrd r8, r9, %[to]\n\t"    \
  "ldrd r10, r11, %[end]\n\t" \
  "ldr %[w], %[weights]\n\t"  \
  "str %[s0], [r8]\n\t"       \
  "add r8, r9\n\t"            \
  "add %[x], r11\n\t"         \
  "str r8, %[q]\n\t"          \
  "cmp r8, r10\n\t"           \
  "bne 1b\n"
#define TFLM_TRAIN_WINDOWS(TEXT)                                                              \
  asm volatile(                                                                               \
      "1:\n\t" TEXT TFLM_TRAIN_FINISH                                                         \
      : [x] "+r"(plane), [w] "+r"(weights), [s0] "=&r"(s0), [s1] "=&r"(s1), [s2] "=&r"(s2),   \
        [s3] "=&r"(s3), [to] "+m"(memory.to), [q] "+m"(memory.to.q), [rows] "+m"(memory.rows) \
      : [end] "m"(memory.end), [skip] "m"(memory.skip), [weights] "m"(memory.weights),        \
        [pairs] "m"(memory.pairs), [f01] "m"(memory.factors[0]), [f23] "m"(memory.factors[2]) \
      : "r4", "r5", "r6", "r7", "r8", "r9", "r10", "r11", "cc", "memory")
// One row, two rows, or as many as there are.
#define TFLM_TRAIN_ROWS(FIRST_ROW, ROW)                          \
  if constexpr (kRowPairs == 1) {                                \
    TFLM_TRAIN_WINDOWS(FIRST_ROW);                               \
  } else if constexpr (kRowPairs == 2) {                         \
    TFLM_TRAIN_WINDOWS(FIRST_ROW TFLM_TRAIN_SKIP ROW);           \
  } else {                                                       \
    TFLM_TRAIN_WINDOWS(FIRST_ROW                                 \
                       "ldr r5, %[pairs]\n"                      \
                       "2:\n\t"                                  \
                       "subs r5, #1\n\t"                         \
                       "beq 3f\n\t"                              \
                       "str r5, %[rows]\n\t" TFLM_TRAIN_SKIP ROW \
                       "ldr r5, %[rows]\n\t"                     \
                       "b 2b\n"                                  \
                       "3:\n\t");                                \
  }

template <int kRowPairs, int kColumns>
TFLM_TRAIN_INLINE void SumWindows(const int16_t* plane, const Window& window,
                                  const LaneScales& scales, const WindowResults& results) {
#if defined(__OPTIMIZE__)
  if constexpr (kColumns != 0) {
    struct Target {
      int8_t* q;
      int32_t step;
    };
    struct End {
      int8_t* q;
      int32_t back;  // bytes from behind a window to the next
    };
    struct {
      Target to;
      End end;
      int32_t skip, pairs, rows;
      const int16_t* weights;
      int32_t factors[kWindowLanes];
    } memory = {{results.q, results.step},
                {results.q + results.step * results.count,
                 kElementBytes - window.row_pairs * window.columns * kElementBytes -
                     (window.row_pairs - 1) * window.row_skip},
                window.row_skip,
                window.row_pairs,
                0,
                window.weights,
                {scales.factor[0], scales.factor[1], scales.factor[2], scales.factor[3]}};
    const int16_t* weights = window.weights;
    int32_t s0, s1, s2, s3;
    if constexpr (kColumns == 1) {
      TFLM_TRAIN_ROWS(TFLM_TRAIN_FIRST, TFLM_TRAIN_NEXT)
    } else if constexpr (kColumns == 2) {
      TFLM_TRAIN_ROWS(TFLM_TRAIN_FIRST TFLM_TRAIN_NEXT, TFLM_TRAIN_NEXT_2)
    } else if constexpr (kColumns == 3) {
      TFLM_TRAIN_ROWS(TFLM_TRAIN_FIRST TFLM_TRAIN_NEXT_2, TFLM_TRAIN_NEXT_2 TFLM_TRAIN_NEXT)
    } else if constexpr (kColumns == 4) {
      TFLM_TRAIN_ROWS(TFLM_TRAIN_FIRST TFLM_TRAIN_NEXT_2 TFLM_TRAIN_NEXT, TFLM_TRAIN_NEXT_4)
    } else if constexpr (kColumns == 5) {
      TFLM_TRAIN_ROWS(TFLM_TRAIN_FIRST TFLM_TRAIN_NEXT_4, TFLM_TRAIN_NEXT_4 TFLM_TRAIN_NEXT)
    } else {
      static_assert(kColumns == 7);
      TFLM_TRAIN_ROWS(TFLM_TRAIN_FIRST TFLM_TRAIN_NEXT_4 TFLM_TRAIN_NEXT_2,
                      TFLM_TRAIN_NEXT_4 TFLM_TRAIN_NEXT_2 TFLM_TRAIN_NEXT)
    }
    return;
  }
#endif
  // Any width; and all where a frame pointer takes one of the registers.
  int8_t* q = results.q;
  for (int32_t n = results.count; n > 0; --n, plane += kElement, q += results.step) {
    const int16_t* w = window.weights;
    const int16_t* x = plane;
    int32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0;
    for (int32_t row = 0; row < window.row_pairs; ++row, x += window.row_skip / 2) {
      for (int32_t i = 0; i < window.columns; ++i, w += kElement, x += kElement) {
        s0 = __smlad(dsp::LoadPair(x), dsp::LoadPair(w), s0);
        s1 = __smlad(dsp::LoadPair(x + 2), dsp::LoadPair(w + 2), s1);
        s2 = __smlad(dsp::LoadPair(x + 4), dsp::LoadPair(w + 4), s2);
        s3 = __smlad(dsp::LoadPair(x + 6), dsp::LoadPair(w + 6), s3);
      }
    }
    dsp::StoreWord(q, dsp::PackBytes(scales.Quantized(s0, 0), scales.Quantized(s1, 1),
                                     scales.Quantized(s2, 2), scales.Quantized(s3, 3)));
  }
}

#undef TFLM_TRAIN_LOAD
#undef TFLM_TRAIN_FIRST
#undef TFLM_TRAIN_NEXT
#undef TFLM_TRAIN_NEXT_2
#undef TFLM_TRAIN_NEXT_4
#undef TFLM_TRAIN_ROUND
#undef TFLM_TRAIN_SKIP
#undef TFLM_TRAIN_FINISH
#undef TFLM_TRAIN_WINDOWS
#undef TFLM_TRAIN_ROWS

}  // namespace tflm_train

#endif  // TFLM_KERNELS_ARCH_WINDOW_DSP_H_
