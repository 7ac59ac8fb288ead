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
    if (exponent_ < 2) max_abs_ = UINT32_MAX;
  }

  // Whether everything written so far is right.
  bool holds() const { return max_abs_ <= uint32_t{127} << exponent_; }

  // Writes elements [first, first + n) of the target, n <= 4; acc has four.
  void Write(const int32_t* acc, size_t first, int n) {
    int32_t v[4] = {acc[0], acc[1], acc[2], acc[3]};
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
    int8_t* const q = q_ + first;
#if defined(TFLM_TRAIN_MVE)
    const mve_pred16_t inside = vctp32q(static_cast<uint32_t>(n));
    const int32x4_t sums = vld1q_s32(v);
    max_abs_ = vmaxavq_p_s32(max_abs_, sums, inside);
    // VRSHL rounds half up: one is taken off a negative number.
    const int32x4_t away = vaddq_s32(sums, vshrq_n_s32(sums, 31));
    vstrbq_p_s32(q, vrshlq_n_s32(away, -exponent_), inside);
#else
    if (n == 4) {
      WriteOne(v[0], q);
      WriteOne(v[1], q + 1);
      WriteOne(v[2], q + 2);
      WriteOne(v[3], q + 3);
    } else {
      for (int i = 0; i < n; ++i) WriteOne(v[i], q + i);
    }
#endif
  }

  // Stores scale and range.
  void Finish(GradientWriter* writer) const {
    writer->max_abs_ = max_abs_;
    writer->Finish();
  }

 private:
  void WriteOne(int32_t value, int8_t* q) {
    const uint32_t a = static_cast<uint32_t>(value);
    // One comparison for both signs; a new maximum is rare.
    if (__builtin_expect(a + max_abs_ > 2 * max_abs_, 0)) max_abs_ = value < 0 ? 0u - a : a;
    // HighMul rounds half up: one is taken off a negative number.
    *q = static_cast<int8_t>(HighMul(value + (value >> 31), 1 << (32 - exponent_)));
  }

  MaskParams mask_params_;
  const void* mask_;
  const int8_t* addend_;
  int8_t* q_;
  int addend_shift_;
  int32_t addend_factor_;
  int exponent_;
  uint32_t max_abs_ = 0;
};

}  // namespace tflm_train

#endif  // TFLM_KERNELS_UNORDERED_WRITER_H_
