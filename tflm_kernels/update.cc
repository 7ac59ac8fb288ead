#include "tflm_kernels/update.h"

#include <cstring>

#include "tflm_kernels/channel_ops.h"
#include "tflm_kernels/geometry.h"
#include "tflm_kernels/numerics.h"

namespace tflm_train {
namespace {

constexpr int32_t kMaxBias = 1 << 30;

constexpr int32_t Clamp(int32_t value, int32_t limit) {
  return value > limit ? limit : value < -limit ? -limit : value;
}

// Applies summed gradients to one layer's weights.
class WeightStepper {
 public:
  // row: elements of a row of the weights.
  WeightStepper(const UpdateParams& params, const TrainState& state, float base, int32_t row,
                int8_t* weights, int8_t* residual, const int16_t* channels)
      : residual_bits_(params.residual_bits),
        gain_shift_(params.gain_shift),
        gain_(PowerOfTwo((params.residual_bits == 8 ? 8 : 12) + 32 - params.gain_shift)),
        base_(base),
        key_(Hash(Hash(state.seed + state.step * 0x9E3779B9u) ^
                  (static_cast<uint32_t>(params.layer) * 0x85EBCA6Bu))),
        row_(row),
        row_channels_(params.row_channels),
        weights_(weights),
        residual_(residual),
        channels_(channels) {}

  // Fixed-point step per unit of gradient sum of a channel with constant kw.
  int32_t Multiplier(float kw) const { return RoundToInt32((base_ * kw) * gain_); }

  // Steps row `index` of the weights by the gradients sums[i] - offset. Element
  // i uses multiplier[i * multiplier_stride].
  void StepRow(uint32_t index, const int32_t* sums, int32_t offset, const int32_t* multiplier,
               int32_t multiplier_stride) const {
    // Locals: the int8 stores below may alias the members as far as C++ knows.
    const int gain_shift = gain_shift_;
    const int32_t residual_bits = residual_bits_;
    const int32_t n = row_;
    const uint32_t first = index * static_cast<uint32_t>(n);
    int8_t* const w = weights_ + first;
    int8_t* const r = residual_bits == 8 ? residual_ + first : nullptr;
    for (int32_t i = 0; i < n; ++i) {
      const int32_t delta =
          HighMul(ShiftLeft(sums[i] - offset, gain_shift), multiplier[i * multiplier_stride]);
      if (delta == 0) continue;
      if (residual_bits == 8) {
        const int32_t t = Clamp(256 * w[i] + r[i] - Clamp(delta, 65535), 127 * 256);
        const int32_t rounded = (t + 128) >> 8;
        w[i] = static_cast<int8_t>(rounded);
        r[i] = static_cast<int8_t>(t - 256 * rounded);
      } else {
        w[i] = RandomStep(w[i], delta, index, i, first + i);
      }
    }
  }

 private:
  // The new weight where bits below the residual's are rounded at random.
  int8_t RandomStep(int32_t w, int32_t delta, uint32_t row, int32_t i, uint32_t element) const {
    const int32_t column = channels_ == nullptr ? i : channels_[i];
    const int32_t dither = Dither(row * row_channels_ + static_cast<uint32_t>(column));
    const int32_t t = 4096 * w - Clamp(delta, 1 << 20);
    if (residual_bits_ == 0) return static_cast<int8_t>(Clamp((t + dither) >> 12, 127));
    uint8_t* const pair = reinterpret_cast<uint8_t*>(residual_) + (element >> 1);
    const int shift = static_cast<int>(element & 1) * 4;
    const int32_t low = (((*pair >> shift) & 15) ^ 8) - 8;
    const int32_t sixteenths = Clamp((t + 256 * low + (dither >> 4)) >> 8, 127 * 16);
    const int32_t rounded = (sixteenths + 8) >> 4;
    const int32_t new_low = sixteenths - 16 * rounded;
    *pair = static_cast<uint8_t>((*pair & ~(15 << shift)) | (new_low & 15) << shift);
    return static_cast<int8_t>(rounded);
  }

