#include "tflm_kernels/forward_rows.h"

#include <cstring>

#include "tflm_kernels/forward_ops.h"
#include "tflm_kernels/numerics.h"

namespace tflm_train {
namespace {

// TFLM scales both inputs by 2^20 before they meet.
constexpr int kAddLeftShift = 20;

// How many pixels, and how many output channels of each, are summed before they are
// requantised.
constexpr int32_t kPixels = 2;
constexpr int32_t kChannels = 4;

// Patches are collected in pieces of this many bytes.
constexpr int32_t kPieceBytes = 64;

// Of a depthwise kernel: as many as are listed on the stack at once.
constexpr int32_t kMostTaps = 49;

// Sums of up to this many products of int8 stay below 2^29.
constexpr int32_t kMostSmallProducts = 16384;

// The input row under kernel row ky of output row oy; nullptr outside the input.
const int8_t* RowUnder(const Geometry& g, const Rows& x, int32_t oy, int32_t ky) {
  const int32_t iy = oy * g.stride_h + ky * g.dil_h - g.pad_t;
  return iy >= 0 && iy < g.in_h ? x.Row(iy) : nullptr;
}

// The constants of n channels whose sums have `depth` products.
Finish FinishOf(const ChannelConstants& constants, const OutputParams& output, int32_t depth,
                int32_t n) {
  const int32_t* const bias = constants.bias;
  // The sign bit: of the shifts that all have it, of the biases any outside +-2^29.
  int32_t shifts = -1, outside = 0;
  for (int32_t c = 0; c < n; ++c) shifts &= constants.shift[c];
  for (int32_t c = 0; c < n && bias != nullptr; ++c) {
    outside |= static_cast<int32_t>(static_cast<uint32_t>(bias[c]) + (1u << 29)) & (3 << 30);
  }
  return {constants, output, shifts < 0 && outside == 0 && depth <= kMostSmallProducts};
}

// Requantize(a, multiplier, shift) with the same constants many times; |a| < 2^30,
// shift <= 0.
struct Scaling {
  int32_t multiplier, shift, negative, half;

  int32_t operator()(int32_t a) const {
    const int32_t high = HighMul(2 * a, multiplier);
    return (high + ((high >> 31) & negative) + half) >> shift;
  }
};

Scaling ScalingOf(int32_t multiplier, int32_t shift) {
  // Without a shift there is no second rounding.
  if (shift == 0) return {multiplier, 0, 0, 0};
  return {multiplier, -shift, -1, 1 << (-shift - 1)};
}

// Rows of a patch are too short for the call of a library's function.
void CopyBytes(const int8_t* from, int32_t n, int8_t* to) {
  for (; n >= 4; n -= 4) {
    std::memcpy(to, from, 4);
    from += 4;
    to += 4;
  }
  for (; n > 0; --n) *to++ = *from++;
}

// Makes the patch of a pixel from pieces of any length.
class PatchWriter {
 public:
  PatchWriter(const Patches& patches, int32_t pixel) : patches_(patches), pixel_(pixel) {}

  void Append(const int8_t* from, int32_t n) {
    while (n > 0) {
      const int32_t part = Room(n);
      CopyBytes(from, part, piece_ + used_);
      Advance(part);
      from += part;
      n -= part;
    }
  }
  void AppendZeros(int32_t n) {
    while (n > 0) {
      const int32_t part = Room(n);
      std::memset(piece_ + used_, patches_.offset, part);
      Advance(part);
      n -= part;
    }
  }
  void Flush() {
    FillPatch(piece_, used_, pixel_, written_, patches_);
    written_ += used_;
    used_ = 0;
  }

 private:
  int32_t Room(int32_t n) const { return n < kPieceBytes - used_ ? n : kPieceBytes - used_; }
  void Advance(int32_t n) {
    used_ += n;
    if (used_ == kPieceBytes) Flush();
  }

  const Patches& patches_;
  const int32_t pixel_;
  int32_t written_ = 0, used_ = 0;
  int8_t piece_[kPieceBytes];
};

// What ConvRow multiplies: first what meets the constant weights, then what meets the
// columns.
struct PatchPair {
  Patches rest, columns;

