#include "tflm_kernels/forward_rows.h"

#include <cstring>

#include "tflm_kernels/channel_ops.h"
#include "tflm_kernels/numerics.h"

namespace tflm_train {
namespace {

int8_t Clamped(const OutputParams& output, int32_t value) {
  const int32_t y = value + output.y_zero_point;
  return static_cast<int8_t>(y < output.act_min   ? output.act_min
                             : y > output.act_max ? output.act_max
                                                  : y);
}

// TFLM scales both inputs by 2^20 before they meet.
constexpr int kAddLeftShift = 20;

// Calls visit(tap, pixel) for every kernel tap of output (oy, ox): its index and
// the input pixel under it, nullptr outside the input.
template <typename Visit>
void ForEachTap(const Geometry& g, int32_t oy, int32_t ox, const Rows& x, const Visit& visit) {
  for (int32_t ky = 0; ky < g.k_h; ++ky) {
    const int32_t iy = oy * g.stride_h + ky * g.dil_h - g.pad_t;
    const int8_t* const row = iy >= 0 && iy < g.in_h ? x.Row(iy) : nullptr;
    for (int32_t kx = 0; kx < g.k_w; ++kx) {
      const int32_t ix = ox * g.stride_w + kx * g.dil_w - g.pad_l;
      const bool inside = row != nullptr && ix >= 0 && ix < g.in_w;
      visit(ky * g.k_w + kx, inside ? row + ix * g.in_c : nullptr);
    }
  }
}

}  // namespace

size_t ConvRowScratchBytes(const Geometry& geometry) {
  return sizeof(int16_t) * geometry.k_h * geometry.k_w * geometry.in_c;
}

void ConvRow(const Geometry& g, const OutputParams& output, int32_t oy, const Rows& x,
             const SplitWeights& weights, const ChannelConstants& constants, int8_t* y,
             void* scratch) {
  const int32_t taps = g.k_h * g.k_w;
  const int32_t rest_width = g.in_c - weights.kept;
  const int16_t* const order = weights.channels;
  int16_t* const patch = static_cast<int16_t*>(scratch);
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
        const int32_t value = pixel[order == nullptr ? i : order[i]];
        to[i] = static_cast<int16_t>(value - output.x_zero_point);
      }
    });
    const int8_t* rest_row = weights.rest;
    const int8_t* column_row = weights.columns;
    for (int32_t c = 0; c < g.out_c; ++c) {
      int32_t acc = constants.bias == nullptr ? 0 : constants.bias[c];
      if (weights.kept == 0) {
        acc += Dot(patch, rest_row, taps * g.in_c);
        rest_row += taps * g.in_c;
      } else {
        for (int32_t tap = 0; tap < taps; ++tap) {
          const int16_t* const from = patch + tap * g.in_c;
          acc += Dot(from, rest_row, rest_width) + Dot(from + rest_width, column_row, weights.kept);
          rest_row += rest_width;
          column_row += weights.kept;
        }
      }
      *y++ = Clamped(output, Requantize(acc, constants.multiplier[c], constants.shift[c]));
    }
  }
}

size_t DepthwiseRowScratchBytes(const Geometry& geometry) {
  return sizeof(int32_t) * geometry.out_c;
}

void DepthwiseRow(const Geometry& g, const OutputParams& output, int32_t multiplier, int32_t oy,
                  const Rows& x, const SplitWeights& weights, const ChannelConstants& constants,
                  int8_t* y, void* scratch) {
  const int32_t zero_point = output.x_zero_point;
  const int16_t* const channels = weights.channels;
  int32_t* const acc = static_cast<int32_t*>(scratch);
  for (int32_t ox = 0; ox < g.out_w; ++ox) {
    std::memset(acc, 0, sizeof(int32_t) * g.out_c);
    ForEachTap(g, oy, ox, x, [&](int32_t tap, const int8_t* pixel) {
      if (pixel == nullptr) return;
      const int8_t* const row = weights.rest + tap * g.out_c;
      if (multiplier == 1) {
        AccumulateProducts(acc, row, pixel, zero_point, g.out_c);
        return;
      }
      for (int32_t i = 0; i < g.in_c; ++i) {
        AccumulateRow(acc + i * multiplier, static_cast<int16_t>(pixel[i] - zero_point),
                      row + i * multiplier, multiplier);
      }
    });
    if (weights.kept > 0) {
      for (int32_t j = 0; j < weights.kept; ++j) acc[channels[j]] = 0;
      ForEachTap(g, oy, ox, x, [&](int32_t tap, const int8_t* pixel) {
        if (pixel == nullptr) return;
        const int8_t* const row = weights.columns + tap * weights.kept;
        for (int32_t j = 0; j < weights.kept; ++j) {
          acc[channels[j]] += row[j] * (pixel[channels[j] / multiplier] - zero_point);
        }
      });
    }
    for (int32_t c = 0; c < g.out_c; ++c) {
      const int32_t sum = acc[c] + (constants.bias == nullptr ? 0 : constants.bias[c]);
      *y++ = Clamped(output, Requantize(sum, constants.multiplier[c], constants.shift[c]));
    }
  }
}

void AddRow(const OutputParams& output, const AddParams& add, const int8_t* a, const int8_t* b,
            int8_t* y, int32_t n) {
  for (int32_t i = 0; i < n; ++i) {
    const int32_t first = ShiftLeft(a[i] - output.x_zero_point, kAddLeftShift);
    const int32_t second = ShiftLeft(b[i] - add.addend_zero_point, kAddLeftShift);
    const int32_t sum = Requantize(first, add.x_multiplier, add.x_shift) +
                        Requantize(second, add.addend_multiplier, add.addend_shift);
    y[i] = Clamped(output, Requantize(sum, add.y_multiplier, add.y_shift));
  }
}

}  // namespace tflm_train
