// Steps the biases of one layer, in place.

#ifndef TFLM_KERNELS_BIAS_STEPPER_H_
#define TFLM_KERNELS_BIAS_STEPPER_H_

#include <cstdint>

#include "tflm_kernels/arch/features.h"
#include "tflm_kernels/spec/numerics.h"

#if defined(TFLM_TRAIN_MVE)
#include "tflm_kernels/arch/bias_mve.h"
#endif
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
    bias_[c] = ClampBias(bias_[c] - d);
  }

#if defined(TFLM_TRAIN_MVE)
  // Those of eight channels; false, and nothing is changed, where one moves too far for it.
  TFLM_TRAIN_INLINE bool StepEight(int32_t c, const mve::Eight& sums) const {
    return mve::StepBiases(sums, base_, kb_ + c, kMaxBias, bias_ + c);
  }
#endif

  // Those of two channels.
  void StepTwo(int32_t c, int32_t sum0, int32_t sum1) const {
#if defined(TFLM_TRAIN_DSP)
    const auto change = [&](int32_t sum, float kb) TFLM_TRAIN_INLINE_LAMBDA {
      return RoundBelow30Bits(static_cast<float>(sum) * (base_ * kb));
    };
    const int32_t d0 = change(sum0, kb_[c]), d1 = change(sum1, kb_[c + 1]);
    const int32_t moved0 = __qsub(bias_[c], d0), moved1 = __qsub(bias_[c + 1], d1);
    // Where all magnitudes are below 2^29, nothing was too large.
    const auto bits = [](int32_t a)
                          TFLM_TRAIN_INLINE_LAMBDA { return static_cast<uint32_t>(a ^ (a >> 31)); };
    // FAST-PATH-BOUND: bias-step
    if ((bits(d0) | bits(d1) | bits(moved0) | bits(moved1)) >> 29 == 0) {
      bias_[c] = moved0;
      bias_[c + 1] = moved1;
      return;
    }
#endif
    Step(c, sum0);
    Step(c + 1, sum1);
  }

 private:
  float base_;
  const float* kb_;
  int32_t* bias_;
};

}  // namespace tflm_train

#endif  // TFLM_KERNELS_BIAS_STEPPER_H_
