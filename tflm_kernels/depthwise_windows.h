// The input gradient of a depthwise layer, four channels of all pixels at a time.

#ifndef TFLM_KERNELS_DEPTHWISE_WINDOWS_H_
#define TFLM_KERNELS_DEPTHWISE_WINDOWS_H_

#include <cstddef>
#include <cstdint>

#include "tflm_kernels/op_params.h"
#include "tflm_kernels/unordered_writer.h"
#include "tflm_kernels/window.h"

namespace tflm_train {

// Along one axis, the inputs phase, phase + stride, ... meet the same taps: first_tap,
// first_tap + stride, .... Input phase + j * stride meets them at outputs
// first_output + j, first_output + j - 1, ....
struct AxisPhase {
  AxisPhase(int32_t phase, int32_t kernel, int32_t stride, int32_t pad);

  // The lowest output under input phase + j * stride.
  int32_t Lowest(int32_t j) const { return first_output + j - (taps - 1); }

  int32_t first_tap, taps;
  int32_t first_output;
};

// How the work is divided. Not for dilation or channel multipliers.
struct WindowPlan {
  explicit WindowPlan(const DepthwiseInputGradParams& params);

  size_t bytes() const;

  bool usable;
  int32_t left;             // columns of zeros before those of the gradient
  int32_t pitch;            // elements of a plane's row
  int32_t rows;             // input rows done at a time, whole strides
  int32_t plane_rows;       // rows of the plane that they need at most
  int32_t plane_elements;   // of the plane
  int32_t weight_elements;  // of all phases
  int32_t blocks;           // at most
};

// Weights of a depthwise layer of which some channels have their own.
struct DepthwiseWeights {
  const int8_t* all;        // [k_h][k_w][out_c]
  const int8_t* columns;    // [k_h][k_w][kept]
  const int16_t* channels;  // [kept], ascending
  int32_t kept;
};

// Writes the whole input gradient, unless the predicted exponent does not hold: then
// returns false. scratch: plan.bytes() bytes.
bool InputGradByWindows(const DepthwiseInputGradParams& params, const WindowPlan& plan,
                        const int8_t* grad_out, const DepthwiseWeights& weights, const int32_t* m,
                        UnorderedWriter* writer, void* scratch);

}  // namespace tflm_train

#endif  // TFLM_KERNELS_DEPTHWISE_WINDOWS_H_
