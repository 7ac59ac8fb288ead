// Applies summed gradients to the weights of one layer, in place.

#ifndef TFLM_KERNELS_WEIGHT_STEPPER_H_
#define TFLM_KERNELS_WEIGHT_STEPPER_H_

#include <cstdint>

#include "tflm_kernels/arch/features.h"
#include "tflm_kernels/sixteenths.h"
#include "tflm_kernels/spec/numerics.h"
#include "tflm_kernels/spec/op_params.h"
#include "tflm_kernels/state/state.h"

#if defined(TFLM_TRAIN_MVE)
#include "tflm_kernels/arch/step_mve.h"
#elif defined(TFLM_TRAIN_DSP)
#include "tflm_kernels/arch/step_dsp.h"
#endif

namespace tflm_train {

constexpr int32_t Clamp(int32_t value, int32_t limit) {
  return value > limit ? limit : value < -limit ? -limit : value;
}

#if defined(TFLM_TRAIN_HOST)
#if defined(__linux__)
#define TFLM_TRAIN_PER_THREAD thread_local
#else
#define TFLM_TRAIN_PER_THREAD  // Tests take the host's form to boards, which have no threads.
#endif

// What the host's steps in this thread have come to, counted for the report of a training; in
// elements of one step in eight, which costs next to nothing.
struct StepCounts {
  uint64_t steps;     // with a gradient
  uint64_t limited;   // of these, with a multiplier at its limit
  uint64_t vanished;  // of these, rounded to no change at all
};
inline TFLM_TRAIN_PER_THREAD StepCounts step_counts = {};
#endif

// A row of the layer's weights, and the row of random numbers that it is rounded with.
struct WeightRow {
  uint32_t index, dither;
};

// Of a convolution: pairs of output channels share random numbers.
constexpr WeightRow ConvWeightRow(int32_t c, int32_t tap, int32_t taps) {
  return {static_cast<uint32_t>(c * taps + tap), static_cast<uint32_t>((c >> 1) * taps + tap)};
}

// Of a layer's random numbers in this step.
inline uint32_t StepKey(const StepState& state, int32_t layer) {
  return Hash(Hash(state.seed + state.step * 0x9E3779B9u) ^
              (static_cast<uint32_t>(layer) * 0x85EBCA6Bu));
}

class WeightStepper {
 public:
  // positions: that gradients are summed over. fan_in: weights of the whole layer that meet in one output.
  // row: elements of a row of the weights. weights, residual, channels: see ConvUpdate.
  WeightStepper(const UpdateParams& params, const StepState& state, float base, int32_t positions,
                int64_t fan_in, int32_t row, int8_t* weights, int8_t* residual,
                const int16_t* channels)
      : residual_bits_(params.residual_bits),
        gain_shift_(params.gain_shift),
        gain_(-PowerOfTwo((params.residual_bits == 8 ? 8 : 16) + 32 - params.gain_shift)),
        base_(base),
        scale_(base * gain_),
        key_(StepKey(state, params.layer)),
        row_(row),
        limit_(StepLimit(params, fan_in, positions)),
        weights_(weights),
        residual_(residual),
        channels_(channels) {
#if defined(TFLM_TRAIN_HOST)
    counting_ = state.step % 8 == 0;
#endif
    const int64_t largest = int64_t{127 * 255} * positions << gain_shift_;
    const int64_t delta = residual_bits_ == 8 ? kMaxNearestDelta : kMaxRandomDelta;
    const int64_t fitting = (delta << 32) / largest;
    // FAST-PATH-BOUND: step-limit
    const int32_t whole = kMaxSmall >> (gain_shift_ > 8 ? gain_shift_ - 8 : 0);
    const int32_t most = whole < limit_ ? whole : limit_;
    small_ = static_cast<int32_t>(fitting < most ? fitting : most);
  }

  // Fixed-point step per unit of gradient sum of a channel with constant kw, at most 0. It stops at
  // the layer's limit.
  int32_t Multiplier(float kw) const {
    const int32_t multiplier = RoundToInt32((base_ * kw) * gain_);
    return multiplier < -limit_ ? -limit_ : multiplier;
  }

