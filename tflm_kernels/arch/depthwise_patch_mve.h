// Dot products of a plane's patches with taps, with Helium. Only for depthwise_mve.h.
//
// A patch of a plane, some rows of pairs of pixels, is gathered into vectors. Taps, with zeros
// where the patch has more pixels than there are taps, lie in as many. Where a patch has a column
// or row to spare, the same taps moved by it give the neighbour's sum.

#ifndef TFLM_KERNELS_ARCH_DEPTHWISE_PATCH_MVE_H_
#define TFLM_KERNELS_ARCH_DEPTHWISE_PATCH_MVE_H_

#include <arm_mve.h>

#include <cstdint>

#include "tflm_kernels/arch/features.h"

namespace tflm_train {
namespace mve {

constexpr int32_t kVectorBytes = 16;
constexpr int kMaxPatchVectors = 4;

// Shapes of patches: 4 rows of 2 pairs, 5 of 3, 8 of 4. They take taps of 3 x 3, 5 x 5, 8 x 7.
constexpr int PatchPairs(int vectors) { return vectors == 1 ? 2 : vectors == 2 ? 3 : 4; }
constexpr int PatchRows(int vectors) { return vectors == 1 ? 4 : vectors == 2 ? 5 : 8; }

// Rows of results that it has, below each other or every other one.
constexpr int PatchRowsAtOnce(int vectors) { return vectors == 1 ? 2 : 1; }

// Of the smallest patch for so many taps; more than kMaxPatchVectors: there is none.
constexpr int PatchVectors(int32_t rows, int32_t columns) {
  return rows <= 3 && columns <= 3   ? 1
         : rows <= 5 && columns <= 5 ? 2
         : rows <= 8 && columns <= 7 ? kMaxPatchVectors
                                     : 2 * kMaxPatchVectors;
}

// Sums are done in blocks: of 2 rows and 4 columns, or, with patches of four vectors, of every
// other one of 8 rows.
constexpr int32_t kBlockRows = 2, kBlockColumns = 4;
constexpr int32_t kTallRows = 8;

// The plane of a channel, and its results.
struct PatchSums {
  int32_t plane_row, pair;  // bytes from row to row, and from one pair of pixels to the next one
  int32_t rows, columns;    // of results
  int32_t row_step, step;   // bytes from result to result
};

// Where patches and results lie.
struct PatchOffsets {
  PatchOffsets(int vectors, const PatchSums& sums) {
    const int32_t pairs = PatchPairs(vectors);
    uint16_t at[16];
    for (int32_t i = 0; i < 16; ++i) {
      const int32_t patch_row = i / pairs < PatchRows(vectors) ? i / pairs : 0;
      at[i] = static_cast<uint16_t>(patch_row * sums.plane_row + i % pairs * sums.pair);
    }
    first = vld1q_u16(at);
    second = vld1q_u16(at + 8);
    int16_t in_block[2][8];
    for (int i = 0; i < 8; ++i) {
      in_block[0][i] = static_cast<int16_t>(i >> 1 & 1);
      in_block[1][i] = static_cast<int16_t>((i >> 2) + 2 * (i & 1));
      at[i] = static_cast<uint16_t>(in_block[0][i] * sums.row_step + in_block[1][i] * sums.step);
    }
    row = vld1q_s16(in_block[0]);
    column = vld1q_s16(in_block[1]);
    block = vld1q_u16(at);
    tall = vmulq_n_u32(vidupq_n_u32(0, 1), static_cast<uint32_t>(2 * sums.row_step));
  }

