// The forward arithmetic of layers, one output row at a time: that of TFLM's
// CONV_2D, FULLY_CONNECTED, DEPTHWISE_CONV_2D and ADD bit for bit. Inputs may
// be whole tensors or ring buffers that hold their last few rows.

#ifndef TFLM_KERNELS_FORWARD_ROWS_H_
#define TFLM_KERNELS_FORWARD_ROWS_H_

#include <cstddef>
#include <cstdint>

#include "tflm_kernels/forward_ops.h"
#include "tflm_kernels/spec/op_params.h"

namespace tflm_train {

// The rows of an int8 tensor; row y lies in place y modulo `count`, which for a
// whole tensor is its height.
struct Rows {
  const int8_t* data;
  int32_t count;
  int32_t bytes;  // of one row

  const int8_t* Row(int32_t y) const { return data + (y % count) * bytes; }
};

// Weights of which a part, the columns, lies apart. Whole weights have kept = 0.
struct SplitWeights {
  const int8_t* rest;
  const int8_t* columns;    // nullptr when kept is 0
  const int16_t* channels;  // order of a convolution, columns of a depthwise layer
  int32_t kept;
};

// Scratch of ConvRow: int16 [2][k_h][k_w][in_c], the patches under two pixels.
size_t ConvRowScratchBytes(const Geometry& geometry);

// Row oy of CONV_2D or FULLY_CONNECTED.
//
//   weights    rest int8 [out_c][k_h][k_w][in_c - kept], columns int8
//              [out_c][k_h][k_w][kept], channels int16 [in_c]: the input channels of
//              rest, then of columns; nullptr: in their own order
//   y          int8 [out_w][out_c], written
//   scratch    ConvRowScratchBytes(geometry) bytes, 4-byte aligned, of the caller
void ConvRow(const Geometry& geometry, const OutputParams& output, int32_t oy, const Rows& x,
             const SplitWeights& weights, const ChannelConstants& constants, int8_t* y,
             void* scratch);

// Scratch of DepthwiseRow: int32 [out_c].
size_t DepthwiseRowScratchBytes(const Geometry& geometry);

// Row oy of DEPTHWISE_CONV_2D: as ConvRow, but out_c == in_c * multiplier and
//
//   weights    rest int8 [k_h][k_w][out_c], columns int8 [k_h][k_w][kept] in place of
//              the weights of the output channels int16 [kept]
void DepthwiseRow(const Geometry& geometry, const OutputParams& output, int32_t multiplier,
                  int32_t oy, const Rows& x, const SplitWeights& weights,
                  const ChannelConstants& constants, int8_t* y, void* scratch);

// y[i] = a[i] + b[i], i = 0 .. n - 1: ADD. y may be a or b.
void AddRow(const OutputParams& output, const AddParams& add, const int8_t* a, const int8_t* b,
            int8_t* y, int32_t n);

}  // namespace tflm_train

#endif  // TFLM_KERNELS_FORWARD_ROWS_H_
