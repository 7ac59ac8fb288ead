// Weight and bias updates. The weight gradient is summed one row of input
// channels at a time and applied in place at once: no gradient tensor exists.

#ifndef TFLM_KERNELS_UPDATE_H_
#define TFLM_KERNELS_UPDATE_H_

#include <cstddef>
#include <cstdint>

#include "tflm_kernels/spec/op_params.h"
#include "tflm_kernels/state/state.h"

namespace tflm_train {

// What an update changes.
struct TrainedTensors {
  int8_t* weights;
  int32_t* bias;           // nullptr: not trained
  int8_t* residual;        // with residual_bits 8: int8, as weights; 4: two elements to a byte,
                           // the even one in the low nibble; 0: nullptr
  int8_t* gathered;        // with rule.steps > 1: whole steps to come, as weights; else nullptr
  int32_t* bias_gathered;  // likewise, as bias
};

// Scratch of ConvUpdate: int32 [in_c].
size_t ConvUpdateScratchBytes(const ConvUpdateParams& params);

// Update of CONV_2D and FULLY_CONNECTED.
//
//   params      geometry, trained taps; 127 * 255 * out_h * out_w << gain_shift < 2^31
//   x           int8 [in_h][in_w][in_c], the layer's forward input
//   grad        int8 [out_h][out_w][out_c], gradient of its output, never -128
//   state       learning_rate, step and seed are read
//   scales      float, all slots; slot read
//   kw          float [out_c], s_x / s_W; 0 freezes a channel
//   kb          float [out_c], 1 / (s_x * s_W); not read without a bias
//   trained     weights int8 [out_c][k_h][k_w][in_c], bias int32 [out_c]
//   channels    int16 [in_c], where in rows of row_channels the weights stand;
//               nullptr: they are the whole layer
//   scratch     ConvUpdateScratchBytes(params) bytes, 4-byte aligned, of the caller
void ConvUpdate(const ConvUpdateParams& params, const int8_t* x, const int8_t* grad,
                const StepState& state, const float* scales, const float* kw, const float* kb,
                const TrainedTensors& trained, const int16_t* channels, void* scratch);

// Scratch of DepthwiseUpdate: int32 [2][out_c].
size_t DepthwiseUpdateScratchBytes(const DepthwiseUpdateParams& params);

// Update of DEPTHWISE_CONV_2D: as ConvUpdate, but
//
//   params      out_c == in_c * multiplier
//   trained     weights int8 [k_h][k_w][out_c]; residual and gathered likewise
//   channels    int16 [out_c]
//   scratch     DepthwiseUpdateScratchBytes(params) bytes
void DepthwiseUpdate(const DepthwiseUpdateParams& params, const int8_t* x, const int8_t* grad,
                     const StepState& state, const float* scales, const float* kw, const float* kb,
                     const TrainedTensors& trained, const int16_t* channels, void* scratch);

// Update of a bias alone.
//
//   grad        int8 [positions][channels], never -128
//   state       learning_rate is read
//   scales      float, all slots; slot read
//   kb          float [channels], 1 / (s_x * s_W)
//   bias        int32 [channels], changed in place
//   gathered    int32 [channels], with rule.steps > 1: steps to come; else nullptr
void BiasUpdate(const BiasUpdateParams& params, const int8_t* grad, const StepState& state,
                const float* scales, const float* kb, int32_t* bias, int32_t* gathered);

}  // namespace tflm_train

#endif  // TFLM_KERNELS_UPDATE_H_
