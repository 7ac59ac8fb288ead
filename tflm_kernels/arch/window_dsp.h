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

TFLM_TRAIN_INLINE void PackPairTileWeights(const LaneWeights& weights, int16_t* to) {
  const int32_t stride = weights.stride, row = 3 * stride;
  const int8_t* tap = weights.first + 2 * stride;
#pragma GCC unroll 1
  for (int column = 0; column < 3; ++column, tap -= stride, to += 8) {
    const uint32_t first = dsp::LoadWord(tap + 2 * row), second = dsp::LoadWord(tap + row),
                   third = dsp::LoadWord(tap);
    const auto pack = [](uint32_t upper, uint32_t lower, int16_t* pair) {
      dsp::StoreWord(pair, static_cast<uint32_t>(dsp::Bytes02(dsp::LowHalves(upper, lower))));
      dsp::StoreWord(pair + 2, static_cast<uint32_t>(dsp::Bytes13(dsp::LowHalves(upper, lower))));
    };
    pack(first, second, to);
    pack(second, third, to + 4);
    pack(first >> 16, second >> 16, to + kPairTileWeights);
    pack(second >> 16, third >> 16, to + kPairTileWeights + 4);
  }
}

// A column of a pair of windows: rows y and y + 1 under the upper one, with
// r4, r5 = (y, y + 1) of two lanes, then (y + 2, y + 3). AHEAD: where it is.
#define TFLM_TRAIN_PAIR_COLUMN(AHEAD, DUAL, CROSS, S0, S1, T0, T1)                           \
  "ldmia %[w]!, {r8, r9, r10, r11}\n\t"                                                      \
  "ldrd r4, r5, [%[a]" AHEAD "\n\t" DUAL " %[s0], r4, r8" S0 "\n\t" DUAL " %[s1], r5, r9" S1 \
  "\n\t" CROSS " %[t0], r4, r8" T0 "\n\t" CROSS " %[t1], r5, r9" T1                          \
  "\n\t"                                                                                     \
  "ldrd r4, r5, [%[b]" AHEAD                                                                 \
  "\n\t"                                                                                     \
  "smlabt %[s0], r4, r10, %[s0]\n\t"                                                         \
  "smlabt %[s1], r5, r11, %[s1]\n\t"                                                         \
  "smlad %[t0], r4, r10, %[t0]\n\t"                                                          \
  "smlad %[t1], r5, r11, %[t1]\n\t"
#define TFLM_TRAIN_FIRST_PAIR_COLUMN(AHEAD) \
  TFLM_TRAIN_PAIR_COLUMN(AHEAD, "smuad", "smultb", "", "", "", "")
#define TFLM_TRAIN_NEXT_PAIR_COLUMN(AHEAD) \
  TFLM_TRAIN_PAIR_COLUMN(AHEAD, "smlad", "smlatb", ", %[s0]", ", %[s1]", ", %[t0]", ", %[t1]")
// The results of a tile; BACK: what the weights have moved on by.
#define TFLM_TRAIN_FINISH_PAIR(BACK) \
  "ldrd r8, r9, %[factors]\n\t"      \
  "ldrd r4, r5, %[steps]\n\t"        \
  "smmulr %[s0], %[s0], r8\n\t"      \
  "smmulr %[s1], %[s1], r9\n\t"      \
  "smmulr %[t0], %[t0], r8\n\t"      \
  "smmulr %[t1], %[t1], r9\n\t"      \
  "ssat %[s0], #8, %[s0]\n\t"        \
  "ssat %[s1], #8, %[s1]\n\t"        \
  "ssat %[t0], #8, %[t0]\n\t"        \
  "ssat %[t1], #8, %[t1]\n\t"        \
  "bfi %[s0], %[s1], #8, #8\n\t"     \
  "bfi %[t0], %[t1], #8, #8\n\t"     \
  "sub %[w], #" BACK                 \
  "\n\t"                             \
  "strh %[t0], [%[q], r5]\n\t"       \
  "strh %[s0], [%[q]]\n\t"           \
  "add %[q], r4\n\t"
