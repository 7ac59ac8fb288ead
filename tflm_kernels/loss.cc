#include "tflm_kernels/loss.h"

#include <cstring>

#include "tflm_kernels/numerics.h"

namespace tflm_train {

size_t LossScratchBytes(const LossParams& params) { return sizeof(float) * params.classes; }

bool Loss(const LossParams& params, const int8_t* logits, int32_t label, TrainState* state,
          float* scales, int8_t* grad, float* loss, void* scratch) {
  const int32_t classes = params.classes;
  if (label < 0 || label >= classes) return false;
  float* d = static_cast<float*>(scratch);
  int32_t max = logits[0];
  for (int32_t i = 1; i < classes; ++i) max = logits[i] > max ? logits[i] : max;

  const float k = params.scale * 1.44269504f;  // log2(e): the exponentials are powers of two
  float sum = 0.0f;
  for (int32_t i = 0; i < classes; ++i) {
    d[i] = Exp2Neg(static_cast<float>(max - logits[i]) * k);
    sum += Rounded(d[i]);
  }
  float largest = 0.0f;
  for (int32_t i = 0; i < classes; ++i) {
    d[i] = d[i] / sum - (i == label ? 1.0f : 0.0f);
    const float magnitude = d[i] < 0.0f ? -d[i] : d[i];
    largest = magnitude > largest ? magnitude : largest;
  }
  *loss = Rounded(static_cast<float>(max - logits[label]) * params.scale) + Log(sum);

  if (largest < PowerOfTwo(-20)) {
    std::memset(grad, 0, classes);
    scales[params.slot] = 0.0f;
  } else {
    const float gain = 127.0f / largest;
    for (int32_t i = 0; i < classes; ++i) {
      const int32_t q = RoundToInt32(d[i] * gain);
      grad[i] = static_cast<int8_t>(q > 127 ? 127 : q < -127 ? -127 : q);
    }
    scales[params.slot] = largest / 127.0f;
  }
  state->step += 1;
  return true;
}

}  // namespace tflm_train
