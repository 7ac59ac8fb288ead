// The input gradient of 3x3 depthwise layers with stride 2 in tiles of 2x2 inputs.

#ifndef TFLM_KERNELS_DEPTHWISE_TILES_H_
#define TFLM_KERNELS_DEPTHWISE_TILES_H_

#include <cstddef>
#include <cstdint>

#include "tflm_kernels/depthwise_windows.h"
#include "tflm_kernels/spec/op_params.h"

namespace tflm_train {

struct TilePlan {
  explicit TilePlan(const DepthwiseInputGradParams& params);

  size_t bytes() const;

  bool usable;
  int32_t columns;  // of tiles, done at a time
};

// As InputGradByWindows.
void InputGradByTiles(const DepthwiseInputGradParams& params, const TilePlan& plan,
                      const int8_t* grad_out, const DepthwiseWeights& weights, int8_t* grad_in,
                      void* scratch);

}  // namespace tflm_train

#endif  // TFLM_KERNELS_DEPTHWISE_TILES_H_