  uint16x8_t first, second;  // of a patch's vectors, in the plane
  int16x8_t row, column;     // of a block's results
  uint16x8_t block;          // the same in bytes
  uint32x4_t tall;           // of every other row of eight
};

// Moves taps on by some pixels, 1 to 4; carry: what leaves at the end.
template <int kPixels>
TFLM_TRAIN_INLINE int8x16_t Moved(int8x16_t taps, uint32_t* carry) {
  asm("vshlc %q0, %1, %2" : "+w"(taps), "+r"(*carry) : "i"(8 * kPixels));
  return taps;
}

// The taps of a channel as a patch meets them.
template <int kVectors>
struct PatchTaps;

// clang-format off
// Lane i: row i & 1, column i >> 1.
#define TFLM_TRAIN_TO_LANES(TO)                         \
  "vmov %q[" TO "][2], %q[" TO "][0], %[s0], %[s1]\n\t" \
  "vmov %q[" TO "][3], %q[" TO "][1], %[s2], %[s3]\n\t"

#define TFLM_TRAIN_PATCH(FROM)                  \
  "vldrh.u16 %q[b], [%[" FROM "], %q[at]]\n\t"  \
  "vmladav.s8 %[s0], %q[b], %q[w0]\n\t"         \
  "vmladav.s8 %[s1], %q[b], %q[w1]\n\t"         \
  "vmladav.s8 %[s2], %q[b], %q[w2]\n\t"         \
  "vmladav.s8 %[s3], %q[b], %q[w3]\n\t"

template <>
struct PatchTaps<1> {
  TFLM_TRAIN_INLINE PatchTaps(const int8_t* taps, int32_t) {
    uint32_t carry = 0;
    w0 = vld1q_s8(taps);
    w1 = Moved<1>(vld1q_s8(taps), &carry);
    w2 = Moved<4>(vld1q_s8(taps), &carry);
    w3 = Moved<4>(w1, &carry);
  }

  // a: the sums of the first two columns; b: of the other two.
  TFLM_TRAIN_INLINE void SumBlock(const int8_t* from, const PatchSums& sums, uint16x8_t at,
                                  uint16x8_t, int32x4_t* a, int32x4_t* b) const {
    int32_t s0, s1, s2, s3;
    asm volatile(TFLM_TRAIN_PATCH("from") TFLM_TRAIN_TO_LANES("a")
                 TFLM_TRAIN_PATCH("right") TFLM_TRAIN_TO_LANES("b")
        : [a] "=&w"(*a), [b] "=&w"(*b), [s0] "=&Te"(s0), [s1] "=&Te"(s1), [s2] "=&Te"(s2),
          [s3] "=&Te"(s3)
        : [from] "r"(from), [right] "r"(from + sums.pair), [at] "w"(at), [w0] "w"(w0), [w1] "w"(w1),
          [w2] "w"(w2), [w3] "w"(w3));
  }

  int8x16_t w0, w1, w2, w3;  // also one column, row, or both further on
};

#undef TFLM_TRAIN_PATCH

#define TFLM_TRAIN_PATCH(S0, S1)                  \
  "vldrh.u16 %q[b], [%[at], %q[first]]\n\t"       \
  "vmladav.s8 %[" S0 "], %q[b], %q[w0]\n\t"       \
  "vmladav.s8 %[" S1 "], %q[b], %q[w2]\n\t"       \
  "vldrh.u16 %q[b], [%[at], %q[second]]\n\t"      \
  "vmladava.s8 %[" S0 "], %q[b], %q[w1]\n\t"      \
  "vmladava.s8 %[" S1 "], %q[b], %q[w3]\n\t"

template <>
struct PatchTaps<2> {
  TFLM_TRAIN_INLINE PatchTaps(const int8_t* taps, int32_t step) {
    uint32_t carry = 0;
    w0 = vld1q_s8(taps);
    w1 = vld1q_s8(taps + step);
    w2 = Moved<1>(vld1q_s8(taps), &carry);
    w3 = Moved<1>(vld1q_s8(taps + step), &carry);
  }

  TFLM_TRAIN_INLINE void SumBlock(const int8_t* from, const PatchSums& sums, uint16x8_t first,
                                  uint16x8_t second, int32x4_t* a, int32x4_t* b) const {
    const int8_t* at = from;
    int32_t s0, s1, s2, s3;
    asm volatile(TFLM_TRAIN_PATCH("s0", "s1")
        "add %[at], %[row]\n\t"
        TFLM_TRAIN_PATCH("s2", "s3")
        TFLM_TRAIN_TO_LANES("a")
        "add %[at], %[from], %[pair]\n\t"
        TFLM_TRAIN_PATCH("s0", "s1")
        "add %[at], %[row]\n\t"
        TFLM_TRAIN_PATCH("s2", "s3")
        TFLM_TRAIN_TO_LANES("b")
        : [a] "=&w"(*a), [b] "=&w"(*b), [s0] "=&Te"(s0), [s1] "=&Te"(s1), [s2] "=&Te"(s2),
          [s3] "=&Te"(s3), [at] "+&r"(at)
        : [from] "r"(from), [row] "r"(sums.plane_row), [pair] "r"(sums.pair), [first] "w"(first), [second] "w"(second),
          [w0] "w"(w0), [w1] "w"(w1), [w2] "w"(w2), [w3] "w"(w3));
  }

