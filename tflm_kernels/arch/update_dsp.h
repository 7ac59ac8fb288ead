// Weight gradients and updates of convolutions with the DSP extension. Only for update.cc.

#ifndef TFLM_KERNELS_ARCH_UPDATE_DSP_H_
#define TFLM_KERNELS_ARCH_UPDATE_DSP_H_

#include <cstdint>
#include <cstring>

#include "tflm_kernels/arch/dsp.h"
#include "tflm_kernels/arch/four_rows_dsp.h"
#include "tflm_kernels/arch/step_rows_dsp.h"
#include "tflm_kernels/arch/update_panel_dsp.h"
#include "tflm_kernels/bias_stepper.h"
#include "tflm_kernels/panel.h"
#include "tflm_kernels/update_plan.h"
#include "tflm_kernels/weight_stepper.h"

namespace tflm_train {
namespace dsp {

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
        sums_(reinterpret_cast<int32_t*>(
            inputs_ + plan.panels * (plan.elements + UpdatePlan::kTailElements))) {}

  // Has the biases stepped, too, as soon as a tap meets all gradients: see stepped_biases().
  void StepBiases(const BiasStepper& biases) { biases_ = &biases; }

  bool stepped_biases() const { return stepped_biases_; }

  // The weights of one tap, from the pixels that meet under it. Both grids start at
  // channel 0 and have the same size.
  void StepTap(int32_t tap, const PixelGrid& x, const PixelGrid& grad) {
    const Geometry& g = params_.geometry;
    const int32_t width = plan_.panels * kLanes;
    const int32_t size = x.size();
    if (plan_.in_parts) return StepInParts(tap, x, grad);
    SetDepth(size);
    const bool with_biases = biases_ != nullptr && !stepped_biases_ && size == g.out_h * g.out_w &&
                             size <= GradientPacker::kMaxSummed;
    for (int32_t i = 0; i < g.in_c; i += width) {
      const int32_t channels = g.in_c - i < width ? g.in_c - i : width;
      InputPacker packer(params_.update.x_zero_point);
      for (int32_t j = 0; j < channels; j += kLanes) {
        PackGrid(x.Moved(i + j), channels - j, &packer, InputsAt(j));
      }
      AddTails(i, channels / kLanes);
      StepRows(tap, grad, i, channels, with_biases && i == 0 ? biases_ : nullptr);
    }
    stepped_biases_ = stepped_biases_ || with_biases;
  }

 private:
  static constexpr int32_t kTail = sizeof(DitherTail) / sizeof(int16_t);
  static constexpr int32_t kGap = 2;  // at most, between the halves
  static_assert(sizeof(NearestTail) == sizeof(DitherTail), "behind each panel");
  static_assert(kTail + kGap <= UpdatePlan::kTailElements, "behind each panel");

  void SetDepth(int32_t depth) {
    half_ = StepsOf(depth) * kStepElements;
    input_half_ = half_ + (stepper_.residual_bits() == 8 ? 0 : kGap);
    panel_ = input_half_ + half_ + kTail;
  }

  HalfPanels Gradients() const { return {gradients_, gradients_ + half_}; }

  HalfPanels InputsAt(int32_t j) const { return {Inputs(j), Inputs(j) + input_half_}; }

  // What the steps of two rows want in and behind `count` panels of the input from channel i
  // on.
  void AddTails(int32_t i, int32_t count) {
    const bool nearest = stepper_.residual_bits() == 8;
    for (int32_t k = 0; k < count; ++k) {
      int16_t* const panel = Inputs(k * kLanes);
      int16_t* const end = panel + input_half_ + half_;
      const int32_t place = 2 * kLanes * (k + 1 - count);
      if (nearest) {
        const NearestTail tail = {kWholeSteps, place};
        std::memcpy(end, &tail, sizeof(tail));
        continue;
      }
      const int32_t j = i + k * kLanes;
      const auto dithers = [&](int32_t a) {
        return LowHalves(stepper_.ColumnDither(a), stepper_.ColumnDither(a + 2));
      };
      StoreWord(panel + half_, dithers(j));
      const DitherTail tail = {dithers(j + 1), place};
      std::memcpy(end, &tail, sizeof(tail));
    }
  }

  // Steps channels [i, i + channels) of all rows.
  void StepRows(int32_t tap, const PixelGrid& grad, int32_t i, int32_t channels,
                const BiasStepper* biases) {
    const int32_t out_c = params_.geometry.out_c;
    const int32_t whole = channels / kLanes * kLanes;
    const int32_t depth = grad.size();
    const int left = stepper_.gain_shift() - kInputShift;
    const bool in_fours = whole > 0 && left >= 0;
    const int32_t taps = params_.geometry.k_h * params_.geometry.k_w;
    FourRows rows(stepper_, RowOf(0, tap), taps, in_fours ? i + whole - kLanes : 0,
                  RowSums(gradients_, inputs_, StepsOf(depth)), half_);
    for (int32_t c = 0; c < out_c; c += kLanes) {
      const int32_t count = out_c - c < kLanes ? out_c - c : kLanes;
      GradientPacker packer;
      PackGrid(grad.Moved(c), count, &packer, Gradients());
      if (biases != nullptr) StepBiasesOf(packer, c, count, *biases);
      float padded[kLanes];
      int32_t done = 0;
      if (in_fours && stepper_.SmallMultipliers(FourOf(c, padded), left, multiplier_)) {
        rows.Step(multiplier_, count);
        done = whole;
      }
      rows.Next();
      if (done < channels) StepRest(c, count, tap, i, done, channels, depth);
    }
  }

