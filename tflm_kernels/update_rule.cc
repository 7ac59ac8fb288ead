#include "tflm_kernels/update_rule.h"

#include <cstring>

#include "tflm_kernels/sixteenths.h"
#include "tflm_kernels/spec/numerics.h"

namespace tflm_train {
namespace {

// Of so many elements a sum of squares up to 255^2 fits an int32.
constexpr int32_t kSquaresAtOnce = 1 << 15;
// Tells the random numbers of the decay from those of the step.
constexpr uint32_t kDecayKey = 0x6A09E667u;

int64_t SumOfSquares(const int8_t* values, int32_t size, int32_t zero_point) {
  int64_t sum = 0;
  for (int32_t begin = 0; begin < size; begin += kSquaresAtOnce) {
    const int32_t rest = size - begin;
    const int32_t count = rest < kSquaresAtOnce ? rest : kSquaresAtOnce;
    int32_t part = 0;
    for (int32_t i = 0; i < count; ++i) {
      const int32_t value = values[begin + i] - zero_point;
      part += value * value;
    }
    sum += part;
  }
  return sum;
}

// The weights of a row with bits below them, as one integer each.
class Fixed {
 public:
  Fixed(int32_t residual_bits, int8_t* weights, int8_t* residual)
      : bits_(residual_bits), weights_(weights), residual_(residual) {}

  int32_t Load(uint32_t element) const {
    const int32_t w = weights_[element];
    if (bits_ == 0) return w;
    if (bits_ == 8) return 256 * w + residual_[element];
    return 16 * w + Sixteenths(residual_, element).Load();
  }

  void Store(uint32_t element, int32_t value) const {
    if (bits_ == 0) {
      weights_[element] = static_cast<int8_t>(value);
      return;
    }
    const int32_t half = 1 << (bits_ - 1);
    const int32_t w = (value + half) >> bits_;
    const int32_t low = value - w * (2 * half);
    weights_[element] = static_cast<int8_t>(w);
    if (bits_ == 8) {
      residual_[element] = static_cast<int8_t>(low);
    } else {
      Sixteenths(residual_, element).Store(low);
    }
  }

 private:
  int32_t bits_;
  int8_t* weights_;
  int8_t* residual_;
};

}  // namespace

float ClipFactor(const RuleParams& rule, float scale, const GradientBound& bound) {
  const int64_t inputs =
      bound.x == nullptr ? 0 : SumOfSquares(bound.x, bound.x_size, bound.zero_point);
  const int64_t gradients = SumOfSquares(bound.q, bound.q_size, 0);
  const float per_gradient = Rounded(rule.clip_x * static_cast<float>(inputs)) + rule.clip_bias;
  const float squared =
      Rounded(static_cast<float>(gradients) * per_gradient) * Rounded(scale * scale);
  const float limit = rule.clip_norm * rule.clip_norm;
  if (!(squared > limit)) return 1.0f;
  float ratio = Rounded(limit / squared);
  int halvings = 0;
  if (ratio == 0.0f) return 0.0f;
  for (; ratio < 0.25f; ++halvings) ratio *= 4.0f;
  const uint32_t root = Sqrt(static_cast<uint32_t>(ratio * 1073741824.0f));
  return static_cast<float>(root) * PowerOfTwo(-15 - halvings);
}

float StepBase(const RuleParams& rule, const StepState& state, float scale,
               const GradientBound& bound) {
  float base = state.learning_rate * scale;
  if (rule.clip_norm > 0.0f) base = Rounded(base) * ClipFactor(rule, scale, bound);
  if (rule.steps > 1) base = Rounded(base) / static_cast<float>(rule.steps);
  return base;
}

void DecayWeights(const DecayedLayer& layer, float rate, uint32_t key, int8_t* weights,
                  int8_t* residual) {
  const int32_t share = RoundToInt32(rate * 2147483648.0f);
  if (share == 0) return;
  const Geometry& g = layer.geometry;
  const UpdateParams& update = layer.update;
  const uint32_t decay_key = Hash(key ^ kDecayKey);
  const Fixed values(update.residual_bits, weights, residual);
  const bool depthwise = layer.rows_per_channel == 0;
  const auto decay_row = [&](int32_t index, const float* kw, int32_t kw_stride) {
    for (int32_t j = 0; j < layer.row; ++j) {
      if (kw[j * kw_stride] == 0.0f) continue;
      const int32_t column = layer.channels == nullptr ? j : layer.channels[j];
      const uint32_t place =
          static_cast<uint32_t>(index) * static_cast<uint32_t>(update.row_channels) +
          static_cast<uint32_t>(column);
      const uint32_t element = static_cast<uint32_t>(index * layer.row + j);
      const int32_t value = values.Load(element);
      const int64_t random = Hash(decay_key ^ place) >> 1;
      values.Store(element, value - static_cast<int32_t>((int64_t{value} * share + random) >> 31));
    }
  };
  const int32_t channels = depthwise ? 1 : g.out_c;
  for (int32_t c = 0; c < channels; ++c) {
    for (int32_t ky = update.tap_y0; ky < update.tap_y1; ++ky) {
      for (int32_t kx = update.tap_x0; kx < update.tap_x1; ++kx) {
        decay_row(c * layer.rows_per_channel + ky * g.k_w + kx, depthwise ? layer.kw : layer.kw + c,
                  depthwise ? 1 : 0);
      }
    }
  }
}

void ApplySteps(int32_t size, int8_t* gathered, int8_t* weights) {
  for (int32_t i = 0; i < size; ++i) {
    const int32_t moved = weights[i] + gathered[i];
    weights[i] = static_cast<int8_t>(moved > 127 ? 127 : moved < -127 ? -127 : moved);
  }
  std::memset(gathered, 0, static_cast<size_t>(size));
}

void ApplyBiasSteps(int32_t size, int32_t* gathered, int32_t* bias) {
  for (int32_t i = 0; i < size; ++i) {
    bias[i] = ClampBias(int64_t{bias[i]} + gathered[i]);
    gathered[i] = 0;
  }
}

}  // namespace tflm_train
