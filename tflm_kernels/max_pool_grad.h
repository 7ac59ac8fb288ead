// Input gradient of MAX_POOL_2D and of REDUCE_MAX over height and width.

#ifndef TFLM_KERNELS_MAX_POOL_GRAD_H_
#define TFLM_KERNELS_MAX_POOL_GRAD_H_

#include <cstddef>
#include <cstdint>

#include "tflm_kernels/spec/op_params.h"

namespace tflm_train {

// Scratch of MaxPoolGrad: int32 [in_c].
size_t MaxPoolGradScratchBytes(const MaxPoolGradParams& params);

// Each window's gradient goes to the first element, in raster order, that
// equals the window's output.
//
//   params      geometry without dilation, in_c == out_c, every window non-empty
//   grad_out    int8 [out_h][out_w][out_c], never -128
//   x           int8 [in_h][in_w][in_c], the forward input
//   y           int8 [out_h][out_w][out_c], the forward output
//   scales      float, all slots; slot_in read, slot_out written
//   ranges      float, all slots; slot_out read and written
//   mask        MaskBytes(params.mask, in_h * in_w * in_c) bytes, nullptr: none
//   grad_in     int8 [in_h][in_w][in_c], written
//   scratch     MaxPoolGradScratchBytes(params) bytes, 4-byte aligned, of the caller
void MaxPoolGrad(const MaxPoolGradParams& params, const int8_t* grad_out, const int8_t* x,
                 const int8_t* y, float* scales, float* ranges, const void* mask, int8_t* grad_in,
                 void* scratch);

}  // namespace tflm_train

#endif  // TFLM_KERNELS_MAX_POOL_GRAD_H_
