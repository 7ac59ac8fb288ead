#include "tflm_kernels/forward_rows.h"

#include <cstring>

#include "tflm_kernels/channel_ops.h"
#include "tflm_kernels/forward_ops.h"
#include "tflm_kernels/numerics.h"

namespace tflm_train {
namespace {

// TFLM scales both inputs by 2^20 before they meet.
constexpr int kAddLeftShift = 20;

// How many pixels, and how many output channels of each, are summed before they are
// requantised.
constexpr int32_t kPixels = 2;
constexpr int32_t kChannels = 16;

// Of a depthwise kernel whose taps are listed on the stack: 7 x 7.
constexpr int32_t kMostTaps = 49;

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

// The patch under the kernel of output (oy, ox) as DotTwoByTwo wants it, first what
// meets the constant weights, then what meets the columns.
void MakePatch(const Geometry& g, int32_t zero_point, int32_t oy, int32_t ox, const Rows& x,
               const SplitWeights& weights, int16_t* patch) {
  const int32_t taps = g.k_h * g.k_w;
  const int32_t rest_width = g.in_c - weights.kept;
  const int32_t rest_depth = taps * rest_width;
  const int32_t iy = oy * g.stride_h - g.pad_t, ix = ox * g.stride_w - g.pad_l;
  if (taps == 1 && weights.channels == nullptr && iy >= 0 && iy < g.in_h && ix >= 0 &&
      ix < g.in_w) {
    Widen(x.Row(iy) + ix * g.in_c, zero_point, g.in_c, patch);
    return;
  }
  // The bytes are collected in the upper half of where they are widened to.
  int8_t* const rest = reinterpret_cast<int8_t*>(patch) + rest_depth;
  int8_t* const columns = reinterpret_cast<int8_t*>(patch + rest_depth) + taps * weights.kept;
  ForEachTap(g, oy, ox, x, [&](int32_t tap, const int8_t* pixel) {
    int8_t* const to = rest + tap * rest_width;
    int8_t* const to_columns = columns + tap * weights.kept;
    if (pixel == nullptr) {
      std::memset(to, zero_point, rest_width);
      std::memset(to_columns, zero_point, weights.kept);
    } else if (weights.channels == nullptr) {
      std::memcpy(to, pixel, g.in_c);
    } else {
      const int16_t* const order = weights.channels;
      for (int32_t i = 0; i < rest_width; ++i) to[i] = pixel[order[i]];
      for (int32_t i = 0; i < weights.kept; ++i) to_columns[i] = pixel[order[rest_width + i]];
    }
  });
  Widen(rest, zero_point, rest_depth, patch);
  Widen(columns, zero_point, taps * weights.kept, patch + rest_depth);
}

// acc[c] = the sum over the taps of output (oy, ox) inside the input.
void SumTaps(const Geometry& g, int32_t multiplier, int32_t zero_point, int32_t oy, int32_t ox,
             const Rows& x, const int8_t* weights, int32_t* acc) {
  if (multiplier != 1 || g.k_h * g.k_w > kMostTaps) {
    std::memset(acc, 0, sizeof(int32_t) * g.out_c);
    ForEachTap(g, oy, ox, x, [&](int32_t tap, const int8_t* pixel) {
      if (pixel == nullptr) return;
      const int8_t* const row = weights + tap * g.out_c;
      for (int32_t i = 0; i < g.in_c; ++i) {
        AccumulateRow(acc + i * multiplier, static_cast<int16_t>(pixel[i] - zero_point),
                      row + i * multiplier, multiplier);
      }
    });
    return;
  }
  DepthwiseTap taps[kMostTaps];
  int32_t count = 0;
  ForEachTap(g, oy, ox, x, [&](int32_t tap, const int8_t* pixel) {
    if (pixel != nullptr) taps[count++] = {pixel, weights + tap * g.out_c};
  });
  DepthwiseSums(taps, count, zero_point, g.out_c, acc);
}

}  // namespace

size_t ConvRowScratchBytes(const Geometry& geometry) {
  return kPixels * sizeof(int16_t) * geometry.k_h * geometry.k_w * geometry.in_c;
}

void ConvRow(const Geometry& g, const OutputParams& output, int32_t oy, const Rows& x,
             const SplitWeights& weights, const ChannelConstants& constants, int8_t* y,
             void* scratch) {
  const int32_t taps = g.k_h * g.k_w;
  const int32_t kept_depth = taps * weights.kept;
  const int32_t rest_depth = taps * g.in_c - kept_depth;
  int16_t* const patch = static_cast<int16_t*>(scratch);
  for (int32_t ox = 0; ox < g.out_w; ox += kPixels) {
    const int32_t pixels = g.out_w - ox < kPixels ? 1 : kPixels;
    // A second pixel that does not exist is the first once more.
    int16_t* const second = patch + (pixels - 1) * taps * g.in_c;
    for (int32_t p = 0; p < pixels; ++p) {
      MakePatch(g, output.x_zero_point, oy, ox + p, x, weights, p == 0 ? patch : second);
    }
    const int8_t* rest = weights.rest;
    const int8_t* columns = weights.columns;
    for (int32_t c = 0; c < g.out_c; c += kChannels) {
      const int32_t channels = g.out_c - c < kChannels ? g.out_c - c : kChannels;
      int32_t sums[kPixels][kChannels];
      for (int32_t j = 0; j < channels; j += 2) {
        // The last of an odd number of channels is summed twice.
        const int32_t next = j + 1 < channels ? 1 : 0;
        TwoByTwo sum = DotTwoByTwo(patch, second, rest, rest + next * rest_depth, rest_depth, {});
        rest += 2 * rest_depth;
        if (kept_depth > 0) {
          sum = DotTwoByTwo(patch + rest_depth, second + rest_depth, columns,
                            columns + next * kept_depth, kept_depth, sum);
          columns += 2 * kept_depth;
        }
        sums[0][j] = sum.s00;
        sums[0][j + 1] = sum.s01;
        sums[1][j] = sum.s10;
        sums[1][j + 1] = sum.s11;
      }
      for (int32_t p = 0; p < pixels; ++p) {
        FinishRow(sums[p], constants.From(c), output, channels, y + (ox + p) * g.out_c + c);
      }
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
    SumTaps(g, multiplier, zero_point, oy, ox, x, weights.rest, acc);
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
    FinishRow(acc, constants, output, g.out_c, y + ox * g.out_c);
  }
}

void AddRow(const OutputParams& output, const AddParams& add, const int8_t* a, const int8_t* b,
            int8_t* y, int32_t n) {
  // By value: bytes are written, which may alias anything that lies in memory.
  const OutputParams o = output;
  const AddParams p = add;
  for (int32_t i = 0; i < n; ++i) {
    const int32_t first = ShiftLeft(a[i] - o.x_zero_point, kAddLeftShift);
    const int32_t second = ShiftLeft(b[i] - p.addend_zero_point, kAddLeftShift);
    const int32_t sum = Requantize(first, p.x_multiplier, p.x_shift) +
                        Requantize(second, p.addend_multiplier, p.addend_shift);
    const int32_t value = Requantize(sum, p.y_multiplier, p.y_shift) + o.y_zero_point;
    y[i] = static_cast<int8_t>(value < o.act_min   ? o.act_min
                               : value > o.act_max ? o.act_max
                                                   : value);
  }
}

}  // namespace tflm_train