  // Uniform in [0, 4096): rounds up with the probability of the fraction.
  int32_t Dither(uint32_t index) const {
    const uint32_t h = Hash(key_ ^ (index >> 1));
    return static_cast<int32_t>(((index & 1) != 0 ? h >> 16 : h) & 0xfff);
  }

  int32_t residual_bits_;
  int32_t gain_shift_;
  float gain_;
  float base_;
  uint32_t key_;
  int32_t row_;
  uint32_t row_channels_;
  int8_t* weights_;
  int8_t* residual_;
  const int16_t* channels_;
};

void StepBias(int32_t positions, int32_t channels, const int8_t* grad, float base, const float* kb,
              int32_t* bias) {
  for (int32_t c = 0; c < channels; ++c) {
    int32_t sum = 0;
    const int8_t* q = grad + c;
    for (int32_t i = 0; i < positions; ++i, q += channels) sum += *q;
    const int64_t d = RoundToInt32(static_cast<float>(sum) * (base * kb[c]));
    if (d == 0) continue;
    const int64_t b = bias[c] - d;
    bias[c] = static_cast<int32_t>(b > kMaxBias ? kMaxBias : b < -kMaxBias ? -kMaxBias : b);
  }
}

// Calls visit(tap, rows, columns, offset_y, offset_x) for every trained tap:
// its index, the output positions at which it lies inside the input, and the
// input position that it meets at output position 0. A transposed convolution
// swaps input and output: near positions are those that step by one, far ones
// those that step by the stride.
template <typename Visit>
void ForEachTrainedTap(const Geometry& g, const UpdateParams& update, const Visit& visit,
                       bool transposed = false) {
  const int32_t far_h = transposed ? g.out_h : g.in_h;
  const int32_t far_w = transposed ? g.out_w : g.in_w;
  const int32_t near_h = transposed ? g.in_h : g.out_h;
  const int32_t near_w = transposed ? g.in_w : g.out_w;
  for (int32_t ky = update.tap_y0; ky < update.tap_y1; ++ky) {
    const int32_t offset_y = ky * g.dil_h - g.pad_t;
    const AxisRange y = OutputsOfTap(offset_y, g.stride_h, far_h, near_h);
    for (int32_t kx = update.tap_x0; kx < update.tap_x1; ++kx) {
      const int32_t offset_x = kx * g.dil_w - g.pad_l;
      const AxisRange x = OutputsOfTap(offset_x, g.stride_w, far_w, near_w);
      visit(ky * g.k_w + kx, y, x, offset_y, offset_x);
    }
  }
}

}  // namespace

size_t ConvUpdateScratchBytes(const ConvUpdateParams& params) {
  return sizeof(int32_t) * params.geometry.in_c;
}

void ConvUpdate(const ConvUpdateParams& params, const int8_t* x, const int8_t* grad,
                const TrainState& state, const float* scales, const float* kw, const float* kb,
                int8_t* weights, int32_t* bias, int8_t* residual, const int16_t* channels,
                void* scratch) {
  const Geometry& g = params.geometry;
  const UpdateParams& update = params.update;
  const float base = state.learning_rate * scales[update.slot];
  const WeightStepper stepper(update, state, base, g.in_c, weights, residual, channels);
  int32_t* acc = static_cast<int32_t*>(scratch);
  for (int32_t c = 0; c < g.out_c; ++c) {
    const int32_t multiplier = stepper.Multiplier(kw[c]);
    if (multiplier == 0) continue;
    ForEachTrainedTap(
        g, update,
        [&](int32_t tap, AxisRange rows, AxisRange columns, int32_t offset_y, int32_t offset_x) {
          // sum q * (x - z) = sum q * x - z * sum q, over the taps inside the
          // input.
          int32_t grad_sum = 0;
          int32_t grad_bits = 0;
          std::memset(acc, 0, sizeof(int32_t) * g.in_c);
          RowSum sum(acc, g.in_c);
          for (int32_t near_y = rows.begin; near_y < rows.end; ++near_y) {
            const int32_t far_y = near_y * g.stride_h + offset_y;
            for (int32_t near_x = columns.begin; near_x < columns.end; ++near_x) {
              const int32_t far_x = near_x * g.stride_w + offset_x;
              const int32_t out =
                  params.transposed ? far_y * g.out_w + far_x : near_y * g.out_w + near_x;
              const int32_t in =
                  params.transposed ? near_y * g.in_w + near_x : far_y * g.in_w + far_x;
              const int8_t q = grad[out * g.out_c + c];
              grad_sum += q;
              grad_bits |= q;
              sum.Add(q, x + in * g.in_c);
            }
          }
          sum.Flush();
          if (grad_bits == 0) return;  // masked everywhere
          stepper.StepRow(c * g.k_h * g.k_w + tap, acc, grad_sum * update.x_zero_point, &multiplier,
                          0);
        },
        params.transposed != 0);
  }
  if (bias != nullptr) StepBias(g.out_h * g.out_w, g.out_c, grad, base, kb, bias);
}

size_t DepthwiseUpdateScratchBytes(const DepthwiseUpdateParams& params) {
  return 2 * sizeof(int32_t) * params.geometry.out_c;
}

void DepthwiseUpdate(const DepthwiseUpdateParams& params, const int8_t* x, const int8_t* grad,
                     const TrainState& state, const float* scales, const float* kw, const float* kb,
                     int8_t* weights, int32_t* bias, int8_t* residual, const int16_t* channels,
                     void* scratch) {
  const Geometry& g = params.geometry;
  const UpdateParams& update = params.update;
  const float base = state.learning_rate * scales[update.slot];
  const WeightStepper stepper(update, state, base, g.out_c, weights, residual, channels);
  int32_t* acc = static_cast<int32_t*>(scratch);
  int32_t* multiplier = acc + g.out_c;
  for (int32_t c = 0; c < g.out_c; ++c) multiplier[c] = stepper.Multiplier(kw[c]);
  ForEachTrainedTap(
      g, update,
      [&](int32_t tap, AxisRange rows, AxisRange columns, int32_t offset_y, int32_t offset_x) {
        std::memset(acc, 0, sizeof(int32_t) * g.out_c);
        for (int32_t oy = rows.begin; oy < rows.end; ++oy) {
          const int32_t iy = oy * g.stride_h + offset_y;
          for (int32_t ox = columns.begin; ox < columns.end; ++ox) {
            const int32_t ix = ox * g.stride_w + offset_x;
            const int8_t* q = grad + (oy * g.out_w + ox) * g.out_c;
            const int8_t* pixel = x + (iy * g.in_w + ix) * g.in_c;
            if (params.multiplier == 1) {
              AccumulateProducts(acc, q, pixel, update.x_zero_point, g.out_c);
            } else {
              for (int32_t i = 0; i < g.in_c; ++i) {
                const int32_t c = i * params.multiplier;
                AccumulateRow(acc + c, static_cast<int16_t>(pixel[i] - update.x_zero_point), q + c,
                              params.multiplier);
              }
            }
          }
        }
        stepper.StepRow(tap, acc, 0, multiplier, 1);
      });
  if (bias != nullptr) StepBias(g.out_h * g.out_w, g.out_c, grad, base, kb, bias);
}

void BiasUpdate(const BiasUpdateParams& params, const int8_t* grad, const TrainState& state,
                const float* scales, const float* kb, int32_t* bias) {
  StepBias(params.positions, params.channels, grad, state.learning_rate * scales[params.slot], kb,
           bias);
}

}  // namespace tflm_train
