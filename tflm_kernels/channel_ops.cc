#include "tflm_kernels/channel_ops.h"

#include "tflm_kernels/spec/numerics.h"

#if defined(TFLM_TRAIN_MVE)
#include "tflm_kernels/arch/channel_ops_mve.h"
#else

#if defined(TFLM_TRAIN_DSP)
#include "tflm_kernels/arch/dsp.h"
#elif defined(TFLM_TRAIN_V6M)
#include "tflm_kernels/arch/sums_v6m.h"
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

// Loops end with their test: compilers for size leave it at the begin, and jump there from the end.

TFLM_TRAIN_CLONES
void AccumulateFourRows(int32_t* __restrict acc, const int16_t t[4], const int8_t* const row[4],
                        int n) {
  const int16_t t0 = t[0], t1 = t[1], t2 = t[2], t3 = t[3];
  const int8_t* __restrict r0 = row[0];
  const int8_t* __restrict r1 = row[1];
  const int8_t* __restrict r2 = row[2];
  const int8_t* __restrict r3 = row[3];
  if (n <= 0) return;
  int i = 0;
  do {
    acc[i] = WrapAdd(acc[i], t0 * r0[i] + t1 * r1[i] + t2 * r2[i] + t3 * r3[i]);
  } while (++i < n);
}

TFLM_TRAIN_CLONES
void AccumulateRow(int32_t* __restrict acc, int16_t t, const int8_t* __restrict row, int n) {
  if (n <= 0) return;
  int i = 0;
  do acc[i] = WrapAdd(acc[i], t * row[i]);
  while (++i < n);
}

TFLM_TRAIN_CLONES
int32_t Dot(const int16_t* __restrict a, const int8_t* __restrict b, int n) {
  int32_t sum = 0;
  for (int i = 0; i < n; ++i) sum = WrapAdd(sum, a[i] * b[i]);
  return sum;
}

TFLM_TRAIN_CLONES
void AccumulateProducts(int32_t* __restrict acc, const int8_t* __restrict a,
                        const int8_t* __restrict b, int32_t b_offset, int n) {
  if (n <= 0) return;
  // A byte, so that differences are known to fit int16.
  const int8_t offset = static_cast<int8_t>(b_offset);
#if defined(__thumb__)
  const int8_t* const end = a + n;
  if (kHasByteOffsets) {
    do {
      *acc = WrapAdd(*acc, *a++ * (*b++ - offset));
      ++acc;
    } while (a != end);
    return;
  }
  b += n;
  int i = -n;
  do {
    *acc = WrapAdd(*acc, end[i] * (b[i] - offset));
    ++acc;
  } while (++i != 0);
#else
  int i = 0;
  do {
    acc[i] = WrapAdd(acc[i], static_cast<int16_t>(a[i]) * static_cast<int16_t>(b[i] - offset));
  } while (++i < n);
#endif
}

TFLM_TRAIN_CLONES
void AccumulateTwoProducts(int32_t* __restrict acc, const int8_t* const a[2],
                           const int8_t* const b[2], int n) {
  const int8_t* __restrict a0 = a[0];
  const int8_t* __restrict a1 = a[1];
  const int8_t* __restrict b0 = b[0];
  const int8_t* __restrict b1 = b[1];
  // Offsets from pointers that rarely move: there are five of them.
  if (kHasByteOffsets && n >= 4) {
    do {
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i) acc[i] = WrapAdd(acc[i], a0[i] * b0[i] + a1[i] * b1[i]);
      acc += 4;
      a0 += 4;
      a1 += 4;
      b0 += 4;
      b1 += 4;
      n -= 4;
    } while (n >= 4);
  }
  if (n <= 0) return;
#if defined(TFLM_TRAIN_V6M)
  v6m::AddTwoProducts(acc, a0, b0, a1, b1, n);
#else
  for (int i = 0; i < n; ++i) acc[i] = WrapAdd(acc[i], a0[i] * b0[i] + a1[i] * b1[i]);
#endif
}

TFLM_TRAIN_CLONES
void AccumulateLookup(int32_t* __restrict acc, const int8_t* __restrict a,
                      const int8_t* __restrict b, const int16_t* __restrict table, int n) {
  for (int i = 0; i < n; ++i) acc[i] = WrapAdd(acc[i], a[i] * table[b[i] + 128]);
}

TFLM_TRAIN_CLONES
void AccumulateShifted(int32_t* __restrict total, const int32_t* __restrict part, int shift,
                       int n) {
  for (int i = 0; i < n; ++i) total[i] = WrapAdd(total[i], RoundShift(part[i], shift));
}

