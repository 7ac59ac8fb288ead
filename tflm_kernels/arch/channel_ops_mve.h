// The passes over contiguous channels with Helium: vectors, the last one in part. Only for
// channel_ops.cc.

#ifndef TFLM_KERNELS_ARCH_CHANNEL_OPS_MVE_H_
#define TFLM_KERNELS_ARCH_CHANNEL_OPS_MVE_H_

#include <arm_mve.h>

#include <cstddef>
#include <cstdint>

#include "tflm_kernels/arch/features.h"
#include "tflm_kernels/channel_ops.h"

namespace tflm_train {
namespace mve {

// The predicate of whole vectors, which costs nothing.
struct All {};

TFLM_TRAIN_INLINE int32x4_t Load(const int32_t* from, All) { return vld1q_s32(from); }
TFLM_TRAIN_INLINE int32x4_t Load(const int8_t* from, All) { return vldrbq_s32(from); }
TFLM_TRAIN_INLINE void Store(int32_t* to, int32x4_t v, All) { vst1q_s32(to, v); }
TFLM_TRAIN_INLINE void Store(int8_t* to, int32x4_t v, All) { vstrbq_s32(to, v); }
TFLM_TRAIN_INLINE int32x4_t Load(const int32_t* from, mve_pred16_t live) {
  return vld1q_z_s32(from, live);
}
TFLM_TRAIN_INLINE int32x4_t Load(const int8_t* from, mve_pred16_t live) {
  return vldrbq_z_s32(from, live);
}
TFLM_TRAIN_INLINE void Store(int32_t* to, int32x4_t v, mve_pred16_t live) {
  vst1q_p_s32(to, v, live);
}
TFLM_TRAIN_INLINE void Store(int8_t* to, int32x4_t v, mve_pred16_t live) {
  vstrbq_p_s32(to, v, live);
}

inline int32x4_t RoundShift(int32x4_t v, int shift) { return vrshlq_n_s32(v, -shift); }

// Calls visit(i, live) for each four of n elements; all but the last four, where some are
// missing, with a predicate that the compiler knows to be all true.
template <typename Visit>
TFLM_TRAIN_INLINE void ForEachFour(int n, const Visit& visit) {
  int i = 0;
#pragma GCC unroll 4
  for (; i + 4 <= n; i += 4) visit(i, All());
  if (i < n) visit(i, vctp32q(static_cast<uint32_t>(n - i)));
}

// acc[i] += term(i, live), four at a time.
template <typename Term>
TFLM_TRAIN_INLINE void AddToRow(int32_t* acc, int n, const Term& term) {
  ForEachFour(n, [&](int i, auto live) {
    Store(acc + i, vaddq_s32(Load(acc + i, live), term(i, live)), live);
  });
}

}  // namespace mve

void AccumulateFourRows(int32_t* acc, const int16_t t[4], const int8_t* const row[4], int n) {
  const int32_t t0 = t[0], t1 = t[1], t2 = t[2], t3 = t[3];
  const int8_t* const r0 = row[0];
  const int8_t* const r1 = row[1];
  const int8_t* const r2 = row[2];
  const int8_t* const r3 = row[3];
  mve::AddToRow(acc, n, [&](int i, auto live) {
    int32x4_t sum = vmulq_n_s32(mve::Load(r0 + i, live), t0);
    sum = vmlaq_n_s32(sum, mve::Load(r1 + i, live), t1);
    sum = vmlaq_n_s32(sum, mve::Load(r2 + i, live), t2);
    return vmlaq_n_s32(sum, mve::Load(r3 + i, live), t3);
  });
}

void AccumulateRow(int32_t* acc, int16_t t, const int8_t* row, int n) {
  mve::AddToRow(acc, n, [&](int i, auto live) { return vmulq_n_s32(mve::Load(row + i, live), t); });
}

int32_t Dot(const int16_t* a, const int8_t* b, int n) {
  int32_t sum = 0;
  for (int i = 0; i < n; i += 8) {
    const mve_pred16_t live = vctp16q(static_cast<uint32_t>(n - i));
    sum = vmladavaq_s16(sum, vld1q_z_s16(a + i, live), vldrbq_z_s16(b + i, live));
  }
  return sum;
}

void AccumulateProducts(int32_t* acc, const int8_t* a, const int8_t* b, int32_t b_offset, int n) {
  mve::AddToRow(acc, n, [&](int i, auto live) {
    return vmulq_s32(mve::Load(a + i, live), vsubq_n_s32(mve::Load(b + i, live), b_offset));
  });
}

void AccumulateTwoProducts(int32_t* acc, const int8_t* const a[2], const int8_t* const b[2],
                           int n) {
  const int8_t *const a0 = a[0], *const a1 = a[1], *const b0 = b[0], *const b1 = b[1];
  mve::AddToRow(acc, n, [&](int i, auto live) {
    const int32x4_t first = vmulq_s32(mve::Load(a0 + i, live), mve::Load(b0 + i, live));
    return vaddq_s32(first, vmulq_s32(mve::Load(a1 + i, live), mve::Load(b1 + i, live)));
  });
}

void AccumulateLookup(int32_t* acc, const int8_t* a, const int8_t* b, const int16_t* table, int n) {
  for (int i = 0; i < n; i += 4) {
    const mve_pred16_t live = vctp32q(static_cast<uint32_t>(n - i));
    const uint32x4_t index = vreinterpretq_u32_s32(vaddq_n_s32(vldrbq_z_s32(b + i, live), 128));
    const int32x4_t factor = vldrhq_gather_shifted_offset_z_s32(table, index, live);
    const int32x4_t product = vmulq_s32(vldrbq_z_s32(a + i, live), factor);
    vst1q_p_s32(acc + i, vaddq_s32(vld1q_z_s32(acc + i, live), product), live);
  }
}

void AccumulateShifted(int32_t* total, const int32_t* part, int shift, int n) {
  mve::AddToRow(total, n, [&](int i, auto live) {
    return mve::RoundShift(mve::Load(part + i, live), shift);
  });
}

void MergeAddend(int32_t* acc, int shift, const int8_t* addend, int32_t factor, int n) {
  mve::ForEachFour(n, [&](int i, auto live) {
    const int32x4_t joining = vrshrq_n_s32(vmulq_n_s32(mve::Load(addend + i, live), factor), 8);
    const int32x4_t sum = mve::RoundShift(mve::Load(acc + i, live), shift);
    mve::Store(acc + i, vaddq_s32(sum, joining), live);
  });
}

uint32_t MaxAbs(const int32_t* values, size_t n) {
  uint32_t max = 0;
  mve::ForEachFour(static_cast<int>(n),
                   [&](int i, auto live) { max = vmaxavq_s32(max, mve::Load(values + i, live)); });
  return max;
}

uint32_t MaxAbs(const int8_t* values, size_t n) {
  uint8x16_t max = vdupq_n_u8(0);
  for (size_t fours = n / 64; fours > 0; --fours) {
    // Loads that move the pointer, which the compiler does not choose.
    int8x16_t a, b, c, d;
    asm("vldrb.u8 %q0, [%4], #16\n\t"
        "vldrb.u8 %q1, [%4], #16\n\t"
        "vldrb.u8 %q2, [%4], #16\n\t"
        "vldrb.u8 %q3, [%4], #16"
        : "=&w"(a), "=&w"(b), "=&w"(c), "=&w"(d), "+r"(values)
        :
        : "memory");
    max = vmaxaq_s8(vmaxaq_s8(vmaxaq_s8(vmaxaq_s8(max, a), b), c), d);
  }
  for (int32_t rest = n % 64; rest > 0; rest -= 16, values += 16) {
    max = vmaxaq_s8(max, vldrbq_z_s8(values, vctp8q(static_cast<uint32_t>(rest))));
  }
  return vmaxvq_u8(0, max);
}

Extremes<int32_t> FindExtremes(const int32_t* values, size_t n) {
  int32x4_t max = vdupq_n_s32(0), min = max;
  mve::ForEachFour(static_cast<int>(n), [&](int i, auto live) {
    const int32x4_t v = mve::Load(values + i, live);
    max = vmaxq_s32(max, v);
    min = vminq_s32(min, v);
  });
  return {vmaxvq_s32(0, max), vminvq_s32(0, min)};
}

Extremes<int8_t> FindExtremes(const int8_t* values, size_t n) {
  int8x16_t max = vdupq_n_s8(0), min = max;
  size_t i = 0;
#pragma GCC unroll 4
  for (; i + 16 <= n; i += 16) {
    const int8x16_t v = vld1q_s8(values + i);
    max = vmaxq_s8(max, v);
    min = vminq_s8(min, v);
  }
  const int8x16_t v = vldrbq_z_s8(values + i, vctp8q(n - i));
  return {vmaxvq_s8(0, vmaxq_s8(max, v)), vminvq_s8(0, vminq_s8(min, v))};
}

void RoundShiftRow(const int32_t* values, int shift, int8_t* out, int n) {
  mve::ForEachFour(n, [&](int i, auto live) {
    mve::Store(out + i, mve::RoundShift(mve::Load(values + i, live), shift), live);
  });
}

void WeightedSum(const int16_t* t, const int8_t* const* row, int count, int shift, int8_t* out,
                 size_t n) {
  const int8_t* const r0 = row[0];
  const int8_t* const r1 = row[1];
  const int8_t* const r2 = row[count > 2 ? 2 : 0];
  const int8_t* const r3 = row[count > 3 ? 3 : 0];
  const int32_t t0 = t[0], t1 = t[1], t2 = count > 2 ? t[2] : 0, t3 = count > 3 ? t[3] : 0;
  const bool more = count > 2;
  mve::ForEachFour(static_cast<int>(n), [&](int i, auto live) {
    int32x4_t sum = vmulq_n_s32(mve::Load(r0 + i, live), t0);
    sum = vmlaq_n_s32(sum, mve::Load(r1 + i, live), t1);
    if (more) {
      sum = vmlaq_n_s32(sum, mve::Load(r2 + i, live), t2);
      sum = vmlaq_n_s32(sum, mve::Load(r3 + i, live), t3);
    }
    mve::Store(out + i, mve::RoundShift(sum, shift), live);
  });
}

void RoundAwayInPlace(int8_t* values, int shift, size_t n) {
  for (size_t i = 0; i < n; i += 16) {
    const mve_pred16_t live = vctp8q(n - i);
    const int8x16_t v = vld1q_z_s8(values + i, live);
    vst1q_p_s8(values + i, vrshlq_n_s8(vaddq_s8(v, vshrq_n_s8(v, 7)), -shift), live);
  }
}

}  // namespace tflm_train

#endif  // TFLM_KERNELS_ARCH_CHANNEL_OPS_MVE_H_
