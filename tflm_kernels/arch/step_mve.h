// Steps of eight weights with Helium. Only for weight_stepper.h.

#ifndef TFLM_KERNELS_ARCH_STEP_MVE_H_
#define TFLM_KERNELS_ARCH_STEP_MVE_H_

#include <arm_mve.h>

#include <cstdint>

#include "tflm_kernels/arch/features.h"

namespace tflm_train {
namespace mve {

// Eight values in two vectors, the even and the odd ones: what narrowing puts together.
struct Eight {
  int32x4_t even, odd;
};

// The high halves of sums * 2 * m, with one multiplier or with one each, and those added up.
TFLM_TRAIN_INLINE Eight Delta(const Eight& sums, int32_t m) {
  return {vqrdmulhq_n_s32(sums.even, m), vqrdmulhq_n_s32(sums.odd, m)};
}
TFLM_TRAIN_INLINE Eight Delta(const Eight& sums, const Eight& m) {
  return {vqrdmulhq_s32(sums.even, m.even), vqrdmulhq_s32(sums.odd, m.odd)};
}
TFLM_TRAIN_INLINE Eight AddDelta(const Eight& to, const Eight& sums, int32_t m) {
  return {vqrdmlahq_n_s32(to.even, sums.even, m), vqrdmlahq_n_s32(to.odd, sums.odd, m)};
}
TFLM_TRAIN_INLINE Eight AddDelta(const Eight& to, const Eight& sums, const Eight& m) {
  const Eight delta = Delta(sums, m);
  return {vaddq_s32(to.even, delta.even), vaddq_s32(to.odd, delta.odd)};
}

// |HighMul(2^31, m)| is at most 32767, and 2^20.
constexpr int32_t kMaxNearestMultiplier = 65534;
constexpr int32_t kMaxRandomMultiplier = 1 << 21;

// Hash, up to its last `x ^= x >> 16` and without its first.
inline uint32x4_t HashInside(uint32x4_t x) {
  x = vmulq_n_u32(x, 0x7feb352du);
  x = veorq_u32(x, vshrq_n_u32(x, 15));
  return vmulq_n_u32(x, 0x846ca68bu);
}

// 4095 less the low 12 bits.
inline int32x4_t Complement(uint32x4_t x) {
  return vreinterpretq_s32_u32(vbicq_u32(vdupq_n_u32(0xfff), x));
}

// 4095 - rnd of eight elements of the whole layer, one hash to two of them.
//
//   key    HalfHash(key, first)
//   pair   half the first one's index; moves on
inline Eight DitherPairs(uint32_t key, uint32_t* pair) {
  const uint32x4_t pairs = vidupq_wb_u32(pair, 1);
  const uint32x4_t x = HashInside(veorq_u32(pairs, vdupq_n_u32(key)));
  const uint32x4_t high = vshrq_n_u32(x, 16);
  return {Complement(veorq_u32(x, high)), Complement(high)};
}

// With x = key ^ pair, x ^ (x >> 16) = HalfHash ^ pair, for all pairs with the same high half.
constexpr uint32_t HalfHash(uint32_t key, uint32_t pair) {
  return key ^ (key >> 16) ^ (pair >> 16);
}

// The same for any four.
inline int32x4_t DitherAny(uint32_t key, uint32x4_t element) {
  uint32x4_t x = veorq_u32(vshrq_n_u32(element, 1), vdupq_n_u32(key));
  x = HashInside(veorq_u32(x, vshrq_n_u32(x, 16)));
  x = veorq_u32(x, vshrq_n_u32(x, 16));
  const uint32x4_t odd = vandq_u32(element, vdupq_n_u32(1));
  const int32x4_t right = vnegq_s32(vreinterpretq_s32_u32(vshlq_n_u32(odd, 4)));
  return Complement(vshlq_u32(x, right));
}

// Steps the elements of one row, eight at a time.
//
//   kBits      of the residual
//   kInPairs   the elements are consecutive ones of the layer, the first of them even, none of
//              them 2^17 or a multiple of that further on: StepsInPairs()
template <int kBits, bool kInPairs>
class RowStepper {
 public:
  // w, r: the row's; r may be nullptr when kBits is 0. first: index in the whole layer of
  // the whole row's first element. columns: which elements these are; nullptr: all, in order.
  RowStepper(int8_t* w, int8_t* r, uint32_t key, uint32_t first, const int16_t* columns)
      : w_(w),
        r_(r),
        key_(kInPairs ? HalfHash(key, first >> 1) : key),
        at_(kInPairs ? first >> 1 : first),
        columns_(columns) {}