  // The same of four channels, times 2^left; left is at most gain_shift - 7. Returns whether all are
  // IsSmall, where they are well below that; else they are not valid.
  bool SmallMultipliers(const float* kw, int left, int32_t* multipliers) const {
    uint32_t bits = 0;
    for (int j = 0; j < 4; ++j) {
      // Of numbers up to 0, the next lower whole one is it rounded.
      const int32_t halves = HalvesTowardZero(scale_ * kw[j]);
      bits |= 0 - static_cast<uint32_t>(halves);
      multipliers[j] = ShiftLeft(halves >> 1, left);
    }
    return bits <= 2 * static_cast<uint32_t>(small_) && HasWholeBytes();
  }

  // Whether StepFour may be used with this multiplier: no step is too large for the
  // short arithmetic of the arch/step_*.h.
  bool IsSmall(int32_t multiplier) const {
#if defined(TFLM_TRAIN_STEP_FOUR)
    return multiplier <= 0 && multiplier >= -small_ && HasWholeBytes();
#else
    static_cast<void>(multiplier);
    return false;
#endif
  }

  // Whether rows with these multipliers, or-ed, are left out. With residuals of four bits none is:
  // what a foreign state holds beyond the limit comes back to it in every step, on every core. Nor
  // where the host counts: which of their steps are none needs their gradients.
  bool IsFrozen(int32_t multipliers) const {
    return multipliers == 0 && residual_bits_ != 4 && !IsCounting();
  }

  // Adds n weights with the gradients sums[0 .. n) to the host's counts; weight j has the constant
  // kw[j * stride]. Weights of a dead channel take no steps.
  void Count(int32_t n, const int32_t* sums, const float* kw, int32_t stride) const {
#if defined(TFLM_TRAIN_HOST)
    if (!counting_) return;
    StepCounts counts = {};
    for (int32_t j = 0; j < n; ++j) {
      if (sums[j] == 0 || kw[j * stride] == 0.0f) continue;
      const int32_t m = Multiplier(kw[j * stride]);
      ++counts.steps;
      counts.limited += m <= -limit_;
      counts.vanished += HighMul(ShiftLeft(sums[j], gain_shift_), m) == 0;
    }
    step_counts.steps += counts.steps;
    step_counts.limited += counts.limited;
    step_counts.vanished += counts.vanished;
#else
    static_cast<void>(n), static_cast<void>(sums), static_cast<void>(kw);
    static_cast<void>(stride);
#endif
  }

  int32_t residual_bits() const { return residual_bits_; }
  int gain_shift() const { return gain_shift_; }
  int32_t row() const { return row_; }

  // The first of a row's random numbers, and what column i of the weights adds to it.
  uint32_t DitherStart(const WeightRow& row) const { return Hash(key_ ^ row.dither); }
  uint32_t ColumnDither(int32_t i) const {
    return static_cast<uint32_t>(channels_ == nullptr ? i : channels_[i]) * kDitherStep;
  }

  // Element i of a row, an even one where residuals have four bits.
  int8_t* WeightsAt(const WeightRow& row, int32_t i) const { return weights_ + FirstOf(row, i); }
  int8_t* ResidualsAt(const WeightRow& row, int32_t i) const {
    const uint32_t first = FirstOf(row, i);
    return residual_ + (residual_bits_ == 4 ? first >> 1 : first);
  }

#if defined(TFLM_TRAIN_MVE)
  // Whether RowSteppers may step at all.
  // FAST-PATH-BOUND: row-gain
  bool HasRows() const { return gain_shift_ > 0 && HasWholeBytes(); }

  // -Multiplier(kw) where RowSteppers may step with that; else a number that is not IsShort.
  uint32_t ShortMultiplier(float kw) const {
#if defined(__ARM_FP)
    return static_cast<uint32_t>(RoundNear(-(base_ * kw * gain_)));
#else
    return static_cast<uint32_t>(-Multiplier(kw));
#endif
  }
  bool IsShort(uint32_t multiplier) const { return multiplier <= static_cast<uint32_t>(small_); }

