// Weight gradients and updates of convolutions with the DSP extension. Only for update.cc.

#ifndef TFLM_KERNELS_ARCH_UPDATE_DSP_H_
#define TFLM_KERNELS_ARCH_UPDATE_DSP_H_

#include <cstdint>
#include <cstring>

#include "tflm_kernels/arch/dsp.h"
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
        sums_(reinterpret_cast<int32_t*>(inputs_ + plan.panels * (plan.elements + kTail))) {}

  // Has the biases stepped, too, as soon as a tap meets all gradients: see stepped_biases().
  void StepBiases(const BiasStepper& biases) { biases_ = &biases; }

  bool stepped_biases() const { return stepped_biases_; }

  // The weights of one tap, from the pixels that meet under it. Both grids start at
  // channel 0 and have the same size.
  void StepTap(int32_t tap, const PixelGrid& x, const PixelGrid& grad) {
    const Geometry& g = params_.geometry;
    const int32_t width = plan_.panels * kLanes;
    const int32_t size = x.size();
    panel_ = PackedElements(plan_.in_parts ? plan_.depth : size) + kTail;
    const bool all = biases_ != nullptr && !stepped_biases_ && size == g.out_h * g.out_w &&
                     size <= GradientPacker::kMaxSummed;
    for (int32_t i = 0; i < g.in_c; i += width) {
      const int32_t channels = g.in_c - i < width ? g.in_c - i : width;
      PixelCursor x_cursor(x.Moved(i));
      if (!plan_.in_parts) {
        PackInputs(&x_cursor, size, channels);
        AddTails(i, channels / kLanes, RowSums::InRounds((size + 1) / 2));
      }
      for (int32_t c = 0; c < g.out_c; c += kLanes) {
        const int32_t rows = g.out_c - c < kLanes ? g.out_c - c : kLanes;
        const bool small = Prepare(c, rows);
        PixelCursor cursor(grad.Moved(c));
        if (!plan_.in_parts) {
          GradientPacker packer;
          PackPanel(&cursor, size, rows, &packer, gradients_);
          if (all && i == 0) {
            for (int32_t r = 0; r < rows; ++r) biases_->Step(c + r, packer.Sum(r));
          }
          StepDirectly(tap, c, rows, i, channels, size, small);
          continue;
        }
        x_cursor = PixelCursor(x.Moved(i));
        std::memset(sums_, 0, sizeof(int32_t) * kLanes * width);
        for (int32_t done = 0; done < size; done += plan_.depth) {
          const int32_t rest = size - done;
          const int32_t depth = rest < plan_.depth ? rest : plan_.depth;
          PackInputs(&x_cursor, depth, channels);
          GradientPacker packer;
          PackPanel(&cursor, depth, rows, &packer, gradients_);
          AddSums(channels, depth);
        }
        StepSums(tap, c, rows, i, channels);
      }
    }
    stepped_biases_ = stepped_biases_ || all;
  }

 private:
  static constexpr int32_t kTail = UpdatePlan::kTailElements;
  static_assert(sizeof(ColumnsTail) == kTail * sizeof(int16_t), "behind each panel");

  __attribute__((noinline)) void PackInputs(PixelCursor* cursor, int32_t depth, int32_t channels) {
    InputPacker packer(params_.update.x_zero_point);
    for (int32_t j = 0; j < channels; j += kLanes) {
      const int32_t lanes = channels - j < kLanes ? channels - j : kLanes;
      PixelCursor moved = cursor->Moved(j);
      PackPanel(&moved, depth, lanes, &packer, Inputs(j));
      if (j + kLanes >= channels) *cursor = moved.Moved(-j);
    }
  }

  // Behind `count` panels of the input from channel i on.
  void AddTails(int32_t i, int32_t count, bool in_rounds) {
    const bool nearest = stepper_.residual_bits() == 8;
    for (int32_t k = 0; k < count; ++k) {
      ColumnsTail tail = {kLess, kHighBytes, 2 * kLanes * (k + 1 - count) + (in_rounds ? 1 : 0)};
      if (!nearest) {
        const int32_t j = i + k * kLanes;
        tail.first = LowHalves(stepper_.ColumnDither(j), stepper_.ColumnDither(j + 1));
        tail.second = LowHalves(stepper_.ColumnDither(j + 2), stepper_.ColumnDither(j + 3));
      }
      std::memcpy(Inputs((k + 1) * kLanes) - kTail, &tail, sizeof(tail));
    }
  }

  // The multipliers of four output channels; returns whether all are small.
  bool Prepare(int32_t c, int32_t rows) {
    bool small = true;
    for (int32_t r = 0; r < rows; ++r) {
      multiplier_[r] = stepper_.QuickMultiplier(kw_[c + r]);
      if (!stepper_.IsSmall(multiplier_[r])) {
        multiplier_[r] = stepper_.Multiplier(kw_[c + r]);
        small = false;
      }
    }
    return small;
  }

  void StepDirectly(int32_t tap, int32_t c, int32_t rows, int32_t i, int32_t channels,
                    int32_t depth, bool small) {
    const int32_t count = channels / kLanes;
    for (int32_t r = 0; r < rows; r += 2) {
      int32_t j = 0;
      if (small && r + 1 < rows && count > 0 && stepper_.gain_shift() >= kInputShift) {
        const RowSums sums(gradients_ + r * kQuantum, Inputs(0), (depth + 1) / 2);
        StepPair(RowOf(c + r, tap), RowOf(c + r + 1, tap), i + (count - 1) * kLanes,
                 multiplier_ + r, sums);
        j = count * kLanes;
      }
      for (; j < channels; j += kLanes) {
        const int32_t lanes = channels - j < kLanes ? channels - j : kLanes;
        int32_t sums[2 * kLanes];
        Multiply(r, j, depth, sums);
        stepper_.Step(RowOf(c + r, tap), i + j, lanes, sums, multiplier_ + r, 0);
        if (r + 1 == rows) continue;
        stepper_.Step(RowOf(c + r + 1, tap), i + j, lanes, sums + kLanes, multiplier_ + r + 1, 0);
      }
    }
  }

  // Steps two rows. last: where the last four columns begin.
  void StepPair(const WeightRow& row, const WeightRow& next, int32_t last,
                const int32_t* multiplier, const RowSums& sums) {
    const int gain = stepper_.gain_shift() - kInputShift;
    const int32_t m0 = ShiftLeft(multiplier[0], gain), m1 = ShiftLeft(multiplier[1], gain);
    int8_t* const w0 = stepper_.WeightsAt(row, last);
    int8_t* const w1 = stepper_.WeightsAt(next, last);
    if (stepper_.residual_bits() == 8) {
      StepRows(NearestRows{w0, stepper_.ResidualsAt(row, last), w1,
                           stepper_.ResidualsAt(next, last), kOnes, m0, m1, 0, sums});
      return;
    }
    const uint32_t start = stepper_.DitherStart(row);
    const uint32_t starts = LowHalves(start, start);
    if (stepper_.residual_bits() == 0) {
      StepRows(RandomRows{starts, m0, 0xffff0000, m1, w0, w1, kOnes, kHighBytes, sums});
    } else {
      StepRows(SixteenthsRows{starts, m0, m1, w0, stepper_.ResidualsAt(row, last), w1,
                              stepper_.ResidualsAt(next, last), 0, sums});
    }
  }

  // The sums of rows r and r + 1, columns from j on.
  __attribute__((noinline)) void Multiply(int32_t r, int32_t j, int32_t depth,
                                          int32_t* sums) const {
    MultiplyPanels(gradients_ + r * kQuantum, Inputs(j), depth, sums);
    for (int k = 0; k < 2 * kLanes; ++k) sums[k] >>= kInputShift;
  }

  void AddSums(int32_t channels, int32_t depth) {
    const int32_t width = plan_.panels * kLanes;
    for (int32_t r = 0; r < kLanes; r += 2) {
      for (int32_t j = 0; j < channels; j += kLanes) {
        int32_t part[2 * kLanes];
        Multiply(r, j, depth, part);
        int32_t* const to = sums_ + r * width + j;
        for (int k = 0; k < kLanes; ++k) {
          to[k] += part[k];
          to[width + k] += part[kLanes + k];
        }
      }
    }
  }

  void StepSums(int32_t tap, int32_t c, int32_t rows, int32_t i, int32_t channels) {
    for (int32_t r = 0; r < rows; ++r) {
      stepper_.Step(RowOf(c + r, tap), i, channels, sums_ + r * plan_.panels * kLanes,
                    multiplier_ + r, 0);
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
  int16_t* gradients_;  // one panel
  int16_t* inputs_;     // plan_.panels panels, with tails
  int32_t panel_ = 0;   // elements from one to the next
  int32_t* sums_;       // [kLanes][plan_.panels * kLanes] when in parts
  int32_t multiplier_[kLanes];
};

}  // namespace dsp
}  // namespace tflm_train

#endif  // TFLM_KERNELS_ARCH_UPDATE_DSP_H_
