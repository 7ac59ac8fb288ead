// Input gradient of RESIZE_BILINEAR and RESIZE_NEAREST_NEIGHBOR.

#ifndef TFLM_KERNELS_RESIZE_GRAD_H_
#define TFLM_KERNELS_RESIZE_GRAD_H_

#include <cstddef>
#include <cstdint>

#include "tflm_kernels/spec/op_params.h"

namespace tflm_train {

// Weights along one axis are fixed point: 1.0.
constexpr int32_t kResizeOne = 128;

// Scratch of ResizeGrad: int32 [channels].
size_t ResizeGradScratchBytes(const ResizeGradParams& params);

// Each output pixel is a weighted mean of 2 x 2 input pixels; its gradient
// returns to them with the same weights.
//
//   grad_out    int8 [out_h][out_w][channels], never -128
//   rows        int16 [out_h][2]: the upper of the two input rows, never
//               decreasing, and the weight of the one below it, 0 to kResizeOne
//               (0 where there is none)
//   columns     int16 [out_w][2], likewise
//   scales      float, all slots; slot_in and slot_addend read, slot_out written
//   ranges      float, all slots; slot_out read and written
//   mask        MaskBytes(params.mask, in_h * in_w * channels) bytes, nullptr: none
//   addend      int8 [in_h][in_w][channels], joins before quantising; nullptr: none
//   grad_in     int8 [in_h][in_w][channels], written
//   scratch     ResizeGradScratchBytes(params) bytes, 4-byte aligned, of the caller
void ResizeGrad(const ResizeGradParams& params, const int8_t* grad_out, const int16_t* rows,
                const int16_t* columns, float* scales, float* ranges, const void* mask,
                const int8_t* addend, int8_t* grad_in, void* scratch);

// The largest sum of weights that one input position gets along an axis, or -1
// when a table breaks one of its conditions.
int32_t LargestResizeWeight(const int16_t* table, int32_t out, int32_t in);

}  // namespace tflm_train

#endif  // TFLM_KERNELS_RESIZE_GRAD_H_
