// Rows of weights of four output channels at a time, with the DSP extension. Only for
// arch/update_dsp.h.

#ifndef TFLM_KERNELS_ARCH_FOUR_ROWS_DSP_H_
#define TFLM_KERNELS_ARCH_FOUR_ROWS_DSP_H_

#include <cstdint>

#include "tflm_kernels/arch/dsp.h"
#include "tflm_kernels/arch/step_rows_dsp.h"
#include "tflm_kernels/weight_stepper.h"

namespace tflm_train {
namespace dsp {

constexpr uint32_t kHighBytes = 0xff00ff00;

// Steps some columns of the rows of one tap.
class FourRows {
 public:
  // first: the row of output channel 0; last: where the last four columns begin; sums: of the
  // first two rows; half: elements of half a panel of gradients.
  FourRows(const WeightStepper& stepper, const WeightRow& first, int32_t taps, int32_t last,
           const RowSums& sums, int32_t half)
      : stepper_(stepper), taps_(static_cast<uint32_t>(taps)), dither_(first.dither) {
    const int32_t bits = stepper.residual_bits();
    stride_ = taps * stepper.row();
    residual_stride_ = bits == 8 ? stride_ : bits == 4 ? stride_ / 2 : 0;
    step_ = bits == 8 ? StepNearestRows : bits == 4 ? StepSixteenthsRows : StepRandomRows;
    weights_ = stepper.WeightsAt(first, last);
    residuals_ = bits == 0 ? 0 : reinterpret_cast<uintptr_t>(stepper.ResidualsAt(first, last));
    const uint32_t mask = bits == 0 ? 0xffff0000 : kHighBytes;
    rows_[0] = {{}, static_cast<uint32_t>(-128), mask, {}, {kOnes, kHighBytes}, sums};
    rows_[1] = rows_[0];
    rows_[1].sums.MoveBy(half);
  }

  // multiplier: four, 0 for rows from `count` on.
  void Step(const int32_t* multiplier, int32_t count) {
    StepTwo(multiplier, &rows_[0], 0, count > 1);
    if (count > 2) StepTwo(multiplier + 2, &rows_[1], 1, count > 3);
  }

  // Goes on to the next four rows.
  void Next() {
    weights_ += 4 * stride_;
    residuals_ += static_cast<uintptr_t>(4 * residual_stride_);
    dither_ += 2 * taps_;
  }

 private:
  // both: else the second row is the first once more, which a multiplier of 0 leaves alone.
  TFLM_TRAIN_INLINE void StepTwo(const int32_t* multiplier, TwoRows* rows, int32_t pair,
                                 bool both) const {
    rows->multiplier[0] = multiplier[0];
    rows->multiplier[1] = multiplier[1];
    rows->weights[0] = weights_ + 2 * pair * stride_;
    rows->weights[1] = rows->weights[0] + (both ? stride_ : 0);
    if (residual_stride_ != 0) {
      rows->residuals[0] = residuals_ + static_cast<uintptr_t>(2 * pair * residual_stride_);
      rows->residuals[1] = rows->residuals[0] + static_cast<uintptr_t>(both ? residual_stride_ : 0);
    }
    if (stepper_.residual_bits() != 8) {
      const uint32_t start =
          stepper_.DitherStart({0, dither_ + static_cast<uint32_t>(pair) * taps_});
      rows->start = LowHalves(start, start);
    }
    step_(*rows);
  }

  const WeightStepper& stepper_;
  uint32_t taps_;
  uint32_t dither_;
  int32_t stride_, residual_stride_;
  void (*step_)(const TwoRows& rows);
  int8_t* weights_;
  uintptr_t residuals_;
  TwoRows rows_[2];
};

}  // namespace dsp
}  // namespace tflm_train

#endif  // TFLM_KERNELS_ARCH_FOUR_ROWS_DSP_H_