  int8x16_t w0, w1;
  int8x16_t w2, w3;  // one column further on
};

#undef TFLM_TRAIN_PATCH

#define TFLM_TRAIN_TWO_ROWS                    \
  "vldrh.u16 %q[x], [%[from], %q[at]]\n\t"     \
  "add %[from], %[two_rows]\n\t"

template <>
struct PatchTaps<4> {
  // moved: one column further on.
  TFLM_TRAIN_INLINE PatchTaps(const int8_t* taps, int32_t step, bool moved) {
    w0 = vld1q_s8(taps);
    w1 = vld1q_s8(taps + step);
    w2 = vld1q_s8(taps + 2 * step);
    w3 = vld1q_s8(taps + 3 * step);
    if (!moved) return;
    uint32_t carry = 0;
    w0 = Moved<1>(w0, &carry);
    w1 = Moved<1>(w1, &carry);
    w2 = Moved<1>(w2, &carry);
    w3 = Moved<1>(w3, &carry);
  }

  // Of every other row of eight; the next one of a patch is the same two rows.
  TFLM_TRAIN_INLINE int32x4_t SumTall(const int8_t* from, int32_t two_rows, uint16x8_t at) const {
    int32_t s0, s1, s2, s3;
    int32x4_t x;
    asm volatile(TFLM_TRAIN_TWO_ROWS
        "vmladav.s8 %[s0], %q[x], %q[w0]\n\t"
        TFLM_TRAIN_TWO_ROWS
        "vmladava.s8 %[s0], %q[x], %q[w1]\n\t"
        "vmladav.s8 %[s2], %q[x], %q[w0]\n\t"
        TFLM_TRAIN_TWO_ROWS
        "vmladava.s8 %[s0], %q[x], %q[w2]\n\t"
        "vmladava.s8 %[s2], %q[x], %q[w1]\n\t"
        "vmladav.s8 %[s1], %q[x], %q[w0]\n\t"
        TFLM_TRAIN_TWO_ROWS
        "vmladava.s8 %[s0], %q[x], %q[w3]\n\t"
        "vmladava.s8 %[s2], %q[x], %q[w2]\n\t"
        "vmladava.s8 %[s1], %q[x], %q[w1]\n\t"
        "vmladav.s8 %[s3], %q[x], %q[w0]\n\t"
        TFLM_TRAIN_TWO_ROWS
        "vmladava.s8 %[s2], %q[x], %q[w3]\n\t"
        "vmladava.s8 %[s1], %q[x], %q[w2]\n\t"
        "vmladava.s8 %[s3], %q[x], %q[w1]\n\t"
        TFLM_TRAIN_TWO_ROWS
        "vmladava.s8 %[s1], %q[x], %q[w3]\n\t"
        "vmladava.s8 %[s3], %q[x], %q[w2]\n\t"
        "vldrh.u16 %q[x], [%[from], %q[at]]\n\t"
        "vmladava.s8 %[s3], %q[x], %q[w3]\n\t"
        TFLM_TRAIN_TO_LANES("x")
        : [x] "=&w"(x), [s0] "=&Te"(s0), [s1] "=&Te"(s1), [s2] "=&Te"(s2), [s3] "=&Te"(s3),
          [from] "+&r"(from)
        : [two_rows] "r"(two_rows), [at] "w"(at), [w0] "w"(w0), [w1] "w"(w1), [w2] "w"(w2),
          [w3] "w"(w3));
    return x;
  }

