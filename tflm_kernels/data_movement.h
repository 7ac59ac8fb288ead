// Gradients that are moved, spread or summed, and the clamp mask: the ops
// without weights.

#ifndef TFLM_KERNELS_DATA_MOVEMENT_H_
#define TFLM_KERNELS_DATA_MOVEMENT_H_

#include <cstddef>
#include <cstdint>

#include "tflm_kernels/spec/op_params.h"

namespace tflm_train {

// Scratch of PoolGrad: int32 [in_c]; none when params.uniform.
size_t PoolGradScratchBytes(const PoolGradParams& params);

// Input gradient of AVERAGE_POOL_2D and of MEAN over height and/or width.
//
//   params      geometry without dilation, in_c == out_c, every window non-empty
//   grad_out    int8 [out_h][out_w][out_c], never -128
//   scales      float, all slots; slot_in read, slot_out written
//   ranges      float, all slots; slot_out read and written unless params.uniform
//   mask        MaskBytes(params.mask, in_h * in_w * in_c) bytes, nullptr: none
//   grad_in     int8 [in_h][in_w][in_c], written
//   scratch     PoolGradScratchBytes(params) bytes, 4-byte aligned, of the caller
void PoolGrad(const PoolGradParams& params, const int8_t* grad_out, float* scales, float* ranges,
              const void* mask, int8_t* grad_in, void* scratch);

// Input gradient of the ops that only move elements: PAD, TRANSPOSE, slices,
// concatenations, and SUM and MEAN over any axes.
//
//   params      every element read lies in [0, q_size)
//   grad_out    int8 [q_size], never -128
//   scales      float, all slots; slot_in read, slot_out written
//   mask        MaskBytes(params.mask, size of grad_in) bytes, nullptr: none
//   grad_in     int8, the product of the axes' sizes, written
void MoveGrad(const MoveGradParams& params, const int8_t* grad_out, float* scales, const void* mask,
              int8_t* grad_in);

// Sum of the gradients that meet in one tensor, at the largest of their scales.
//
//   params      1 to 4 inputs of `size` elements
//   scales      float, all slots; slot_in[] read, slot_out written
//   mask        MaskBytes(params.mask, size) bytes, nullptr: none
//   inputs      params.count pointers to int8 [size], never -128
//   grad        int8 [size], written; not the same memory as an input
void Accumulate(const AccumulateParams& params, float* scales, const void* mask,
                const int8_t* const* inputs, int8_t* grad);

// One bit per element: strictly inside the clamp range.
//
//   activation  int8 [size]
//   bits        uint8 [(size + 7) / 8], written; bits past the end are 0
void ClampMask(const ClampMaskParams& params, const int8_t* activation, uint8_t* bits);

// The bits of elements [first, first + n) of a longer activation, of which those
// before are there already. Of the last byte the bits behind are 0.
//
//   activation  int8 [n]
//   bits        uint8, those of the whole activation
void ClampMaskPart(int32_t act_min, int32_t act_max, const int8_t* activation, int32_t first,
                   int32_t n, uint8_t* bits);

// saved[p][j] = values[p][channels[j]].
//
//   values      int8 [positions][channels]
//   channels    int16 [kept]
//   saved       int8 [positions][kept], written
void ChannelSave(const ChannelSaveParams& params, const int8_t* values, const int16_t* channels,
                 int8_t* saved);

}  // namespace tflm_train

#endif  // TFLM_KERNELS_DATA_MOVEMENT_H_
