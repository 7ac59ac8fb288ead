// Input gradient of CONV_2D and FULLY_CONNECTED.

#ifndef TFLM_KERNELS_CONV_INPUT_GRAD_H_
#define TFLM_KERNELS_CONV_INPUT_GRAD_H_

#include <cstddef>
#include <cstdint>

#include "tflm_kernels/spec/op_params.h"

namespace tflm_train {

// Scratch of ConvInputGrad: one pixel of sums, one more when the sum is split in
// groups, one more when kept > 0.
size_t ConvInputGradScratchBytes(const ConvInputGradParams& params);

// dL/dx = correlation of dL/dy with the weights, per docs/NUMERICS.md.
//
//   params      geometry, mask of the input tensor, slots; group * k_h * k_w <= 1048
//   grad_out    int8 [out_h][out_w][out_c], never -128
//   weights     int8 [out_c][k_h][k_w][in_c - kept], never -128
//   columns     int8 [out_c][k_h][k_w][kept]; nullptr when kept is 0
//   order       int16 [in_c], the input channels of weights, then of columns; nullptr
//               when kept is 0
//   m           int8 [out_c], 0 .. 127: weight scale relative to the largest
//   scales      float, all slots; slot_in and slot_addend read, slot_out written
//   ranges      float, all slots; slot_out read and written
//   mask        MaskBytes(params.mask, in_h * in_w * in_c) bytes, nullptr: none
//   addend      int8 [in_h][in_w][in_c], joins before quantising; nullptr: none
//   grad_in     int8 [in_h][in_w][in_c], written
//   scratch     ConvInputGradScratchBytes(params) bytes, 4-byte aligned, of the caller
void ConvInputGrad(const ConvInputGradParams& params, const int8_t* grad_out, const int8_t* weights,
                   const int8_t* columns, const int16_t* order, const int8_t* m, float* scales,
                   float* ranges, const void* mask, const int8_t* addend, int8_t* grad_in,
                   void* scratch);

}  // namespace tflm_train

#endif  // TFLM_KERNELS_CONV_INPUT_GRAD_H_