// To the next row of tiles, or out of the loop.
#define TFLM_TRAIN_NEXT_PAIR_ROW \
  "ldr r4, %[rows]\n\t"          \
  "subs r4, #1\n\t"              \
  "beq 4f\n\t"                   \
  "str r4, %[rows]\n\t"          \
  "ldrd r4, r5, %[to_row]\n\t"   \
  "ldrd r8, r9, %[end]\n\t"      \
  "add %[q], r4\n\t"             \
  "add %[a], r5\n\t"             \
  "add %[b], r5\n\t"             \
  "add r8, r9\n\t"               \
  "str r8, %[end]\n\t"

TFLM_TRAIN_INLINE void SumPairTiles(const int16_t* plane, const int16_t* weights,
                                    const LaneScales& scales, const PairTileRows& tiles) {
  int8_t* q = tiles.results.q;
  const int32_t step = tiles.results.step;
#if defined(__OPTIMIZE__)
  struct Pair {
    int32_t first, second;
  };
  struct End {
    int8_t* q;
    int32_t row_step;
  };
  // Of padded rows, the last tile is not part of the loop.
  const int32_t count = tiles.results.count - (tiles.padded ? 1 : 0);
  const Pair steps = {step, tiles.second};
  const Pair factors = {scales.factor[tiles.lane], scales.factor[tiles.lane + 1]};
  const Pair to_row = {tiles.row_step - step * tiles.results.count,
                       (tiles.pitch - tiles.results.count) * kElementBytes};
  End end = {q + step * count, tiles.row_step};
  int32_t rows = tiles.rows;
  const int16_t* upper = plane;
  const int16_t* lower = plane + tiles.pitch * kElement;
  int32_t s0, s1, t0, t1;
#define TFLM_TRAIN_PAIR_TILES(TEXT)                                                        \
  asm volatile(                                                                            \
      TEXT                                                                                 \
      : [a] "+r"(upper), [b] "+r"(lower), [w] "+r"(weights), [q] "+r"(q), [s0] "=&r"(s0),  \
        [s1] "=&r"(s1), [t0] "=&r"(t0), [t1] "=&r"(t1), [end] "+m"(end), [rows] "+m"(rows) \
      : [steps] "m"(steps), [to_row] "m"(to_row), [factors] "m"(factors)                   \
      : "r4", "r5", "r8", "r9", "r10", "r11", "cc", "memory")
#define TFLM_TRAIN_PAIR_TILE             \
  TFLM_TRAIN_FIRST_PAIR_COLUMN("], #16") \
  TFLM_TRAIN_NEXT_PAIR_COLUMN("]")       \
  TFLM_TRAIN_NEXT_PAIR_COLUMN(", #16]") TFLM_TRAIN_FINISH_PAIR("48")
#define TFLM_TRAIN_PAIR_LOOP    \
  "2:\n\t" TFLM_TRAIN_PAIR_TILE \
  "ldr r8, %[end]\n\t"          \
  "cmp %[q], r8\n\t"            \
  "bne 2b\n\t"
  if (tiles.padded) {
    // The zeros are not multiplied.
    TFLM_TRAIN_PAIR_TILES(
        "1:\n\t"
        "add %[w], #16\n\t" TFLM_TRAIN_FIRST_PAIR_COLUMN(", #16]!")
            TFLM_TRAIN_NEXT_PAIR_COLUMN(", #16]") TFLM_TRAIN_FINISH_PAIR("48")
        "ldr r8, %[end]\n\t"
        "cmp %[q], r8\n\t"
        "beq 3f\n" TFLM_TRAIN_PAIR_LOOP "3:\n\t" TFLM_TRAIN_FIRST_PAIR_COLUMN("], #16")
            TFLM_TRAIN_NEXT_PAIR_COLUMN("]") TFLM_TRAIN_FINISH_PAIR("32") TFLM_TRAIN_NEXT_PAIR_ROW
        "b 1b\n"
        "4:");
  } else {
    TFLM_TRAIN_PAIR_TILES(TFLM_TRAIN_PAIR_LOOP TFLM_TRAIN_NEXT_PAIR_ROW
                          "b 2b\n"
                          "4:");
  }
#undef TFLM_TRAIN_PAIR_TILES
#undef TFLM_TRAIN_PAIR_TILE
#undef TFLM_TRAIN_PAIR_LOOP
#else
  const int32_t pitch = tiles.pitch * kElement;
  for (int32_t row = 0; row < tiles.rows; ++row) {
    for (int32_t n = 0; n < tiles.results.count; ++n) {
      int8_t* const to = q + row * tiles.row_step + n * step;
      for (int lane = 0; lane < 2; ++lane) {
        int32_t s = 0, t = 0;
        for (int column = 0; column < 3; ++column) {
          const int16_t* const from = plane + row * pitch + (n + column) * kElement + 2 * lane;
          const int32_t a = dsp::LoadPair(from);
          const int32_t b = dsp::LoadPair(from + pitch);
          const int32_t w01 = dsp::LoadPair(weights + 8 * column + 2 * lane);
          const int32_t w12 = dsp::LoadPair(weights + 8 * column + 4 + 2 * lane);
          s = __smlad(a, w01, s) + static_cast<int16_t>(b) * (w12 >> 16);
          t = __smlad(b, w12, t) + (a >> 16) * static_cast<int16_t>(w01);
        }
        to[tiles.second + lane] = scales.Quantized(t, tiles.lane + lane);
        to[lane] = scales.Quantized(s, tiles.lane + lane);
      }
    }
  }
#endif
}

