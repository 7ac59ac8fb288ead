#include "tflm_kernels/depthwise_input_grad.h"

#include <cstring>

#include "tflm_kernels/channel_ops.h"
#include "tflm_kernels/depthwise_tiles.h"
#include "tflm_kernels/depthwise_windows.h"
#include "tflm_kernels/geometry.h"
#include "tflm_kernels/numerics.h"
#include "tflm_kernels/requantize.h"

#if defined(TFLM_TRAIN_MVE)
#include "tflm_kernels/arch/depthwise_mve.h"
#include "tflm_kernels/arch/depthwise_stride2_mve.h"
#endif

namespace tflm_train {
namespace {

// Calls visit(tap, q) for every tap that reaches input (iy, ix): its index and
// the output pixel's gradient.
template <typename Visit>
void ForEachTap(const Geometry& g, int32_t iy, int32_t ix, const int8_t* grad_out,
                const Visit& visit) {
  for (int32_t ky = 0; ky < g.k_h; ++ky) {
    const int32_t oy = OutputPosition(iy, ky, g.stride_h, g.dil_h, g.pad_t, g.out_h);
    if (oy < 0) continue;
    for (int32_t kx = 0; kx < g.k_w; ++kx) {
      const int32_t ox = OutputPosition(ix, kx, g.stride_w, g.dil_w, g.pad_l, g.out_w);
      if (ox < 0) continue;
      visit(ky * g.k_w + kx, grad_out + (oy * g.out_w + ox) * g.out_c);
    }
  }
}

// acc[c] = sum over the taps that reach input (iy, ix) of q times the scaled weight, per
// output channel.
void SumTaps(const Geometry& g, int32_t iy, int32_t ix, const int8_t* grad_out,
             const DepthwiseWeights& weights, int32_t* acc) {
  std::memset(acc, 0, sizeof(int32_t) * g.out_c);
  ForEachTap(g, iy, ix, grad_out, [&](int32_t tap, const int8_t* q) {
    AccumulateScaled(acc, q, weights.all + tap * g.out_c, weights.m, weights.shift, g.out_c);
  });
}

// The same for the channels that have weights of their own.
void SumColumnTaps(const Geometry& g, int32_t iy, int32_t ix, const int8_t* grad_out,
                   const DepthwiseWeights& weights, int32_t* acc) {
  for (int32_t j = 0; j < weights.kept; ++j) acc[weights.channels[j]] = 0;
  ForEachTap(g, iy, ix, grad_out, [&](int32_t tap, const int8_t* q) {
    const int8_t* column = weights.columns + tap * weights.kept;
    for (int32_t j = 0; j < weights.kept; ++j) {
      const int32_t c = weights.channels[j];
      acc[c] += q[c] * RoundShift(column[j] * weights.m[c], weights.shift);
    }
  });
}

}  // namespace

size_t DepthwiseInputGradScratchBytes(const DepthwiseInputGradParams& params) {
  size_t bytes = sizeof(int32_t) * params.geometry.out_c;
  const TilePlan tiles(params);
  const WindowPlan windows(params);
  const size_t needed = tiles.usable ? tiles.bytes() : windows.usable ? windows.bytes() : 0;
  return needed > bytes ? needed : bytes;
}

void DepthwiseInputGrad(const DepthwiseInputGradParams& params, const int8_t* grad_out,
                        const int8_t* weights, const int8_t* columns, const int16_t* channels,
                        const int32_t* m, float* scales, float* ranges, const void* mask,
                        const int8_t* addend, int8_t* grad_in, void* scratch) {
  const Geometry& g = params.geometry;
  GradientWriter writer(
      {params.mask, mask, addend, addend != nullptr ? scales[params.slot_addend] : 0.0f, grad_in,
       static_cast<size_t>(g.in_h) * g.in_w * g.in_c, g.in_c, &scales[params.slot_out],
       &ranges[params.slot_out]},
      scales[params.slot_in] * params.unit_scale, grad_out,
      static_cast<size_t>(g.out_h) * g.out_w * g.out_c, kSumShift);
  if (!writer.flows()) return;
  const DepthwiseWeights scaled = {weights,     columns, channels,
                                   params.kept, m,       params.weight_shift + writer.coarseness()};
#if defined(TFLM_TRAIN_MVE)
  if (addend == nullptr && scaled.shift <= kMaxWeightShift) {
    const mve::DepthwisePlan plan(params, DepthwiseInputGradScratchBytes(params));
    if (mve::Stride2InputGrad::Usable(params)) {
      mve::Stride2InputGrad(g, writer.exponent()).Run(grad_out, scaled, grad_in, scratch);
      if (writer.FinishSaturated()) return;
    } else if (plan.usable) {
      mve::DepthwiseInputGrad(params, plan, grad_out, scaled, writer.exponent(), grad_in, scratch);
      if (writer.FinishSaturated()) return;
    }
  }
#endif
  const int pixel_shift = kSumShift - writer.exponent();
  if (addend == nullptr && pixel_shift <= SpareBits(params) && scaled.shift <= kMaxWeightShift) {
    const TilePlan tiles(params);
    const WindowPlan windows(params);
    if (tiles.usable) {
      InputGradByTiles(params, tiles, grad_out, scaled, pixel_shift, grad_in, scratch);
    } else if (kWindowsPay && windows.usable) {
      InputGradByWindows(params, windows, grad_out, scaled, pixel_shift, grad_in, scratch);
    }
    if ((tiles.usable || (kWindowsPay && windows.usable)) && writer.FinishSaturated()) return;
  }
  int32_t* acc = static_cast<int32_t*>(scratch);
  for (int32_t iy = 0; iy < g.in_h; ++iy) {
    for (int32_t ix = 0; ix < g.in_w; ++ix) {
      SumTaps(g, iy, ix, grad_out, scaled, acc);
      if (params.kept > 0) SumColumnTaps(g, iy, ix, grad_out, scaled, acc);
      // In place: input channel i reads from i * multiplier onwards.
      int32_t c = 0;
      for (int32_t i = 0; i < g.in_c; ++i) {
        int32_t sum = 0;
        for (int32_t j = 0; j < params.multiplier; ++j, ++c) sum += acc[c];
        acc[i] = sum;
      }
      writer.WritePixel(acc);
    }
  }
  writer.Finish();
}

}  // namespace tflm_train
