#include "tflm_kernels/l2_norm_grad.h"

#include "tflm_kernels/requantize.h"
#include "tflm_kernels/spec/numerics.h"

namespace tflm_train {
namespace {

constexpr int kOutputBits = 7;  // of the fraction of y

// |x| in quantised units, to 16 bits; 0 for a zero vector.
float Norm(const L2NormGradParams& params, const int8_t* x) {
  uint32_t square = 0;
  for (int32_t i = 0; i < params.size; ++i) {
    const int32_t centred = x[i] - params.x_zero_point;
    square += static_cast<uint32_t>(centred * centred);
  }
  if (square == 0) return 0.0f;
  int shift = 0;
  while (square < (uint32_t{1} << 30)) {
    square <<= 2;
    ++shift;
  }
  return static_cast<float>(Sqrt(square)) * PowerOfTwo(-shift);
}

}  // namespace

size_t L2NormGradScratchBytes(const L2NormGradParams& params) {
  return sizeof(int32_t) * params.size;
}

void L2NormGrad(const L2NormGradParams& params, const int8_t* grad_out, const int8_t* x,
                const int8_t* y, float* scales, float* ranges, const void* mask, int8_t* grad_in,
                void* scratch) {
  const float norm = Norm(params, x);
  const float unit = norm == 0.0f ? 0.0f
                                  : (scales[params.slot_in] * PowerOfTwo(-2 * kOutputBits)) /
                                        (params.x_scale * norm);
  int32_t* acc = static_cast<int32_t*>(scratch);
  GradientWriter writer(
      {params.mask, mask, nullptr, 0.0f, grad_in, static_cast<size_t>(params.size), params.size,
       &scales[params.slot_out], &ranges[params.slot_out]},
      unit, grad_out, static_cast<size_t>(params.size));
  if (!writer.flows()) return;
  int32_t dot = 0;
  for (int32_t i = 0; i < params.size; ++i) dot += grad_out[i] * y[i];
  for (int32_t i = 0; i < params.size; ++i) {
    acc[i] = WrapAdd(grad_out[i] * (1 << (2 * kOutputBits)), WrapMul(-y[i], dot));
  }
  writer.WritePixel(acc);
  writer.Finish();
}

}  // namespace tflm_train
