// Input gradient of the ops that multiply: by another activation (MUL,
// BATCH_MATMUL), by a derivative that depends on an activation (LOGISTIC, TANH,
// HARD_SWISH, LEAKY_RELU, PRELU ...) or by a constant (a broadcast ADD or SUB).

#ifndef TFLM_KERNELS_PRODUCT_GRAD_H_
#define TFLM_KERNELS_PRODUCT_GRAD_H_

#include <cstddef>
#include <cstdint>

#include "tflm_kernels/spec/op_params.h"

namespace tflm_train {

// Scratch of ProductGrad: int32 [kept[3].size], one pixel of sums.
size_t ProductGradScratchBytes(const ProductGradParams& params);

// grad_in[k] = sum over the reduced axes of grad_out * factor.
//
//   params      strides that stay inside q_size and x_size; the sums fit int32
//   grad_out    int8 [q_size], never -128
//   x           int8 [x_size]; nullptr for kFactorConstant
//   table       int16 [256] for kFactorTable, [2 * pixel] for kFactorSign,
//               magnitudes up to 32767; nullptr otherwise
//   scales      float, all slots; slot_in and slot_addend read, slot_out written
//   ranges      float, all slots; slot_out read and written
//   mask        MaskBytes(params.mask, size of grad_in) bytes, nullptr: none
//   addend      int8, as grad_in, joins before quantising; nullptr: none
//   grad_in     int8, the product of the kept axes' sizes, written
//   scratch     ProductGradScratchBytes(params) bytes, 4-byte aligned, of the caller
void ProductGrad(const ProductGradParams& params, const int8_t* grad_out, const int8_t* x,
                 const int16_t* table, float* scales, float* ranges, const void* mask,
                 const int8_t* addend, int8_t* grad_in, void* scratch);

}  // namespace tflm_train

#endif  // TFLM_KERNELS_PRODUCT_GRAD_H_
