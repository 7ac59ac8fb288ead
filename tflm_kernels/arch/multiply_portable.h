// Dot products of panels in plain C++, and with what every 64-bit processor has: SSE2 or NEON.

#ifndef TFLM_KERNELS_ARCH_MULTIPLY_PORTABLE_H_
#define TFLM_KERNELS_ARCH_MULTIPLY_PORTABLE_H_

#include <cstdint>

#include "tflm_kernels/panel.h"
#include "tflm_kernels/spec/numerics.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#elif defined(TFLM_TRAIN_V6M)
#include "tflm_kernels/arch/sums_v6m.h"
#endif

namespace tflm_train {

#if defined(__SSE2__)

inline void MultiplyPanels(const int16_t* a, const int16_t* b, int32_t depth, int32_t* sums) {
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
}

#elif defined(__aarch64__)

// Not only for speed: of the plain loops GCC 12 makes wrong code here with -O3.
inline void MultiplyPanels(const int16_t* a, const int16_t* b, int32_t depth, int32_t* sums) {
  int32x4_t row0 = vdupq_n_s32(0);
  int32x4_t row1 = row0;
  for (int32_t k = 0; k < depth; ++k, a += kLanes, b += kLanes) {
    const int16x4_t columns = vld1_s16(b);
    row0 = vmlal_n_s16(row0, columns, a[0]);
    row1 = vmlal_n_s16(row1, columns, a[1]);
  }
  vst1q_s32(sums, row0);
  vst1q_s32(sums + kLanes, row1);
}

#else

#if defined(TFLM_TRAIN_V6M)
using v6m::MultiplyLane;
#else
// On its own, so that the few registers of small cores are all for the sums.
__attribute__((noinline)) inline void MultiplyLane(const int16_t* a, const int16_t* b,
                                                   int32_t depth, int32_t* sums) {
  int32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0;
  const int16_t* const end = b + depth * kLanes;
  if (b != end) {
    do {
      const int32_t value = *a;
      s0 = WrapAdd(s0, value * b[0]);
      s1 = WrapAdd(s1, value * b[1]);
      s2 = WrapAdd(s2, value * b[2]);
      s3 = WrapAdd(s3, value * b[3]);
      a += kLanes;
      b += kLanes;
    } while (b != end);
  }
  sums[0] = s0;
  sums[1] = s1;
  sums[2] = s2;
  sums[3] = s3;
}
#endif

inline void MultiplyPanels(const int16_t* a, const int16_t* b, int32_t depth, int32_t* sums) {
  MultiplyLane(a, b, depth, sums);
  MultiplyLane(a + 1, b, depth, sums + kLanes);
}

#endif

}  // namespace tflm_train

#endif  // TFLM_KERNELS_ARCH_MULTIPLY_PORTABLE_H_