  // kw of four output channels, where there are less with zeros in `padded`.
  const float* FourOf(int32_t c, float* padded) const {
    const int32_t rest = params_.geometry.out_c - c;
    if (rest >= kLanes) return kw_ + c;
    for (int32_t r = 0; r < kLanes; ++r) padded[r] = r < rest ? kw_[c + r] : 0.0f;
    return padded;
  }

  static TFLM_TRAIN_INLINE void StepBiasesOf(const GradientPacker& packer, int32_t c, int32_t count,
                                             const BiasStepper& biases) {
    int32_t sums[kLanes];
    packer.Sums(sums);
    if (count == kLanes) {
      for (int j = 0; j < kLanes; j += 2) biases.StepTwo(c + j, sums[j], sums[j + 1]);
    } else {
      for (int32_t j = 0; j < count; ++j) biases.Step(c + j, sums[j]);
    }
  }

  // Steps columns [from, to), counted from channel i, of some rows.
  __attribute__((noinline)) void StepRest(int32_t c, int32_t rows, int32_t tap, int32_t i,
                                          int32_t from, int32_t to, int32_t depth) {
    for (int32_t r = 0; r < rows; ++r) multiplier_[r] = stepper_.Multiplier(kw_[c + r]);
    for (int32_t r = 0; r < rows; r += 2) {
      for (int32_t j = from; j < to; j += kLanes) {
        const int32_t lanes = to - j < kLanes ? to - j : kLanes;
        int32_t sums[2 * kLanes];
        Multiply(r, j, depth, sums);
        stepper_.Step(RowOf(c + r, tap), i + j, lanes, sums, multiplier_ + r, 0);
        if (r + 1 == rows) continue;
        stepper_.Step(RowOf(c + r + 1, tap), i + j, lanes, sums + kLanes, multiplier_ + r + 1, 0);
      }
    }
  }

  // StepTap where the depth does not fit the panels.
  __attribute__((noinline)) void StepInParts(int32_t tap, const PixelGrid& x,
                                             const PixelGrid& grad) {
    const Geometry& g = params_.geometry;
    const int32_t width = plan_.panels * kLanes;
    SetDepth(plan_.depth);
    for (int32_t i = 0; i < g.in_c; i += width) {
      const int32_t channels = g.in_c - i < width ? g.in_c - i : width;
      for (int32_t c = 0; c < g.out_c; c += kLanes) {
        const int32_t rows = g.out_c - c < kLanes ? g.out_c - c : kLanes;
        PixelCursor cursor(grad.Moved(c));
        PixelCursor x_cursor(x.Moved(i));
        std::memset(sums_, 0, sizeof(int32_t) * kLanes * width);
        for (int32_t done = 0; done < x.size(); done += plan_.depth) {
          const int32_t rest = x.size() - done;
          const int32_t depth = rest < plan_.depth ? rest : plan_.depth;
          InputPacker input_packer(params_.update.x_zero_point);
          for (int32_t j = 0; j < channels; j += kLanes) {
            PackLanes(x_cursor.Moved(j), depth, channels - j, &input_packer, InputsAt(j));
          }
          GradientPacker packer;
          PackLanes(cursor, depth, rows, &packer, Gradients());
          x_cursor.Skip(depth);
          cursor.Skip(depth);
          const auto multiply = [&](int32_t r, int32_t j, int32_t* part) {
            Multiply(r, j, depth, part);
          };
          AddPart(channels, width, multiply, sums_);
        }
        for (int32_t r = 0; r < rows; ++r) {
          const int32_t multiplier = stepper_.Multiplier(kw_[c + r]);
          stepper_.Step(RowOf(c + r, tap), i, channels, sums_ + r * width, &multiplier, 0);
        }
      }
    }
  }

  // The sums of rows r and r + 1, columns from j on.
  __attribute__((noinline)) void Multiply(int32_t r, int32_t j, int32_t depth,
                                          int32_t* sums) const {
    for (int half = 0; half < 2; ++half) {
      int32_t parts[kLanes];
      SumHalves(r == 0 ? gradients_ : gradients_ + half_, Inputs(j) + half * input_half_,
                StepsOf(depth), parts);
      for (int k = 0; k < kLanes; ++k) {
        sums[k / 2 * kLanes + k % 2 * 2 + half] = parts[k] >> kInputShift;
      }
    }
  }

  WeightRow RowOf(int32_t c, int32_t tap) const {
    return ConvWeightRow(c, tap, params_.geometry.k_h * params_.geometry.k_w);
  }

  int16_t* Inputs(int32_t j) const { return inputs_ + j / kLanes * panel_; }

  const UpdatePlan& plan_;
  const ConvUpdateParams& params_;
  const WeightStepper& stepper_;
  const BiasStepper* biases_ = nullptr;
  bool stepped_biases_ = false;
  const float* kw_;
  int16_t* gradients_;      // one panel
  int16_t* inputs_;         // plan_.panels panels, with tails
  int32_t half_ = 0;        // elements of half a panel
  int32_t input_half_ = 0;  // elements from an input panel's first half to its second
  int32_t panel_ = 0;       // elements from one to the next
  int32_t* sums_;           // [kLanes][plan_.panels * kLanes] when in parts
  int32_t multiplier_[kLanes];
};

}  // namespace dsp
}  // namespace tflm_train

#endif  // TFLM_KERNELS_ARCH_UPDATE_DSP_H_