  // Steps elements of a row from i on, a multiple of 8. kBits: residual_bits().
  template <int kBits>
  mve::RowStepper<kBits> Row(const WeightRow& row, int32_t i) const {
    // ResidualsAt with what is known beforehand.
    const uint32_t first = FirstOf(row, i);
    int8_t* const r = kBits == 0 ? nullptr : residual_ + (kBits == 4 ? first >> 1 : first);
    return {weights_ + first, r};
  }

  // Their random numbers.
  template <int kBits>
  mve::RowDither<kBits> DitherOf(const WeightRow& row, int32_t i) const {
    return {kBits == 8 ? 0 : DitherStart(row), i, channels_ == nullptr ? nullptr : channels_ + i};
  }
#endif

  // Steps elements [i, i + n) of a row by the gradients sums[0 .. n). Element i + j uses
  // multiplier[j * multiplier_stride].
  void Step(const WeightRow& row, int32_t i, int32_t n, const int32_t* sums,
            const int32_t* multiplier, int32_t multiplier_stride) const {
    // Locals: the int8 stores below may alias the members as far as C++ knows.
    const int gain_shift = gain_shift_;
    const int32_t residual_bits = residual_bits_;
    if (n <= 0) return;
    const uint32_t first = FirstOf(row, i);
    int8_t* const w = weights_ + first;
    if (residual_bits == 8) {
      constexpr int32_t kMost = 127 * 256;
      int8_t* const r = residual_ + first;
      int32_t j = 0;
      do {
        const int32_t delta =
            HighMul(ShiftLeft(sums[j], gain_shift), multiplier[j * multiplier_stride]);
        const int32_t t = 256 * w[j] + r[j] + 128 + delta;
        const int32_t clamped = t > INT16_MAX ? INT16_MAX : t < -kMost ? -kMost : t;
        w[j] = static_cast<int8_t>(clamped >> 8);
        r[j] = static_cast<int8_t>((clamped & 255) - 128);
      } while (++j < n);
      return;
    }
    const uint32_t start = DitherStart(row);
    const int16_t* const channels = channels_ == nullptr ? nullptr : channels_ + i;
    int8_t* const residual = residual_;
    int32_t j = 0;
    do {
      const int32_t delta =
          HighMul(ShiftLeft(sums[j], gain_shift), multiplier[j * multiplier_stride]);
      const uint32_t column = static_cast<uint32_t>(channels == nullptr ? i + j : channels[j]);
      const int32_t dither = static_cast<int32_t>((start + column * kDitherStep) & 0xffff);
      const int32_t t = 65536 * w[j] + delta;
      w[j] = residual_bits == 0 ? static_cast<int8_t>(Clamp((t + dither) >> 16, 127))
                                : StepSixteenths(t, dither, Sixteenths(residual, first + j));
    } while (++j < n);
  }

  // The same for four elements of a row with multipliers that are IsSmall; i is a multiple
  // of 4.
  void StepFour(const WeightRow& row, int32_t i, const int32_t* sums, const int32_t* multiplier,
                int32_t multiplier_stride) const {
#if defined(TFLM_TRAIN_STEP_FOUR)
    StepFour(row, i, sums, StepMultipliers(multiplier, multiplier_stride, gain_shift_));
#else
    Step(row, i, 4, sums, multiplier, multiplier_stride);
#endif
  }

#if defined(TFLM_TRAIN_STEP_FOUR)
  TFLM_TRAIN_INLINE void StepFour(const WeightRow& row, int32_t i, const int32_t* sums,
                                  const StepMultipliers& m) const {
    const uint32_t first = FirstOf(row, i);
    if (residual_bits_ == 8) {
      StepFourNearest(sums, m, weights_ + first, residual_ + first);
    } else if (residual_bits_ == 0) {
      StepFourRandom(sums, m, DithersOf(row, i), weights_ + first);
    } else {
      StepFourSixteenths(sums, m, DithersOf(row, i), weights_ + first,
                         reinterpret_cast<uint8_t*>(residual_) + (first >> 1));
    }
  }
#endif