  // Steps the next n elements, n <= 8 (with 4 bits of residual even), by the high halves of
  // sums * 2 * m. kAll: n is 8.
  template <bool kAll, typename Multipliers>
  TFLM_TRAIN_INLINE void Step(const Eight& sums, const Multipliers& m, int32_t n) {
    const mve_pred16_t live = vctp16q(static_cast<uint32_t>(n));
    const int16x8_t w = kAll ? vldrbq_s16(w_) : vldrbq_z_s16(w_, live);
    if constexpr (kBits == 8) {
      const int16x8_t r = kAll ? vldrbq_s16(r_) : vldrbq_z_s16(r_, live);
      const Eight wide = Delta(sums, m);
      const int16x8_t delta = vmovntq_s32(vreinterpretq_s16_s32(wide.even), wide.odd);
      const int16x8_t t = Clamp(vqsubq_s16(vmlaq_n_s16(r, w, 256), delta), -127 * 256, 127 * 256);
      // W = (t + 128) >> 8, R the low byte of t.
      Store<kAll>(r_, t, live);
      Store<kAll>(w_, vrshrq_n_s16(t, 8), live);
      r_ += 8;
    } else {
      const Eight dither = Dither<kAll>(n);
      if constexpr (kBits == 0) {
        // (4096 * W + rnd - delta) >> 12 = W - ((4095 - rnd + delta) >> 12)
        const int16x8_t change = Narrow<12>(AddDelta(dither, sums, m));
        const int16x8_t t = vsubq_s16(w, change);
        // Only the low bytes count.
        const int8x16_t narrow = vqmovnbq_s16(vuninitializedq_s8(), t);
        Store<kAll>(w_, vreinterpretq_s16_s8(vmaxq_s8(narrow, vdupq_n_s8(-127))), live);
      } else {
        // Likewise, with 255 - (rnd >> 4).
        const Eight short_dither = {vshrq_n_s32(dither.even, 4), vshrq_n_s32(dither.odd, 4)};
        const int16x8_t change = Narrow<8>(AddDelta(short_dither, sums, m));
        // 16 * W + R4 + 8, of the two nibbles of a byte in the halves of a word.
        const mve_pred16_t pairs = vctp32q(static_cast<uint32_t>(n) >> 1);
        uint8_t* const r = reinterpret_cast<uint8_t*>(r_);
        const uint32x4_t bytes = kAll ? vldrbq_u32(r) : vldrbq_z_u32(r, pairs);
        const int16x8_t nibbles = vreinterpretq_s16_u32(vsliq_n_u32(bytes, bytes, 12));
        int16x8_t v = vsliq_n_s16(vaddq_n_s16(nibbles, 8), w, 4);
        v = Clamp(vsubq_s16(v, change), -127 * 16 + 8, 127 * 16 + 8);
        Store<kAll>(w_, vshrq_n_s16(v, 4), live);
        const uint32x4_t low = vreinterpretq_u32_s16(vaddq_n_s16(v, 8));
        const uint32x4_t packed = vsliq_n_u32(low, vshrq_n_u32(low, 16), 4);
        if (kAll) {
          vstrbq_u32(r, packed);
        } else {
          vstrbq_p_u32(r, packed, pairs);
        }
        r_ += 4;
      }
    }
    w_ += 8;
    // Pointers that step are better than an index for each.
    asm("" : "+r"(w_));
    if constexpr (kBits != 0) asm("" : "+r"(r_));
  }

 private:
  static int16x8_t Clamp(int16x8_t v, int16_t low, int16_t high) {
    return vmaxq_s16(vminq_s16(v, vdupq_n_s16(high)), vdupq_n_s16(low));
  }

  template <int kShift>
  static int16x8_t Narrow(const Eight& v) {
    return vshrntq_n_s32(vshrnbq_n_s32(vuninitializedq_s16(), v.even, kShift), v.odd, kShift);
  }

  template <bool kAll>
  static void Store(int8_t* to, int16x8_t v, mve_pred16_t live) {
    if (kAll) {
      vstrbq_s16(to, v);
    } else {
      vstrbq_p_s16(to, v, live);
    }
  }

  // 4095 - rnd of the next eight elements.
  template <bool kAll>
  Eight Dither(int32_t n) {
    Eight dither;
    if constexpr (kInPairs) {
      dither = DitherPairs(key_, &at_);
    } else {
      const uint32x4_t two_apart = vidupq_n_u32(0, 2);
      uint32x4_t even = two_apart, odd = vaddq_n_u32(two_apart, 1);
      if (columns_ != nullptr) {
        const uint16_t* const columns = reinterpret_cast<const uint16_t*>(columns_);
        const uint32_t evens = static_cast<uint32_t>(n + 1) >> 1;
        even = vldrhq_gather_shifted_offset_z_u32(columns, even, vctp32q(evens));
        odd = vldrhq_gather_shifted_offset_z_u32(columns, odd,
                                                 vctp32q(static_cast<uint32_t>(n) >> 1));
        columns_ += 8;
      }
      dither = {DitherAny(key_, vaddq_n_u32(even, at_)), DitherAny(key_, vaddq_n_u32(odd, at_))};
      if (columns_ == nullptr) at_ += 8;
    }
    return dither;
  }

  int8_t* w_;
  int8_t* r_;
  uint32_t key_;
  uint32_t at_;  // the next element, or pair
  const int16_t* columns_;
};

}  // namespace mve
}  // namespace tflm_train

#endif  // TFLM_KERNELS_ARCH_STEP_MVE_H_
