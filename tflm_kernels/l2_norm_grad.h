// Input gradient of L2_NORMALIZATION of one vector.

#ifndef TFLM_KERNELS_L2_NORM_GRAD_H_
#define TFLM_KERNELS_L2_NORM_GRAD_H_

#include <cstddef>
#include <cstdint>

#include "tflm_kernels/spec/op_params.h"

namespace tflm_train {

// Longest vector: the sums fit int32.
constexpr int32_t kMaxL2NormSize = 4096;

// Scratch of L2NormGrad: int32 [size].
size_t L2NormGradScratchBytes(const L2NormGradParams& params);

// dL/dx = (dL/dy - y * (y . dL/dy)) / |x|
//
//   params      size up to kMaxL2NormSize
//   grad_out    int8 [size], never -128
//   x           int8 [size], the forward input
//   y           int8 [size], the forward output: scale 1/128, zero point 0
//   scales      float, all slots; slot_in read, slot_out written
//   ranges      float, all slots; slot_out read and written
//   mask        MaskBytes(params.mask, size) bytes, nullptr: none
//   grad_in     int8 [size], written
//   scratch     L2NormGradScratchBytes(params) bytes, 4-byte aligned, of the caller
void L2NormGrad(const L2NormGradParams& params, const int8_t* grad_out, const int8_t* x,
                const int8_t* y, float* scales, float* ranges, const void* mask, int8_t* grad_in,
                void* scratch);

}  // namespace tflm_train

#endif  // TFLM_KERNELS_L2_NORM_GRAD_H_
