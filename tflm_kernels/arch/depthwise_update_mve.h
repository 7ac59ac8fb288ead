// The weight gradients of a depthwise layer with Helium: large outputs, without strides. Only for
// update.cc.
//
// Of one channel, the gradient lies in a plane with columns of zeros behind each row, the input
// in one of the same pitch with its zero point around it. Then a tap's sum is the dot product
// of the gradient's plane with the input's from the tap's offset on, 16 products to an
// instruction, less the zero point times the sum of the gradient.

#ifndef TFLM_KERNELS_ARCH_DEPTHWISE_UPDATE_MVE_H_
#define TFLM_KERNELS_ARCH_DEPTHWISE_UPDATE_MVE_H_

#include <arm_mve.h>

#include <cstddef>
#include <cstdint>

#include "tflm_kernels/arch/depthwise_taps_mve.h"
#include "tflm_kernels/arch/features.h"
#include "tflm_kernels/arch/fill_mve.h"
#include "tflm_kernels/spec/op_params.h"
#include "tflm_kernels/weight_stepper.h"

namespace tflm_train {
namespace mve {

constexpr int32_t kBytes = 16;

// Copies a rectangle of one channel's pixels into a plane.
struct ChannelRectangle {
  int32_t rows, columns;
  int32_t step, row_bytes;  // from pixel to pixel, from row to row
  int32_t pitch;            // of the plane

  __attribute__((noinline)) void Copy(const int8_t* from, int8_t* to) const {
    const int32_t height = rows, bytes = row_bytes, width = pitch;
    const uint16x8_t at = vmulq_n_u16(vidupq_n_u16(0, 1), static_cast<uint16_t>(step));
    for (int32_t left = columns; left > 0; left -= 8, from += 8 * step, to += 8) {
      const int8_t* pixel = from;
      int8_t* copy = to;
      if (left >= 8) {
#pragma GCC unroll 2
        for (int32_t n = height; n > 0; --n, pixel += bytes, copy += width) {
          vstrbq_s16(copy, vldrbq_gather_offset_s16(pixel, at));
        }
      } else {
        const mve_pred16_t live = vctp16q(static_cast<uint32_t>(left));
#pragma GCC unroll 2
        for (int32_t n = height; n > 0; --n, pixel += bytes, copy += width) {
          vstrbq_p_s16(copy, vldrbq_gather_offset_z_s16(pixel, at, live), live);
        }
      }
    }
  }
};

// How the work is divided.
struct DepthwiseUpdatePlan {
  DepthwiseUpdatePlan(const DepthwiseUpdateParams& params, size_t scratch_bytes) {
    const Geometry& g = params.geometry;
    const UpdateParams& u = params.update;
    taps = (u.tap_y1 - u.tap_y0) * (u.tap_x1 - u.tap_x0);
    more_rows = g.k_h - 1;
    pitch = g.out_w + g.k_w - 1;
    // FAST-PATH-BOUND: plane-shape plane-reach
    usable = params.multiplier == 1 && g.dil_h == 1 && g.dil_w == 1 && g.stride_h == 1 &&
             g.stride_w == 1 && 7 * g.in_c <= UINT16_MAX && g.pad_t >= 0 && g.pad_l >= 0;
    for (channels = 8; channels >= 4; channels -= 4) {
      // Beside the sums and multipliers, both planes with what is read behind them.
      const int32_t room = static_cast<int32_t>(scratch_bytes) - 3 * kBytes -
                           channels * (taps + 1) * static_cast<int32_t>(sizeof(int32_t)) -
                           more_rows * pitch;
      rows = room / (2 * pitch);
      rows = rows < g.out_h ? rows : g.out_h;
      if (rows > 0) break;
    }
    // Planes cost more than they save for small gradients.
    // FAST-PATH-BOUND: plane-room
    usable = usable && rows > 0 && g.out_h * g.out_w > 3 * kBytes;
    gradient_bytes = (rows * pitch + kBytes - 1) / kBytes * kBytes;
  }

