// The weight gradients of a depthwise layer with Helium, tap by tap with channels in the lanes:
// for small outputs, strides and dilations. Only for update.cc.

#ifndef TFLM_KERNELS_ARCH_DEPTHWISE_TAPS_MVE_H_
#define TFLM_KERNELS_ARCH_DEPTHWISE_TAPS_MVE_H_

#include <arm_mve.h>

#include <cstdint>

#include "tflm_kernels/arch/step_mve.h"
#include "tflm_kernels/panel.h"
#include "tflm_kernels/spec/geometry.h"
#include "tflm_kernels/spec/op_params.h"
#include "tflm_kernels/weight_stepper.h"

namespace tflm_train {
namespace mve {

// What meets under a tap.
struct TapWork {
  PixelGrid gradient, input;  // of the same size
  WeightRow row;
};

// FAST-PATH-BOUND: lane-sums
constexpr int32_t kMaxInt16Sum = 256;  // int8 in an int16

// sum q * (x - z) of channels c to c + n, n <= 8, over at most kMaxInt16Sum pixels.
//   kAll  n is 8
template <bool kAll>
TFLM_TRAIN_INLINE Eight SumTap(const PixelGrid& gradient, const PixelGrid& input, int32_t c,
                               int32_t z, int32_t n) {
  const mve_pred16_t live = kAll ? 0 : vctp16q(static_cast<uint32_t>(n));
  const auto load = [live](const int8_t* from) {
    return kAll ? vldrbq_s16(from) : vldrbq_z_s16(from, live);
  };
  const int32_t q_step = gradient.column_stride, x_step = input.column_stride;
  const int8_t *q_row = gradient.first + c, *x_row = input.first + c;
  Eight sums = {vdupq_n_s32(0), vdupq_n_s32(0)};
  int16x8_t sum = vdupq_n_s16(0);
  const auto add = [&sums](int16x8_t products) {
    sums.even = vaddq_s32(sums.even, vmovlbq_s16(products));
    sums.odd = vaddq_s32(sums.odd, vmovltq_s16(products));
  };
#pragma GCC unroll 1
  for (int32_t rows = gradient.rows; rows > 0; --rows) {
    const int8_t *q = q_row, *x = x_row;
    // Two products fit int16.
#pragma GCC unroll 1
    for (int32_t pairs = gradient.columns / 2; pairs > 0; --pairs) {
      const int16x8_t q0 = load(q), x0 = load(x);
      q += q_step;
      x += x_step;
      const int16x8_t q1 = load(q), x1 = load(x);
      q += q_step;
      x += x_step;
      sum = vaddq_s16(vaddq_s16(sum, q0), q1);
      add(vaddq_s16(vmulq_s16(q0, x0), vmulq_s16(q1, x1)));
    }
    if (gradient.columns % 2 != 0) {
      const int16x8_t last = load(q);
      sum = vaddq_s16(sum, last);
      add(vmulq_s16(last, load(x)));
    }
    q_row += gradient.row_stride;
    x_row += input.row_stride;
  }
  return {vmlaq_n_s32(sums.even, vmovlbq_s16(sum), -z),
          vmlaq_n_s32(sums.odd, vmovltq_s16(sum), -z)};
}

// The same over any number of pixels in rows of at most kMaxInt16Sum.
template <bool kAll>
__attribute__((noinline)) Eight SumBands(PixelGrid gradient, PixelGrid input, int32_t c, int32_t z,
                                         int32_t n) {
  const int32_t rows = gradient.rows, band = kMaxInt16Sum / gradient.columns;
  Eight sums = {vdupq_n_s32(0), vdupq_n_s32(0)};
  for (int32_t y = 0; y < rows; y += band) {
    gradient.rows = rows - y < band ? rows - y : band;
    const Eight some = SumTap<kAll>(gradient, input, c, z, n);
    sums = {vaddq_s32(sums.even, some.even), vaddq_s32(sums.odd, some.odd)};
    gradient.first += band * gradient.row_stride;
    input.first += band * input.row_stride;
  }
  return sums;
}

class DepthwiseTaps {
 public:
  // multipliers: of all channels.
  DepthwiseTaps(const DepthwiseUpdateParams& params, const WeightStepper& stepper,
                const int32_t* multipliers)
      : params_(params), stepper_(stepper), multipliers_(multipliers) {
    const Geometry& g = params.geometry;
    usable_ = params.multiplier == 1 && stepper.HasRows() && g.out_w <= kMaxInt16Sum;
    for (int32_t c = 0; c < g.out_c && usable_; ++c) {
      usable_ = stepper.IsShort(static_cast<uint32_t>(-multipliers[c]));
    }
  }