  int8x16_t w0, w1, w2, w3;
};

#undef TFLM_TRAIN_TWO_ROWS
#undef TFLM_TRAIN_TO_LANES
// clang-format on

// In place: intrinsics would copy. factor: half of that of LaneScales, since products are
// doubled.
TFLM_TRAIN_INLINE int16x8_t Narrowed(int32x4_t upper, int32x4_t lower, int32_t factor) {
  asm("vqrdmulh.s32 %q0, %q0, %2\n\t"
      "vqrdmulh.s32 %q1, %q1, %2\n\t"
      "vqmovnb.s32 %q0, %q0\n\t"
      "vqmovnt.s32 %q0, %q1\n\t"
      "vqmovnb.s16 %q0, %q0"
      : "+w"(upper), "+w"(lower)
      : "r"(factor));
  return vreinterpretq_s16_s32(upper);
}

TFLM_TRAIN_INLINE int32x4_t Narrowed(int32x4_t sums, int32_t factor) {
  asm("vqrdmulh.s32 %q0, %q0, %1\n\t"
      "vqmovnb.s32 %q0, %q0\n\t"
      "vqmovnb.s16 %q0, %q0"
      : "+w"(sums)
      : "r"(factor));
  return sums;
}

// Writes the results of a channel. taps: vectors `taps_step` bytes apart. kWhole: all blocks are
// whole.
template <int kVectors, bool kWhole>
TFLM_TRAIN_INLINE void SumPatches(const PatchSums& sums, const PatchOffsets& offsets,
                                  const int8_t* plane, const int8_t* taps, int32_t taps_step,
                                  int32_t factor, int8_t* q) {
  const int32_t two_rows = 2 * sums.plane_row, two_row_steps = 2 * sums.row_step;
  if constexpr (kVectors < kMaxPatchVectors) {
    const PatchTaps<kVectors> weights(taps, taps_step);
    const uint16x8_t first = offsets.first, second = offsets.second;
#pragma GCC unroll 1
    for (int32_t x = sums.columns; x > 0; x -= kBlockColumns) {
      const int8_t* from = plane;
      int8_t* to = q;
#pragma GCC unroll 1
      for (int32_t y = sums.rows; y > 0; y -= kBlockRows) {
        int32x4_t a, b;
        weights.SumBlock(from, sums, first, second, &a, &b);
        const int16x8_t results = Narrowed(a, b, factor);
        if (kWhole) {
          vstrbq_scatter_offset_s16(to, offsets.block, results);
        } else {
          const mve_pred16_t above = vcmpgtq_s16(vdupq_n_s16(static_cast<int16_t>(y)), offsets.row);
          const mve_pred16_t live =
              vcmpgtq_m_s16(vdupq_n_s16(static_cast<int16_t>(x)), offsets.column, above);
          vstrbq_scatter_offset_p_s16(to, offsets.block, results, live);
        }
        from += two_rows;
        to += two_row_steps;
      }
      plane += kBlockColumns / 2 * sums.pair;
      q += kBlockColumns * sums.step;
    }
  } else {
    const uint16x8_t at = offsets.first;
    const uint32x4_t tall = offsets.tall;
#pragma GCC unroll 1
    for (int32_t odd = 0; odd < 2; ++odd, q += sums.step) {
      const PatchTaps<kVectors> weights(taps, taps_step, odd != 0);
      const int8_t* column = plane;
      int8_t* column_q = q;
#pragma GCC unroll 1
      for (int32_t x = odd; x < sums.columns; x += 2) {
        const int8_t* from = column;
        int8_t* to = column_q;
#pragma GCC unroll 1
        for (int32_t y = 0; y < sums.rows;) {
          const int32x4_t results = Narrowed(weights.SumTall(from, two_rows, at), factor);
          if (kWhole) {
            vstrbq_scatter_offset_s32(to, tall, results);
          } else {
            const uint32_t left = static_cast<uint32_t>(sums.rows - y + 1) / 2;
            vstrbq_scatter_offset_p_s32(to, tall, results, vctp32q(left));
          }
          // The other ones of eight rows, then the next eight.
          const int32_t rows = y % 2 == 0 ? 1 : kTallRows - 1;
          y += rows;
          from += rows * sums.plane_row;
          to += rows * sums.row_step;
        }
        column += sums.pair;
        column_q += 2 * sums.step;
      }
    }
  }
}

}  // namespace mve
}  // namespace tflm_train

#endif  // TFLM_KERNELS_ARCH_DEPTHWISE_PATCH_MVE_H_
