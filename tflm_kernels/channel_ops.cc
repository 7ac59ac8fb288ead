#include "tflm_kernels/channel_ops.h"

#include "tflm_kernels/numerics.h"

#if defined(TFLM_TRAIN_MVE)
#include "tflm_kernels/arch/channel_ops_mve.h"
#else

#if defined(TFLM_TRAIN_DSP)
#include "tflm_kernels/arch/dsp.h"
#endif

// On x86-64 Linux each loop is compiled for AVX2 as well and the loader picks
// one. Integers only, so the bits are the same. Sanitizers cannot run the
// loader hook.
#if defined(__x86_64__) && defined(__gnu_linux__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define TFLM_TRAIN_CLONES __attribute__((target_clones("avx2", "default")))
#else
#define TFLM_TRAIN_CLONES
#endif

namespace tflm_train {

TFLM_TRAIN_CLONES
void AccumulateFourRows(int32_t* __restrict acc, const int16_t t[4], const int8_t* const row[4],
                        int n) {
  const int16_t t0 = t[0], t1 = t[1], t2 = t[2], t3 = t[3];
  const int8_t* __restrict r0 = row[0];
  const int8_t* __restrict r1 = row[1];
  const int8_t* __restrict r2 = row[2];
  const int8_t* __restrict r3 = row[3];
  for (int i = 0; i < n; ++i) {
    acc[i] += t0 * r0[i] + t1 * r1[i] + t2 * r2[i] + t3 * r3[i];
  }
}

TFLM_TRAIN_CLONES
void AccumulateRow(int32_t* __restrict acc, int16_t t, const int8_t* __restrict row, int n) {
  for (int i = 0; i < n; ++i) acc[i] += t * row[i];
}

TFLM_TRAIN_CLONES
int32_t Dot(const int16_t* __restrict a, const int8_t* __restrict b, int n) {
  int32_t sum = 0;
  for (int i = 0; i < n; ++i) sum += a[i] * b[i];
  return sum;
}

TFLM_TRAIN_CLONES
void AccumulateProducts(int32_t* __restrict acc, const int8_t* __restrict a,
                        const int8_t* __restrict b, int32_t b_offset, int n) {
  const int16_t offset = static_cast<int16_t>(b_offset);
  for (int i = 0; i < n; ++i) {
    acc[i] += static_cast<int16_t>(a[i]) * static_cast<int16_t>(b[i] - offset);
  }
}

TFLM_TRAIN_CLONES
void AccumulateScaled(int32_t* __restrict acc, const int8_t* __restrict a,
                      const int8_t* __restrict b, const int32_t* __restrict m, int shift, int n) {
  const int32_t half = 1 << (shift - 1);
  for (int i = 0; i < n; ++i) acc[i] += a[i] * ((b[i] * m[i] + half) >> shift);
}

TFLM_TRAIN_CLONES
void AccumulateLookup(int32_t* __restrict acc, const int8_t* __restrict a,
                      const int8_t* __restrict b, const int16_t* __restrict table, int n) {
  for (int i = 0; i < n; ++i) acc[i] += a[i] * table[b[i] + 128];
}

TFLM_TRAIN_CLONES
void AccumulateShifted(int32_t* __restrict total, const int32_t* __restrict part, int shift,
                       int n) {
  for (int i = 0; i < n; ++i) total[i] += RoundShift(part[i], shift);
}

TFLM_TRAIN_CLONES
void MergeAddend(int32_t* __restrict acc, int shift, const int8_t* __restrict addend,
                 int32_t factor, int n) {
  for (int i = 0; i < n; ++i) {
    acc[i] = RoundShift(acc[i], shift) + RoundShift(addend[i] * factor, 8);
  }
}

TFLM_TRAIN_CLONES
uint32_t MaxAbs(const int32_t* values, size_t n) {
  uint32_t max = 0;
  for (size_t i = 0; i < n; ++i) {
    const uint32_t bits = static_cast<uint32_t>(values[i]);
    const uint32_t magnitude = values[i] < 0 ? 0u - bits : bits;
    max = magnitude > max ? magnitude : max;
  }
  return max;
}

TFLM_TRAIN_CLONES
Extremes<int32_t> FindExtremes(const int32_t* values, size_t n) {
  int32_t max = 0, min = 0;
  for (size_t i = 0; i < n; ++i) {
    max = values[i] > max ? values[i] : max;
    min = values[i] < min ? values[i] : min;
  }
  return {max, min};
}

TFLM_TRAIN_CLONES
Extremes<int8_t> FindExtremes(const int8_t* values, size_t n) {
  int8_t max = 0, min = 0;
  size_t i = 0;
#if defined(TFLM_TRAIN_DSP)
  // Words are loaded four at a time, which takes aligned ones.
  for (; i < n && reinterpret_cast<uintptr_t>(values + i) % 4 != 0; ++i) {
    max = values[i] > max ? values[i] : max;
    min = values[i] < min ? values[i] : min;
  }
  dsp::ByteExtremes extremes;
  extremes.AddAligned(values + i, (n - i) / 16);
  i += (n - i) / 16 * 16;
  extremes.Reduce(&max, &min);
#endif
  for (; i < n; ++i) {
    max = values[i] > max ? values[i] : max;
    min = values[i] < min ? values[i] : min;
  }
  return {max, min};
}

uint32_t MaxAbs(const int8_t* values, size_t n) {
  const Extremes<int8_t> extremes = FindExtremes(values, n);
  return static_cast<uint32_t>(extremes.max > -extremes.min ? extremes.max : -extremes.min);
}

TFLM_TRAIN_CLONES
void RoundShiftRow(const int32_t* __restrict values, int shift, int8_t* __restrict out, int n) {
  for (int i = 0; i < n; ++i) out[i] = static_cast<int8_t>(RoundShift(values[i], shift));
}

TFLM_TRAIN_CLONES
void RoundShiftInPlace(int8_t* values, int shift, size_t n) {
  for (size_t i = 0; i < n; ++i) values[i] = static_cast<int8_t>(RoundShift(values[i], shift));
}

}  // namespace tflm_train

#endif