  bool usable;
  int32_t taps;
  int32_t channels;  // done at a time
  int32_t rows;      // of the gradient, at a time
  int32_t more_rows, pitch;
  int32_t gradient_bytes;
};

// sum of products of `vectors` vectors.
TFLM_TRAIN_INLINE int32_t DotPlanes(const int8_t* q, const int8_t* x, int32_t vectors) {
  int32_t sum = 0;
#pragma GCC unroll 2
  for (; vectors > 0; --vectors, q += kBytes, x += kBytes) {
    sum = vmladavaq_s8(sum, vld1q_s8(q), vld1q_s8(x));
  }
  return sum;
}

// The sums of rows of taps, kVectors vectors of the gradient held in registers.
template <int kVectors>
__attribute__((noinline)) void SumTapRows(const int8_t* q, const int8_t* x, int32_t z,
                                          int32_t pitch, int32_t rows, int32_t columns,
                                          int32_t step, int32_t* sums) {
  int8x16_t held[kVectors];
#pragma GCC unroll 6
  for (int i = 0; i < kVectors; ++i) held[i] = vld1q_s8(q + i * kBytes);
  int32_t sum_q = 0;
#pragma GCC unroll 6
  for (int i = 0; i < kVectors; ++i) sum_q = vaddvaq_s8(sum_q, held[i]);
  const int32_t correction = z * sum_q;
#pragma GCC unroll 1
  for (; rows > 0; --rows, x += pitch) {
    const int8_t* at = x;
#pragma GCC unroll 1
    for (int32_t n = columns; n > 0; --n, ++at, sums += step) {
      int32_t total = *sums - correction;
#pragma GCC unroll 6
      for (int i = 0; i < kVectors; ++i) {
        total = vmladavaq_s8(total, held[i], vld1q_s8(at + i * kBytes));
      }
      *sums = total;
    }
  }
}

class DepthwiseUpdater {
 public:
  DepthwiseUpdater(const DepthwiseUpdateParams& params, const DepthwiseUpdatePlan& plan,
                   const WeightStepper& stepper, const float* kw, void* scratch)
      : params_(params),
        plan_(plan),
        stepper_(stepper),
        kw_(kw),
        multipliers_(static_cast<int32_t*>(scratch)),
        sums_(multipliers_ + plan.channels),
        gradient_(reinterpret_cast<int8_t*>(sums_ + plan.channels * plan.taps)),
        input_(gradient_ + plan.gradient_bytes) {}

  void Run(const int8_t* x, const int8_t* grad) const {
    const Geometry& g = params_.geometry;
    for (int32_t c = 0; c < g.out_c; c += plan_.channels) {
      const int32_t rest = g.out_c - c;
      const int32_t channels = rest < plan_.channels ? rest : plan_.channels;
      Fill(sums_, 0, 4 * plan_.channels * plan_.taps);
      for (int32_t y = 0; y < g.out_h; y += plan_.rows) {
        AddSums(x + c, grad + c, y, g.out_h - y < plan_.rows ? g.out_h - y : plan_.rows, channels);
      }
      StepChannels(c, channels);
    }
  }

 private:
  // Adds the products of some rows of the gradients of some channels.
  void AddSums(const int8_t* x, const int8_t* grad, int32_t y, int32_t rows,
               int32_t channels) const {
    const Geometry& g = params_.geometry;
    const int32_t row_bytes = g.out_w * g.out_c;
    const ChannelRectangle gradient = {rows, g.out_w, g.out_c, row_bytes, plan_.pitch};
    const int32_t vectors = (rows * plan_.pitch + kBytes - 1) / kBytes;
    const int32_t input_bytes = (rows + plan_.more_rows) * plan_.pitch;
    const int32_t z = params_.update.x_zero_point;
    Fill(gradient_, 0, plan_.gradient_bytes);
    Fill(input_, z, input_bytes);
    // Plane (r, c) is input (y + r - pad_t, c - pad_l).
    const int32_t top = y - g.pad_t, r0 = top < 0 ? -top : 0, c0 = g.pad_l;
    const int32_t fit_rows = g.in_h - (top + r0), fit_columns = plan_.pitch - c0;
    const int32_t plane_rows = rows + plan_.more_rows - r0;
    const ChannelRectangle input = {fit_rows < plane_rows ? fit_rows : plane_rows,
                                    g.in_w < fit_columns ? g.in_w : fit_columns, g.in_c,
                                    g.in_w * g.in_c, plan_.pitch};
    x += (top + r0) * input.row_bytes;
    grad += y * row_bytes;
    for (int32_t j = 0; j < channels; ++j) {
      gradient.Copy(grad + j, gradient_);
      // The surroundings stay as they are from channel to channel.
      input.Copy(x + j, input_ + r0 * plan_.pitch + c0);
      SumTaps(vectors, sums_ + j);
    }
  }

