// Streamed requantisation of sums that do not come pixel by pixel.

#ifndef TFLM_KERNELS_UNORDERED_WRITER_H_
#define TFLM_KERNELS_UNORDERED_WRITER_H_

#include <cstddef>
#include <cstdint>

#include "tflm_kernels/arch/features.h"
#include "tflm_kernels/numerics.h"
#include "tflm_kernels/requantize.h"

#if defined(TFLM_TRAIN_MVE)
#include <arm_mve.h>
#elif defined(TFLM_TRAIN_DSP)
#include "tflm_kernels/arch/dsp.h"
#endif

namespace tflm_train {

// Writes what GradientWriter does in any order, as long as the predicted exponent
// holds: values are saturated, and GradientWriter::FinishSaturated() applies the mask
// and sees whether any was. That is rare; then start again with the GradientWriter,
// of which nothing has been used up.
//
//   const UnorderedWriter unordered(writer);
//   if (unordered.usable()) {
//     for all parts: unordered.Write<false>(acc, first, 4);
//     if (writer.FinishSaturated()) return;
//   }
//   for each pixel: writer.WritePixel(acc);
//
// Small and without pointers to itself: in an inner loop a local copy is best.
class UnorderedWriter {
 public:
  explicit UnorderedWriter(const GradientWriter& writer)
      : addend_(writer.target_.addend),
        q_(writer.target_.q),
        addend_shift_(writer.addend_shift_),
        addend_factor_(writer.addend_factor_),
        exponent_(writer.exponent_),
        rounding_(usable() ? 1 << (32 - exponent_) : 0) {}

  // 2^(32 - e) has to fit int32.
  bool usable() const { return exponent_ >= 2; }

  // Whether the sums are written as they are: no gradient joins them.
  bool is_plain() const { return addend_ == nullptr; }

#if defined(TFLM_TRAIN_MVE)
  // What Write<true> does with an element: v = sat(RoundShift(acc, exponent())).
  int8_t* target() const { return q_; }
  int exponent() const { return exponent_; }

  // As below.
  template <bool kPlain>
  TFLM_TRAIN_INLINE void Write(int32x4_t acc, size_t first, int n) const {
    if (kPlain) {
      vstrbq_s32(q_ + first, Narrowed(acc));
      return;
    }
    const mve_pred16_t live = vctp32q(static_cast<uint32_t>(n));
    if (addend_ != nullptr) {
      const int32x4_t joining =
          vrshrq_n_s32(vmulq_n_s32(vldrbq_z_s32(addend_ + first, live), addend_factor_), 8);
      acc = vaddq_s32(vrshlq_n_s32(acc, -addend_shift_), joining);
    }
    vstrbq_p_s32(q_ + first, Narrowed(acc), live);
  }
#else
  // Writes elements [first, first + n) of the target, n <= 4; acc has four.
  // kPlain: is_plain(), and n is 4.
  template <bool kPlain>
  TFLM_TRAIN_INLINE void Write(const int32_t* acc, size_t first, int n) const {
    int8_t* const q = q_ + first;
    if (kPlain) return WriteFour(acc[0], acc[1], acc[2], acc[3], q);
    int32_t v[4] = {acc[0], acc[1], acc[2], acc[3]};
    if (addend_ != nullptr) {
      for (int i = 0; i < n; ++i) {
        v[i] = RoundShift(v[i], addend_shift_) + RoundShift(addend_[first + i] * addend_factor_, 8);
      }
    }
    if (n == 4) return WriteFour(v[0], v[1], v[2], v[3], q);
    for (int i = 0; i < n; ++i) q[i] = Saturated(v[i]);
  }
#endif

 private:
#if defined(TFLM_TRAIN_MVE)
  // Rounded and saturated, in the low bytes.
  TFLM_TRAIN_INLINE int32x4_t Narrowed(int32x4_t v) const {
    v = vrshlq_n_s32(v, -exponent_);
    const int16x8_t halves = vqmovnbq_s32(vuninitializedq_s16(), v);
    return vreinterpretq_s32_s8(vqmovnbq_s16(vuninitializedq_s8(), halves));
  }
#else
  TFLM_TRAIN_INLINE void WriteFour(int32_t v0, int32_t v1, int32_t v2, int32_t v3,
                                   int8_t* q) const {
#if defined(TFLM_TRAIN_DSP)
    dsp::StoreWord(
        q, dsp::PackBytes(__ssat(HighMul(v0, rounding_), 8), __ssat(HighMul(v1, rounding_), 8),
                          __ssat(HighMul(v2, rounding_), 8), __ssat(HighMul(v3, rounding_), 8)));
#else
    q[0] = Saturated(v0);
    q[1] = Saturated(v1);
    q[2] = Saturated(v2);
    q[3] = Saturated(v3);
#endif
  }

  // RoundShift(value, exponent) as far as it fits.
  int8_t Saturated(int32_t value) const {
    const int32_t q = HighMul(value, rounding_);
    return static_cast<int8_t>(q > 127 ? 127 : q < -128 ? -128 : q);
  }
#endif

  const int8_t* addend_;
  int8_t* q_;
  int addend_shift_;
  int32_t addend_factor_;
  int exponent_;
  int32_t rounding_;
};

}  // namespace tflm_train

#endif  // TFLM_KERNELS_UNORDERED_WRITER_H_
