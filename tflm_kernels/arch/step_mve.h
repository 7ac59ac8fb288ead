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

// From and to memory, in order.
TFLM_TRAIN_INLINE Eight Pairs(const int32_t* values) {
  asm("" : "+r"(values));  // GCC 12 moves it on in the load by what no VLD2 can
  const int32x4x2_t both = vld2q_s32(values);
  return {both.val[0], both.val[1]};
}
inline void Store(const Eight& values, int32_t* to) {
  const int32x4x2_t both = {{values.even, values.odd}};
  vst2q_s32(to, both);
}

TFLM_TRAIN_INLINE Eight Scaled(const Eight& values, int shift) {
  return {vshlq_r_s32(values.even, shift), vshlq_r_s32(values.odd, shift)};
}

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

// What turns the sums q * x of a row into steps, the high halves of (sum * gain + more) * 2 * m:
// m is Multiplier()'s magnitude, gain half the layer's, negated, and more what the zero point's
// part of the sum comes to with that.
struct RowFactors {
  int32_t m, gain, more;

  TFLM_TRAIN_INLINE Eight Scaled(const Eight& sums) const {
    const int32x4_t gains = vdupq_n_s32(gain);
    return {vmlasq_n_s32(sums.even, gains, more), vmlasq_n_s32(sums.odd, gains, more)};
  }
};

// The random numbers of a row's elements, eight at a time.
// kBits: of the residual; with 8 there are none.
template <int kBits>
class RowDither {
 public:
  // start: the row's first random number. column: of the first element. columns: which
  // elements these are; nullptr: all, in order.
  RowDither(uint32_t start, int32_t column, const int16_t* columns)
      : start_(static_cast<uint16_t>(start)), columns_(columns) {
    if constexpr (kBits != 8) {
      const uint32_t first = start + static_cast<uint32_t>(column) * kDitherStep;
      next_ =
          vmlasq_n_u16(vidupq_n_u16(0, 1), vdupq_n_u16(kDitherStep), static_cast<uint16_t>(first));
    }
  }

  // Of the next n elements, n <= 8.
  //   kAll  n is 8
  template <bool kAll>
  TFLM_TRAIN_INLINE uint16x8_t Next(int32_t n) {
    if constexpr (kBits == 8) return vuninitializedq_u16();
    if (__builtin_expect(columns_ != nullptr, 0)) {
      const mve_pred16_t live = vctp16q(static_cast<uint32_t>(n));
      const int16x8_t columns = kAll ? vldrhq_s16(columns_) : vldrhq_z_s16(columns_, live);
      columns_ += 8;
      next_ = vmlasq_n_u16(vreinterpretq_u16_s16(columns), vdupq_n_u16(kDitherStep), start_);
    }
    return next_;
  }

  // Goes on to the eight elements behind those.
  TFLM_TRAIN_INLINE void Advance() {
    if constexpr (kBits == 8) return;
    next_ = vaddq_n_u16(next_, static_cast<uint16_t>(8 * kDitherStep));
  }

 private:
  uint16_t start_;
  const int16_t* columns_;
  uint16x8_t next_;  // without columns: of the next eight elements
};

// Steps the elements of one row, eight at a time.
// kBits: of the residual.
template <int kBits>
class RowStepper {
 public:
  // w, r: the first elements; r may be nullptr when kBits is 0.
  RowStepper(int8_t* w, int8_t* r) : w_(w), r_(r) {}

  // Steps the next n elements, n <= 8 (with 4 bits of residual even), by the high halves of
  // sums * 2 * m.
  //   kAll  n is 8
  template <bool kAll, typename Multipliers>
  TFLM_TRAIN_INLINE void Step(const Eight& sums, const Multipliers& m, uint16x8_t dither,
                              int32_t n) {
    const mve_pred16_t live = kAll ? 0 : vctp16q(static_cast<uint32_t>(n));
    const int16x8_t w = kAll ? vldrbq_s16(w_) : vldrbq_z_s16(w_, live);
    if constexpr (kBits == 8) {
      const int16x8_t r = kAll ? vldrbq_s16(r_) : vldrbq_z_s16(r_, live);
      const Eight wide = Delta(sums, m);
      const int16x8_t delta = vmovntq_s32(vreinterpretq_s16_s32(wide.even), wide.odd);
      // Once 256 less, once 256 more: t saturates at both ends where W and R do.
      const int16x8_t less = vqaddq_s16(vmlaq_n_s16(vsubq_n_s16(r, 128), w, 256), delta);
      const int16x8_t t = vqaddq_n_s16(less, 256);
      // R is the low byte of t, less 128; W the high one.
      Store<kAll>(r_, vaddq_n_s16(t, 128), live);
      Store<kAll>(w_, vshrq_n_s16(t, 8), live);
      r_ += 8;
    } else if constexpr (kBits == 0) {
      const Eight t = AddDelta(Widened(dither), sums, m);
      const int16x8_t change = vreinterpretq_s16_s32(vsriq_n_s32(t.odd, t.even, 16));
      // Only the low bytes count.
      const int8x16_t moved = vqaddq_s8(vreinterpretq_s8_s16(w), vreinterpretq_s8_s16(change));
      Store<kAll>(w_, vreinterpretq_s16_s8(vmaxq_s8(moved, vdupq_n_s8(-127))), live);
    } else {
      const Eight t = AddDelta(Widened(vshrq_n_u16(dither, 4)), sums, m);
      const int16x8_t change =
          vshrntq_n_s32(vshrnbq_n_s32(vuninitializedq_s16(), t.even, 12), t.odd, 12);
      // 16 * W + R4 + 8, of the two nibbles of a byte in the halves of a word.
      const mve_pred16_t pairs = vctp32q(static_cast<uint32_t>(n) >> 1);
      uint8_t* const r = reinterpret_cast<uint8_t*>(r_);
      const uint32x4_t bytes = kAll ? vldrbq_u32(r) : vldrbq_z_u32(r, pairs);
      const int16x8_t nibbles = vreinterpretq_s16_u32(vsliq_n_u32(bytes, bytes, 12));
      int16x8_t v = vsliq_n_s16(vaddq_n_s16(nibbles, 8), w, 4);
      v = Clamp(vaddq_s16(v, change), -127 * 16 + 8, 127 * 16 + 8);
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
    w_ += 8;
    // Pointers that step are better than an index for each.
    asm("" : "+r"(w_));
    if constexpr (kBits != 0) asm("" : "+r"(r_));
  }

  // Where it is, for steps that are not its own.
  int8_t* weights() const { return w_; }
  int8_t* residual() const { return r_; }
  void Move(int8_t* w, int8_t* r) {
    w_ = w;
    r_ = r;
  }

 private:
  static int16x8_t Clamp(int16x8_t v, int16_t low, int16_t high) {
    return vmaxq_s16(vminq_s16(v, vdupq_n_s16(high)), vdupq_n_s16(low));
  }

  static Eight Widened(uint16x8_t v) {
    return {vreinterpretq_s32_u32(vmovlbq_u16(v)), vreinterpretq_s32_u32(vmovltq_u16(v))};
  }

  template <bool kAll>
  static void Store(int8_t* to, int16x8_t v, mve_pred16_t live) {
    if (kAll) {
      vstrbq_s16(to, v);
    } else {
      vstrbq_p_s16(to, v, live);
    }
  }

  int8_t* w_;
  int8_t* r_;
};

}  // namespace mve
}  // namespace tflm_train

#endif  // TFLM_KERNELS_ARCH_STEP_MVE_H_
