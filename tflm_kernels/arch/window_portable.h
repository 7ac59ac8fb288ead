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

}  // namespace tflm_train

#endif  // TFLM_KERNELS_ARCH_WINDOW_PORTABLE_H_
