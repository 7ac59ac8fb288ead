// How ConvUpdate divides its work. Only for update.cc and the arch/ of it.

#ifndef TFLM_KERNELS_UPDATE_PLAN_H_
#define TFLM_KERNELS_UPDATE_PLAN_H_

#include <cstddef>
#include <cstdint>

#include "tflm_kernels/panel.h"
#include "tflm_kernels/spec/op_params.h"

namespace tflm_train {

// How ConvUpdate divides its work between panels of gradients, whose lanes are
// output channels, and panels of the layer's input.
struct UpdatePlan {
  explicit UpdatePlan(const ConvUpdateParams& params) {
    const Geometry& g = params.geometry;
    const int32_t positions = params.transposed ? g.in_h * g.in_w : g.out_h * g.out_w;
    depth = positions < kMaxDepth ? positions : kMaxDepth;
    in_parts = positions > depth;
    elements = PanelElements(depth);
    const int32_t needed = (g.in_c + kLanes - 1) / kLanes;
    const int32_t element = static_cast<int32_t>(sizeof(int16_t));
    const int32_t fitting = kInputBytes / (element * (elements + kTailElements));
    panels = fitting < 1 ? 1 : fitting < needed ? fitting : needed;
  }

  size_t bytes() const {
    return sizeof(int16_t) * (elements * (panels + 1) + kTailElements * panels) +
           (in_parts ? sizeof(int32_t) * kLanes * kLanes * panels : 0);
  }

  // FAST-PATH-BOUND: part-depth
  static constexpr int32_t kMaxDepth = 512;     // positions summed at a time
  static constexpr int32_t kInputBytes = 6288;  // memory for the input's panels
  static constexpr int32_t kTailElements = 6;   // behind each of them: what a core needs there

  int32_t depth;
  bool in_parts;  // more positions than that: the sums are kept between the parts
  int32_t elements;
  int32_t panels;  // of the input
};

// Adds the sums of a part of the positions to sums[kLanes][width], two rows and kLanes channels
// at a time: multiply(r, j, part) makes those of rows r and r + 1 and channels from j on.
template <typename Multiply>
void AddPart(int32_t channels, int32_t width, const Multiply& multiply, int32_t* sums) {
  for (int32_t r = 0; r < kLanes; r += 2) {
    for (int32_t j = 0; j < channels; j += kLanes) {
      int32_t part[2 * kLanes];
      multiply(r, j, part);
      int32_t* const to = sums + r * width + j;
      for (int k = 0; k < kLanes; ++k) {
        to[k] += part[k];
        to[width + k] += part[kLanes + k];
      }
    }
  }
}

}  // namespace tflm_train

#endif  // TFLM_KERNELS_UPDATE_PLAN_H_
