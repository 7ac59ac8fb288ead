// Strips of 3x3 windows with the DSP extension: pairs of rows, which the even rows of a
// column begin.

#ifndef TFLM_KERNELS_ARCH_STRIP_DSP_H_
#define TFLM_KERNELS_ARCH_STRIP_DSP_H_

#include <arm_acle.h>

#include <cstdint>

#include "tflm_kernels/arch/dsp.h"
#include "tflm_kernels/strip.h"

namespace tflm_train {

// What a column of a window adds to the sums of four rows. Pairs of rows a = (0, 1) and
// b = (2, 3), and those above and below; U = weights (first, second), V = (second, third).
// The first column of a window makes the sums.
#define TFLM_TRAIN_FIRST(PLACE, MORE, U, V, TAP) \
  TAP(PLACE, MORE, U, V, "smuad", "smultb", "", "", "", "")
#define TFLM_TRAIN_NEXT(PLACE, MORE, U, V, TAP) \
  TAP(PLACE, MORE, U, V, "smlad", "smlatb", ", %[s0]", ", %[s1]", ", %[s2]", ", %[s3]")
// PLACE: of a, or of what is above it; MORE: of what is eight bytes after that.
#define TFLM_TRAIN_TOP(PLACE, U, V, DUAL, CROSS, S0, S1, S2)                                    \
  "ldrd %[a], %[b], " PLACE "\n\t" DUAL " %[s0], %[a], " V S0 "\n\t" DUAL " %[s1], %[a], " U S1 \
  "\n\t" CROSS " %[s2], %[a], " U S2 "\n\t"
#define TFLM_TRAIN_MIDDLE(B, U, V, DUAL, S3) \
  DUAL " %[s3], " B ", " U S3                \
       "\n\t"                                \
       "smlabt %[s1], " B ", " V             \
       ", %[s1]\n\t"                         \
       "smlad %[s2], " B ", " V ", %[s2]\n\t"
#define TFLM_TRAIN_TAP_00(PLACE, MORE, U, V, DUAL, CROSS, S0, S1, S2, S3) \
  TFLM_TRAIN_TOP(PLACE, U, V, DUAL, CROSS, S0, S1, S2)                    \
  TFLM_TRAIN_MIDDLE("%[b]", U, V, DUAL, S3)
#define TFLM_TRAIN_TAP_01(PLACE, MORE, U, V, DUAL, CROSS, S0, S1, S2, S3)                     \
  TFLM_TRAIN_TOP(PLACE, U, V, DUAL, CROSS, S0, S1, S2)                                        \
  "ldr %[a], " MORE "\n\t" TFLM_TRAIN_MIDDLE("%[b]", U, V, DUAL, S3) "smlabt %[s3], %[a], " V \
                                                                     ", %[s3]\n\t"
#define TFLM_TRAIN_ABOVE(PLACE, U, V, DUAL, CROSS, S0, S1, S2)                                   \
  "ldrd %[a], %[b], " PLACE "\n\t" CROSS " %[s0], %[a], " U S0 "\n\t" DUAL " %[s1], %[b], " U S1 \
  "\n\t" CROSS " %[s2], %[b], " U S2                                                             \
  "\n\t"                                                                                         \
  "smlad %[s0], %[b], " V ", %[s0]\n\t"
#define TFLM_TRAIN_TAP_10(PLACE, MORE, U, V, DUAL, CROSS, S0, S1, S2, S3) \
  TFLM_TRAIN_ABOVE(PLACE, U, V, DUAL, CROSS, S0, S1, S2)                  \
  "ldr %[a], " MORE "\n\t" TFLM_TRAIN_MIDDLE("%[a]", U, V, DUAL, S3)
#define TFLM_TRAIN_TAP_11(PLACE, MORE, U, V, DUAL, CROSS, S0, S1, S2, S3) \
  TFLM_TRAIN_ABOVE(PLACE, U, V, DUAL, CROSS, S0, S1, S2)                  \
  "ldrd %[a], %[b], " MORE                                                \
  "\n\t" TFLM_TRAIN_MIDDLE("%[a]", U, V, DUAL, S3) "smlabt %[s3], %[b], " V ", %[s3]\n\t"
// The same of two rows, a pair b and those above and below.
#define TFLM_TRAIN_TWO_00(PLACE, MORE, U, V, DUAL, CROSS, S0, S1, S2, S3) \
  "ldr %[b], " PLACE "\n\t" DUAL " %[s0], %[b], " V S0 "\n\t" DUAL " %[s1], %[b], " U S1 "\n\t"
#define TFLM_TRAIN_TWO_01(PLACE, MORE, U, V, DUAL, CROSS, S0, S1, S2, S3)                       \
  "ldrd %[b], %[a], " PLACE "\n\t" DUAL " %[s0], %[b], " V S0 "\n\t" DUAL " %[s1], %[b], " U S1 \
  "\n\t"                                                                                        \
  "smlabt %[s1], %[a], " V ", %[s1]\n\t"
#define TFLM_TRAIN_TWO_10(PLACE, MORE, U, V, DUAL, CROSS, S0, S1, S2, S3)                        \
  "ldrd %[a], %[b], " PLACE "\n\t" CROSS " %[s0], %[a], " U S0 "\n\t" DUAL " %[s1], %[b], " U S1 \
  "\n\t"                                                                                         \
  "smlad %[s0], %[b], " V ", %[s0]\n\t"
#define TFLM_TRAIN_TWO_11(PLACE, MORE, U, V, DUAL, CROSS, S0, S1, S2, S3) \
  TFLM_TRAIN_TWO_10(PLACE, MORE, U, V, DUAL, CROSS, S0, S1, S2, S3)       \
  "ldr %[a], " MORE                                                       \
  "\n\t"                                                                  \
  "smlabt %[s1], %[a], " V ", %[s1]\n\t"
static_assert(kColumnBytes == 128);
#define TFLM_TRAIN_LEFT(TAP) TFLM_TRAIN_FIRST("[%[x]], #128", "[%[x], #-120]", "r4", "r5", TAP)
#define TFLM_TRAIN_CENTRE(TAP) TFLM_TRAIN_NEXT("[%[x]]", "[%[x], #8]", "r6", "r8", TAP)
#define TFLM_TRAIN_RIGHT(TAP) TFLM_TRAIN_NEXT("[%[x], #128]", "[%[x], #136]", "r9", "r10", TAP)
// The results of a column.
#define TFLM_TRAIN_FINISH         \
  "ldr %[a], %[factor]\n\t"       \
  "smmulr %[s3], %[s3], %[a]\n\t" \
  "smmulr %[s2], %[s2], %[a]\n\t" \
  "smmulr %[s1], %[s1], %[a]\n\t" \
  "smmulr %[s0], %[s0], %[a]\n\t" \
  "ldrd %[a], %[b], %[lower]\n\t" \
  "ssat %[s3], #8, %[s3]\n\t"     \
  "ssat %[s2], #8, %[s2]\n\t"     \
  "ssat %[s1], #8, %[s1]\n\t"     \
  "ssat %[s0], #8, %[s0]\n\t"     \
  "strb %[s3], [%[q], %[a]]\n\t"  \
  "strb %[s2], [%[q], %[b]]\n\t"  \
  "ldrd %[a], %[b], %[upper]\n\t" \
  "strb %[s1], [%[q], %[a]]\n\t"  \
  "strb %[s0], [%[q]]\n\t"        \
  "add %[q], %[b]\n\t"
#define TFLM_TRAIN_FINISH_TWO     \
  "ldr %[a], %[factor]\n\t"       \
  "smmulr %[s1], %[s1], %[a]\n\t" \
  "smmulr %[s0], %[s0], %[a]\n\t" \
  "ldrd %[a], %[b], %[upper]\n\t" \
  "ssat %[s1], #8, %[s1]\n\t"     \
  "ssat %[s0], #8, %[s0]\n\t"     \
  "strb %[s1], [%[q], %[a]]\n\t"  \
  "strb %[s0], [%[q]]\n\t"        \
  "add %[q], %[b]\n\t"
// To the next lane, or out of the loop.
#define TFLM_TRAIN_NEXT_LANE        \
  "ldr %[s0], %[lanes]\n\t"         \
  "ldrd %[a], %[b], %[to_lane]\n\t" \
  "subs %[s0], #1\n\t"              \
  "str %[s0], %[lanes]\n\t"         \
  "add %[x], %[a]\n\t"              \
  "add %[q], %[b]\n\t"              \
  "bne 1b"
// Lanes one after another. Columns of zeros are left out.
#define TFLM_TRAIN_STRIP(TAP, FINISH) \
  asm volatile(                                                                                 \
      "1:\n\t"                                                                                  \
      "ldr %[a], %[weights]\n\t"                                                                \
      "ldmia %[a]!, {r4, r5, r6, r8, r9, r10}\n\t"                                              \
      "ldr %[b], [%[a]], #4\n\t"                                                                \
      "str %[a], %[weights]\n\t"                                                                \
      "str %[b], %[factor]\n\t"                                                                 \
      "ldr %[a], %[left]\n\t"                                                                   \
      "cmp %[a], #0\n\t"                                                                        \
      "beq 2f\n\t"                                                                              \
      TFLM_TRAIN_FIRST("[%[x], #128]!", "[%[x], #8]", "r6", "r8", TAP)                          \
      "b 3f\n"                                                                                  \
      "2:\n\t" TFLM_TRAIN_LEFT(TAP) TFLM_TRAIN_CENTRE(TAP)                                      \
      "3:\n\t" TFLM_TRAIN_RIGHT(TAP) FINISH                                          \
      "ldr %[a], %[end]\n\t"                                                                    \
      "cmp %[q], %[a]\n\t"                                                                      \
      "bne 2b\n\t"                                                                              \
      "add %[a], #1\n\t"                                                                        \
      "str %[a], %[end]\n\t"                                                                    \
      "ldr %[b], %[right]\n\t"                                                                  \
      "cmp %[b], #0\n\t"                                                                        \
      "beq 4f\n\t" TFLM_TRAIN_LEFT(TAP) TFLM_TRAIN_CENTRE(TAP) FINISH                \
      "4:\n\t"                                                                                  \
      TFLM_TRAIN_NEXT_LANE \
      : [x] "+r"(x), [q] "+r"(q), [a] "=&r"(a), [b] "=&r"(b), [s0] "=&r"(s0), [s1] "=&r"(s1),   \
        [s2] "=&r"(s2), [s3] "=&r"(s3), [end] "+m"(memory.end), [factor] "+m"(memory.factor),   \
        [weights] "+m"(memory.weights), [lanes] "+m"(memory.lanes)                              \
      : [left] "m"(memory.left), [right] "m"(memory.right), [lower] "m"(memory.lower),          \
        [upper] "m"(memory.upper), [to_lane] "m"(memory.to_lane)                                \
      : "r4", "r5", "r6", "r8", "r9", "r10", "cc", "memory")

#define TFLM_TRAIN_STRIP_AS(TAP, FINISH) \
  if constexpr (kAbove && kBelow) {      \
    TFLM_TRAIN_STRIP(TAP##_11, FINISH);  \
  } else if constexpr (kAbove) {         \
    TFLM_TRAIN_STRIP(TAP##_10, FINISH);  \
  } else if constexpr (kBelow) {         \
    TFLM_TRAIN_STRIP(TAP##_01, FINISH);  \
  } else {                               \
    TFLM_TRAIN_STRIP(TAP##_00, FINISH);  \
  }

template <int kRows, bool kAbove, bool kBelow>
TFLM_TRAIN_INLINE void SumStrip(const Strip& strip, int32_t channel, const int16_t* weights,
                                const LaneScales&, int lanes) {
  struct Pair {
    int32_t first, second;
  };
  const int16_t* x = strip.plane - (kAbove ? 2 : 0);
  int8_t* q = strip.q + channel;
  const int32_t bytes = strip.columns * strip.step;
  struct {
    Pair lower, upper;  // rows; and the step
    Pair to_lane;       // from behind a lane's last column to the next lane
    int32_t left, right;
    const int16_t* weights;
    int32_t factor;
    const int8_t* end;  // of the loop
    int32_t lanes;
  } memory = {{strip.rows[2], strip.rows[1]},
              {strip.rows[0], strip.step},
              {2 * kColumnRows - strip.columns * kColumnBytes, 1 - bytes},
              strip.left,
              strip.right,
              weights,
              0,
              q + bytes - (strip.right ? strip.step : 0),
              lanes};
  int32_t a, b, s0, s1, s2, s3;
  if constexpr (kRows == 2) {
    TFLM_TRAIN_STRIP_AS(TFLM_TRAIN_TWO, TFLM_TRAIN_FINISH_TWO)
  } else {
    static_assert(kRows == 4);
    TFLM_TRAIN_STRIP_AS(TFLM_TRAIN_TAP, TFLM_TRAIN_FINISH)
  }
}

#undef TFLM_TRAIN_FIRST
#undef TFLM_TRAIN_NEXT
#undef TFLM_TRAIN_TOP
#undef TFLM_TRAIN_MIDDLE
#undef TFLM_TRAIN_TAP_00
#undef TFLM_TRAIN_TAP_01
#undef TFLM_TRAIN_ABOVE
#undef TFLM_TRAIN_TAP_10
#undef TFLM_TRAIN_TAP_11
#undef TFLM_TRAIN_TWO_00
#undef TFLM_TRAIN_TWO_01
#undef TFLM_TRAIN_TWO_10
#undef TFLM_TRAIN_TWO_11
#undef TFLM_TRAIN_LEFT
#undef TFLM_TRAIN_CENTRE
#undef TFLM_TRAIN_RIGHT
#undef TFLM_TRAIN_FINISH
#undef TFLM_TRAIN_FINISH_TWO
#undef TFLM_TRAIN_STRIP
#undef TFLM_TRAIN_STRIP_AS

// Two results of a row. The upper row of tiles begins a pair of rows, whose lower half is
// above the lower one.
#define TFLM_TRAIN_SATURATED  \
  "ssat %[s0], #8, %[s0]\n\t" \
  "ssat %[s1], #8, %[s1]\n\t"
#define TFLM_TRAIN_NOT_SATURATED
#define TFLM_TRAIN_STORE(SATURATE)        \
  "smmulr %[s0], %[s0], r10\n\t"          \
  "smmulr %[s1], %[s1], r10\n\t" SATURATE \
  "strb %[s0], [%[q]]\n\t"                \
  "strb %[s1], [%[q], %[a]]\n\t"
#define TFLM_TRAIN_TILE_TOP    \
  "ldr %[l], [%[x]], #128\n\t" \
  "ldr %[r], [%[x]]\n\t"       \
  "smulbt %[s0], %[l], r4\n\t" \
  "smulbt %[s1], %[r], r6\n\t" \
  "smlabt %[s0], %[r], r5, %[s0]\n\t"
// LEFT, RIGHT: where pairs of rows in the two columns are, after that above them.
// LEFT, RIGHT: where pairs of rows in the two columns are, after that above them.
#define TFLM_TRAIN_TILE_ABOVE(LEFT, RIGHT) \
  "ldrd %[a], %[l], " LEFT                 \
  "\n\t"                                   \
  "ldrd %[b], %[r], " RIGHT "\n\t" TFLM_TRAIN_TILE_ABOVE_SUMS
#define TFLM_TRAIN_TILE_ABOVE_SUMS    \
  "smultb %[s0], %[a], r4\n\t"        \
  "smultb %[s1], %[b], r6\n\t"        \
  "smlatb %[s0], %[b], r5, %[s0]\n\t" \
  "smlabt %[s1], %[r], r6, %[s1]\n\t" \
  "smlabt %[s0], %[l], r4, %[s0]\n\t" \
  "smlabt %[s0], %[r], r5, %[s0]\n\t"
#define TFLM_TRAIN_TILE_FIRST_ABOVE TFLM_TRAIN_TILE_ABOVE("[%[x]], #128", "[%[x]]")
// The same of words that need not be aligned.
#define TFLM_TRAIN_TILE_ONE_ABOVE \
  "ldr %[l], [%[x], #4]\n\t"      \
  "ldr %[a], [%[x]], #128\n\t"    \
  "ldr %[r], [%[x], #4]\n\t"      \
  "ldr %[b], [%[x]]\n\t" TFLM_TRAIN_TILE_ABOVE_SUMS
#define TFLM_TRAIN_TILE_UPPER(SATURATE) \
  "ldrd %[a], %[b], %[steps]\n\t" TFLM_TRAIN_STORE(SATURATE)  \
  "smulbb %[s0], %[l], r8\n\t"                                \
  "smulbb %[s1], %[r], r9\n\t"                                \
  "smlabt %[s0], %[r], r8, %[s0]\n\t"                         \
  "add %[q], %[b]\n\t" TFLM_TRAIN_STORE(SATURATE)
#define TFLM_TRAIN_TILE_LOWER(SATURATE) \
  "smuad %[s0], %[l], r4\n\t"                     \
  "smuad %[s1], %[r], r6\n\t"                     \
  "smlad %[s0], %[r], r5, %[s0]\n\t"              \
  "add %[q], %[b]\n\t" TFLM_TRAIN_STORE(SATURATE) \
  "smultb %[s0], %[l], r8\n\t"                    \
  "smultb %[s1], %[r], r9\n\t"                    \
  "smlatt %[s0], %[r], r8, %[s0]\n\t"             \
  "add %[q], %[b]\n\t" TFLM_TRAIN_STORE(SATURATE)
#define TFLM_TRAIN_TILES(TEXT)                                                            \
  asm volatile(                                                                           \
      "1:\n\t"                                                                            \
      "ldr %[a], %[weights]\n\t"                                                          \
      "ldmia %[a]!, {r4, r5, r6, r8, r9, r10}\n\t"                                        \
      "str %[a], %[weights]\n"                                                            \
      "2:\n\t" TEXT                                                                       \
      "ldrd %[a], %[b], %[next]\n\t"                                                      \
      "add %[q], %[a]\n\t"                                                                \
      "cmp %[q], %[b]\n\t"                                                                \
      "bne 2b\n\t"                                                                        \
      "add %[b], #1\n\t"                                                                  \
      "str %[b], %[end]\n\t" TFLM_TRAIN_NEXT_LANE                                         \
      : [x] "+r"(x), [q] "+r"(q), [a] "=&r"(a), [b] "=&r"(b), [l] "=&r"(l), [r] "=&r"(r), \
        [s0] "=&r"(s0), [s1] "=&r"(s1), [end] "+m"(memory.next.end),                      \
        [weights] "+m"(memory.weights), [lanes] "+m"(memory.lanes)                        \
      : [steps] "m"(memory.steps), [next] "m"(memory.next), [to_lane] "m"(memory.to_lane) \
      : "r4", "r5", "r6", "r8", "r9", "r10", "cc", "memory")
// NEXT: the pairs after the first.
#define TFLM_TRAIN_TILE_ROWS(ONE, FIRST, NEXT, SATURATE)                                     \
  if constexpr (kTiles == 1) {                                                               \
    TFLM_TRAIN_TILES(ONE TFLM_TRAIN_TILE_UPPER(SATURATE));                                   \
  } else if constexpr (kTiles == 2) {                                                        \
    TFLM_TRAIN_TILES(FIRST TFLM_TRAIN_TILE_UPPER(SATURATE) TFLM_TRAIN_TILE_LOWER(SATURATE)); \
  } else {                                                                                   \
    static_assert(kTiles == 4);                                                              \
    TFLM_TRAIN_TILES(FIRST TFLM_TRAIN_TILE_UPPER(SATURATE) TFLM_TRAIN_TILE_LOWER(            \
        SATURATE) "add %[q], %[b]\n\t" NEXT TFLM_TRAIN_TILE_UPPER(SATURATE)                  \
                         TFLM_TRAIN_TILE_LOWER(SATURATE));                                   \
  }
#define TFLM_TRAIN_TILES_AS(SATURATE)                                                    \
  if constexpr (kAbove) {                                                                \
    TFLM_TRAIN_TILE_ROWS(TFLM_TRAIN_TILE_ONE_ABOVE, TFLM_TRAIN_TILE_FIRST_ABOVE,         \
                         TFLM_TRAIN_TILE_ABOVE("[%[x], #-124]", "[%[x], #4]"), SATURATE) \
  } else {                                                                               \
    TFLM_TRAIN_TILE_ROWS(TFLM_TRAIN_TILE_TOP, TFLM_TRAIN_TILE_TOP,                       \
                         TFLM_TRAIN_TILE_ABOVE("[%[x], #-128]", "[%[x]]"), SATURATE)     \
  }

template <bool kAbove, int kTiles, bool kSaturates>
TFLM_TRAIN_INLINE void SumTileStrip(const TileStrip& strip, const int16_t* weights,
                                    const LaneScales&, int lanes) {
  struct Pair {
    int32_t first, second;
  };
  struct Next {
    int32_t step;       // from a tile's last row to the next tile
    const int8_t* end;  // of the last row
  };
  const int16_t* x = strip.plane - (kAbove ? 2 : 0);
  int8_t* q = strip.q;
  const int32_t bytes = 2 * strip.step * strip.tiles;
  struct {
    Pair steps;
    Next next;
    Pair to_lane;
    const int16_t* weights;
    int32_t lanes;
  } memory = {{strip.step, strip.row_step},
              {2 * strip.step - (2 * kTiles - 1) * strip.row_step, q + bytes},
              {2 * kColumnRows - strip.tiles * kColumnBytes, 1 - bytes},
              weights,
              lanes};
  int32_t a, b, l, r, s0, s1;
  if constexpr (kSaturates) {
    TFLM_TRAIN_TILES_AS(TFLM_TRAIN_SATURATED)
  } else {
    TFLM_TRAIN_TILES_AS(TFLM_TRAIN_NOT_SATURATED)
  }
}

#undef TFLM_TRAIN_SATURATED
#undef TFLM_TRAIN_NOT_SATURATED
#undef TFLM_TRAIN_STORE
#undef TFLM_TRAIN_TILE_TOP
#undef TFLM_TRAIN_TILE_ABOVE
#undef TFLM_TRAIN_TILE_ABOVE_SUMS
#undef TFLM_TRAIN_TILE_FIRST_ABOVE
#undef TFLM_TRAIN_TILE_ONE_ABOVE
#undef TFLM_TRAIN_TILE_UPPER
#undef TFLM_TRAIN_TILE_LOWER
#undef TFLM_TRAIN_TILES
#undef TFLM_TRAIN_TILE_ROWS
#undef TFLM_TRAIN_TILES_AS
#undef TFLM_TRAIN_NEXT_LANE

}  // namespace tflm_train

#endif  // TFLM_KERNELS_ARCH_STRIP_DSP_H_
