// The inner loops of the forward layers for x86-64 with AVX2, which is asked for at run
// time. Only for forward_portable.h, whose patches these are.

#ifndef TFLM_KERNELS_ARCH_FORWARD_AVX2_H_
#define TFLM_KERNELS_ARCH_FORWARD_AVX2_H_

#include <immintrin.h>

#include <cstdint>
#include <cstring>

#include "tflm_kernels/arch/finish_generic.h"
#include "tflm_kernels/forward_ops.h"

// Compiled for AVX2 whatever the rest is compiled for.
#define TFLM_TRAIN_AVX2_INLINE inline __attribute__((target("avx2"), always_inline))

namespace tflm_train {

inline bool HasAvx2() { return __builtin_cpu_supports("avx2"); }

// RequantizeSmall of eight sums, clamped and with the zero point: int32.
TFLM_TRAIN_AVX2_INLINE __m256i FinishEightSmall(__m256i sums, __m256i multiplier, __m256i shift,
                                                const OutputParams& o) {
  const __m256i twice = _mm256_add_epi32(sums, sums);
  const __m256i half = _mm256_set1_epi64x(int64_t{1} << 31);
  const __m256i even = _mm256_add_epi64(_mm256_mul_epi32(twice, multiplier), half);
  const __m256i odd = _mm256_add_epi64(
      _mm256_mul_epi32(_mm256_srli_epi64(twice, 32), _mm256_srli_epi64(multiplier, 32)), half);
  const __m256i high = _mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, 0xAA);
  const __m256i toward = _mm256_add_epi32(high, _mm256_srai_epi32(high, 31));
  const __m256i ones = _mm256_set1_epi32(-1);
  // -shift - 1 is the complement of the shift.
  const __m256i shifted = _mm256_srav_epi32(toward, _mm256_xor_si256(shift, ones));
  const __m256i rounded = _mm256_srai_epi32(_mm256_sub_epi32(shifted, ones), 1);
  const __m256i value = _mm256_add_epi32(rounded, _mm256_set1_epi32(o.y_zero_point));
  return _mm256_min_epi32(_mm256_max_epi32(value, _mm256_set1_epi32(o.act_min)),
                          _mm256_set1_epi32(o.act_max));
}

// The low bytes of eight words, four to each half's begin.
TFLM_TRAIN_AVX2_INLINE void StoreBytes(__m256i words, int8_t* low, int8_t* high) {
  const __m256i order =
      _mm256_setr_epi8(0, 4, 8, 12, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 0, 4, 8, 12, -1,
                       -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1);
  const __m256i bytes = _mm256_shuffle_epi8(words, order);
  const int32_t first = _mm_cvtsi128_si32(_mm256_castsi256_si128(bytes));
  const int32_t second = _mm_cvtsi128_si32(_mm256_extracti128_si256(bytes, 1));
  std::memcpy(low, &first, sizeof(first));
  std::memcpy(high, &second, sizeof(second));
}

TFLM_TRAIN_AVX2_INLINE __m128i LoadFour(const int32_t* from) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
}

TFLM_TRAIN_AVX2_INLINE __m256i LoadEight(const int32_t* from) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
}

// Channels c .. c + 3 of two pixels, one in either half of the sums.
TFLM_TRAIN_AVX2_INLINE void FinishTile(__m256i sums, const Finish& f, int32_t c, int8_t* y0,
                                       int8_t* y1) {
  if (f.constants.bias != nullptr) {
    const __m128i bias = LoadFour(f.constants.bias + c);
    sums = _mm256_add_epi32(sums, _mm256_broadcastsi128_si256(bias));
  }
  if (f.is_small) {
    const __m128i multiplier = LoadFour(f.constants.multiplier + c);
    const __m128i shift = LoadFour(f.constants.shift + c);
    const __m256i y = FinishEightSmall(sums, _mm256_broadcastsi128_si256(multiplier),
                                       _mm256_broadcastsi128_si256(shift), f.output);
    return StoreBytes(y, y0, y1);
  }
  int32_t each[8];
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(each), sums);
  for (int32_t j = 0; j < 4; ++j) {
    y0[j] = FinishOne(each[j], f, c + j);
    y1[j] = FinishOne(each[4 + j], f, c + j);
  }
}

