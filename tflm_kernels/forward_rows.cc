#include "tflm_kernels/forward_rows.h"

#include <cstring>

#include "tflm_kernels/forward_ops.h"
#include "tflm_kernels/spec/numerics.h"

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

// Sums of up to this many products of int8 stay below 2^29.
// FAST-PATH-BOUND: small-products
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
  // FAST-PATH-BOUND: small-shifts
  for (int32_t c = 0; c < n; ++c) shifts &= constants.shift[c];
  // FAST-PATH-BOUND: small-biases
  for (int32_t c = 0; c < n && bias != nullptr; ++c) {
    outside |= static_cast<int32_t>(static_cast<uint32_t>(bias[c]) + (1u << 29)) & (3 << 30);
  }
  return {constants, output, shifts < 0 && outside == 0 && depth <= kMostSmallProducts};
}

Scaling ScalingOf(int32_t multiplier, int32_t shift) {
  if (shift == 0) return {multiplier, 0, 0, 0};
  return {multiplier, -shift, -1, 1 << (-shift - 1)};
}

// Rows of a patch are too short for the call of a library's function.
void CopyBytes(const int8_t* from, int32_t n, int8_t* to) {
  // Compilers for size test a loop at its begin, and jump there from its end.
  if (n >= 4) {
    do {
      std::memcpy(to, from, 4);
      from += 4;
      to += 4;
      n -= 4;
    } while (n >= 4);
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

  // All output channels of both pixels.
  void Multiply(const SplitWeights& weights, const Finish& finish, int32_t channels, int8_t* y0,
                int8_t* y1) const {
    const bool has_columns = weights.kept > 0;
    // FAST-PATH-BOUND: conv-tile
    if (channels >= kChannels) {
      const Patches* const more = has_columns ? &columns : nullptr;
      return ConvPixels(rest, weights.rest, more, weights.columns, finish, channels, y0, y1);
    }
    for (int32_t c = 0; c < channels; ++c) {
      const int8_t* const w = weights.rest + c * rest.depth;
      const int8_t* const v = weights.columns + c * columns.depth;
      TwoByTwo sums = DotTwoByTwo(rest, w, w, {});
      if (has_columns) sums = DotTwoByTwo(columns, v, v, sums);
      FinishRow(&sums.s00, finish.From(c), 1, y0 + c);
      FinishRow(&sums.s10, finish.From(c), 1, y1 + c);
    }
  }
};

// Makes the patch under the kernel of output (oy, ox), pixel 0 or 1 of the pair.
void MakePatch(const Geometry& g, int32_t oy, int32_t ox, const Rows& x,
               const SplitWeights& weights, int32_t pixel, const PatchPair& pair) {
  const int32_t ix = ox * g.stride_w - g.pad_l;
  const int16_t* const order = weights.channels;
  const int32_t rest_width = g.in_c - weights.kept;
  PatchWriter rest(pair.rest, pixel), columns(pair.columns, pixel);
  for (int32_t ky = 0; ky < g.k_h; ++ky) {
    const int8_t* const row = RowUnder(g, x, oy, ky);
    // FAST-PATH-BOUND: patch-neighbours
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
    for (int32_t ky = 0, kx = 0; ky < g_.k_h;) {
      List(ox, &ky, &kx);
      DepthwiseSums(taps_, count_, zero_point, multiplier, g_.out_c, acc);
    }
  }

  // The outputs of pixel ox, of a layer with multiplier 1 and at most kMostTaps taps.
  void Output(int32_t ox, int32_t zero_point, const Finish& finish, int32_t* scratch, int8_t* y) {
    const bool is_inside = IsInside(ox);
    if (!is_inside || listed_ < 0) {
      int32_t ky = 0, kx = 0;
      List(ox, &ky, &kx);
      if (count_ > 0) PrepareTaps(taps_, count_, zero_point, finish, g_.out_c, scratch);
    } else {
      const int32_t moved = (ox - listed_) * g_.stride_w * g_.in_c;
      for (int32_t i = 0; i < count_; ++i) taps_[i].pixel += moved;
    }
    listed_ = is_inside ? ox : -1;
    if (count_ > 0) {
      DepthwisePixel(taps_, count_, zero_point, finish, g_.out_c, scratch, y);
    } else {
      std::memset(scratch, 0, sizeof(int32_t) * g_.out_c);
      FinishRow(scratch, finish, g_.out_c, y);
    }
  }

 private:
  // Whether all columns of the kernel are inside the input.
  bool IsInside(int32_t ox) const {
    const int32_t first = ox * g_.stride_w - g_.pad_l;
    // FAST-PATH-BOUND: taps-inside
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
        const int32_t c = channels[j];
        acc[c] = WrapAdd(acc[c], column[j] * (pixel[c / multiplier] - zero_point));
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
  PatchPair pair = {{scratch, rest_depth, offset}, {columns, kept_depth, offset}};
  // The row that a 1x1 kernel reads.
  const bool is_pointwise = g.k_h * g.k_w == 1 && weights.channels == nullptr;
  const int8_t* const row = is_pointwise ? RowUnder(g, x, oy, 0) : nullptr;
  for (int32_t ox = 0; ox < g.out_w; ox += kPixels) {
    // A second pixel that does not exist is the first once more.
    const int32_t step = g.out_w - ox < kPixels ? 0 : 1;
    const int32_t ix = ox * g.stride_w - g.pad_l, second = ix + step * g.stride_w;
    if (row == nullptr || ix < 0 || second >= g.in_w) {
      pair.rest.data = scratch;
      MakePatch(g, oy, ox, x, weights, 0, pair);
      MakePatch(g, oy, ox + step, x, weights, 1, pair);
    } else if (kRawPatches && second == ix + 1) {
      // FAST-PATH-BOUND: raw-patches
      pair.rest.data = const_cast<int8_t*>(row + ix * g.in_c);  // never written
    } else {
      pair.rest.data = scratch;
      FillPatch(row + ix * g.in_c, g.in_c, 0, 0, pair.rest);
      FillPatch(row + second * g.in_c, g.in_c, 1, 0, pair.rest);
    }
    int8_t* const y0 = y + ox * g.out_c;
    pair.Multiply(weights, finish, g.out_c, y0, y0 + step * g.out_c);
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
  // FAST-PATH-BOUND: most-taps
  const bool is_plain = multiplier == 1 && weights.kept == 0 && g.k_h * g.k_w <= kMostTaps;
  TapList taps(g, oy, x, weights.rest);
  for (int32_t ox = 0; ox < g.out_w; ++ox, y += g.out_c) {
    if (is_plain) {
      taps.Output(ox, zero_point, finish, acc, y);
      continue;
    }
    taps.Sum(ox, multiplier, zero_point, acc);
    if (weights.kept > 0) SumColumns(g, multiplier, zero_point, oy, ox, x, weights, acc);
    FinishRow(acc, finish, g.out_c, y);
  }
}

void AddRow(const OutputParams& output, const AddParams& add, const int8_t* a, const int8_t* b,
            int8_t* y, int32_t n) {
  const Addition addition = {output.x_zero_point,
                             add.addend_zero_point,
                             kAddLeftShift,
                             ScalingOf(add.x_multiplier, add.x_shift),
                             ScalingOf(add.addend_multiplier, add.addend_shift),
                             ScalingOf(add.y_multiplier, add.y_shift),
                             output};
  AddElements(addition, a, b, y, n);
}

}  // namespace tflm_train
