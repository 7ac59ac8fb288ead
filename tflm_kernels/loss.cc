#include "tflm_kernels/loss.h"

#include <cstring>

#include "tflm_kernels/spec/numerics.h"

namespace tflm_train {
namespace {

constexpr float kLog2E = 1.44269504f;  // exponentials are powers of two

int32_t Outputs(const LossParams& params) { return params.positions * params.classes; }

bool IsInRange(const LossParams& params, const void* target) {
  if (params.target_kind == kTargetInput) return true;
  if (params.target_kind == kTargetIndex) {
    return FirstWrongLabel(params, static_cast<const int32_t*>(target)) == params.positions;
  }
  const bool probabilities = params.loss_kind != kMeanSquaredError;
  const float low = probabilities ? 0.0f : -PowerOfTwo(40);
  const float high = probabilities ? 1.0f : PowerOfTwo(40);
  const float* values = static_cast<const float*>(target);
  for (int32_t i = 0; i < Outputs(params); ++i) {
    if (!(values[i] >= low && values[i] <= high)) return false;  // NaN too
  }
  return true;
}

// What output i should be, in real units, smoothed.
float TargetAt(const LossParams& params, const void* target, int32_t i) {
  float value;
  if (params.target_kind == kTargetIndex) {
    // The spread plus keep or nothing.
    if (i != *static_cast<const int32_t*>(target)) return params.spread;
    return Rounded(params.keep + params.spread);
  } else if (params.target_kind == kTargetValues) {
    value = static_cast<const float*>(target)[i];
  } else {
    const int32_t q = static_cast<const int8_t*>(target)[i];
    value = Rounded(static_cast<float>(q - params.target_zero_point) * params.target_scale);
  }
  return Rounded(Rounded(value * params.keep) + params.spread);
}

float WeightAt(const float* class_weights, int32_t i) {
  return class_weights == nullptr ? 1.0f : class_weights[i];
}

float WeightedTargetAt(const LossParams& params, const void* target, const float* class_weights,
                       int32_t i) {
  const float value = TargetAt(params, target, i);
  return class_weights == nullptr ? value : Rounded(value * class_weights[i]);
}

// Each of these writes the gradient per output, in units of Unit(), to d and
// returns the loss.

// Of one position, whose target this is.
float SoftmaxAt(const LossParams& params, const int8_t* logits, const void* target,
                const float* class_weights, float* d) {
  const int32_t classes = params.classes;
  int32_t max = logits[0];
  for (int32_t i = 1; i < classes; ++i) max = logits[i] > max ? logits[i] : max;
  const float k = params.scale * kLog2E;
  float sum = 0.0f;
  for (int32_t i = 0; i < classes; ++i) {
    d[i] = Exp2Neg(static_cast<float>(max - logits[i]) * k);
    sum += Rounded(d[i]);
  }
  const float log_sum = Log(sum);
  float loss = 0.0f;
  float total = 0.0f;
  // Of a target of 0, which most are, nothing is to be added: it counts where the scale is no
  // scale, and the surprise not finite.
  const bool is_finite = params.scale < PowerOfTwo(100);
  for (int32_t i = 0; i < classes; ++i) {
    const float u = WeightedTargetAt(params, target, class_weights, i);
    if (soft::BitsOf(u) << 1 == 0 && is_finite) continue;
    const float surprise = Rounded(static_cast<float>(max - logits[i]) * params.scale) + log_sum;
    loss += Rounded(u * surprise);
    total += u;
  }
  for (int32_t i = 0; i < classes; ++i) {
    const float u = WeightedTargetAt(params, target, class_weights, i);
    const float share = Rounded(d[i] / sum);
    d[i] = (total == 1.0f ? share : Rounded(share * total)) - u;
  }
  return loss;
}

float SoftmaxCrossEntropy(const LossParams& params, const int8_t* logits, const void* target,
                          const float* class_weights, float* d) {
  // Bytes of a position's target: an index, or a number for each class.
  size_t stride = sizeof(int32_t);
  if (params.target_kind == kTargetValues) stride = sizeof(float) * params.classes;
  if (params.target_kind == kTargetInput) stride = params.classes;
  float loss = 0.0f;
  for (int32_t position = 0; position < params.positions; ++position) {
    const int32_t first = position * params.classes;
    const void* here = static_cast<const uint8_t*>(target) + position * stride;
    loss += SoftmaxAt(params, logits + first, here, class_weights, d + first);
  }
  return loss * (1.0f / static_cast<float>(params.positions));
}

float SigmoidCrossEntropy(const LossParams& params, const int8_t* logits, const void* target,
                          const float* class_weights, float* d) {
  const float k = params.scale * kLog2E;
  float loss = 0.0f;
  for (int32_t i = 0; i < params.classes; ++i) {
    const int32_t q = logits[i] - params.zero_point;
    const float e = Rounded(Exp2Neg(static_cast<float>(q < 0 ? -q : q) * k));
    const float r = 1.0f / (1.0f + e);
    const float p = q < 0 ? Rounded(e * r) : r;
    const float t = TargetAt(params, target, i);
    const float weight = WeightAt(class_weights, i);
    d[i] = (p - t) * weight;
    const float x = Rounded(static_cast<float>(q) * params.scale);
    const float linear = (x > 0.0f ? x : 0.0f) - Rounded(t * x);
    loss += Rounded((linear + Log(1.0f + e)) * weight);
  }
  return loss * (1.0f / static_cast<float>(params.classes));
}

float MeanSquaredError(const LossParams& params, const int8_t* logits, const void* target,
                       float* d) {
  float loss = 0.0f;
  for (int32_t i = 0; i < params.classes; ++i) {
    const int32_t q = logits[i] - params.zero_point;
    d[i] = Rounded(static_cast<float>(q) * params.scale) - TargetAt(params, target, i);
    loss += Rounded(d[i] * d[i]);
  }
  return loss * (1.0f / static_cast<float>(params.classes));
}

// Loss per step of d.
float Unit(const LossParams& params) {
  if (params.loss_kind == kSoftmaxCrossEntropy) {
    return 1.0f / static_cast<float>(params.positions);
  }
  const float inverse = 1.0f / static_cast<float>(params.classes);
  return params.loss_kind == kMeanSquaredError ? 2.0f * inverse : inverse;
}

void Quantize(const LossParams& params, const float* d, float* scales, int8_t* grad) {
  // Compared as whole numbers, which their order is; NaN is none.
  constexpr uint32_t kNan = soft::kInfinity + 1;
  uint32_t most = 0;
  for (int32_t i = 0; i < Outputs(params); ++i) {
    const uint32_t magnitude = soft::BitsOf(d[i]) & 0x7fffffffu;
    most = magnitude > most && magnitude < kNan ? magnitude : most;
  }
  const float largest = soft::FloatOf(most);
  const float vanished =
      PowerOfTwo(-20) * (params.loss_kind == kMeanSquaredError ? params.scale : 1.0f);
  if (largest < vanished) {
    std::memset(grad, 0, Outputs(params));
    scales[params.slot] = 0.0f;
    return;
  }
  const float gain = 127.0f / largest;
  for (int32_t i = 0; i < Outputs(params); ++i) {
    const int32_t q = RoundToInt32(d[i] * gain);
    grad[i] = static_cast<int8_t>(q > 127 ? 127 : q < -127 ? -127 : q);
  }
  scales[params.slot] = Rounded(largest / 127.0f) * Unit(params);
}

}  // namespace

size_t LossScratchBytes(const LossParams& params) { return sizeof(float) * Outputs(params); }

int32_t FirstWrongLabel(const LossParams& params, const int32_t* labels) {
  int32_t position = 0;
  while (position < params.positions && labels[position] >= 0 &&
         labels[position] < params.classes) {
    ++position;
  }
  return position;
}

bool Loss(const LossParams& params, const int8_t* logits, const void* target,
          const float* class_weights, StepState* state, float* scales, int8_t* grad, float* loss,
          void* scratch) {
  if (!IsInRange(params, target)) return false;
  float* d = static_cast<float*>(scratch);
  if (params.loss_kind == kSoftmaxCrossEntropy) {
    *loss = SoftmaxCrossEntropy(params, logits, target, class_weights, d);
  } else if (params.loss_kind == kSigmoidCrossEntropy) {
    *loss = SigmoidCrossEntropy(params, logits, target, class_weights, d);
  } else {
    *loss = MeanSquaredError(params, logits, target, d);
  }
  Quantize(params, d, scales, grad);
  state->step += 1;
  return true;
}

}  // namespace tflm_train
