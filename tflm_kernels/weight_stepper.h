// Applies summed gradients to the weights of one layer, in place.

#ifndef TFLM_KERNELS_WEIGHT_STEPPER_H_
#define TFLM_KERNELS_WEIGHT_STEPPER_H_

#include <cstdint>

#include "tflm_kernels/arch/features.h"
#include "tflm_kernels/numerics.h"
#include "tflm_kernels/op_params.h"
#include "tflm_kernels/state.h"

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

class WeightStepper {
 public:
  // row: elements of a row of the weights. weights, residual, channels: see ConvUpdate.
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

  // Whether StepFour may be used with this multiplier: no step is too large for the
  // short arithmetic of the arch/step_*.h, and the gain can be part of the multiplier.
  bool IsSmall(int32_t multiplier) const {
#if defined(TFLM_TRAIN_STEP_FOUR)
    const int32_t limit = residual_bits_ == 8 ? kMaxNearestMultiplier : kMaxRandomMultiplier;
    return multiplier >= 0 && multiplier <= limit && multiplier <= INT32_MAX >> gain_shift_ &&
           (residual_bits_ != 4 || row_ % 2 == 0);
#else
    static_cast<void>(multiplier);
    return false;
#endif
  }

#if defined(TFLM_TRAIN_MVE)
  int32_t residual_bits() const { return residual_bits_; }
  int gain_shift() const { return gain_shift_; }

  // Whether n elements of row `index` from i on may be stepped in pairs: they are all of the
  // layer's, start at an even one and their pairs' indices have the same high halves.
  bool StepsInPairs(uint32_t index, int32_t i, int32_t n) const {
    const uint32_t first = index * row_channels_ + static_cast<uint32_t>(i);
    return channels_ == nullptr && (first & 1) == 0 &&
           first >> 17 == (first + static_cast<uint32_t>(n) - 1) >> 17;
  }

  // The largest multiplier that a Row may step with.
  uint32_t RowLimit() const {
    const int32_t small =
        residual_bits_ == 8 ? mve::kMaxNearestMultiplier : mve::kMaxRandomMultiplier;
    const int32_t fitting = INT32_MAX >> gain_shift_;
    if (residual_bits_ == 4 && row_ % 2 != 0) return 0;
    return static_cast<uint32_t>(small < fitting ? small : fitting);
  }

  // Steps elements of row `index` from i on, a multiple of 8. kBits: residual_bits();
  // kInPairs: StepsInPairs().
  template <int kBits, bool kInPairs>
  mve::RowStepper<kBits, kInPairs> Row(uint32_t index, int32_t i) const {
    const uint32_t first = index * static_cast<uint32_t>(row_) + static_cast<uint32_t>(i);
    int8_t* const r = kBits == 0 ? nullptr : residual_ + (kBits == 4 ? first >> 1 : first);
    const uint32_t row = index * row_channels_;
    return {weights_ + first, r, key_, channels_ == nullptr ? row + static_cast<uint32_t>(i) : row,
            channels_ == nullptr ? nullptr : channels_ + i};
  }
#endif

#if defined(TFLM_TRAIN_STEP_ROWS)
  bool is_nearest() const { return residual_bits_ == 8; }

  // Two rows from element i on, with small multipliers.
  dsp::NearestRows NearestRowsAt(uint32_t index, uint32_t next_index, int32_t i,
                                 const int32_t* multiplier) const {
    const uint32_t first = index * static_cast<uint32_t>(row_) + static_cast<uint32_t>(i);
    return {weights_ + first,
            residual_ + first,
            static_cast<int32_t>((next_index - index) * static_cast<uint32_t>(row_)),
            {multiplier[0] << gain_shift_, multiplier[1] << gain_shift_}};
  }

  // Whether there is no residual, and random numbers come in pairs from either row's start.
  bool is_random_in_pairs() const {
    return residual_bits_ == 0 && channels_ == nullptr && row_channels_ % 2 == 0;
  }

  dsp::RandomRows RandomRowsAt(uint32_t index, uint32_t next_index, int32_t i,
                               const int32_t* multiplier) const {
    const uint32_t column = static_cast<uint32_t>(i);
    return {weights_ + index * static_cast<uint32_t>(row_) + column,
            static_cast<int32_t>((next_index - index) * static_cast<uint32_t>(row_)),
            key_,
            {(index * row_channels_ + column) >> 1, (next_index * row_channels_ + column) >> 1},
            {multiplier[0] << gain_shift_, multiplier[1] << gain_shift_}};
  }
#endif

