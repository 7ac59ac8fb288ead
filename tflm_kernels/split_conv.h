// Forward layers of which a part trains: constant weights in flash, trained
// columns in RAM, one accumulator. Their results are those of TFLM's CONV_2D,
// FULLY_CONNECTED and DEPTHWISE_CONV_2D bit for bit.

#ifndef TFLM_KERNELS_SPLIT_CONV_H_
#define TFLM_KERNELS_SPLIT_CONV_H_

#include <cstddef>
#include <cstdint>

#include "tflm_kernels/spec/op_params.h"

namespace tflm_train {

// Scratch of SplitConv: int16 [2][k_h][k_w][in_c], the patches under two pixels.
size_t SplitConvScratchBytes(const SplitConvParams& params);

// CONV_2D and FULLY_CONNECTED.
//
//   params      geometry, 0 < kept < in_c
//   x           int8 [in_h][in_w][in_c]
//   rest        int8 [out_c][k_h][k_w][in_c - kept]
//   columns     int8 [out_c][k_h][k_w][kept]
//   order       int16 [in_c], the input channels of rest, then of columns
//   multiplier  int32 [out_c], shift int32 [out_c]: s_x * s_W / s_y as TFLM has them
//   bias        int32 [out_c]; nullptr: none
//   y           int8 [out_h][out_w][out_c], written
//   scratch     SplitConvScratchBytes(params) bytes, 4-byte aligned, of the caller
void SplitConv(const SplitConvParams& params, const int8_t* x, const int8_t* rest,
               const int8_t* columns, const int16_t* order, const int32_t* multiplier,
               const int32_t* shift, const int32_t* bias, int8_t* y, void* scratch);

// Scratch of SplitDepthwise: int32 [out_c].
size_t SplitDepthwiseScratchBytes(const SplitDepthwiseParams& params);

// DEPTHWISE_CONV_2D: as SplitConv, but
//
//   params      out_c == in_c * multiplier, 0 < kept < out_c
//   weights     int8 [k_h][k_w][out_c]
//   columns     int8 [k_h][k_w][kept], in place of the weights of `channels`
//   channels    int16 [kept], ascending output channels
void SplitDepthwise(const SplitDepthwiseParams& params, const int8_t* x, const int8_t* weights,
                    const int8_t* columns, const int16_t* channels, const int32_t* multiplier,
                    const int32_t* shift, const int32_t* bias, int8_t* y, void* scratch);

}  // namespace tflm_train

#endif  // TFLM_KERNELS_SPLIT_CONV_H_
