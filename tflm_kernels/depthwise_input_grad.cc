#include "tflm_kernels/depthwise_input_grad.h"

#include <cstring>

#include "tflm_kernels/channel_ops.h"
#include "tflm_kernels/geometry.h"
#include "tflm_kernels/numerics.h"
#include "tflm_kernels/requantize.h"

namespace tflm_train {
namespace {

// acc[c] = sum over the taps that reach input (iy, ix) of q * W, per output
// channel.
void SumTaps(const Geometry& g, int32_t iy, int32_t ix, const int8_t* grad_out,
             const int8_t* weights, int32_t* acc) {
  std::memset(acc, 0, sizeof(int32_t) * g.out_c);
  for (int32_t ky = 0; ky < g.k_h; ++ky) {
    const int32_t oy = OutputPosition(iy, ky, g.stride_h, g.dil_h, g.pad_t, g.out_h);
    if (oy < 0) continue;
    for (int32_t kx = 0; kx < g.k_w; ++kx) {
      const int32_t ox = OutputPosition(ix, kx, g.stride_w, g.dil_w, g.pad_l, g.out_w);
      if (ox < 0) continue;
      AccumulateProducts(acc, grad_out + (oy * g.out_w + ox) * g.out_c,
                         weights + (ky * g.k_w + kx) * g.out_c, 0, g.out_c);
    }
  }
}

}  // namespace

size_t DepthwiseInputGradScratchBytes(const DepthwiseInputGradParams& params) {
  return sizeof(int32_t) * params.geometry.out_c;
}

void DepthwiseInputGrad(const DepthwiseInputGradParams& params, const int8_t* grad_out,
                        const int8_t* weights, const int32_t* m, float* scales, float* ranges,
                        const void* mask, const int8_t* addend, int8_t* grad_in, void* scratch) {
  const Geometry& g = params.geometry;
  int32_t* acc = static_cast<int32_t*>(scratch);
  GradientWriter writer(
      {params.mask, mask, addend, addend != nullptr ? scales[params.slot_addend] : 0.0f, grad_in,
       static_cast<size_t>(g.in_h) * g.in_w * g.in_c, g.in_c, &scales[params.slot_out],
       &ranges[params.slot_out]},
      scales[params.slot_in] * params.unit_scale, grad_out,
      static_cast<size_t>(g.out_h) * g.out_w * g.out_c);
  if (!writer.flows()) return;
  for (int32_t iy = 0; iy < g.in_h; ++iy) {
    for (int32_t ix = 0; ix < g.in_w; ++ix) {
      SumTaps(g, iy, ix, grad_out, weights, acc);
      // In place: input channel i reads from i * multiplier onwards.
      int32_t c = 0;
      for (int32_t i = 0; i < g.in_c; ++i) {
        int32_t sum = 0;
        for (int32_t j = 0; j < params.multiplier; ++j, ++c) {
          sum += HighMul(ShiftLeft(acc[c], params.acc_shift), m[c]);
        }
        acc[i] = sum;
      }
      writer.WritePixel(acc);
    }
  }
  writer.Finish();
}

}  // namespace tflm_train
