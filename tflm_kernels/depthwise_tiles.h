// The input gradient of 3x3 depthwise layers, the usual ones: windows in tiles, which
// share what they load.

#ifndef TFLM_KERNELS_DEPTHWISE_TILES_H_
#define TFLM_KERNELS_DEPTHWISE_TILES_H_

#include <cstddef>
#include <cstdint>

#include "tflm_kernels/depthwise_windows.h"
#include "tflm_kernels/op_params.h"

namespace tflm_train {

// How the work is divided. Stride 1: tiles of two rows of inputs; stride 2: tiles of two
// rows and two columns, of which the first may lie in the padding.
struct TilePlan {
  explicit TilePlan(const DepthwiseInputGradParams& params);

  size_t bytes() const;

  bool usable;
  int32_t left;          // columns of zeros before those of the gradient
  int32_t pitch;         // elements of a plane's row
  int32_t tile_rows;     // of all inputs
  int32_t rows_at_once;  // tile rows
  int32_t plane_rows;    // that these need
};

// As InputGradByWindows.
void InputGradByTiles(const DepthwiseInputGradParams& params, const TilePlan& plan,
                      const int8_t* grad_out, const DepthwiseWeights& weights, int8_t* grad_in,
                      void* scratch);

}  // namespace tflm_train

#endif  // TFLM_KERNELS_DEPTHWISE_TILES_H_
