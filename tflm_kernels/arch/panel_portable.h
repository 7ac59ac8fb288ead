// Panels in plain C++. Only for panel.cc.

#ifndef TFLM_KERNELS_ARCH_PANEL_PORTABLE_H_
#define TFLM_KERNELS_ARCH_PANEL_PORTABLE_H_

#include <cstdint>

#include "tflm_kernels/arch/panel_generic.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace tflm_train {

bool PackLanes(PixelCursor* cursor, int32_t depth, int lanes, int32_t offset,
                      int16_t* panel) {
  return PackLanesGeneric(cursor, depth, lanes, offset, panel);
}

void PackProducts(const int8_t* q, const int8_t* m, int32_t depth, int16_t* panel) {
  PackProductsGeneric(q, m, depth, panel);
}

void MultiplyPanels(const int16_t* a, const int16_t* b, int32_t depth, int32_t* sums) {
#if defined(__SSE2__)
  __m128i row0 = _mm_setzero_si128();
  __m128i row1 = row0;
  for (int32_t k = 0; k < depth; k += 2, a += 8, b += 8) {
    const __m128i columns = _mm_loadu_si128(reinterpret_cast<const __m128i*>(b));
    const __m128i rows = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(a));
    row0 = _mm_add_epi32(row0, _mm_madd_epi16(_mm_shuffle_epi32(rows, 0x00), columns));
    row1 = _mm_add_epi32(row1, _mm_madd_epi16(_mm_shuffle_epi32(rows, 0x55), columns));
  }
  _mm_storeu_si128(reinterpret_cast<__m128i*>(sums), row0);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(sums + 4), row1);
#else
  for (int row = 0; row < 2; ++row, ++a, sums += 4) {
    int32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0;
    const int16_t* ak = a;
    const int16_t* bk = b;
    for (int32_t k = 0; k < depth; ++k, ak += kLanes, bk += kLanes) {
      const int32_t value = *ak;
      s0 += value * bk[0];
      s1 += value * bk[1];
      s2 += value * bk[2];
      s3 += value * bk[3];
    }
    sums[0] = s0;
    sums[1] = s1;
    sums[2] = s2;
    sums[3] = s3;
  }
#endif
}

}  // namespace tflm_train

#endif  // TFLM_KERNELS_ARCH_PANEL_PORTABLE_H_
