// The inner loops of the forward layers (forward_rows.h). All sums are exact
// integers, so that the variants agree. No alignment is assumed for int8.

#ifndef TFLM_KERNELS_FORWARD_OPS_H_
#define TFLM_KERNELS_FORWARD_OPS_H_

#include <cstdint>

#include "tflm_kernels/arch/features.h"
#include "tflm_kernels/spec/op_params.h"

namespace tflm_train {

// What lies under the kernel at two pixels, `depth` elements each, in an order of the
// architecture's choice; 4 * depth bytes, 4-byte aligned. Where kRawPatches, neighbours
// in the input are the patches of a 1x1 kernel as they lie.
struct Patches {
  void* data;
  int32_t depth;
  int32_t offset;  // the input's zero point
};

// Puts from[0 .. n) into the patch of pixel 0 or 1 as its elements `first` and on.
// first is a multiple of 4; so is n unless it reaches the end.
inline void FillPatch(const int8_t* from, int32_t n, int32_t pixel, int32_t first,
                      const Patches& patches);

// Sums of two pixels and two output channels.
struct TwoByTwo {
  int32_t s00, s01, s10, s11;  // pixel, channel
};

// sums.s<p><c> + the dot product of pixel p's elements, each less the offset, with
// channel c's weights.
inline TwoByTwo DotTwoByTwo(const Patches& patches, const int8_t* w0, const int8_t* w1,
                            TwoByTwo sums);

// What turns the sums of a layer into int8, int32 [out_c] each.
struct ChannelConstants {
  const int32_t* multiplier;  // s_x * s_W / s_y as TFLM has it
  const int32_t* shift;
  const int32_t* bias;  // nullptr: none

  ChannelConstants From(int32_t channel) const {
    return {multiplier + channel, shift + channel, bias == nullptr ? nullptr : bias + channel};
  }
};

// How the sums of a layer become its outputs.
struct Finish {
  ChannelConstants constants;
  OutputParams output;
  // All shifts are negative, and no sum with its bias reaches +-2^30.
  bool is_small;

  Finish From(int32_t channel) const { return {constants.From(channel), output, is_small}; }
};

// y[c] = clamp(Requantize(sums[c] + bias[c], multiplier[c], shift[c]) + y_zero_point),
// c = 0 .. n - 1.
inline void FinishRow(const int32_t* sums, const Finish& finish, int32_t n, int8_t* y);

// All n >= 4 output channels, y0 and y1, of two pixels. The channels' rows of weights
// follow one another.
//
//   columns, column_weights    more elements of either pixel; nullptr: none
inline void ConvPixels(const Patches& patches, const int8_t* weights, const Patches* columns,
                       const int8_t* column_weights, const Finish& finish, int32_t n, int8_t* y0,
                       int8_t* y1);

// A kernel tap inside the input.
struct DepthwiseTap {
  const int8_t* pixel;
  const int8_t* weights;
};

// acc[c] += the sum over taps of (pixel[c / multiplier] - offset) * weights[c],
// c = 0 .. n - 1.
inline void DepthwiseSums(const DepthwiseTap* taps, int32_t count, int32_t offset,
                          int32_t multiplier, int32_t n, int32_t* acc);

// At most this many taps make sums of int8 that fit int16.
constexpr int32_t kMostTaps = 49;

// What DepthwisePixel wants to know beforehand of 1 .. kMostTaps taps, put into
// int32 scratch[0 .. n).
inline void PrepareTaps(const DepthwiseTap* taps, int32_t count, int32_t offset,
                        const Finish& finish, int32_t n, int32_t* scratch);

// y[c] = the output of the sum that DepthwiseSums forms, multiplier 1. The scratch is
// as PrepareTaps left it, and serves the same taps once more.
inline void DepthwisePixel(const DepthwiseTap* taps, int32_t count, int32_t offset,
                           const Finish& finish, int32_t n, int32_t* scratch, int8_t* y);

// Requantize(a, multiplier, shift) with the same constants many times; |a| < 2^30,
// shift <= 0.
struct Scaling {
  int32_t multiplier, shift;  // shift >= 0, to the right
  int32_t negative, half;     // of the second rounding; zeros where there is none
};

// What ADD computes: both inputs are shifted to the left before they are scaled.
struct Addition {
  int32_t a_zero_point, b_zero_point, left_shift;
  Scaling a, b, sum;
  OutputParams output;
};

// y[i] = a[i] + b[i], i = 0 .. n - 1. y may be a or b.
inline void AddElements(const Addition& addition, const int8_t* a, const int8_t* b, int8_t* y,
                        int32_t n);

}  // namespace tflm_train

#if defined(TFLM_TRAIN_MVE)
#include "tflm_kernels/arch/forward_mve.h"
#elif defined(TFLM_TRAIN_DSP)
#include "tflm_kernels/arch/forward_dsp.h"
#else
#include "tflm_kernels/arch/forward_portable.h"
#endif

#endif  // TFLM_KERNELS_FORWARD_OPS_H_
