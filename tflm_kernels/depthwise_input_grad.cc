#include "tflm_kernels/depthwise_input_grad.h"

#include <cstring>

#include "tflm_kernels/channel_ops.h"
#include "tflm_kernels/depthwise_strips.h"
#include "tflm_kernels/depthwise_tiles.h"
#include "tflm_kernels/depthwise_windows.h"
#include "tflm_kernels/requantize.h"
#include "tflm_kernels/spec/geometry.h"
#include "tflm_kernels/spec/numerics.h"

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

// sum[c] = sum over the taps that reach input (iy, ix) of q times the weight, per output
// channel.
void SumTaps(const Geometry& g, int32_t iy, int32_t ix, const int8_t* grad_out,
             const DepthwiseWeights& weights, int32_t* sum) {
  std::memset(sum, 0, sizeof(int32_t) * g.out_c);
  // Two at a time, which saves half of the passes over the sums.
  const int8_t *pixels[2], *taps[2];
  int pending = 0;
  ForEachTap(g, iy, ix, grad_out, [&](int32_t tap, const int8_t* q) {
    pixels[pending] = q;
    taps[pending] = weights.all + tap * g.out_c;
    if (++pending < 2) return;
    AccumulateTwoProducts(sum, pixels, taps, g.out_c);
    pending = 0;
  });
  if (pending > 0) AccumulateProducts(sum, pixels[0], taps[0], 0, g.out_c);
}

// The same for the channels that have weights of their own.
void SumColumnTaps(const Geometry& g, int32_t iy, int32_t ix, const int8_t* grad_out,
                   const DepthwiseWeights& weights, int32_t* sum) {
  for (int32_t j = 0; j < weights.kept; ++j) sum[weights.channels[j]] = 0;
  ForEachTap(g, iy, ix, grad_out, [&](int32_t tap, const int8_t* q) {
    const int8_t* column = weights.columns + tap * weights.kept;
    for (int32_t j = 0; j < weights.kept; ++j) {
      const int32_t c = weights.channels[j];
      sum[c] = WrapAdd(sum[c], q[c] * column[j]);
    }
  });
}

// S of docs/NUMERICS.md, of one input channel: sum and m of its output channels.
int64_t ScaledSum(const int32_t* sum, const int32_t* m, int32_t multiplier) {
  int64_t scaled = 0;
  for (int32_t j = 0; j < multiplier; ++j) scaled += static_cast<int64_t>(sum[j]) * m[j];
  return scaled;
}

// Quantises the sums of a pixel.
void WriteSums(const DepthwiseInputGradParams& params, const int32_t* m, bool has_addend,
               int32_t* sum, GradientWriter* writer) {
  const int32_t multiplier = params.multiplier;
  if (has_addend) {
    // In place: input channel i reads from i * multiplier onwards.
    for (int32_t i = 0; i < params.geometry.in_c; ++i) {
      const int32_t c = i * multiplier;
      sum[i] = RoundShift64(ScaledSum(sum + c, m + c, multiplier), kScaleBits);
    }
    writer->WritePixel(sum);
  } else if (multiplier == 1 && SumsAreSmall(params.geometry)) {
    writer->WritePixelOf([&](int32_t i, int shift) { return ScaleSmall(sum[i], m[i], shift); });
  } else {
    writer->WritePixelOf([&](int32_t i, int shift) {
      const int32_t c = i * multiplier;
      return RoundShift64(ScaledSum(sum + c, m + c, multiplier), kScaleBits + shift);
    });
  }
}

// Four channels of many pixels at a time, with the predicted exponent; false: not for this
// layer.
bool WriteSaturated(const DepthwiseInputGradParams& params, const int8_t* grad_out,
                    const DepthwiseWeights& weights, int8_t* grad_in, void* scratch) {
#if defined(TFLM_TRAIN_MVE)
  const size_t scratch_bytes = DepthwiseInputGradScratchBytes(params);
  const mve::Stride2InputGrad stride2(params, scratch_bytes);
  if (stride2.usable(weights.exponent)) {
    stride2.Run(grad_out, weights, grad_in, scratch);
    return true;
  }
  if (mve::DepthwiseInputGrad(params, scratch_bytes, grad_out, weights, grad_in, scratch)) {
    return true;
  }
#endif
  const StripPlan strips(params);
  if (strips.usable) {
    InputGradByStrips(params, strips, grad_out, weights, grad_in, scratch);
    return true;
  }
  const TilePlan tiles(params);
  if (tiles.usable) {
    InputGradByTiles(params, tiles, grad_out, weights, grad_in, scratch);
    return true;
  }
  const WindowPlan windows(params);
  if (!kWindowsPay || !windows.usable) return false;
  InputGradByWindows(params, windows, grad_out, weights, grad_in, scratch);
  return true;
}

}  // namespace

size_t DepthwiseInputGradScratchBytes(const DepthwiseInputGradParams& params) {
  size_t bytes = sizeof(int32_t) * params.geometry.out_c;
  const TilePlan tiles(params);
  const StripPlan strips(params);
  const WindowPlan windows(params);
  const size_t needed = strips.usable    ? strips.bytes()
                        : tiles.usable   ? tiles.bytes()
                        : windows.usable ? windows.bytes()
                                         : 0;
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
      static_cast<size_t>(g.out_h) * g.out_w * g.out_c);
  if (!writer.flows()) return;
  const DepthwiseWeights layer = {weights, columns, channels, params.kept, m, writer.exponent()};
  if (addend == nullptr && SumsAreSmall(g) && LaneScales::Exist(writer.exponent()) &&
      WriteSaturated(params, grad_out, layer, grad_in, scratch) && writer.FinishSaturated()) {
    return;
  }
  int32_t* sum = static_cast<int32_t*>(scratch);
  for (int32_t iy = 0; iy < g.in_h; ++iy) {
    for (int32_t ix = 0; ix < g.in_w; ++ix) {
      SumTaps(g, iy, ix, grad_out, layer, sum);
      if (params.kept > 0) SumColumnTaps(g, iy, ix, grad_out, layer, sum);
      WriteSums(params, m, addend != nullptr, sum, &writer);
    }
  }
  writer.Finish();
}

}  // namespace tflm_train
