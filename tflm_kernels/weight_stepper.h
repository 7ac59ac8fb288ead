// Applies summed gradients to the weights of one layer, in place.

#ifndef TFLM_KERNELS_WEIGHT_STEPPER_H_
#define TFLM_KERNELS_WEIGHT_STEPPER_H_

#include <cstdint>

#include "tflm_kernels/arch/features.h"
#include "tflm_kernels/numerics.h"
#include "tflm_kernels/op_params.h"
#include "tflm_kernels/state.h"

namespace tflm_train {

// Along a row, random numbers are multiples of the golden ratio of 2^16.
constexpr uint32_t kDitherStep = 0x9E37;

// The largest steps that the short arithmetic of the arch/step_*.h takes: 128 more still
// fit int16; whole weights less one still fit int8.
constexpr int32_t kMaxNearestDelta = INT16_MAX - 128;
constexpr int32_t kMaxRandomDelta = 126 << 16;

}  // namespace tflm_train

#if defined(TFLM_TRAIN_MVE)
#include "tflm_kernels/arch/step_mve.h"
#elif defined(TFLM_TRAIN_DSP)
#include "tflm_kernels/arch/step_dsp.h"
#include "tflm_kernels/arch/update_dsp.h"
#endif

namespace tflm_train {

constexpr int32_t Clamp(int32_t value, int32_t limit) {
  return value > limit ? limit : value < -limit ? -limit : value;
}

// A row of the layer's weights, and the row of random numbers that it is rounded with.
struct WeightRow {
  uint32_t index, dither;
};

// Of a convolution: pairs of output channels share random numbers.
constexpr WeightRow ConvWeightRow(int32_t c, int32_t tap, int32_t taps) {
  return {static_cast<uint32_t>(c * taps + tap), static_cast<uint32_t>((c >> 1) * taps + tap)};
}

class WeightStepper {
 public:
  // positions: that gradients are summed over. row: elements of a row of the weights.
  // weights, residual, channels: see ConvUpdate.
  WeightStepper(const UpdateParams& params, const TrainState& state, float base, int32_t positions,
                int32_t row, int8_t* weights, int8_t* residual, const int16_t* channels)
      : residual_bits_(params.residual_bits),
        gain_shift_(params.gain_shift),
        gain_(PowerOfTwo((params.residual_bits == 8 ? 8 : 16) + 32 - params.gain_shift)),
        base_(base),
        key_(Hash(Hash(state.seed + state.step * 0x9E3779B9u) ^
                  (static_cast<uint32_t>(params.layer) * 0x85EBCA6Bu))),
        row_(row),
        weights_(weights),
        residual_(residual),
        channels_(channels) {
    const int64_t largest = int64_t{127 * 255} * positions << gain_shift_;
    const int64_t delta = residual_bits_ == 8 ? kMaxNearestDelta : kMaxRandomDelta;
    const int64_t fitting = (delta << 32) / largest;
    small_ = static_cast<int32_t>(fitting < INT32_MAX ? fitting : INT32_MAX);
  }

  // Fixed-point step per unit of gradient sum of a channel with constant kw, at most 0.
  int32_t Multiplier(float kw) const { return -RoundToInt32((base_ * kw) * gain_); }

  // Whether StepFour may be used with this multiplier: no step is too large for the
  // short arithmetic of the arch/step_*.h.
  bool IsSmall(int32_t multiplier) const {
#if defined(TFLM_TRAIN_STEP_FOUR)
    return multiplier <= 0 && multiplier >= -small_ && (residual_bits_ != 4 || row_ % 2 == 0);
#else
    static_cast<void>(multiplier);
    return false;
#endif
  }

#if defined(TFLM_TRAIN_MVE)
  int32_t residual_bits() const { return residual_bits_; }
  int gain_shift() const { return gain_shift_; }

  // Whether a RowStepper may step with this multiplier.
  bool RowsMayUse(int32_t multiplier) const {
    return multiplier <= 0 && multiplier >= -small_ && gain_shift_ > 0 &&
           (residual_bits_ != 4 || row_ % 2 == 0);
  }

  // Steps elements of a row from i on, a multiple of 8. kBits: residual_bits().
  template <int kBits>
  mve::RowStepper<kBits> Row(const WeightRow& row, int32_t i) const {
    const uint32_t first = FirstOf(row, i);
    int8_t* const r = kBits == 0 ? nullptr : residual_ + (kBits == 4 ? first >> 1 : first);
    return {weights_ + first, r, DitherStart(row), i,
            channels_ == nullptr ? nullptr : channels_ + i};
  }
#endif

#if defined(TFLM_TRAIN_STEP_ROWS)
  bool is_nearest() const { return residual_bits_ == 8; }

