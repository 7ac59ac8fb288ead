// The input gradient of a depthwise layer, four channels of all pixels at a time.

#ifndef TFLM_KERNELS_DEPTHWISE_WINDOWS_H_
#define TFLM_KERNELS_DEPTHWISE_WINDOWS_H_

#include <cstddef>
#include <cstdint>

#include "tflm_kernels/spec/op_params.h"
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

// Memory for a plane; as many rows as a window has are the least.
constexpr int32_t kPlaneBytes = 4096;

// Weights of a depthwise layer of which some channels have their own.
struct DepthwiseWeights {
  const int8_t* all;        // [k_h][k_w][out_c]
  const int8_t* columns;    // [k_h][k_w][kept]
  const int16_t* channels;  // [kept], ascending
  int32_t kept;
  const int32_t* m;  // [out_c]
  int exponent;      // of the results, LaneScales::Exist
};

// Whether sums are below 2^21, as ScaleSmall wants them.
inline bool SumsAreSmall(const Geometry& g) {
  // FAST-PATH-BOUND: small-sums
  constexpr int32_t kSide = 128;
  return g.k_h <= kSide && g.k_w <= kSide && g.k_h * g.k_w <= kSide;
}

// Walks over the channels of a layer, four at a time.
class LaneCursor {
 public:
  // copy: int8 [taps][4], for weights that do not lie beside each other.
  LaneCursor(const DepthwiseWeights& weights, int32_t channels, int32_t taps, int8_t* copy)
      : weights_(weights), channels_(channels), taps_(taps), copy_(copy) {}

  bool done() const { return channel_ >= channels_; }
  int32_t channel() const { return channel_; }
  int lanes() const {
    return channels_ - channel_ < kWindowLanes ? channels_ - channel_ : kWindowLanes;
  }

  // The weights of these channels, zero where there are none; valid until the next call.
  LaneWeights Weights() {
    const int32_t end = channel_ + kWindowLanes;
    const bool own = next_kept_ < weights_.kept && weights_.channels[next_kept_] < end;
    if (own || end > channels_) return CopiedWeights();
    return {weights_.all + channel_, channels_,
            LaneScales(weights_.m + channel_, kWindowLanes, weights_.exponent)};
  }

  void Next() { channel_ += kWindowLanes; }

 private:
  // Of channels some of which have weights of their own, or do not exist.
  LaneWeights CopiedWeights();

  const DepthwiseWeights& weights_;
  const int32_t channels_, taps_;
  int8_t* const copy_;
  int32_t channel_ = 0;
  int32_t next_kept_ = 0;
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

// Writes the whole input gradient, saturated. scratch: plan.bytes() bytes.
void InputGradByWindows(const DepthwiseInputGradParams& params, const WindowPlan& plan,
                        const int8_t* grad_out, const DepthwiseWeights& weights, int8_t* grad_in,
                        void* scratch);

}  // namespace tflm_train

#endif  // TFLM_KERNELS_DEPTHWISE_WINDOWS_H_