  bool usable() const { return usable_; }

  // Steps the weights of one tap; see ForEachTrainedTap.
  void Step(int32_t tap, const AxisRange& rows, const AxisRange& columns, int32_t offset_y,
            int32_t offset_x, const int8_t* x, const int8_t* grad) const {
    const Geometry& g = params_.geometry;
    int32_t h = rows.end - rows.begin, w = columns.end - columns.begin;
    if (h <= 0 || w <= 0) {
      if (stepper_.residual_bits() != 4) return;
      h = w = 0;  // as WeightStepper::IsFrozen says
    }
    const int32_t iy = rows.begin * g.stride_h + offset_y;
    const int32_t ix = columns.begin * g.stride_w + offset_x;
    TapWork work = {
        {grad + (rows.begin * g.out_w + columns.begin) * g.out_c, h, w, g.out_w * g.out_c, g.out_c},
        {x + (iy * g.in_w + ix) * g.in_c, h, w, g.stride_h * g.in_w * g.in_c, g.stride_w * g.in_c},
        {static_cast<uint32_t>(tap), static_cast<uint32_t>(tap)}};
    const PixelGrid gradient = work.gradient.Flattened(), input = work.input.Flattened();
    if (gradient.rows == input.rows && h * w <= kMaxInt16Sum) {
      work.gradient = gradient;
      work.input = input;
    }
    return work.gradient.size() > kMaxInt16Sum ? StepIn<true>(work) : StepIn<false>(work);
  }

 private:
  template <bool kBands>
  void StepIn(const TapWork& work) const {
    switch (stepper_.residual_bits()) {
      case 8:
        return StepAs<8, kBands>(work);
      case 4:
        return StepAs<4, kBands>(work);
      default:
        return StepAs<0, kBands>(work);
    }
  }

  // kBands: of more than kMaxInt16Sum pixels.
  template <int kBits, bool kBands>
  __attribute__((noinline)) void StepAs(const TapWork& work) const {
    // Locals: the int8 stores may alias the members as far as C++ knows.
    const PixelGrid q = work.gradient, x = work.input;
    const int32_t* m = multipliers_;
    const int32_t z = params_.update.x_zero_point;
    const int shift = stepper_.gain_shift() - 1;
    auto weights = stepper_.Row<kBits>(work.row, 0);
    auto dithers = stepper_.DitherOf<kBits>(work.row, 0);
    int32_t c = 0, left = params_.geometry.out_c;
#pragma GCC unroll 1
    for (; left >= 8; left -= 8, c += 8, m += 8) {
      const Eight sums = kBands ? SumBands<true>(q, x, c, z, 8) : SumTap<true>(q, x, c, z, 8);
      const uint16x8_t dither = dithers.template Next<true>(8);
      weights.template Step<true>(Scaled(sums, shift), Pairs(m), dither, 8);
      dithers.Advance();
    }
    if (left > 0) {
      int32_t some[8] = {};
      for (int32_t j = 0; j < left; ++j) some[j] = m[j];
      const Eight sums =
          kBands ? SumBands<false>(q, x, c, z, left) : SumTap<false>(q, x, c, z, left);
      const uint16x8_t dither = dithers.template Next<false>(left);
      weights.template Step<false>(Scaled(sums, shift), Pairs(some), dither, left);
    }
  }

  const DepthwiseUpdateParams& params_;
  const WeightStepper& stepper_;
  const int32_t* multipliers_;
  bool usable_;
};

}  // namespace mve
}  // namespace tflm_train

#endif  // TFLM_KERNELS_ARCH_DEPTHWISE_TAPS_MVE_H_