  // Whether NearestRowsAt may be used: the gain can be part of the multiplier.
  bool HasRoomForGain(int32_t multiplier) const { return -multiplier <= INT32_MAX >> gain_shift_; }

  // Two rows from element i on, with small multipliers.
  dsp::NearestRows NearestRowsAt(const WeightRow& row, const WeightRow& next, int32_t i,
                                 const int32_t* multiplier) const {
    const uint32_t first = FirstOf(row, i);
    return {weights_ + first,
            residual_ + first,
            static_cast<int32_t>(FirstOf(next, i) - first),
            {ShiftLeft(multiplier[0], gain_shift_), ShiftLeft(multiplier[1], gain_shift_)}};
  }
#endif

  // Steps elements [i, i + n) of a row by the gradients sums[0 .. n). Element i + j uses
  // multiplier[j * multiplier_stride].
  void Step(const WeightRow& row, int32_t i, int32_t n, const int32_t* sums,
            const int32_t* multiplier, int32_t multiplier_stride) const {
    // Locals: the int8 stores below may alias the members as far as C++ knows.
    const int gain_shift = gain_shift_;
    const int32_t residual_bits = residual_bits_;
    const uint32_t first = FirstOf(row, i);
    int8_t* const w = weights_ + first;
    if (residual_bits == 8) {
      int8_t* const r = residual_ + first;
      for (int32_t j = 0; j < n; ++j) {
        const int32_t delta =
            HighMul(ShiftLeft(sums[j], gain_shift), multiplier[j * multiplier_stride]);
        const int32_t t = 256 * w[j] + r[j] - 128 + delta;
        const int32_t clamped = t > INT16_MAX ? INT16_MAX : t < INT16_MIN ? INT16_MIN : t;
        const int32_t rounded = (clamped >> 8) + 1;
        w[j] = static_cast<int8_t>(rounded < 127 ? rounded : 127);
        r[j] = static_cast<int8_t>((clamped & 255) - 128);
      }
      return;
    }
    const uint32_t start = DitherStart(row);
    for (int32_t j = 0; j < n; ++j) {
      const int32_t delta =
          HighMul(ShiftLeft(sums[j], gain_shift), multiplier[j * multiplier_stride]);
      w[j] = RandomStep(w[j], delta, Dither(start, i + j), first + static_cast<uint32_t>(j));
    }
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

  // The multipliers of four weights of a row.
  StepMultipliers RowMultipliers(const int32_t* multiplier) const {
    return StepMultipliers(multiplier, 0, gain_shift_);
  }
#endif

 private:
  uint32_t FirstOf(const WeightRow& row, int32_t i) const {
    return row.index * static_cast<uint32_t>(row_) + static_cast<uint32_t>(i);
  }

  // The new weight where bits below the residual's are rounded at random.
  int8_t RandomStep(int32_t w, int32_t delta, int32_t dither, uint32_t element) const {
    const int32_t t = 65536 * w + delta;
    if (residual_bits_ == 0) return static_cast<int8_t>(Clamp((t + dither) >> 16, 127));
    uint8_t* const pair = reinterpret_cast<uint8_t*>(residual_) + (element >> 1);
    const int shift = static_cast<int>(element & 1) * 4;
    const int32_t low = (((*pair >> shift) & 15) ^ 8) - 8;
    const int32_t sixteenths = Clamp((t + 4096 * low + (dither >> 4)) >> 12, 127 * 16);
    const int32_t rounded = (sixteenths + 8) >> 4;
    const int32_t new_low = sixteenths - 16 * rounded;
    *pair = static_cast<uint8_t>((*pair & ~(15 << shift)) | (new_low & 15) << shift);
    return static_cast<int8_t>(rounded);
  }

  uint32_t DitherStart(const WeightRow& row) const { return Hash(key_ ^ row.dither); }

  // Uniform in [0, 65536): rounds up with the probability of the fraction.
  int32_t Dither(uint32_t start, int32_t i) const {
    const int32_t column = channels_ == nullptr ? i : channels_[i];
    return static_cast<int32_t>((start + static_cast<uint32_t>(column) * kDitherStep) & 0xffff);
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
  uint32_t key_;
  int32_t row_;
  int32_t small_;  // magnitude of the largest multiplier that IsSmall
  int8_t* weights_;
  int8_t* residual_;
  const int16_t* channels_;
};

}  // namespace tflm_train

#endif  // TFLM_KERNELS_WEIGHT_STEPPER_H_
