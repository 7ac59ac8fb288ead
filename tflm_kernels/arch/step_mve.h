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

// Steps the elements of one row, eight at a time.
// kBits: of the residual.
template <int kBits>
class RowStepper {
 public:
  // w, r: the first elements; r may be nullptr when kBits is 0. start: the row's first random
  // number. column: of the first element. columns: which elements these are; nullptr: all,
  // in order.
  RowStepper(int8_t* w, int8_t* r, uint32_t start, int32_t column, const int16_t* columns)
      : w_(w), r_(r), start_(static_cast<uint16_t>(start)), columns_(columns) {
    if constexpr (kBits != 8) {
      const uint32_t first = start + static_cast<uint32_t>(column) * kDitherStep;
      dither_ =
          vmlasq_n_u16(vidupq_n_u16(0, 1), vdupq_n_u16(kDitherStep), static_cast<uint16_t>(first));
    }
  }

  // Steps the next n elements, n <= 8 (with 4 bits of residual even), by the high halves of
  // sums * 2 * m.
  //   kAll  n is 8
  template <bool kAll, typename Multipliers>
  TFLM_TRAIN_INLINE void Step(const Eight& sums, const Multipliers& m, int32_t n) {
    const mve_pred16_t live = vctp16q(static_cast<uint32_t>(n));
    const int16x8_t w = kAll ? vldrbq_s16(w_) : vldrbq_z_s16(w_, live);
    if constexpr (kBits == 8) {
      const int16x8_t r = kAll ? vldrbq_s16(r_) : vldrbq_z_s16(r_, live);
      const Eight wide = Delta(sums, m);
      const int16x8_t delta = vmovntq_s32(vreinterpretq_s16_s32(wide.even), wide.odd);
      const int16x8_t t = vqaddq_s16(vmlaq_n_s16(vaddq_n_s16(r, -128), w, 256), delta);
      // R is the low byte of t, plus 128; W the high one, plus 1.
      Store<kAll>(r_, vaddq_n_s16(t, 128), live);
      Store<kAll>(w_, vshrq_n_s16(vqaddq_n_s16(t, 256), 8), live);
      r_ += 8;
    } else {
      const uint16x8_t dither = Dither(live);
      const Eight wide = {vreinterpretq_s32_u32(vmovlbq_u16(dither)),
                          vreinterpretq_s32_u32(vmovltq_u16(dither))};
      if constexpr (kBits == 0) {
        const int16x8_t t = vaddq_s16(w, Narrow<16>(AddDelta(wide, sums, m)));
        // Only the low bytes count.
        const int8x16_t narrow = vqmovnbq_s16(vuninitializedq_s8(), t);
        Store<kAll>(w_, vreinterpretq_s16_s8(vmaxq_s8(narrow, vdupq_n_s8(-127))), live);
      } else {
        const Eight finer = {vshrq_n_s32(wide.even, 4), vshrq_n_s32(wide.odd, 4)};
        const int16x8_t change = Narrow<12>(AddDelta(finer, sums, m));
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

  // The random numbers of the next eight elements.
  TFLM_TRAIN_INLINE uint16x8_t Dither(mve_pred16_t live) {
    if (columns_ != nullptr) {
      const uint16x8_t columns = vreinterpretq_u16_s16(vldrhq_z_s16(columns_, live));
      columns_ += 8;
      return vmlasq_n_u16(columns, vdupq_n_u16(kDitherStep), start_);
    }
    const uint16x8_t dither = dither_;
    dither_ = vaddq_n_u16(dither_, static_cast<uint16_t>(8 * kDitherStep));
    return dither;
  }

  int8_t* w_;
  int8_t* r_;
  uint16_t start_;
  const int16_t* columns_;
  uint16x8_t dither_;  // without columns: of the next eight elements
};

}  // namespace mve
}  // namespace tflm_train

#endif  // TFLM_KERNELS_ARCH_STEP_MVE_H_