 private:
  // Whether this step is one of those that the host counts.
  bool IsCounting() const {
#if defined(TFLM_TRAIN_HOST)
    return counting_;
#else
    return false;
#endif
  }

  // The largest steps that the short arithmetic of the arch/step_*.h takes: 256 more still
  // fit int16; whole weights, down to one less and up to almost one more, still fit int8.
  // FAST-PATH-BOUND: nearest-step
  static constexpr int32_t kMaxNearestDelta = INT16_MAX - 256;
  // FAST-PATH-BOUND: random-step
  static constexpr int32_t kMaxRandomDelta = 127 << 16;
  // FAST-PATH-BOUND: largest-multiplier
  static constexpr int32_t kMaxSmall = (1 << 30) - 1;  // SmallMultipliers fit with gain_shift 8

  // The largest magnitude of a layer's multipliers. A unit of its gradient sum, which grows with
  // the root of the positions, moves all weights that meet in an output: together by at most half a
  // step each for the largest. No more fits where multipliers of 65536ths of a weight fill an
  // int32, and those of 256ths keep to the same.
  static int32_t StepLimit(const UpdateParams& params, int64_t fan_in, int32_t positions) {
    const int fraction_bits = params.residual_bits == 8 ? 8 : 16;
    const int64_t half = int64_t{1} << (fraction_bits + 31 - params.gain_shift);
    const int64_t share =
        half / (fan_in * static_cast<int64_t>(Sqrt(static_cast<uint32_t>(positions))));
    const int64_t most = params.residual_bits == 8 ? 1 << 23 : INT32_MAX;
    return static_cast<int32_t>(share > most ? most : share > 1 ? share : 1);
  }

  // Whether no two rows share a byte of residuals.
  // FAST-PATH-BOUND: whole-bytes
  bool HasWholeBytes() const { return residual_bits_ != 4 || row_ % 2 == 0; }

  uint32_t FirstOf(const WeightRow& row, int32_t i) const {
    return row.index * static_cast<uint32_t>(row_) + static_cast<uint32_t>(i);
  }

  // The new weight where bits below the residual's are rounded at random; t: what the weight has
  // come to, less the residual, in 65536ths.
  static int8_t StepSixteenths(int32_t t, int32_t dither, const Sixteenths& residual) {
    const int32_t sixteenths = Clamp((t + 4096 * residual.Load() + (dither >> 4)) >> 12, 127 * 16);
    const int32_t rounded = (sixteenths + 8) >> 4;
    residual.Store(sixteenths - 16 * rounded);
    return static_cast<int8_t>(rounded);
  }

  // Uniform in [0, 65536): rounds up with the probability of the fraction.
  int32_t Dither(uint32_t start, int32_t i) const {
    return static_cast<int32_t>((start + ColumnDither(i)) & 0xffff);
  }

#if defined(TFLM_TRAIN_STEP_FOUR)
  Dithers DithersOf(const WeightRow& row, int32_t i) const {
    const uint32_t start = DitherStart(row);
    return {Dither(start, i), Dither(start, i + 1), Dither(start, i + 2), Dither(start, i + 3)};
  }
#endif

  int32_t residual_bits_;
  int32_t gain_shift_;
  float gain_;
  float base_;
  float scale_;  // infinite where multipliers may not be
  uint32_t key_;
  int32_t row_;
  int32_t limit_;  // of a multiplier's magnitude
  int32_t small_;  // magnitude of the largest multiplier that IsSmall
  int8_t* weights_;
  int8_t* residual_;
  const int16_t* channels_;
#if defined(TFLM_TRAIN_HOST)
  bool counting_;
#endif
};

}  // namespace tflm_train

#endif  // TFLM_KERNELS_WEIGHT_STEPPER_H_
