// Sums over windows in plain C++, and with SSE2 on the host.

#ifndef TFLM_KERNELS_ARCH_WINDOW_PORTABLE_H_
#define TFLM_KERNELS_ARCH_WINDOW_PORTABLE_H_

#include <cstdint>

#include "tflm_kernels/numerics.h"
#include "tflm_kernels/window.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace tflm_train {

template <int kRowPairs, int kColumns>
TFLM_TRAIN_INLINE void SumWindow(const int16_t* plane, const Window& window, int32_t* sums) {
  const int16_t* weights = window.weights;
#if defined(__SSE2__)
  __m128i total = _mm_setzero_si128();
  for (int32_t row = 0; row < window.row_pairs; ++row, plane += window.row_step / 2) {
    for (int32_t i = 0; i < window.columns; ++i, weights += kElement) {
      const __m128i w = _mm_loadu_si128(reinterpret_cast<const __m128i*>(weights));
      const __m128i x = _mm_loadu_si128(reinterpret_cast<const __m128i*>(plane + i * kElement));
      total = _mm_add_epi32(total, _mm_madd_epi16(x, w));
    }
  }
  _mm_storeu_si128(reinterpret_cast<__m128i*>(sums), total);
#else
  for (int lane = 0; lane < kWindowLanes; ++lane, plane += 2, weights += 2) {
    const int16_t* x = plane;
    const int16_t* w = weights;
    int32_t sum = 0;
    for (int32_t row = 0; row < window.row_pairs; ++row) {
      for (int32_t i = 0; i < window.columns; ++i, x += kElement, w += kElement) {
        sum += x[0] * w[0] + x[1] * w[1];
      }
      x += window.row_skip / 2;
    }
    sums[lane] = sum;
  }
#endif
}

TFLM_TRAIN_INLINE void ScaleSums(const int32_t* m, int32_t* sums) {
  for (int lane = 0; lane < kWindowLanes; ++lane) sums[lane] = HighMul(sums[lane], m[lane]);
}

}  // namespace tflm_train

#endif  // TFLM_KERNELS_ARCH_WINDOW_PORTABLE_H_
