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
    const int64_t d = RoundToInt32(static_cast<float>(sum) * (base_ * kb_[c]));
    if (d == 0) return;
    const int64_t b = bias_[c] - d;
    bias_[c] = static_cast<int32_t>(b > kMax ? kMax : b < -kMax ? -kMax : b);
  }

  // Those of four channels.
  void StepFour(int32_t c, const int32_t* sums) const {
#if defined(TFLM_TRAIN_DSP)
    int32_t moved[4];
    uint32_t bits = 0;  // of magnitudes
    for (int j = 0; j < 4; ++j) {
      const int32_t d = RoundBelow30Bits(static_cast<float>(sums[j]) * (base_ * kb_[c + j]));
      moved[j] = __qsub(bias_[c + j], d);
      bits |= static_cast<uint32_t>(d ^ (d >> 31));
      bits |= static_cast<uint32_t>(moved[j] ^ (moved[j] >> 31));
    }
    if (bits >> 29 == 0) {
      for (int j = 0; j < 4; ++j) bias_[c + j] = moved[j];
      return;
    }
#endif
    for (int j = 0; j < 4; ++j) Step(c + j, sums[j]);
  }

 private:
  static constexpr int32_t kMax = 1 << 30;

  float base_;
  const float* kb_;
  int32_t* bias_;
};

}  // namespace tflm_train

#endif  // TFLM_KERNELS_BIAS_STEPPER_H_