  void SumTaps(int32_t vectors, int32_t* sums) const {
    const UpdateParams& u = params_.update;
    const int32_t z = u.x_zero_point;
    const int32_t rows = u.tap_y1 - u.tap_y0, columns = u.tap_x1 - u.tap_x0;
    const int8_t* x = input_ + u.tap_y0 * plan_.pitch + u.tap_x0;
    const auto sum_held = vectors == 1   ? SumTapRows<1>
                          : vectors == 2 ? SumTapRows<2>
                          : vectors == 3 ? SumTapRows<3>
                          : vectors == 4 ? SumTapRows<4>
                          : vectors == 5 ? SumTapRows<5>
                          : vectors == 6 ? SumTapRows<6>
                                         : nullptr;
    if (sum_held != nullptr) {
      return sum_held(gradient_, x, z, plan_.pitch, rows, columns, plan_.channels, sums);
    }
    int32_t sum = 0;
    for (int32_t i = 0; i < vectors; ++i) {
      sum = vaddvaq_s8(sum, vld1q_s8(gradient_ + i * kBytes));
    }
    const int32_t correction = z * sum;
    for (int32_t ty = 0; ty < rows; ++ty, x += plan_.pitch) {
      for (int32_t tx = 0; tx < columns; ++tx, sums += plan_.channels) {
        *sums += DotPlanes(gradient_, x + tx, vectors) - correction;
      }
    }
  }

  // Steps all trained taps of some channels.
  void StepChannels(int32_t c, int32_t channels) const {
    bool by_rows = stepper_.HasRows();
#pragma GCC unroll 1
    for (int32_t j = 0; j < plan_.channels; ++j) {
      multipliers_[j] = j < channels ? stepper_.Multiplier(kw_[c + j]) : 0;
      by_rows = by_rows && stepper_.IsShort(static_cast<uint32_t>(-multipliers_[j]));
    }
    const int bits = stepper_.residual_bits();
    if (!by_rows || (bits == 4 && channels % 2 != 0)) {
      ForEachTap([&](const WeightRow& row, const int32_t* sums) {
        stepper_.Step(row, c, channels, sums, multipliers_, 1);
      });
    } else if (bits == 8) {
      StepTaps<8>(c, channels);
    } else if (bits == 4) {
      StepTaps<4>(c, channels);
    } else {
      StepTaps<0>(c, channels);
    }
  }

  template <typename Visit>
  TFLM_TRAIN_INLINE void ForEachTap(const Visit& visit) const {
    const UpdateParams& u = params_.update;
    const int32_t* sums = sums_;
    const int32_t width = params_.geometry.k_w, step = plan_.channels;
    const int32_t y1 = u.tap_y1, x0 = u.tap_x0, x1 = u.tap_x1;
#pragma GCC unroll 1
    for (int32_t ky = u.tap_y0; ky < y1; ++ky) {
#pragma GCC unroll 1
      for (int32_t kx = x0; kx < x1; ++kx, sums += step) {
        const uint32_t tap = static_cast<uint32_t>(ky * width + kx);
        visit(WeightRow{tap, tap}, sums);
      }
    }
  }

  template <int kBits>
  __attribute__((noinline)) void StepTaps(int32_t c, int32_t channels) const {
    const int shift = stepper_.gain_shift() - 1;
    if (plan_.channels == 8) {
      const Eight m = Pairs(multipliers_);
      if (channels == 8) {
        ForEachTap([&](const WeightRow& row, const int32_t* sums) {
          StepTap<kBits, true>(row, c, Scaled(Pairs(sums), shift), m, 8);
        });
      } else {
        ForEachTap([&](const WeightRow& row, const int32_t* sums) {
          StepTap<kBits, false>(row, c, Scaled(Pairs(sums), shift), m, channels);
        });
      }
    } else {
      const Eight m = FourPairs(multipliers_);
      ForEachTap([&](const WeightRow& row, const int32_t* sums) {
        StepTap<kBits, false>(row, c, Scaled(FourPairs(sums), shift), m, channels);
      });
    }
  }

  template <int kBits, bool kAll>
  TFLM_TRAIN_INLINE void StepTap(const WeightRow& row, int32_t c, const Eight& sums, const Eight& m,
                                 int32_t n) const {
    const uint16x8_t dither = stepper_.DitherOf<kBits>(row, c).template Next<kAll>(n);
    stepper_.Row<kBits>(row, c).template Step<kAll>(sums, m, dither, n);
  }

  static Eight FourPairs(const int32_t* values) {
    const int32x4_t even = {values[0], values[2], 0, 0}, odd = {values[1], values[3], 0, 0};
    return {even, odd};
  }

  const DepthwiseUpdateParams& params_;
  const DepthwiseUpdatePlan& plan_;
  const WeightStepper& stepper_;
  const float* kw_;
  int32_t* multipliers_;
  int32_t* sums_;  // [taps][plan_.channels]
  int8_t* gradient_;
  int8_t* input_;
};

}  // namespace mve
}  // namespace tflm_train

#endif  // TFLM_KERNELS_ARCH_DEPTHWISE_UPDATE_MVE_H_