// Adds the products of two pixels' patches with four channels' weights: of pixel p and
// channel j into acc[p][j], in eight parts.
TFLM_TRAIN_AVX2_INLINE void MultiplyFour(const Patches& patches, const int8_t* weights,
                                         __m256i acc[2][4]) {
  const int32_t depth = patches.depth;
  const int16_t* const a0 = static_cast<const int16_t*>(patches.data);
  const int16_t* const a1 = a0 + depth;
  int32_t i = 0;
  for (; i + 16 <= depth; i += 16) {
    const __m256i x0 = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(a0 + i));
    const __m256i x1 = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(a1 + i));
#pragma GCC unroll 4
    for (int32_t j = 0; j < 4; ++j) {
      const __m256i w = _mm256_cvtepi8_epi16(
          _mm_loadu_si128(reinterpret_cast<const __m128i*>(weights + j * depth + i)));
      acc[0][j] = _mm256_add_epi32(acc[0][j], _mm256_madd_epi16(x0, w));
      acc[1][j] = _mm256_add_epi32(acc[1][j], _mm256_madd_epi16(x1, w));
    }
  }
  if (i + 8 <= depth) {
    const __m128i x0 = _mm_loadu_si128(reinterpret_cast<const __m128i*>(a0 + i));
    const __m128i x1 = _mm_loadu_si128(reinterpret_cast<const __m128i*>(a1 + i));
#pragma GCC unroll 4
    for (int32_t j = 0; j < 4; ++j) {
      const __m128i w = _mm_cvtepi8_epi16(
          _mm_loadl_epi64(reinterpret_cast<const __m128i*>(weights + j * depth + i)));
      acc[0][j] = _mm256_add_epi32(acc[0][j], _mm256_zextsi128_si256(_mm_madd_epi16(x0, w)));
      acc[1][j] = _mm256_add_epi32(acc[1][j], _mm256_zextsi128_si256(_mm_madd_epi16(x1, w)));
    }
    i += 8;
  }
  if (i == depth) return;
  int32_t rest[2][4] = {};
  for (; i < depth; ++i) {
    for (int32_t j = 0; j < 4; ++j) {
      rest[0][j] += a0[i] * weights[j * depth + i];
      rest[1][j] += a1[i] * weights[j * depth + i];
    }
  }
  for (int32_t j = 0; j < 4; ++j) {
    acc[0][j] = _mm256_add_epi32(acc[0][j], _mm256_zextsi128_si256(_mm_cvtsi32_si128(rest[0][j])));
    acc[1][j] = _mm256_add_epi32(acc[1][j], _mm256_zextsi128_si256(_mm_cvtsi32_si128(rest[1][j])));
  }
}

// The sums of four times eight parts: pixel 0's in the low half, pixel 1's in the high.
TFLM_TRAIN_AVX2_INLINE __m256i SumParts(const __m256i acc[2][4]) {
  __m256i both[2];
#pragma GCC unroll 2
  for (int32_t p = 0; p < 2; ++p) {
    const __m256i first = _mm256_hadd_epi32(acc[p][0], acc[p][1]);
    const __m256i second = _mm256_hadd_epi32(acc[p][2], acc[p][3]);
    both[p] = _mm256_hadd_epi32(first, second);
  }
  return _mm256_add_epi32(_mm256_permute2x128_si256(both[0], both[1], 0x20),
                          _mm256_permute2x128_si256(both[0], both[1], 0x31));
}

