// Strips of 3x3 windows in plain C++.

#ifndef TFLM_KERNELS_ARCH_STRIP_PORTABLE_H_
#define TFLM_KERNELS_ARCH_STRIP_PORTABLE_H_

#include <cstdint>

#include "tflm_kernels/strip.h"

namespace tflm_train {

template <int kRows, bool kAbove, bool kBelow>
TFLM_TRAIN_INLINE void SumStrip(const Strip& strip, int32_t channel, const int16_t* weights,
                                const LaneScales& scales, int lanes) {
  for (int lane = 0; lane < lanes; ++lane, weights += kStripWeights) {
    const int16_t* plane = strip.plane + lane * kColumnRows;
    int8_t* q = strip.q + channel + lane;
    for (int32_t n = strip.columns; n > 0; --n, plane += kColumnElements, q += strip.step) {
      int32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0;
      const int16_t* x = plane;
      const int16_t* w = weights;
      for (int column = 0; column < 3; ++column, x += kColumnElements, w += 4) {
        const int32_t w0 = w[0], w1 = w[1], w2 = w[3];
        const int32_t x0 = x[0], x1 = x[1];
        s0 += x0 * w1 + x1 * w2;
        s1 += x0 * w0 + x1 * w1;
        if constexpr (kRows == 4) {
          const int32_t x2 = x[2], x3 = x[3];
          s1 += x2 * w2;
          s2 += x1 * w0 + x2 * w1 + x3 * w2;
          s3 += x2 * w0 + x3 * w1;
        }
        if constexpr (kAbove) s0 += x[-1] * w0;
        if constexpr (kBelow) (kRows == 4 ? s3 : s1) += x[kRows] * w2;
      }
      if constexpr (kRows == 4) {
        q[strip.rows[2]] = scales.Quantized(s3, lane);
        q[strip.rows[1]] = scales.Quantized(s2, lane);
      }
      q[strip.rows[0]] = scales.Quantized(s1, lane);
      q[0] = scales.Quantized(s0, lane);
    }
  }
}

template <bool kAbove, int kTiles, bool kSaturates>
TFLM_TRAIN_INLINE void SumTileStrip(const TileStrip& strip, int32_t channel, const int16_t* weights,
                                    const LaneScales& scales, int lanes) {
  for (int lane = 0; lane < lanes; ++lane, weights += kTileWeights) {
    const int16_t* plane = strip.plane + lane * kColumnRows;
    int8_t* q = strip.q + channel + lane;
    for (int32_t n = strip.tiles; n > 0; --n, plane += kColumnElements, q += 2 * strip.step) {
      int8_t* row = q;
      for (int i = 0; i < kTiles; ++i) {
        int8_t results[4];
        SumTile(kAbove || i > 0, plane + i, weights, scales, lane, results);
        row[0] = results[0];
        row[strip.step] = results[1];
        row += strip.row_step;
        row[0] = results[2];
        row[strip.step] = results[3];
        row += strip.row_step;
      }
    }
  }
}

}  // namespace tflm_train

#endif  // TFLM_KERNELS_ARCH_STRIP_PORTABLE_H_
