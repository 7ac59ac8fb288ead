// The inner loops of the forward layers (forward_rows.h). All sums are exact
// integers, so that the variants agree. No alignment is assumed for int8.

#ifndef TFLM_KERNELS_FORWARD_OPS_H_
#define TFLM_KERNELS_FORWARD_OPS_H_

#include <cstdint>

#include "tflm_kernels/arch/features.h"
#include "tflm_kernels/op_params.h"

namespace tflm_train {

// to[i] = from[i] - offset, in the order that DotTwoByTwo wants. `from` may be the
// upper half of `to`'s memory: byte i of it at byte n + i.
inline void Widen(const int8_t* from, int32_t offset, int32_t n, int16_t* to);

// Sums of two pixels and two output channels.
struct TwoByTwo {
  int32_t s00, s01, s10, s11;  // pixel, channel
};

// sums.s<p><c> + the dot product of pixel p's n elements, from Widen, with channel c's.
inline TwoByTwo DotTwoByTwo(const int16_t* a0, const int16_t* a1, const int8_t* w0,
                            const int8_t* w1, int32_t n, TwoByTwo sums);

// A kernel tap inside the input.
struct DepthwiseTap {
  const int8_t* pixel;
  const int8_t* weights;
};

// acc[c] = sum over taps of (pixel[c] - offset) * weights[c], c = 0 .. n - 1.
inline void DepthwiseSums(const DepthwiseTap* taps, int32_t count, int32_t offset, int32_t n,
                          int32_t* acc);

// What turns the sums of a layer into int8, int32 [out_c] each.
struct ChannelConstants {
  const int32_t* multiplier;  // s_x * s_W / s_y as TFLM has it
  const int32_t* shift;
  const int32_t* bias;  // nullptr: none

  ChannelConstants From(int32_t channel) const {
    return {multiplier + channel, shift + channel, bias == nullptr ? nullptr : bias + channel};
  }
};

// y[c] = clamp(Requantize(sums[c] + bias[c], multiplier[c], shift[c]) + y_zero_point),
// c = 0 .. n - 1.
inline void FinishRow(const int32_t* sums, const ChannelConstants& constants,
                      const OutputParams& output, int32_t n, int8_t* y);

}  // namespace tflm_train

#if defined(TFLM_TRAIN_MVE)
#include "tflm_kernels/arch/forward_mve.h"
#elif defined(TFLM_TRAIN_DSP)
#include "tflm_kernels/arch/forward_dsp.h"
#else
#include "tflm_kernels/arch/forward_portable.h"
#endif

#endif  // TFLM_KERNELS_FORWARD_OPS_H_