  // Steps elements [i, i + n) of row `index` by the gradients sums[0 .. n). Element i + j
  // uses multiplier[j * multiplier_stride].
  void Step(uint32_t index, int32_t i, int32_t n, const int32_t* sums, const int32_t* multiplier,
            int32_t multiplier_stride) const {
    // Locals: the int8 stores below may alias the members as far as C++ knows.
    const int gain_shift = gain_shift_;
    const int32_t residual_bits = residual_bits_;
    const uint32_t first = index * static_cast<uint32_t>(row_) + static_cast<uint32_t>(i);
    int8_t* const w = weights_ + first;
    int8_t* const r = residual_bits == 8 ? residual_ + first : nullptr;
    for (int32_t j = 0; j < n; ++j) {
      const int32_t delta =
          HighMul(ShiftLeft(sums[j], gain_shift), multiplier[j * multiplier_stride]);
      if (delta == 0) continue;
      if (residual_bits == 8) {
        const int32_t t = Clamp(256 * w[j] + r[j] - Clamp(delta, 65535), 127 * 256);
        const int32_t rounded = (t + 128) >> 8;
        w[j] = static_cast<int8_t>(rounded);
        r[j] = static_cast<int8_t>(t - 256 * rounded);
      } else {
        w[j] = RandomStep(w[j], delta, index, i + j, first + static_cast<uint32_t>(j));
      }
    }
  }

  // The same for four elements of a row with multipliers that are IsSmall; i is a multiple
  // of 4.
  void StepFour(uint32_t index, int32_t i, const int32_t* sums, const int32_t* multiplier,
                int32_t multiplier_stride) const {
#if defined(TFLM_TRAIN_STEP_FOUR)
    StepFour(index, i, sums, StepMultipliers(multiplier, multiplier_stride, gain_shift_));
#else
    Step(index, i, 4, sums, multiplier, multiplier_stride);
#endif
  }

#if defined(TFLM_TRAIN_STEP_FOUR)
  TFLM_TRAIN_INLINE void StepFour(uint32_t index, int32_t i, const int32_t* sums,
                                  const StepMultipliers& m) const {
    const uint32_t first = index * static_cast<uint32_t>(row_) + static_cast<uint32_t>(i);
    if (residual_bits_ == 8) {
      StepFourNearest(sums, m, weights_ + first, residual_ + first);
    } else if (residual_bits_ == 0) {
      StepFourRandom(sums, m, DithersOf(index, i), weights_ + first);
    } else {
      StepFourSixteenths(sums, m, DithersOf(index, i), weights_ + first,
                         reinterpret_cast<uint8_t*>(residual_) + (first >> 1));
    }
  }

  // The multipliers of four weights of a row.
  StepMultipliers RowMultipliers(const int32_t* multiplier) const {
    return StepMultipliers(multiplier, 0, gain_shift_);
  }
#endif

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

#if defined(TFLM_TRAIN_STEP_FOUR)
  Dithers DithersOf(uint32_t row, int32_t i) const {
    const uint32_t first = row * row_channels_;
    if (channels_ != nullptr) {
      const int16_t* const k = channels_ + i;
      return {
          Dither(first + static_cast<uint32_t>(k[0])), Dither(first + static_cast<uint32_t>(k[1])),
          Dither(first + static_cast<uint32_t>(k[2])), Dither(first + static_cast<uint32_t>(k[3]))};
    }
    const uint32_t element = first + static_cast<uint32_t>(i);
    const uint32_t pair = element >> 1;
    const uint32_t h0 = Hash(key_ ^ pair), h1 = Hash(key_ ^ (pair + 1));
    if ((element & 1) == 0) return {Low(h0), High(h0), Low(h1), High(h1)};
    return {High(h0), Low(h1), High(h1), Low(Hash(key_ ^ (pair + 2)))};
  }

  static int32_t Low(uint32_t hash) { return static_cast<int32_t>(hash & 0xfff); }
  static int32_t High(uint32_t hash) { return static_cast<int32_t>(hash >> 16 & 0xfff); }
#endif

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

}  // namespace tflm_train

#endif  // TFLM_KERNELS_WEIGHT_STEPPER_H_
