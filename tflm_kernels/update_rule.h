// What an update rule adds to plain SGD: clipping by norm, decoupled weight
// decay, and steps that are gathered over several samples.

#ifndef TFLM_KERNELS_UPDATE_RULE_H_
#define TFLM_KERNELS_UPDATE_RULE_H_

#include <cstdint>

#include "tflm_kernels/spec/geometry.h"
#include "tflm_kernels/spec/op_params.h"
#include "tflm_kernels/state/state.h"

namespace tflm_train {

// Whether the weights move in this step, or their steps are gathered only.
inline bool MovesWeights(const RuleParams& rule, const StepState& state) {
  return rule.steps <= 1 || state.step % static_cast<uint32_t>(rule.steps) == 0;
}

// What a layer's gradient is measured by: its output's gradient, and its input.
struct GradientBound {
  const int8_t* q;  // int8 [q_size]
  int32_t q_size;
  const int8_t* x;  // int8 [x_size]; nullptr: only the bias trains
  int32_t x_size;
  int32_t zero_point;  // of x
};

// The factor, from 0 to 1, by which a layer's step is shortened so that the
// norm of its gradient does not exceed rule.clip_norm. The gradient is not
// known before it is applied; its norm is at most
//
//   scale * sqrt(sum q^2 * (rule.clip_x * sum (x - zero_point)^2 + rule.clip_bias))
//
// with clip_x = min(taps, positions) * s_x^2 and, where a bias trains,
// clip_bias = positions: exact for one position, an upper bound for several.
float ClipFactor(const RuleParams& rule, float scale, const GradientBound& bound);

// The learning rate times the scale of the gradient, clipped, and of the mean
// over rule.steps samples.
float StepBase(const RuleParams& rule, const StepState& state, float scale,
               const GradientBound& bound);

// Where the weights of a layer that trains stand.
//
//   rows_per_channel  taps of a convolution; 0: depthwise, a row has all channels
//   kw                float [out_c]; a channel with 0 is frozen
//   channels          int16 [row]: see ConvUpdate; nullptr: the weights are the whole layer
struct DecayedLayer {
  const Geometry& geometry;
  const UpdateParams& update;
  int32_t rows_per_channel;
  int32_t row;
  const float* kw;
  const int16_t* channels;
};

// Takes the share `rate` (learning rate times weight decay) off every trained weight, rounded at
// random. Zeros stay zero.
//
//   key       of the layer's random numbers in this step
//   weights   int8, changed in place
//   residual  as update.residual_bits says, changed in place; nullptr with 0 bits
void DecayWeights(const DecayedLayer& layer, float rate, uint32_t key, int8_t* weights,
                  int8_t* residual);

// Adds the whole weight steps that were gathered, and clears them.
//
//   gathered   int8 [size]
//   weights    int8 [size], saturate at +-127
void ApplySteps(int32_t size, int8_t* gathered, int8_t* weights);

// The same of biases, which saturate at +-2^30.
void ApplyBiasSteps(int32_t size, int32_t* gathered, int32_t* bias);

}  // namespace tflm_train

#endif  // TFLM_KERNELS_UPDATE_RULE_H_