// ConvPixels.
__attribute__((target("avx2"))) inline void ConvPixelsAvx2(
    const Patches& patches, const int8_t* weights, const Patches* columns,
    const int8_t* column_weights, const Finish& finish, int32_t n, int8_t* y0, int8_t* y1) {
  const Finish f = finish;
  for (int32_t c = 0; c < n; c += 4) {
    // What does not fill a tile is part of another one before it.
    c = c + 4 <= n ? c : n - 4;
    __m256i acc[2][4];
#pragma GCC unroll 4
    for (int32_t j = 0; j < 4; ++j) acc[0][j] = acc[1][j] = _mm256_setzero_si256();
    MultiplyFour(patches, weights + c * patches.depth, acc);
    if (columns != nullptr) MultiplyFour(*columns, column_weights + c * columns->depth, acc);
    FinishTile(SumParts(acc), f, c, y0 + c, y1 + c);
  }
}

// DepthwisePixel; sixteen channels at a time, and those that are left one by one.
__attribute__((target("avx2"))) inline void DepthwisePixelAvx2(const DepthwiseTap* taps,
                                                               int32_t count, int32_t offset,
                                                               const Finish& finish, int32_t n,
                                                               int8_t* y) {
  const Finish f = finish;
  const __m256i zero = _mm256_set1_epi16(static_cast<int16_t>(offset));
  int32_t c = 0;
  for (; c + 16 <= n; c += 16) {
    __m256i low = _mm256_setzero_si256(), high = _mm256_setzero_si256();
    for (int32_t k = 0; k < count; k += 2) {
      // Two taps at a time; the missing second one of the last has weights of 0.
      const bool is_pair = k + 1 < count;
      const DepthwiseTap& a = taps[k];
      const DepthwiseTap& b = taps[is_pair ? k + 1 : k];
      const auto load = [c](const int8_t* from) __attribute__((target("avx2"), always_inline)) {
        return _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from + c)));
      };
      const __m256i xa = _mm256_sub_epi16(load(a.pixel), zero);
      const __m256i xb = _mm256_sub_epi16(load(b.pixel), zero);
      const __m256i wa = load(a.weights);
      const __m256i wb = is_pair ? load(b.weights) : _mm256_setzero_si256();
      low = _mm256_add_epi32(
          low, _mm256_madd_epi16(_mm256_unpacklo_epi16(xa, xb), _mm256_unpacklo_epi16(wa, wb)));
      high = _mm256_add_epi32(
          high, _mm256_madd_epi16(_mm256_unpackhi_epi16(xa, xb), _mm256_unpackhi_epi16(wa, wb)));
    }
    // low has channels 0 .. 3 and 8 .. 11, high the others.
    __m256i sums[2] = {_mm256_permute2x128_si256(low, high, 0x20),
                       _mm256_permute2x128_si256(low, high, 0x31)};
    for (int32_t part = 0; part < 2; ++part) {
      const int32_t first = c + 8 * part;
      if (f.constants.bias != nullptr) {
        sums[part] = _mm256_add_epi32(sums[part], LoadEight(f.constants.bias + first));
      }
      if (f.is_small) {
        const __m256i value =
            FinishEightSmall(sums[part], LoadEight(f.constants.multiplier + first),
                             LoadEight(f.constants.shift + first), f.output);
        StoreBytes(value, y + first, y + first + 4);
        continue;
      }
      int32_t each[8];
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(each), sums[part]);
      for (int32_t j = 0; j < 8; ++j) y[first + j] = FinishOne(each[j], f, first + j);
    }
  }
  for (; c < n; ++c) {
    int32_t sum = BiasOf(f, c);
    for (int32_t k = 0; k < count; ++k) sum += taps[k].weights[c] * (taps[k].pixel[c] - offset);
    y[c] = FinishOne(sum, f, c);
  }
}

}  // namespace tflm_train

#endif  // TFLM_KERNELS_ARCH_FORWARD_AVX2_H_
