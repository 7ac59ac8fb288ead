// What an update rule adds to plain SGD: clipping by norm, decoupled weight
// decay, and steps that are gathered over several samples.

#ifndef TFLM_KERNELS_UPDATE_RULE_H_
#define TFLM_KERNELS_UPDATE_RULE_H_

#include <cstdint>

#include "tflm_kernels/spec/geometry.h"
#include "tflm_kernels/spec/op_params.h"

namespace tflm_train {

// The factor, from 0 to 1, by which a layer's step is shortened so that the
// norm of its gradient does not exceed rule.clip_norm. The gradient is not
// known before it is applied; its norm is at most
//
//   scale * sqrt(sum q^2 * (rule.clip_x * sum (x - zero_point)^2 + rule.clip_bias))
//
// with clip_x = min(taps, positions) * s_x^2 and, where a bias trains, clip_bias = positions:
// exact for one position, an upper bound for several.
//
//   q            int8 [q_size], gradient of the layer's output
//   scale        its scale
//   x            int8 [x_size], the layer's input; nullptr: only its bias trains
float ClipFactor(const RuleParams& rule, const int8_t* q, int32_t q_size, float scale,
                 const int8_t* x, int32_t x_size, int32_t zero_point);

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