// One product in each lane, of pixels and the next weights.
#define TFLM_TRAIN_BEGIN(MULTIPLY)                                             \
  "ldmia %[w]!, {r8, r9, r10, r11}\n\t" MULTIPLY " %[s0], r4, r8\n\t" MULTIPLY \
  " %[s1], r5, r9\n\t" MULTIPLY " %[s2], r6, r10\n\t" MULTIPLY " %[s3], r7, r11\n\t"
// The same, added to the sums, of weights that are loaded.
#define TFLM_TRAIN_MORE(MULTIPLY)                                                    \
  MULTIPLY " %[s0], r4, r8, %[s0]\n\t" MULTIPLY " %[s1], r5, r9, %[s1]\n\t" MULTIPLY \
           " %[s2], r6, r10, %[s2]\n\t" MULTIPLY " %[s3], r7, r11, %[s3]\n\t"

TFLM_TRAIN_INLINE void PackStrideTileWeights(const LaneWeights& weights, int16_t* to) {
  const int32_t stride = weights.stride;
  const auto pack = [&](int32_t first, int32_t second) {
    PackElement(weights.first + first * stride, weights.first + second * stride, to);
    to += kElement;
  };
  pack(8, 2);
  pack(6, 0);
  pack(7, 1);
  pack(5, 3);
  pack(4, 4);
}

