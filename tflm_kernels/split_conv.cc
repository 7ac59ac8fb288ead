#include "tflm_kernels/split_conv.h"

#include <cstring>

#include "tflm_kernels/channel_ops.h"
#include "tflm_kernels/numerics.h"

namespace tflm_train {
namespace {

int8_t Output(const OutputParams& output, int32_t acc, int32_t multiplier, int32_t shift) {
  const int32_t y = Requantize(acc, multiplier, shift) + output.y_zero_point;
  return static_cast<int8_t>(y < output.act_min   ? output.act_min
                             : y > output.act_max ? output.act_max
                                                  : y);
}

// Calls visit(tap, pixel) for every kernel tap of output (oy, ox): its index and
// the input pixel under it, nullptr outside the input.
template <typename Visit>
void ForEachTap(const Geometry& g, int32_t oy, int32_t ox, const int8_t* x, const Visit& visit) {
  for (int32_t ky = 0; ky < g.k_h; ++ky) {
    const int32_t iy = oy * g.stride_h + ky * g.dil_h - g.pad_t;
    for (int32_t kx = 0; kx < g.k_w; ++kx) {
      const int32_t ix = ox * g.stride_w + kx * g.dil_w - g.pad_l;
      const bool inside = iy >= 0 && iy < g.in_h && ix >= 0 && ix < g.in_w;
      visit(ky * g.k_w + kx, inside ? x + (iy * g.in_w + ix) * g.in_c : nullptr);
    }
  }
}

}  // namespace

size_t SplitConvScratchBytes(const SplitConvParams& params) {
  const Geometry& g = params.geometry;
  return sizeof(int16_t) * g.k_h * g.k_w * g.in_c;
}

void SplitConv(const SplitConvParams& params, const int8_t* x, const int8_t* rest,
               const int8_t* columns, const int16_t* order, const int32_t* multiplier,
               const int32_t* shift, const int32_t* bias, int8_t* y, void* scratch) {
  const Geometry& g = params.geometry;
  const int32_t zero_point = params.output.x_zero_point;
  const int32_t taps = g.k_h * g.k_w;
  const int32_t rest_width = g.in_c - params.kept;
  int16_t* const patch = static_cast<int16_t*>(scratch);
  for (int32_t oy = 0; oy < g.out_h; ++oy) {
    for (int32_t ox = 0; ox < g.out_w; ++ox) {
      // In the order of the weights, so that the sums below run over contiguous
      // channels.
      ForEachTap(g, oy, ox, x, [&](int32_t tap, const int8_t* pixel) {
        int16_t* const to = patch + tap * g.in_c;
        if (pixel == nullptr) {
          std::memset(to, 0, sizeof(int16_t) * g.in_c);
          return;
        }
        for (int32_t i = 0; i < g.in_c; ++i) {
          to[i] = static_cast<int16_t>(pixel[order[i]] - zero_point);
        }
      });
      const int8_t* rest_row = rest;
      const int8_t* column_row = columns;
      for (int32_t c = 0; c < g.out_c; ++c) {
        int32_t acc = bias == nullptr ? 0 : bias[c];
        for (int32_t tap = 0; tap < taps; ++tap) {
          const int16_t* const from = patch + tap * g.in_c;
          acc += Dot(from, rest_row, rest_width) + Dot(from + rest_width, column_row, params.kept);
          rest_row += rest_width;
          column_row += params.kept;
        }
        *y++ = Output(params.output, acc, multiplier[c], shift[c]);
      }
    }
  }
}

size_t SplitDepthwiseScratchBytes(const SplitDepthwiseParams& params) {
  return sizeof(int32_t) * params.geometry.out_c;
}

void SplitDepthwise(const SplitDepthwiseParams& params, const int8_t* x, const int8_t* weights,
                    const int8_t* columns, const int16_t* channels, const int32_t* multiplier,
                    const int32_t* shift, const int32_t* bias, int8_t* y, void* scratch) {
  const Geometry& g = params.geometry;
  const int32_t zero_point = params.output.x_zero_point;
  const int32_t times = params.multiplier;
  int32_t* const acc = static_cast<int32_t*>(scratch);
  for (int32_t oy = 0; oy < g.out_h; ++oy) {
    for (int32_t ox = 0; ox < g.out_w; ++ox) {
      std::memset(acc, 0, sizeof(int32_t) * g.out_c);
      ForEachTap(g, oy, ox, x, [&](int32_t tap, const int8_t* pixel) {
        if (pixel == nullptr) return;
        const int8_t* const row = weights + tap * g.out_c;
        if (times == 1) {
          AccumulateProducts(acc, row, pixel, zero_point, g.out_c);
          return;
        }
        for (int32_t i = 0; i < g.in_c; ++i) {
          AccumulateRow(acc + i * times, static_cast<int16_t>(pixel[i] - zero_point),
                        row + i * times, times);
        }
      });
      for (int32_t j = 0; j < params.kept; ++j) acc[channels[j]] = 0;
      ForEachTap(g, oy, ox, x, [&](int32_t tap, const int8_t* pixel) {
        if (pixel == nullptr) return;
        const int8_t* const row = columns + tap * params.kept;
        for (int32_t j = 0; j < params.kept; ++j) {
          acc[channels[j]] += row[j] * (pixel[channels[j] / times] - zero_point);
        }
      });
      for (int32_t c = 0; c < g.out_c; ++c) {
        const int32_t sum = acc[c] + (bias == nullptr ? 0 : bias[c]);
        *y++ = Output(params.output, sum, multiplier[c], shift[c]);
      }
    }
  }
}

}  // namespace tflm_train
