// Steps the biases of one layer, in place.

#ifndef TFLM_KERNELS_BIAS_STEPPER_H_
#define TFLM_KERNELS_BIAS_STEPPER_H_

#include <cstdint>

#include "tflm_kernels/arch/features.h"
#include "tflm_kernels/numerics.h"

#if defined(TFLM_TRAIN_DSP)
#include <arm_acle.h>
#endif

namespace tflm_train {

class BiasStepper {
 public:
  // base: learning rate times the gradient's scale. kb, bias: see ConvUpdate.
  BiasStepper(float base, const float* kb, int32_t* bias) : base_(base), kb_(kb), bias_(bias) {}

  // The bias of channel c, whose gradients sum up to `sum`.
  void Step(int32_t c, int32_t sum) const {
    const float step = static_cast<float>(sum) * (base_ * kb_[c]);
#if defined(TFLM_TRAIN_DSP)
    const int32_t small = RoundBelow30Bits(step);
    const int32_t moved = __qsub(bias_[c], small);
    if (FitsBits(small, 30) && FitsBits(moved, 31)) {
      bias_[c] = moved;
      return;
    }
#endif
    const int64_t d = RoundToInt32(step);
    if (d == 0) return;
    const int64_t b = bias_[c] - d;
    bias_[c] = static_cast<int32_t>(b > kMax ? kMax : b < -kMax ? -kMax : b);
  }

 private:
  static constexpr int32_t kMax = 1 << 30;

  // Whether it is a signed number of so many bits.
  static bool FitsBits(int32_t value, int bits) {
    return (ShiftLeft(value, 32 - bits) >> (32 - bits)) == value;
  }

  float base_;
  const float* kb_;
  int32_t* bias_;
};

}  // namespace tflm_train

#endif  // TFLM_KERNELS_BIAS_STEPPER_H_