TFLM_TRAIN_INLINE void SumStrideTiles(const int16_t* plane, const int16_t* weights,
                                      const LaneScales& scales, const StrideTileRows& tiles) {
  const int32_t step = tiles.results.step, count = tiles.results.count;
#if defined(__OPTIMIZE__)
  // Each pair of neighbours is loaded at once.
  struct {
    int32_t right;
    int8_t* q;
    int32_t diagonal, step, below, rows;
    int8_t* end;
    int32_t row_step;
    int32_t to_row, to_plane_row;  // from behind a row
    int32_t factors[kWindowLanes];
  } memory = {tiles.right,
              tiles.results.q,
              tiles.diagonal,
              step,
              tiles.below,
              tiles.rows,
              tiles.results.q + step * count,
              tiles.row_step,
              tiles.row_step - step * count,
              (tiles.pitch - count) * kElementBytes,
              {scales.factor[0], scales.factor[1], scales.factor[2], scales.factor[3]}};
  int32_t s0, s1, s2, s3;
  asm volatile(
      "1:\n\t"
      "ldmia %[x]!, {r4, r5, r6, r7}\n\t"  // left
      TFLM_TRAIN_BEGIN("smuad")
      "ldmia %[x], {r4, r5, r6, r7}\n\t"  // right
      "ldmia %[w]!, {r8, r9, r10, r11}\n\t" TFLM_TRAIN_MORE("smlad") TFLM_TRAIN_ROUND
      "ldr r8, %[q]\n\t"
      "str %[s0], [r8]\n\t" TFLM_TRAIN_BEGIN("smuad") TFLM_TRAIN_ROUND
      "ldrd r8, r9, %[right]\n\t"
      "str %[s0], [r8, r9]\n\t" TFLM_TRAIN_BEGIN("smultt")
      "ldmdb %[x], {r4, r5, r6, r7}\n\t"  // left
      TFLM_TRAIN_MORE("smlatb") TFLM_TRAIN_ROUND
      "ldr r8, %[q]\n\t"
      "ldr r9, %[below]\n\t"
      "str %[s0], [r8, r9]\n\t"
      "ldmia %[x], {r4, r5, r6, r7}\n\t"  // right
      TFLM_TRAIN_BEGIN("smultb") TFLM_TRAIN_ROUND
      "ldr r8, %[q]\n\t"
      "ldrd r9, r10, %[diagonal]\n\t"
      "ldr r11, %[end]\n\t"
      "sub %[w], #80\n\t"
      "str %[s0], [r8, r9]\n\t"
      "add r8, r10\n\t"
      "str r8, %[q]\n\t"
      "cmp r8, r11\n\t"
      "bne 1b\n\t"
      "ldr r4, %[rows]\n\t"
      "subs r4, #1\n\t"
      "beq 2f\n\t"
      "str r4, %[rows]\n\t"
      "ldrd r4, r5, %[to_row]\n\t"
      "ldr r6, %[row_step]\n\t"
      "add r8, r4\n\t"
      "add %[x], r5\n\t"
      "add r11, r6\n\t"
      "str r8, %[q]\n\t"
      "str r11, %[end]\n\t"
      "b 1b\n"
      "2:"
      : [x] "+r"(plane), [w] "+r"(weights), [s0] "=&r"(s0), [s1] "=&r"(s1), [s2] "=&r"(s2),
        [s3] "=&r"(s3), [q] "+m"(memory.q), [end] "+m"(memory.end), [rows] "+m"(memory.rows)
      : [right] "m"(memory.right), [diagonal] "m"(memory.diagonal), [below] "m"(memory.below),
        [row_step] "m"(memory.row_step), [to_row] "m"(memory.to_row), [f01] "m"(memory.factors[0]),
        [f23] "m"(memory.factors[2])
      : "r4", "r5", "r6", "r7", "r8", "r9", "r10", "r11", "cc", "memory");
#else
  for (int32_t i = 0; i < tiles.rows * count; ++i) {
    const int32_t row = i / count, column = i % count;
    int8_t* const q = tiles.results.q + row * tiles.row_step + column * step;
    const int16_t* const from = plane + (row * tiles.pitch + column) * kElement;
    for (int lane = 0; lane < kWindowLanes; ++lane) {
      const int32_t left = dsp::LoadPair(from + 2 * lane);
      const int32_t right = dsp::LoadPair(from + kElement + 2 * lane);
      const auto w = [&](int k) { return dsp::LoadPair(weights + k * kElement + 2 * lane); };
      const auto quantized = [&](int32_t sum) { return scales.Quantized(sum, lane); };
      q[lane] = quantized(__smlad(left, w(0), __smuad(right, w(1))));
      q[tiles.right + lane] = quantized(__smuad(right, w(2)));
      q[tiles.below + lane] =
          quantized((left >> 16) * static_cast<int16_t>(w(3)) + (right >> 16) * (w(3) >> 16));
      q[tiles.diagonal + lane] = quantized((right >> 16) * static_cast<int16_t>(w(4)));
    }
  }
#endif
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
#undef TFLM_TRAIN_PAIR_COLUMN
#undef TFLM_TRAIN_FIRST_PAIR_COLUMN
#undef TFLM_TRAIN_NEXT_PAIR_COLUMN
#undef TFLM_TRAIN_FINISH_PAIR
#undef TFLM_TRAIN_NEXT_PAIR_ROW
#undef TFLM_TRAIN_BEGIN
#undef TFLM_TRAIN_MORE

}  // namespace tflm_train

#endif  // TFLM_KERNELS_ARCH_WINDOW_DSP_H_