  // Sums of channels c and c + next; next: 0, 1.
  TFLM_TRAIN_INLINE TwoByTwo Sums(const SplitWeights& weights, int32_t c, int32_t next) const {
    const int8_t* const w = weights.rest + c * rest.depth;
    const TwoByTwo sums = DotTwoByTwo(rest, w, w + next * rest.depth, {});
    if (weights.kept == 0) return sums;
    const int8_t* const v = weights.columns + c * columns.depth;
    return DotTwoByTwo(columns, v, v + next * columns.depth, sums);
  }
};

// Makes the patch under the kernel of output (oy, ox), pixel 0 or 1 of the pair.
void MakePatch(const Geometry& g, int32_t oy, int32_t ox, const Rows& x,
               const SplitWeights& weights, int32_t pixel, const PatchPair& pair) {
  const int32_t ix = ox * g.stride_w - g.pad_l;
  const int16_t* const order = weights.channels;
  if (g.k_h * g.k_w == 1 && order == nullptr && ix >= 0 && ix < g.in_w) {
    const int8_t* const row = RowUnder(g, x, oy, 0);
    if (row != nullptr) return FillPatch(row + ix * g.in_c, g.in_c, pixel, 0, pair.rest);
  }
  const int32_t rest_width = g.in_c - weights.kept;
  PatchWriter rest(pair.rest, pixel), columns(pair.columns, pixel);
  for (int32_t ky = 0; ky < g.k_h; ++ky) {
    const int8_t* const row = RowUnder(g, x, oy, ky);
    if (row != nullptr && order == nullptr && g.dil_w == 1) {
      // The pixels inside the input are neighbours.
      const int32_t first = ix < 0 ? (-ix < g.k_w ? -ix : g.k_w) : 0;
      const int32_t inside = g.in_w - ix < g.k_w ? g.in_w - ix : g.k_w;
      const int32_t last = inside < first ? first : inside;
      rest.AppendZeros(first * g.in_c);
      rest.Append(row + (ix + first) * g.in_c, (last - first) * g.in_c);
      rest.AppendZeros((g.k_w - last) * g.in_c);
      continue;
    }
    for (int32_t kx = 0; kx < g.k_w; ++kx) {
      const int32_t column = ix + kx * g.dil_w;
      if (row == nullptr || column < 0 || column >= g.in_w) {
        rest.AppendZeros(rest_width);
        columns.AppendZeros(weights.kept);
        continue;
      }
      const int8_t* const at = row + column * g.in_c;
      if (order == nullptr) {
        rest.Append(at, g.in_c);
        continue;
      }
      for (int32_t i = 0; i < rest_width; ++i) rest.Append(at + order[i], 1);
      for (int32_t i = rest_width; i < g.in_c; ++i) columns.Append(at + order[i], 1);
    }
  }
  rest.Flush();
  columns.Flush();
}

// The taps of a depthwise kernel under output pixels of row oy.
class TapList {
 public:
  TapList(const Geometry& g, int32_t oy, const Rows& x, const int8_t* weights)
      : g_(g), oy_(oy), x_(x), weights_(weights) {}

  // acc[c] = the sum over the taps of output (oy, ox) inside the input.
  void Sum(int32_t ox, int32_t multiplier, int32_t zero_point, int32_t* acc) {
    std::memset(acc, 0, sizeof(int32_t) * g_.out_c);
    const bool is_whole = IsInside(ox) && g_.k_h * g_.k_w <= kMostTaps;
    if (is_whole && listed_ >= 0) {
      const int32_t at = (ox - listed_) * g_.stride_w * g_.in_c;
      DepthwiseSums(taps_, count_, at, zero_point, multiplier, g_.out_c, acc);
      return;
    }
    for (int32_t ky = 0, kx = 0; ky < g_.k_h;) {
      List(ox, &ky, &kx);
      DepthwiseSums(taps_, count_, 0, zero_point, multiplier, g_.out_c, acc);
    }
    listed_ = is_whole ? ox : -1;
  }

 private:
  // Whether all columns of the kernel are inside the input.
  bool IsInside(int32_t ox) const {
    const int32_t first = ox * g_.stride_w - g_.pad_l;
    return first >= 0 && first + (g_.k_w - 1) * g_.dil_w < g_.in_w;
  }

  // Those inside the input from kernel row ky, column kx on, until the list is full.
  void List(int32_t ox, int32_t* ky, int32_t* kx) {
    count_ = 0;
    for (; *ky < g_.k_h; ++*ky, *kx = 0) {
      const int8_t* const row = RowUnder(g_, x_, oy_, *ky);
      for (; row != nullptr && *kx < g_.k_w; ++*kx) {
        const int32_t ix = ox * g_.stride_w + *kx * g_.dil_w - g_.pad_l;
        if (ix < 0 || ix >= g_.in_w) continue;
        if (count_ == kMostTaps) return;
        taps_[count_++] = {row + ix * g_.in_c, weights_ + (*ky * g_.k_w + *kx) * g_.out_c};
      }
    }
  }

