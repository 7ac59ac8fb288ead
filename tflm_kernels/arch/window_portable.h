// Sums over windows in plain C++, and with SSE2 on the host.

#ifndef TFLM_KERNELS_ARCH_WINDOW_PORTABLE_H_
#define TFLM_KERNELS_ARCH_WINDOW_PORTABLE_H_

#include <cstdint>

#include "tflm_kernels/window.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace tflm_train {

template <int kRowPairs, int kColumns>
TFLM_TRAIN_INLINE void SumWindows(const int16_t* plane, const Window& window,
                                  const LaneScales& scales, const WindowResults& results) {
  int8_t* q = results.q;
  for (int32_t n = results.count; n > 0; --n, plane += kElement, q += results.step) {
    const int16_t* w = window.weights;
    const int16_t* x = plane;
#if defined(__SSE2__)
    __m128i total = _mm_setzero_si128();
    for (int32_t row = 0; row < window.row_pairs; ++row, x += window.row_skip / 2) {
      for (int32_t i = 0; i < window.columns; ++i, w += kElement, x += kElement) {
        const __m128i pixels = _mm_loadu_si128(reinterpret_cast<const __m128i*>(x));
        const __m128i weights = _mm_loadu_si128(reinterpret_cast<const __m128i*>(w));
        total = _mm_add_epi32(total, _mm_madd_epi16(pixels, weights));
      }
    }
    int32_t sums[kWindowLanes];
    _mm_storeu_si128(reinterpret_cast<__m128i*>(sums), total);
    for (int lane = 0; lane < kWindowLanes; ++lane) q[lane] = scales.Quantized(sums[lane], lane);
#else
    for (int lane = 0; lane < kWindowLanes; ++lane) {
      const int16_t* lane_x = x + 2 * lane;
      const int16_t* lane_w = w + 2 * lane;
      int32_t sum = 0;
      for (int32_t row = 0; row < window.row_pairs; ++row, lane_x += window.row_skip / 2) {
        for (int32_t i = 0; i < window.columns; ++i, lane_w += kElement, lane_x += kElement) {
          sum += lane_x[0] * lane_w[0] + lane_x[1] * lane_w[1];
        }
      }
      q[lane] = scales.Quantized(sum, lane);
    }
#endif
  }
}

TFLM_TRAIN_INLINE void PackPairTileWeights(const LaneWeights& weights, int16_t* to) {
  const int32_t row = 3 * weights.stride;
  for (int lane = 0; lane < kWindowLanes; lane += 2) {
    const int8_t* tap = weights.first + 2 * weights.stride;
    for (int column = 0; column < 3; ++column, tap -= weights.stride, to += 8) {
      for (int i = 0; i < 2; ++i) {
        to[2 * i] = tap[2 * row + lane + i];
        to[2 * i + 1] = to[2 * i + 4] = tap[row + lane + i];
        to[2 * i + 5] = tap[lane + i];
      }
    }
  }
}

TFLM_TRAIN_INLINE void SumPairTiles(const int16_t* plane, const int16_t* weights,
                                    const LaneScales& scales, const PairTileRows& tiles) {
  const int32_t pitch = tiles.pitch * kElement;
  for (int32_t row = 0; row < tiles.rows; ++row, plane += pitch) {
    int8_t* q = tiles.results.q + row * tiles.row_step;
    const int16_t* upper = plane;
    for (int32_t n = tiles.results.count; n > 0; --n, q += tiles.results.step, upper += kElement) {
      for (int lane = 0; lane < 2; ++lane) {
        int32_t first_sum = 0, second_sum = 0;
        for (int column = 0; column < 3; ++column) {
          const int16_t* a = upper + column * kElement + 2 * lane;
          const int16_t* b = a + pitch;
          const int16_t* w = weights + 8 * column + 2 * lane;
          first_sum += a[0] * w[0] + a[1] * w[1] + b[0] * w[5];
          second_sum += a[1] * w[0] + b[0] * w[4] + b[1] * w[5];
        }
        q[tiles.second + lane] = scales.Quantized(second_sum, tiles.lane + lane);
        q[lane] = scales.Quantized(first_sum, tiles.lane + lane);
      }
    }
  }
}

TFLM_TRAIN_INLINE void PackStrideTileWeights(const LaneWeights& weights, int16_t* to) {
  const auto pack = [&](int32_t first, int32_t second) {
    PackElement(weights.first + first * weights.stride, weights.first + second * weights.stride,
                to);
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
  for (int32_t row = 0; row < tiles.rows; ++row, plane += tiles.pitch * kElement) {
    int8_t* q = tiles.results.q + row * tiles.row_step;
    const int16_t* x = plane;
    for (int32_t n = tiles.results.count; n > 0; --n, q += tiles.results.step, x += kElement) {
      for (int lane = 0; lane < kWindowLanes; ++lane) {
        const int16_t* left = x + 2 * lane;
        const int16_t* right = left + kElement;
        const int16_t* w = weights + 2 * lane;
        q[lane] = scales.Quantized(
            left[0] * w[0] + left[1] * w[1] + right[0] * w[kElement] + right[1] * w[kElement + 1],
            lane);
        q[tiles.right + lane] =
            scales.Quantized(right[0] * w[2 * kElement] + right[1] * w[2 * kElement + 1], lane);
        q[tiles.below + lane] =
            scales.Quantized(left[1] * w[3 * kElement] + right[1] * w[3 * kElement + 1], lane);
        q[tiles.diagonal + lane] = scales.Quantized(right[1] * w[4 * kElement], lane);
      }
    }
  }
}

}  // namespace tflm_train

#endif  // TFLM_KERNELS_ARCH_WINDOW_PORTABLE_H_