TFLM_TRAIN_CLONES
void MergeAddend(int32_t* __restrict acc, int shift, const int8_t* __restrict addend,
                 int32_t factor, int n) {
  for (int i = 0; i < n; ++i) {
    acc[i] = WrapAdd(RoundShift(acc[i], shift), RoundShift(addend[i] * factor, 8));
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
  // FAST-PATH-BOUND: aligned-bytes
  for (; i < n && reinterpret_cast<uintptr_t>(values + i) % 4 != 0; ++i) {
    max = values[i] > max ? values[i] : max;
    min = values[i] < min ? values[i] : min;
  }
  dsp::ByteExtremes extremes;
  extremes.AddAligned(values + i, (n - i) / 16);
  i += (n - i) / 16 * 16;
  extremes.Reduce(&max, &min);
#endif
#if defined(__thumb__) && !defined(TFLM_TRAIN_DSP)
  // One comparison for each value within what has been seen.
  if (n == 0) return {max, min};
  uint32_t span = 0;
  do {
    const int32_t value = values[i];
    if (static_cast<uint32_t>(value - min) <= span) continue;
    if (value < min) min = values[i];
    if (value > max) max = values[i];
    span = static_cast<uint32_t>(max - min);
  } while (++i < n);
#else
  for (; i < n; ++i) {
    max = values[i] > max ? values[i] : max;
    min = values[i] < min ? values[i] : min;
  }
#endif
  return {max, min};
}

uint32_t MaxAbs(const int8_t* values, size_t n) {
  const Extremes<int8_t> extremes = FindExtremes(values, n);
  return static_cast<uint32_t>(extremes.max > -extremes.min ? extremes.max : -extremes.min);
}

TFLM_TRAIN_CLONES
void RoundShiftRow(const int32_t* __restrict values, int shift, int8_t* __restrict out, int n) {
  if (n <= 0) return;
  int i = 0;
  do out[i] = static_cast<int8_t>(RoundShift(values[i], shift));
  while (++i < n);
}

namespace {

#if defined(TFLM_TRAIN_DSP)
// The part of a WeightedSum that is whole words, two or four rows; returns its length.
template <int kRows>
size_t SumWords(const int16_t* t, const int8_t* const* row, int shift, int8_t* out, size_t n) {
  const int32_t half = (1 << shift) >> 1;
  const int32_t t01 = static_cast<int32_t>(dsp::Pack(t[0], t[1]));
  const int32_t t23 = kRows == 4 ? static_cast<int32_t>(dsp::Pack(t[2], t[3])) : 0;
  const int8_t *r0 = row[0], *r1 = row[1];
  const int8_t *r2 = row[kRows - 2], *r3 = row[kRows - 1];
  const size_t whole = n / 4 * 4;
  for (const int8_t* const end = out + whole; out != end; out += 4) {
    int32_t s0 = half, s1 = half, s2 = half, s3 = half;
    const auto add = [&](uint32_t a, uint32_t b, int32_t factors) {
      const uint32_t low = dsp::LowHalves(a, b), high = dsp::HighHalves(a, b);
      s0 = __smlad(dsp::Bytes02(low), factors, s0);
      s1 = __smlad(dsp::Bytes13(low), factors, s1);
      s2 = __smlad(dsp::Bytes02(high), factors, s2);
      s3 = __smlad(dsp::Bytes13(high), factors, s3);
    };
    add(dsp::LoadWord(r0), dsp::LoadWord(r1), t01);
    r0 += 4;
    r1 += 4;
    if constexpr (kRows == 4) {
      add(dsp::LoadWord(r2), dsp::LoadWord(r3), t23);
      r2 += 4;
      r3 += 4;
    }
    dsp::StoreWord(out, dsp::PackBytes(s0 >> shift, s1 >> shift, s2 >> shift, s3 >> shift));
  }
  return whole;
}
#endif

}  // namespace

TFLM_TRAIN_CLONES
void WeightedSum(const int16_t* t, const int8_t* const* row, int count, int shift,
                 int8_t* __restrict out, size_t n) {
  // Three rows are four, one of which counts nothing.
  const int16_t t4[4] = {t[0], t[1], count > 2 ? t[2] : int16_t{0}, count > 3 ? t[3] : int16_t{0}};
  const int8_t* const row4[4] = {row[0], row[1], row[count > 2 ? 2 : 0], row[count > 3 ? 3 : 0]};
  const int8_t* __restrict const r0 = row4[0];
  const int8_t* __restrict const r1 = row4[1];
  const int8_t* __restrict const r2 = row4[2];
  const int8_t* __restrict const r3 = row4[3];
  const int32_t t0 = t4[0], t1 = t4[1], t2 = t4[2], t3 = t4[3];
  const int32_t half = (1 << shift) >> 1;
  size_t i = 0;
#if defined(TFLM_TRAIN_DSP)
  i = count == 2 ? SumWords<2>(t4, row4, shift, out, n) : SumWords<4>(t4, row4, shift, out, n);
#endif
  if (count == 2) {
    for (; i < n; ++i) out[i] = static_cast<int8_t>((r0[i] * t0 + r1[i] * t1 + half) >> shift);
    return;
  }
  for (; i < n; ++i) {
    const int32_t sum = r0[i] * t0 + r1[i] * t1 + r2[i] * t2 + r3[i] * t3;
    out[i] = static_cast<int8_t>((sum + half) >> shift);
  }
}

TFLM_TRAIN_CLONES
void RoundAwayInPlace(int8_t* values, int shift, size_t n) {
  for (size_t i = 0; i < n; ++i) {
    values[i] = static_cast<int8_t>(RoundShift(values[i] + (values[i] >> 31), shift));
  }
}

}  // namespace tflm_train

#endif