  const Geometry& g_;
  const int32_t oy_;
  const Rows& x_;
  const int8_t* const weights_;
  int32_t listed_ = -1;  // the pixel whose taps the list holds, all columns inside; -1: none
  int32_t count_ = 0;
  DepthwiseTap taps_[kMostTaps];
};

// acc[c] = the sum over the taps of output (oy, ox) inside the input, of the channels
// whose weights are columns.
void SumColumns(const Geometry& g, int32_t multiplier, int32_t zero_point, int32_t oy, int32_t ox,
                const Rows& x, const SplitWeights& weights, int32_t* acc) {
  const int16_t* const channels = weights.channels;
  for (int32_t j = 0; j < weights.kept; ++j) acc[channels[j]] = 0;
  const int8_t* column = weights.columns;
  for (int32_t ky = 0; ky < g.k_h; ++ky) {
    const int8_t* const row = RowUnder(g, x, oy, ky);
    for (int32_t kx = 0; kx < g.k_w; ++kx, column += weights.kept) {
      const int32_t ix = ox * g.stride_w + kx * g.dil_w - g.pad_l;
      if (row == nullptr || ix < 0 || ix >= g.in_w) continue;
      const int8_t* const pixel = row + ix * g.in_c;
      for (int32_t j = 0; j < weights.kept; ++j) {
        acc[channels[j]] += column[j] * (pixel[channels[j] / multiplier] - zero_point);
      }
    }
  }
}

}  // namespace

size_t ConvRowScratchBytes(const Geometry& geometry) {
  return kPixels * sizeof(int16_t) * geometry.k_h * geometry.k_w * geometry.in_c;
}

void ConvRow(const Geometry& g, const OutputParams& output, int32_t oy, const Rows& x,
             const SplitWeights& weights, const ChannelConstants& constants, int8_t* y,
             void* scratch) {
  const int32_t depth = g.k_h * g.k_w * g.in_c;
  const int32_t kept_depth = g.k_h * g.k_w * weights.kept;
  const Finish finish = FinishOf(constants, output, depth, g.out_c);
  const int32_t rest_depth = depth - kept_depth, offset = output.x_zero_point;
  char* const columns = static_cast<char*>(scratch) + kPixels * sizeof(int16_t) * rest_depth;
  const PatchPair pair = {{scratch, rest_depth, offset}, {columns, kept_depth, offset}};
  for (int32_t ox = 0; ox < g.out_w; ox += kPixels) {
    // A second pixel that does not exist is the first once more.
    const int32_t step = g.out_w - ox < kPixels ? 0 : 1;
    MakePatch(g, oy, ox, x, weights, 0, pair);
    MakePatch(g, oy, ox + step, x, weights, 1, pair);
    int8_t* y0 = y + ox * g.out_c;
    int8_t* y1 = y0 + step * g.out_c;
    int32_t c = 0;
    for (; c + kChannels <= g.out_c; c += kChannels, y0 += kChannels, y1 += kChannels) {
      const TwoByTwo first = pair.Sums(weights, c, 1);
      FinishTile(first, pair.Sums(weights, c + 2, 1), finish, c, y0, y1);
    }
    for (; c < g.out_c; ++c, ++y0, ++y1) {
      const TwoByTwo sums = pair.Sums(weights, c, 0);
      const Finish one = finish.From(c);
      FinishRow(&sums.s00, one, 1, y0);
      FinishRow(&sums.s10, one, 1, y1);
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
  const Finish finish = FinishOf(constants, output, g.k_h * g.k_w, g.out_c);
  int32_t* const acc = static_cast<int32_t*>(scratch);
  TapList taps(g, oy, x, weights.rest);
  for (int32_t ox = 0; ox < g.out_w; ++ox, y += g.out_c) {
    taps.Sum(ox, multiplier, zero_point, acc);
    if (weights.kept > 0) SumColumns(g, multiplier, zero_point, oy, ox, x, weights, acc);
    FinishRow(acc, finish, g.out_c, y);
  }
}

void AddRow(const OutputParams& output, const AddParams& add, const int8_t* a, const int8_t* b,
            int8_t* y, int32_t n) {
  const Scaling x = ScalingOf(add.x_multiplier, add.x_shift);
  const Scaling addend = ScalingOf(add.addend_multiplier, add.addend_shift);
  const Scaling sum = ScalingOf(add.y_multiplier, add.y_shift);
  // By value: bytes are written, which may alias anything that lies in memory.
  const OutputParams o = output;
  const int32_t b_zero_point = add.addend_zero_point;
  for (int32_t i = 0; i < n; ++i) {
    const int32_t first = ShiftLeft(a[i] - o.x_zero_point, kAddLeftShift);
    const int32_t second = ShiftLeft(b[i] - b_zero_point, kAddLeftShift);
    const int32_t value = sum(x(first) + addend(second)) + o.y_zero_point;
    y[i] = static_cast<int8_t>(value < o.act_min   ? o.act_min
                               : value > o.act_max ? o.act_max
                                                   : value);
  }
}

}  // namespace tflm_train
