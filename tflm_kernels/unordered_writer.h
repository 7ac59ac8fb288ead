// Streamed requantisation of sums that do not come pixel by pixel.

#ifndef TFLM_KERNELS_UNORDERED_WRITER_H_
#define TFLM_KERNELS_UNORDERED_WRITER_H_

#include <cstddef>
#include <cstdint>

#include "tflm_kernels/arch/features.h"
#include "tflm_kernels/channel_ops.h"
#include "tflm_kernels/numerics.h"
#include "tflm_kernels/requantize.h"

#if defined(TFLM_TRAIN_MVE)
#include <arm_mve.h>
#elif defined(TFLM_TRAIN_DSP)
#include "tflm_kernels/arch/dsp.h"
#endif

namespace tflm_train {

// Writes what GradientWriter does in any order, as long as the predicted exponent
// holds. That it does not, which is rare, is known only afterwards: then start
// again with the GradientWriter, of which nothing has been used up.
//
//   UnorderedWriter unordered(writer);
//   if (unordered.holds()) { ...; unordered.Write(acc, first, 4); ... }
//   if (unordered.holds()) return unordered.Finish(&writer);
//
// Small and without pointers to itself: in an inner loop a local copy is best.
class UnorderedWriter {
 public:
  explicit UnorderedWriter(const GradientWriter& writer)
      : mask_params_(writer.target_.mask_params),
        mask_(writer.target_.mask),
        addend_(writer.target_.addend),
        q_(writer.target_.q),
        addend_shift_(writer.addend_shift_),
        addend_factor_(writer.addend_factor_),
        exponent_(writer.exponent_) {
    // 2^(32 - e) has to fit int32.
    if (exponent_ < 2) {
      max_abs_ = UINT32_MAX;
    } else {
      rounding_ = 1 << (32 - exponent_);
    }
  }

  // Whether everything written so far is right.
  bool holds() const { return max_abs_ <= uint32_t{127} << exponent_; }

  // Whether the sums are written as they are: no mask, no gradient that joins them.
  bool is_plain() const { return addend_ == nullptr && mask_params_.mask_kind == kMaskNone; }

  // Writes elements [first, first + n) of the target, n <= 4; acc has four.
  // kPlain: is_plain(), and n is 4.
  template <bool kPlain>
  TFLM_TRAIN_INLINE void Write(const int32_t* acc, size_t first, int n) {
    int32_t v[4] = {acc[0], acc[1], acc[2], acc[3]};
    int8_t* const q = q_ + first;
    if (kPlain) {
      WriteFour(v[0], v[1], v[2], v[3], q);
      return;
    }
    if (addend_ != nullptr) {
      MergeAddend(v, addend_shift_, addend_ + first, addend_factor_, n);
    }
    if (mask_params_.mask_kind != kMaskNone) {
      const int32_t passing = PassingBits(mask_params_, mask_, first, n);
      v[0] &= -(passing & 1);
      v[1] &= -(passing >> 1 & 1);
      v[2] &= -(passing >> 2 & 1);
      v[3] &= -(passing >> 3 & 1);
    }
    if (n == 4) {
      WriteFour(v[0], v[1], v[2], v[3], q);
    } else {
      for (int i = 0; i < n; ++i) {
        NoteMax(v[i]);
        q[i] = static_cast<int8_t>(Rounded(v[i]));
      }
    }
  }

  // What a copy of this has met in the meantime.
  void TakeMax(const UnorderedWriter& copy) {
    max_abs_ = copy.max_abs_;
#if defined(TFLM_TRAIN_DSP) && !defined(TFLM_TRAIN_MVE)
    below_max_ = copy.below_max_;
#endif
  }

  // Stores scale and range.
  void Finish(GradientWriter* writer) const {
    writer->max_abs_ = max_abs_;
    writer->Finish();
  }

 private:
  TFLM_TRAIN_INLINE void WriteFour(int32_t v0, int32_t v1, int32_t v2, int32_t v3, int8_t* q) {
#if defined(TFLM_TRAIN_MVE)
    int32x4_t v = {v0, v1, v2, v3};
    max_abs_ = vmaxavq_s32(max_abs_, v);
    // VRSHL rounds half up: one is taken off a negative number.
    v = vaddq_s32(v, vshrq_n_s32(v, 31));
    vstrbq_s32(q, vrshlq_n_s32(v, -exponent_));
#elif defined(TFLM_TRAIN_DSP)
    // Saturated, so that what does not fit is seen below.
    const uint32_t word = dsp::PackBytes(__ssat(Rounded(v0), 8), __ssat(Rounded(v1), 8),
                                         __ssat(Rounded(v2), 8), __ssat(Rounded(v3), 8));
    dsp::StoreWord(q, word);
    // Only what rounds to at least what the maximum does can exceed it.
    if (__builtin_expect(!dsp::BytesWithin(word, below_max_), 0)) {
      NoteMax(v0);
      NoteMax(v1);
      NoteMax(v2);
      NoteMax(v3);
      const int32_t rounded = Rounded(static_cast<int32_t>(max_abs_));
      // As long as that is 0, any zero can: -128, which no byte is within.
      const uint32_t below = static_cast<uint32_t>(rounded > 127 ? 127 : rounded - 1);
      below_max_ = rounded == 0 ? kNoneWithin : below * 0x01010101u;
    }
#else
    NoteMax(v0);
    NoteMax(v1);
    NoteMax(v2);
    NoteMax(v3);
    q[0] = static_cast<int8_t>(Rounded(v0));
    q[1] = static_cast<int8_t>(Rounded(v1));
    q[2] = static_cast<int8_t>(Rounded(v2));
    q[3] = static_cast<int8_t>(Rounded(v3));
#endif
  }

  void NoteMax(int32_t value) {
    const uint32_t a = static_cast<uint32_t>(value);
    // One comparison for both signs; a new maximum is rare.
    if (__builtin_expect(a + max_abs_ > 2 * max_abs_, 0)) max_abs_ = value < 0 ? 0u - a : a;
  }

  // RoundShift(value, exponent): HighMul rounds half up, so one is taken off a negative number.
  int32_t Rounded(int32_t value) const { return HighMul(value + (value >> 31), rounding_); }

  MaskParams mask_params_;
  const void* mask_;
  const int8_t* addend_;
  int8_t* q_;
  int addend_shift_;
  int32_t addend_factor_;
  int exponent_;
  int32_t rounding_ = 0;
  uint32_t max_abs_ = 0;
#if defined(TFLM_TRAIN_DSP) && !defined(TFLM_TRAIN_MVE)
  static constexpr uint32_t kNoneWithin = 0x80808080u;
  uint32_t below_max_ = kNoneWithin;  // in each byte, less by one than max_abs_ rounds to
#endif
};

}  // namespace tflm_train

#endif  // TFLM_KERNELS_UNORDERED_WRITER_H_
