#include "tflm_kernels/update.h"

#include <cstring>

#include "tflm_kernels/bias_stepper.h"
#include "tflm_kernels/channel_ops.h"
#include "tflm_kernels/panel.h"
#include "tflm_kernels/spec/geometry.h"
#include "tflm_kernels/spec/numerics.h"
#include "tflm_kernels/update_plan.h"
#include "tflm_kernels/update_rule.h"
#include "tflm_kernels/weight_stepper.h"

#if defined(TFLM_TRAIN_MVE)
#include "tflm_kernels/arch/bias_mve.h"
#include "tflm_kernels/arch/depthwise_taps_mve.h"
#include "tflm_kernels/arch/depthwise_update_mve.h"
#include "tflm_kernels/arch/update_mve.h"
#elif defined(TFLM_TRAIN_DSP)
#include "tflm_kernels/arch/depthwise_update_dsp.h"
#include "tflm_kernels/arch/mask_dsp.h"
#include "tflm_kernels/arch/update_dsp.h"
#endif

namespace tflm_train {
namespace {

void StepBias(int32_t positions, int32_t channels, const int8_t* grad, const BiasStepper& stepper) {
  int32_t c = 0;
#if defined(TFLM_TRAIN_MVE)
  for (; c + mve::kColumns <= channels; c += mve::kColumns) {
    const mve::Eight columns = mve::SumColumns(grad + c, channels, positions);
    if (stepper.StepEight(c, columns)) continue;
    int32_t sums[mve::kColumns];
    mve::Store(columns, sums);
#pragma GCC unroll 1
    for (int j = 0; j < mve::kColumns; ++j) stepper.Step(c + j, sums[j]);
  }
#elif defined(TFLM_TRAIN_DSP)
  for (; c + kLanes <= channels; c += kLanes) {
    int32_t sums[kLanes];
    dsp::SumBytes(grad + c, channels, positions, sums);
    for (int j = 0; j < kLanes; j += 2) stepper.StepTwo(c + j, sums[j], sums[j + 1]);
  }
#endif
  for (; c < channels; ++c) {
    int32_t sum = 0, left = positions;
    const int8_t* q = grad + c;
    do {
      sum += *q;
      q += channels;
    } while (--left > 0);
    stepper.Step(c, sum);
  }
}

// Calls visit(tap, rows, columns, offset_y, offset_x) for every trained tap:
// its index, the output positions at which it lies inside the input, and the
// input position that it meets at output position 0. A transposed convolution
// swaps input and output: near positions are those that step by one, far ones
// those that step by the stride.
template <typename Visit>
void ForEachTrainedTap(const Geometry& g, const UpdateParams& update, bool transposed,
                       const Visit& visit) {
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

// Steps a whole row; small: all multipliers are.
void StepRow(const WeightStepper& stepper, const WeightRow& row, const int32_t* sums,
             const int32_t* multiplier, bool small, int32_t n) {
  int32_t i = 0;
  if (small) {
    for (; i + 4 <= n; i += 4) stepper.StepFour(row, i, sums + i, multiplier + i, 1);
  }
  stepper.Step(row, i, n - i, sums + i, multiplier + i, 1);
}

#if defined(TFLM_TRAIN_MVE)

using mve::TapUpdate;

#elif defined(TFLM_TRAIN_DSP)

using dsp::TapUpdate;

#else

// Sums the gradients of some weights and steps them.
class TapUpdate {
 public:
  TapUpdate(const UpdatePlan& plan, const ConvUpdateParams& params, const WeightStepper& stepper,
            const float* kw, void* scratch)
      : plan_(plan),
        params_(params),
        stepper_(stepper),
        kw_(kw),
        gradients_(static_cast<int16_t*>(scratch)),
        inputs_(gradients_ + plan.elements),
        sums_(reinterpret_cast<int32_t*>(inputs_ + plan.elements * plan.panels)) {}

  // The weights of one tap, from the pixels that meet under it. Both grids start at
  // channel 0 and have the same size.
  void StepTap(int32_t tap, const PixelGrid& x, const PixelGrid& grad) {
    const Geometry& g = params_.geometry;
    const int32_t width = plan_.panels * kLanes;
    panel_ = plan_.in_parts ? plan_.elements : PackedElements(x.size());
    for (int32_t i = 0; i < g.in_c; i += width) {
      const int32_t channels = g.in_c - i < width ? g.in_c - i : width;
      PixelCursor x_cursor(x.Moved(i));
      if (!plan_.in_parts) PackInputs(&x_cursor, x.size(), channels);
      for (int32_t c = 0; c < g.out_c; c += kLanes) {
        const int32_t rows = g.out_c - c < kLanes ? g.out_c - c : kLanes;
        for (int32_t r = 0; r < rows; ++r) multiplier_[r] = stepper_.Multiplier(kw_[c + r]);
        PixelCursor cursor(grad.Moved(c));
        if (!plan_.in_parts) {
          PackLanes(&cursor, grad.size(), rows, 0, gradients_);
          StepDirectly(tap, c, rows, i, channels, grad.size());
          continue;
        }
        x_cursor = PixelCursor(x.Moved(i));
        std::memset(sums_, 0, sizeof(int32_t) * kLanes * width);
        for (int32_t done = 0; done < grad.size(); done += plan_.depth) {
          const int32_t rest = grad.size() - done;
          const int32_t depth = rest < plan_.depth ? rest : plan_.depth;
          PackInputs(&x_cursor, depth, channels);
          PackLanes(&cursor, depth, rows, 0, gradients_);
          AddSums(channels, depth);
        }
        StepSums(tap, c, rows, i, channels);
      }
    }
  }

 private:
  void PackInputs(PixelCursor* cursor, int32_t depth, int32_t channels) {
    for (int32_t j = 0; j < channels; j += kLanes) {
      const int32_t lanes = channels - j < kLanes ? channels - j : kLanes;
      PixelCursor moved = cursor->Moved(j);
      PackLanes(&moved, depth, lanes, params_.update.x_zero_point, Inputs(j));
      if (j + kLanes >= channels) *cursor = moved.Moved(-j);
    }
  }

  void StepDirectly(int32_t tap, int32_t c, int32_t rows, int32_t i, int32_t channels,
                    int32_t depth) {
    for (int32_t r = 0; r < rows; r += 2) {
      const bool pair = r + 1 < rows;
      if (stepper_.IsFrozen(multiplier_[r]) && (!pair || stepper_.IsFrozen(multiplier_[r + 1]))) {
        continue;
      }
      const WeightRow row = RowOf(c + r, tap);
      const WeightRow next_row = RowOf(c + r + 1, tap);
      for (int32_t j = 0; j < channels; j += kLanes) {
        const int32_t lanes = channels - j < kLanes ? channels - j : kLanes;
        int32_t sums[2 * kLanes];
        MultiplyPanels(gradients_ + r * kQuantum, Inputs(j), depth, sums);
        stepper_.Count(lanes, sums, kw_ + c + r, 0);
        stepper_.Step(row, i + j, lanes, sums, multiplier_ + r, 0);
        if (!pair) continue;
        stepper_.Count(lanes, sums + kLanes, kw_ + c + r + 1, 0);
        stepper_.Step(next_row, i + j, lanes, sums + kLanes, multiplier_ + r + 1, 0);
      }
    }
  }

  void AddSums(int32_t channels, int32_t depth) {
    const auto multiply = [&](int32_t r, int32_t j, int32_t* part) {
      MultiplyPanels(gradients_ + r * kQuantum, Inputs(j), depth, part);
    };
    AddPart(channels, plan_.panels * kLanes, multiply, sums_);
  }

  void StepSums(int32_t tap, int32_t c, int32_t rows, int32_t i, int32_t channels) {
    for (int32_t r = 0; r < rows; ++r) {
      const int32_t* const sums = sums_ + r * plan_.panels * kLanes;
      stepper_.Count(channels, sums, kw_ + c + r, 0);
      stepper_.Step(RowOf(c + r, tap), i, channels, sums, multiplier_ + r, 0);
    }
  }

  WeightRow RowOf(int32_t c, int32_t tap) const {
    return ConvWeightRow(c, tap, params_.geometry.k_h * params_.geometry.k_w);
  }

  int16_t* Inputs(int32_t j) const { return inputs_ + j / kLanes * panel_; }

  const UpdatePlan& plan_;
  const ConvUpdateParams& params_;
  const WeightStepper& stepper_;
  const float* kw_;
  int16_t* gradients_;  // one panel
  int16_t* inputs_;     // plan_.panels panels
  int32_t panel_ = 0;   // elements from one to the next
  int32_t* sums_;       // [kLanes][plan_.panels * kLanes] when in parts
  int32_t multiplier_[kLanes];
};

#endif

// Pixels from (y, x) on of an image of the given width and channels.
PixelGrid Pixels(const int8_t* image, int32_t width, int32_t channels, int32_t y, int32_t x,
                 int32_t rows, int32_t columns, int32_t stride_h, int32_t stride_w) {
  return {image + (y * width + x) * channels, rows, columns, stride_h * width * channels,
          stride_w * channels};
}

// The gradients of one tap's weights of a depthwise layer, from the pixels that meet under it.
void SumDepthwiseTap(const DepthwiseUpdateParams& params, const PixelGrid& x, const PixelGrid& grad,
                     int32_t* acc) {
  const int32_t channels = params.geometry.out_c;
  const int32_t zero_point = params.update.x_zero_point;
  int32_t done = 0;
#if defined(TFLM_TRAIN_DSP) && !defined(TFLM_TRAIN_MVE)
  // FAST-PATH-BOUND: met-pixels
  if (params.multiplier == 1 && grad.rows > 0 && grad.columns > 0) {
    for (; done + kLanes <= channels; done += kLanes) {
      dsp::SumProducts(x.Moved(done), grad.Moved(done), zero_point, acc + done);
    }
  }
#endif
  const int32_t rest = channels - done;
  if (rest == 0) return;
  std::memset(acc + done, 0, sizeof(int32_t) * rest);
  for (int32_t row = 0; row < grad.rows; ++row) {
    const int8_t* pixel = x.first + row * x.row_stride + done;
    const int8_t* q = grad.first + row * grad.row_stride + done;
    for (int32_t k = 0; k < grad.columns; ++k, pixel += x.column_stride, q += grad.column_stride) {
      if (params.multiplier == 1) {
        AccumulateProducts(acc + done, q, pixel, zero_point, rest);
        continue;
      }
      for (int32_t i = 0; i < params.geometry.in_c; ++i) {
        const int32_t c = i * params.multiplier;
        AccumulateRow(acc + c, static_cast<int16_t>(pixel[i] - zero_point), q + c,
                      params.multiplier);
      }
    }
  }
}

// Steps the weights and the bias of a convolution by the gradients of this sample. Not inlined into
// the rule, where its arguments would be read from the rule's memory again and again.
__attribute__((noinline)) void StepConv(const ConvUpdateParams& params, const int8_t* x,
                                        const int8_t* grad, const StepState& state, float base,
                                        const float* kw, const float* kb, int8_t* weights,
                                        int32_t* bias, int8_t* residual, const int16_t* channels,
                                        void* scratch) {
  const Geometry& g = params.geometry;
  const UpdateParams& update = params.update;
  const int32_t positions = params.transposed ? g.in_h * g.in_w : g.out_h * g.out_w;
  const WeightStepper stepper(update, state, base, positions,
                              int64_t{g.k_h} * g.k_w * update.row_channels, g.in_c, weights,
                              residual, channels);
  const UpdatePlan plan(params);
  const BiasStepper biases(base, kb, bias);
  TapUpdate updates(plan, params, stepper, kw, scratch);
#if defined(TFLM_TRAIN_DSP) && !defined(TFLM_TRAIN_MVE)
  if (bias != nullptr) updates.StepBiases(biases);
#endif
  ForEachTrainedTap(
      g, update, params.transposed != 0,
      [&](int32_t tap, AxisRange rows, AxisRange columns, int32_t offset_y, int32_t offset_x) {
        const int32_t h = rows.end - rows.begin;
        const int32_t w = columns.end - columns.begin;
        if (h <= 0 || w <= 0) return;
        const int32_t far_y = rows.begin * g.stride_h + offset_y;
        const int32_t far_x = columns.begin * g.stride_w + offset_x;
        if (params.transposed) {
          const PixelGrid pixels = Pixels(x, g.in_w, g.in_c, rows.begin, columns.begin, h, w, 1, 1);
          const PixelGrid gradients =
              Pixels(grad, g.out_w, g.out_c, far_y, far_x, h, w, g.stride_h, g.stride_w);
          updates.StepTap(tap, pixels.Flattened(), gradients.Flattened());
        } else {
          const PixelGrid pixels =
              Pixels(x, g.in_w, g.in_c, far_y, far_x, h, w, g.stride_h, g.stride_w);
          const PixelGrid gradients =
              Pixels(grad, g.out_w, g.out_c, rows.begin, columns.begin, h, w, 1, 1);
          updates.StepTap(tap, pixels.Flattened(), gradients.Flattened());
        }
      });
  if (bias == nullptr) return;
#if defined(TFLM_TRAIN_DSP) && !defined(TFLM_TRAIN_MVE)
  if (updates.stepped_biases()) return;
#endif
  StepBias(g.out_h * g.out_w, g.out_c, grad, biases);
}

// The same of a depthwise convolution.
__attribute__((noinline)) void StepDepthwise(const DepthwiseUpdateParams& params, const int8_t* x,
                                             const int8_t* grad, const StepState& state, float base,
                                             const float* kw, const float* kb, int8_t* weights,
                                             int32_t* bias, int8_t* residual,
                                             const int16_t* channels, void* scratch) {
  const Geometry& g = params.geometry;
  const UpdateParams& update = params.update;
  const WeightStepper stepper(update, state, base, g.out_h * g.out_w, int64_t{g.k_h} * g.k_w,
                              g.out_c, weights, residual, channels);
#if defined(TFLM_TRAIN_MVE)
  const mve::DepthwiseUpdatePlan plan(params, DepthwiseUpdateScratchBytes(params));
  if (plan.usable) {
    mve::DepthwiseUpdater(params, plan, stepper, kw, scratch).Run(x, grad);
    if (bias != nullptr) StepBias(g.out_h * g.out_w, g.out_c, grad, BiasStepper(base, kb, bias));
    return;
  }
#endif
  int32_t* acc = static_cast<int32_t*>(scratch);
  int32_t* multiplier = acc + g.out_c;
  bool small = true;
  int32_t c = 0;
#if defined(TFLM_TRAIN_DSP)
  while (c + 4 <= g.out_c && stepper.SmallMultipliers(kw + c, 0, multiplier + c)) c += 4;
#endif
  for (; c < g.out_c; ++c) {
    multiplier[c] = stepper.Multiplier(kw[c]);
    small = small && stepper.IsSmall(multiplier[c]);
  }
#if defined(TFLM_TRAIN_MVE)
  const mve::DepthwiseTaps taps(params, stepper, multiplier);
#endif
  ForEachTrainedTap(
      g, update, false,
      [&](int32_t tap, AxisRange rows, AxisRange columns, int32_t offset_y, int32_t offset_x) {
#if defined(TFLM_TRAIN_MVE)
        if (taps.usable()) return taps.Step(tap, rows, columns, offset_y, offset_x, x, grad);
#endif
        const int32_t h = rows.end - rows.begin;
        const int32_t w = columns.end - columns.begin;
        const PixelGrid pixels =
            Pixels(x, g.in_w, g.in_c, rows.begin * g.stride_h + offset_y,
                   columns.begin * g.stride_w + offset_x, h, w, g.stride_h, g.stride_w);
        SumDepthwiseTap(params, pixels,
                        Pixels(grad, g.out_w, g.out_c, rows.begin, columns.begin, h, w, 1, 1), acc);
        const uint32_t row = static_cast<uint32_t>(tap);
        stepper.Count(g.out_c, acc, kw, 1);
        StepRow(stepper, {row, row}, acc, multiplier, small, g.out_c);
      });
  if (bias != nullptr) StepBias(g.out_h * g.out_w, g.out_c, grad, BiasStepper(base, kb, bias));
}

// Runs step(base, weights, bias), which steps these by the gradients of this sample, under the
// layer's rule.
template <typename Step>
void RunRule(const RuleParams& rule, const StepState& state, float scale,
             const GradientBound& bound, const DecayedLayer& layer, int32_t weights,
             const TrainedTensors& trained, const Step& step) {
  const float base = StepBase(rule, state, scale, bound);
  const bool moves = MovesWeights(rule, state);
  if (moves && rule.weight_decay > 0.0f) {
    DecayWeights(layer, state.learning_rate * rule.weight_decay, StepKey(state, layer.update.layer),
                 trained.weights, trained.residual);
  }
  if (rule.steps <= 1) return step(base, trained.weights, trained.bias);
  step(base, trained.gathered, trained.bias == nullptr ? nullptr : trained.bias_gathered);
  if (!moves) return;
  ApplySteps(weights, trained.gathered, trained.weights);
  if (trained.bias != nullptr) {
    ApplyBiasSteps(layer.geometry.out_c, trained.bias_gathered, trained.bias);
  }
}

// What the norm of a layer's gradient is bounded by.
GradientBound BoundOf(const Geometry& g, const UpdateParams& update, const int8_t* x,
                      const int8_t* grad) {
  return {grad, g.out_h * g.out_w * g.out_c, x, g.in_h * g.in_w * g.in_c, update.x_zero_point};
}

}  // namespace

size_t ConvUpdateScratchBytes(const ConvUpdateParams& params) { return UpdatePlan(params).bytes(); }

void ConvUpdate(const ConvUpdateParams& params, const int8_t* x, const int8_t* grad,
                const StepState& state, const float* scales, const float* kw, const float* kb,
                const TrainedTensors& trained, const int16_t* channels, void* scratch) {
  const Geometry& g = params.geometry;
  const UpdateParams& update = params.update;
  const int32_t taps = g.k_h * g.k_w;
  RunRule(params.rule, state, scales[update.slot], BoundOf(g, update, x, grad),
          {g, update, taps, g.in_c, kw, channels}, g.out_c * taps * g.in_c, trained,
          [&](float base, int8_t* weights, int32_t* bias) {
            StepConv(params, x, grad, state, base, kw, kb, weights, bias, trained.residual,
                     channels, scratch);
          });
}

size_t DepthwiseUpdateScratchBytes(const DepthwiseUpdateParams& params) {
  return 2 * sizeof(int32_t) * params.geometry.out_c;
}

void DepthwiseUpdate(const DepthwiseUpdateParams& params, const int8_t* x, const int8_t* grad,
                     const StepState& state, const float* scales, const float* kw, const float* kb,
                     const TrainedTensors& trained, const int16_t* channels, void* scratch) {
  const Geometry& g = params.geometry;
  const UpdateParams& update = params.update;
  RunRule(params.rule, state, scales[update.slot], BoundOf(g, update, x, grad),
          {g, update, 0, g.out_c, kw, channels}, g.k_h * g.k_w * g.out_c, trained,
          [&](float base, int8_t* weights, int32_t* bias) {
            StepDepthwise(params, x, grad, state, base, kw, kb, weights, bias, trained.residual,
                          channels, scratch);
          });
}

void BiasUpdate(const BiasUpdateParams& params, const int8_t* grad, const StepState& state,
                const float* scales, const float* kb, int32_t* bias, int32_t* gathered) {
  const RuleParams& rule = params.rule;
  const GradientBound bound = {grad, params.positions * params.channels, nullptr, 0, 0};
  const float base = StepBase(rule, state, scales[params.slot], bound);
  int32_t* const stepped = rule.steps <= 1 ? bias : gathered;
  StepBias(params.positions, params.channels, grad, BiasStepper(base, kb, stepped));
  if (rule.steps > 1 && MovesWeights(rule, state)) {
    ApplyBiasSteps(params.channels, gathered, bias);
  }
}

}  // namespace tflm_train
