// Strips of 3x3 windows in plain C++.

#ifndef TFLM_KERNELS_ARCH_STRIP_PORTABLE_H_
#define TFLM_KERNELS_ARCH_STRIP_PORTABLE_H_

#include <cstdint>

#include "tflm_kernels/strip.h"

namespace tflm_train {

template <int kRows, bool kAbove, bool kBelow>
TFLM_TRAIN_INLINE void SumStrip(const Strip& strip, int32_t channel, const int16_t* weights,
                                const LaneScales& scales, int lanes) {
  if (strip.columns <= 0) return;
  for (int lane = 0; lane < lanes; ++lane, weights += kStripWeights) {
    const SumQuantizer quantized(scales, lane);
    const int16_t* plane = strip.plane + lane * kColumnRows;
    int8_t* q = strip.q + channel + lane;
    int32_t n = strip.columns;
    do {
      int32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0;
      const int16_t* x = plane;
      const int16_t* w = weights;
#pragma GCC unroll 3
      for (int column = 0; column < 3; ++column, x += kColumnElements, w += 4) {
        const int32_t w0 = w[0], w1 = w[1], w2 = w[3];
        const int32_t x0 = x[0], x1 = x[1];
        s0 += x0 * w1 + x1 * w2;
        s1 += x0 * w0 + x1 * w1;
        if (kRows == 4) {
          const int32_t x2 = x[2], x3 = x[3];
          s1 += x2 * w2;
          s2 += x1 * w0 + x2 * w1 + x3 * w2;
          s3 += x2 * w0 + x3 * w1;
        }
        if (kAbove) s0 += x[-1] * w0;
        if (kBelow) (kRows == 4 ? s3 : s1) += x[kRows] * w2;
      }
      if (kRows == 4) {
        q[strip.rows[2]] = quantized(s3);
        q[strip.rows[1]] = quantized(s2);
      }
      q[strip.rows[0]] = quantized(s1);
      q[0] = quantized(s0);
      plane += kColumnElements;
      q += strip.step;
    } while (--n > 0);
  }
}

template <bool kAbove, int kTiles, bool kSaturates>
TFLM_TRAIN_INLINE void SumTileStrip(const TileStrip& strip, const int16_t* weights,
                                    const LaneScales& scales, int lanes) {
  if (strip.tiles <= 0) return;
  for (int lane = 0; lane < lanes; ++lane, weights += kTileWeights) {
    const SumQuantizer quantized(scales, lane);
    const int16_t* const w = weights;
    const int16_t* plane = strip.plane + lane * kColumnRows;
    int8_t* q = strip.q + lane;
    int32_t n = strip.tiles;
    do {
      const int16_t* left = plane;
      int8_t* row = q;
#pragma GCC unroll 1
      for (int i = 0; i < kTiles; ++i, ++left) {
        const int16_t* const right = left + kColumnElements;
        int32_t s0 = left[0] * w[1] + right[0] * w[3], s1 = right[0] * w[5];
        if (kAbove || i > 0) {
          s0 += left[-1] * w[0] + right[-1] * w[2];
          s1 += right[-1] * w[4];
        }
        const int32_t sums[] = {s0, s1, left[0] * w[6] + right[0] * w[7], right[0] * w[8]};
#pragma GCC unroll 1
        for (int k = 0; k < 4; k += 2, row += strip.row_step) {
          row[0] = quantized(sums[k]);
          row[strip.step] = quantized(sums[k + 1]);
        }
      }
      plane += kColumnElements;
      q += 2 * strip.step;
    } while (--n > 0);
  }
}

}  // namespace tflm_train

#endif  // TFLM_KERNELS_ARCH_STRIP_PORTABLE_H_
