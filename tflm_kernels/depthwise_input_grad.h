// Input gradient of DEPTHWISE_CONV_2D.

#ifndef TFLM_KERNELS_DEPTHWISE_INPUT_GRAD_H_
#define TFLM_KERNELS_DEPTHWISE_INPUT_GRAD_H_

#include <cstddef>
#include <cstdint>

#include "tflm_kernels/spec/op_params.h"

namespace tflm_train {

// Scratch of DepthwiseInputGrad: int32 [out_c], or a part of four channels.
size_t DepthwiseInputGradScratchBytes(const DepthwiseInputGradParams& params);

// Sums are scaled rather than the incoming gradient, because the weight scales of a
// depthwise layer spread too far for the 7 bits of ConvInputGrad.
//
//   params      geometry with out_c == in_c * multiplier, mask of the input, slots
//   grad_out    int8 [out_h][out_w][out_c], never -128
//   weights     int8 [k_h][k_w][out_c]
//   columns     int8 [k_h][k_w][kept], in place of the weights of `channels`; nullptr
//               when kept is 0
//   channels    int16 [kept], ascending output channels; nullptr when kept is 0
//   m           int32 [out_c], 2^16 * weight scale relative to the largest
//   scales      float, all slots; slot_in and slot_addend read, slot_out written
//   ranges      float, all slots; slot_out read and written
//   mask        MaskBytes(params.mask, in_h * in_w * in_c) bytes, nullptr: none
//   addend      int8 [in_h][in_w][in_c], joins before quantising; nullptr: none
//   grad_in     int8 [in_h][in_w][in_c], written
//   scratch     DepthwiseInputGradScratchBytes(params) bytes, 4-byte aligned, of the caller
void DepthwiseInputGrad(const DepthwiseInputGradParams& params, const int8_t* grad_out,
                        const int8_t* weights, const int8_t* columns, const int16_t* channels,
                        const int32_t* m, float* scales, float* ranges, const void* mask,
                        const int8_t* addend, int8_t* grad_in, void* scratch);

}  // namespace tflm_train

#endif  // TFLM_KERNELS_DEPTHWISE_INPUT_GRAD_H_
