#include "tflm_kernels/conv_input_grad.h"

#include <cstring>

#include "tflm_kernels/channel_ops.h"
#include "tflm_kernels/geometry.h"
#include "tflm_kernels/requantize.h"

namespace tflm_train {
namespace {

bool IsSplit(const ConvInputGradParams& params) { return params.group < params.geometry.out_c; }

// Some of the layer's weights, all of them int8 [out_c][k_h][k_w][width].
struct WeightBlock {
  const int8_t* weights;
  int32_t width;
};

// Adds to acc[block.width] what output channels [c_begin, c_end) send to input
// (iy, ix) through the block.
void AccumulateChannels(const Geometry& g, int32_t c_begin, int32_t c_end, int32_t iy, int32_t ix,
                        const int8_t* grad_out, const WeightBlock& block, const int8_t* m,
                        int32_t* acc) {
  const int32_t channel_stride = g.k_h * g.k_w * block.width;
  RowSum sum(acc, block.width);
  for (int32_t ky = 0; ky < g.k_h; ++ky) {
    const int32_t oy = OutputPosition(iy, ky, g.stride_h, g.dil_h, g.pad_t, g.out_h);
    if (oy < 0) continue;
    for (int32_t kx = 0; kx < g.k_w; ++kx) {
      const int32_t ox = OutputPosition(ix, kx, g.stride_w, g.dil_w, g.pad_l, g.out_w);
      if (ox < 0) continue;
      const int8_t* q = grad_out + (oy * g.out_w + ox) * g.out_c;
      const int8_t* row =
          block.weights + c_begin * channel_stride + (ky * g.k_w + kx) * block.width;
      for (int32_t c = c_begin; c < c_end; ++c, row += channel_stride) {
        sum.Add(static_cast<int16_t>(q[c] * m[c]), row);
      }
    }
  }
  sum.Flush();
}

}  // namespace

size_t ConvInputGradScratchBytes(const ConvInputGradParams& params) {
  return sizeof(int32_t) * params.geometry.in_c * (1 + IsSplit(params) + (params.kept > 0));
}

void ConvInputGrad(const ConvInputGradParams& params, const int8_t* grad_out, const int8_t* weights,
                   const int8_t* columns, const int16_t* order, const int8_t* m, float* scales,
                   float* ranges, const void* mask, const int8_t* addend, int8_t* grad_in,
                   void* scratch) {
  const Geometry& g = params.geometry;
  const size_t pixel_bytes = sizeof(int32_t) * g.in_c;
  const int32_t rest = g.in_c - params.kept;
  const WeightBlock blocks[] = {{weights, rest}, {columns, params.kept}};
  int32_t* total = static_cast<int32_t*>(scratch);
  int32_t* part = total + g.in_c;
  int32_t* in_order = part + (IsSplit(params) ? g.in_c : 0);
  // Sums of one pixel, in the order of the weights.
  const auto accumulate = [&](int32_t c_begin, int32_t c_end, int32_t iy, int32_t ix,
                              int32_t* acc) {
    std::memset(acc, 0, pixel_bytes);
    AccumulateChannels(g, c_begin, c_end, iy, ix, grad_out, blocks[0], m, acc);
    if (params.kept > 0) {
      AccumulateChannels(g, c_begin, c_end, iy, ix, grad_out, blocks[1], m, acc + rest);
    }
  };
  GradientWriter writer(
      {params.mask, mask, addend, addend != nullptr ? scales[params.slot_addend] : 0.0f, grad_in,
       static_cast<size_t>(g.in_h) * g.in_w * g.in_c, g.in_c, &scales[params.slot_out],
       &ranges[params.slot_out]},
      scales[params.slot_in] * params.unit_scale, grad_out,
      static_cast<size_t>(g.out_h) * g.out_w * g.out_c);
  if (!writer.flows()) return;
  for (int32_t iy = 0; iy < g.in_h; ++iy) {
    for (int32_t ix = 0; ix < g.in_w; ++ix) {
      if (!IsSplit(params)) {
        accumulate(0, g.out_c, iy, ix, total);
      } else {
        std::memset(total, 0, pixel_bytes);
        for (int32_t c = 0; c < g.out_c; c += params.group) {
          const int32_t c_end = g.out_c - c < params.group ? g.out_c : c + params.group;
          accumulate(c, c_end, iy, ix, part);
          AccumulateShifted(total, part, params.group_shift, g.in_c);
        }
      }
      if (params.kept == 0) {
        writer.WritePixel(total);
      } else {
        for (int32_t i = 0; i < g.in_c; ++i) in_order[order[i]] = total[i];
        writer.WritePixel(in_order);
      }
    }
  }
  writer.Finish();
}

}  // namespace tflm_train
