#include "tflm_kernels/depthwise_windows.h"

#include <cstring>

#include "tflm_kernels/numerics.h"

namespace tflm_train {
namespace {

// Memory for a plane; a kernel's height of rows is the least.
constexpr int32_t kPlaneBytes = 6144;

// Windows of one phase, in rows of inputs that are `stride_h` apart.
struct WindowBlock {
  int32_t plane;    // first window, int16 from the plane's start
  int32_t weights;  // int16 from the start
  int32_t row_pairs, columns;
  int32_t rows, windows;  // windows of a row
  int32_t at;             // first element of the target, in channel 0
};

// What blocks have in common.
struct BlockContext {
  const int16_t* plane;
  const int16_t* weights;
  int32_t plane_step;      // int16 to the next row of the plane
  int32_t row_step, step;  // elements of the target to the next row, and window
  int32_t c;
  int lanes;
  const int32_t* m;  // multipliers of the lanes
};

template <int kRowPairs, int kColumns, bool kPlain>
void SumBlock(const WindowBlock& block, const BlockContext& context, UnorderedWriter* writer) {
  UnorderedWriter local = *writer;
  const Window window(context.weights + block.weights, block.row_pairs, block.columns,
                      context.plane_step / kElement);
  const int32_t step = context.step;
  const int lanes = context.lanes;
  const int32_t* const m = context.m;
  const int16_t* first = context.plane + block.plane;
  int32_t row_at = block.at + context.c;
  for (int32_t row = block.rows; row > 0; --row) {
    const int16_t* plane = first;
    int32_t at = row_at;
    for (int32_t n = block.windows; n > 0; --n, plane += kElement, at += step) {
      int32_t sums[kWindowLanes];
      SumWindow<kRowPairs, kColumns>(plane, window, sums);
      ScaleSums(m, sums);
      local.Write<kPlain>(sums, static_cast<size_t>(at), lanes);
    }
    first += context.plane_step;
    row_at += context.row_step;
  }
  writer->TakeMax(local);
}

template <int kRowPairs, int kColumns>
void SumBlockAs(const WindowBlock& block, const BlockContext& context, UnorderedWriter* writer) {
  if (writer->is_plain() && context.lanes == kWindowLanes) {
    SumBlock<kRowPairs, kColumns, true>(block, context, writer);
  } else {
    SumBlock<kRowPairs, kColumns, false>(block, context, writer);
  }
}

// No taps at all.
void WriteZeros(const WindowBlock& block, const BlockContext& context, UnorderedWriter* writer) {
  const int32_t zeros[kWindowLanes] = {};
  for (int32_t row = 0; row < block.rows; ++row) {
    for (int32_t n = 0; n < block.windows; ++n) {
      const int32_t at = block.at + context.c + row * context.row_step + n * context.step;
      writer->Write<false>(zeros, static_cast<size_t>(at), context.lanes);
    }
  }
}

// The windows of usual kernels have loops of their own.
void DoBlock(const WindowBlock& block, const BlockContext& context, UnorderedWriter* writer) {
  const int32_t pairs = block.row_pairs;
  switch (pairs == 0 ? -1 : block.columns) {
    case -1:
      return WriteZeros(block, context, writer);
    case 1:
      return pairs == 1 ? SumBlockAs<1, 1>(block, context, writer)
                        : SumBlockAs<0, 1>(block, context, writer);
    case 2:
      return pairs == 1 ? SumBlockAs<1, 2>(block, context, writer)
                        : SumBlockAs<0, 2>(block, context, writer);
    case 3:
      return pairs == 1   ? SumBlockAs<1, 3>(block, context, writer)
             : pairs == 2 ? SumBlockAs<2, 3>(block, context, writer)
                          : SumBlockAs<0, 3>(block, context, writer);
    case 4:
      return SumBlockAs<0, 4>(block, context, writer);
    case 5:
      return SumBlockAs<0, 5>(block, context, writer);
    case 7:
      return SumBlockAs<0, 7>(block, context, writer);
    default:
      return SumBlockAs<0, 0>(block, context, writer);
  }
}

int32_t PairsOf(int32_t rows) { return (rows + 1) / 2; }

// Which of a window's pairs of rows have a row inside the gradient.
struct PairRange {
  int32_t begin, end;
  bool operator==(const PairRange& other) const { return begin == other.begin && end == other.end; }
};

PairRange PairsInside(const Geometry& g, const AxisPhase& y, int32_t j) {
  const int32_t lowest = y.Lowest(j);
  const int32_t above = lowest < -1 ? -lowest / 2 : 0;
  const int32_t all = PairsOf(y.taps);
  const int32_t inside = lowest < g.out_h ? (g.out_h - lowest + 1) / 2 : 0;
  const int32_t end = inside < all ? inside : all;
  return above < end ? PairRange{above, end} : PairRange{0, 0};
}

// What is to be done for input rows [first, first + plan.rows), for any four channels.
class WindowProgram {
 public:
  WindowProgram(const Geometry& g, const WindowPlan& plan, int32_t first, WindowBlock* blocks,
                TapPair* taps)
      : blocks_(blocks), taps_(taps) {
    const int32_t end = first + plan.rows < g.in_h ? first + plan.rows : g.in_h;
    FindPlane(g, first, end);
    for (int32_t py = 0; py < g.stride_h; ++py) {
      const AxisPhase y(py, g.k_h, g.stride_h, g.pad_t);
      for (int32_t px = 0; px < g.stride_w; ++px) {
        const AxisPhase x(px, g.k_w, g.stride_w, g.pad_l);
        if (px < g.in_w) AddBlocks(g, plan, first, end, py, y, px, x);
        AddTaps(g, y, x);
      }
    }
  }

  int32_t first_row() const { return first_row_; }
  int32_t end_row() const { return end_row_; }
  int32_t block_count() const { return block_count_; }
  int32_t tap_count() const { return tap_count_; }
  const WindowBlock& block(int32_t i) const { return blocks_[i]; }
  const TapPair* taps() const { return taps_; }

 private:
  // The rows of the plane: pairs that begin at [first_row, end_row).
  void FindPlane(const Geometry& g, int32_t first, int32_t end) {
    for (int32_t py = 0; py < g.stride_h && first + py < end; ++py) {
      const AxisPhase y(py, g.k_h, g.stride_h, g.pad_t);
      if (y.taps == 0) continue;
      const int32_t lowest = y.Lowest(first / g.stride_h);
      const int32_t last = y.Lowest((end - 1 - py) / g.stride_h) + 2 * (PairsOf(y.taps) - 1);
      first_row_ = lowest < first_row_ ? lowest : first_row_;
      end_row_ = last + 1 > end_row_ ? last + 1 : end_row_;
    }
    if (first_row_ < -1) first_row_ = -1;
    if (end_row_ > g.out_h) end_row_ = g.out_h;
  }

  // Rows with as many pairs of rows inside are one block.
  void AddBlocks(const Geometry& g, const WindowPlan& plan, int32_t first, int32_t end, int32_t py,
                 const AxisPhase& y, int32_t px, const AxisPhase& x) {
    const int32_t j_end = (end - py + g.stride_h - 1) / g.stride_h;
    for (int32_t j = first / g.stride_h; j < j_end;) {
      const PairRange pairs = x.taps > 0 ? PairsInside(g, y, j) : PairRange{0, 0};
      WindowBlock& block = blocks_[block_count_++];
      block.row_pairs = pairs.end - pairs.begin;
      block.columns = x.taps;
      block.weights = (tap_count_ + pairs.begin * x.taps) * kElement;
      const int32_t r = y.Lowest(j) + 2 * pairs.begin;
      block.plane = ((r - first_row_) * plan.pitch + x.Lowest(0) + plan.left) * kElement;
      block.windows = (g.in_w - px + g.stride_w - 1) / g.stride_w;
      block.at = ((py + j * g.stride_h) * g.in_w + px) * g.in_c;
      block.rows = 0;
      do {
        ++j;
        ++block.rows;
      } while (j < j_end && (x.taps == 0 || PairsInside(g, y, j) == pairs));
    }
  }

  // Outputs ascend as taps descend.
  void AddTaps(const Geometry& g, const AxisPhase& y, const AxisPhase& x) {
    for (int32_t ty = y.taps - 1; ty >= 0; ty -= 2) {
      for (int32_t tx = x.taps - 1; tx >= 0; --tx) {
        const int32_t upper =
            (y.first_tap + ty * g.stride_h) * g.k_w + x.first_tap + tx * g.stride_w;
        taps_[tap_count_++] = {upper, ty > 0 ? upper - g.stride_h * g.k_w : -1};
      }
    }
  }

  WindowBlock* blocks_;
  TapPair* taps_;
  int32_t block_count_ = 0;
  int32_t tap_count_ = 0;
  int32_t first_row_ = INT32_MAX;
  int32_t end_row_ = -1;
};

// Packs the weights of channels from c on for each pair of taps.
void PackWeights(const WindowProgram& program, const DepthwiseWeights& weights, int32_t channels,
                 int32_t c, int lanes, int shift, int16_t* to) {
  // Channels with weights of their own among these: at columns [begin, end).
  int32_t begin = 0;
  while (begin < weights.kept && weights.channels[begin] < c) ++begin;
  int32_t end = begin;
  while (end < weights.kept && weights.channels[end] < c + lanes) ++end;
  const int8_t* const all = weights.all + c;
  if (begin == end) {
    return PackWindow(all, channels, lanes, shift, program.taps(), program.tap_count(), to);
  }
  for (int32_t i = 0; i < program.tap_count(); ++i, to += kElement) {
    const TapPair& taps = program.taps()[i];
    int8_t merged[2][kWindowLanes];
    for (int r = 0; r < 2; ++r) {
      const int32_t tap = r == 0 ? taps.upper : taps.lower;
      if (tap < 0) continue;
      std::memcpy(merged[r], all + tap * channels, static_cast<size_t>(lanes));
      for (int32_t j = begin; j < end; ++j) {
        merged[r][weights.channels[j] - c] = weights.columns[tap * weights.kept + j];
      }
    }
    const TapPair rows = {0, taps.lower < 0 ? -1 : 1};
    PackWindow(merged[0], kWindowLanes, lanes, shift, &rows, 1, to);
  }
}

}  // namespace

AxisPhase::AxisPhase(int32_t phase, int32_t kernel, int32_t stride, int32_t pad)
    : first_tap((phase + pad) % stride),
      taps(first_tap < kernel ? (kernel - first_tap + stride - 1) / stride : 0),
      first_output((phase + pad - first_tap) / stride) {}

WindowPlan::WindowPlan(const DepthwiseInputGradParams& params) {
  const Geometry& g = params.geometry;
  usable = params.multiplier == 1 && g.dil_h == 1 && g.dil_w == 1 &&
           params.acc_shift >= kPixelShift && params.acc_shift <= kPixelShift + 8;
  left = 0;
  int32_t right = 0;
  for (int32_t px = 0; px < g.stride_w; ++px) {
    const AxisPhase x(px, g.k_w, g.stride_w, g.pad_l);
    const int32_t last = x.first_output + (g.in_w - 1) / g.stride_w;
    if (left < -x.Lowest(0)) left = -x.Lowest(0);
    if (right < last - (g.out_w - 1)) right = last - (g.out_w - 1);
  }
  pitch = left + g.out_w + right;
  // Rows j * stride .. need the rows of the plane under their windows.
  const int32_t window_rows = (g.k_h + g.stride_h - 1) / g.stride_h + 2;
  const int32_t row_bytes = pitch * kElement * static_cast<int32_t>(sizeof(int16_t));
  const int32_t all = (g.in_h + g.stride_h - 1) / g.stride_h;
  const int32_t fitting = kPlaneBytes / row_bytes - window_rows;
  const int32_t steps = fitting < 1 ? 1 : fitting < all ? fitting : all;
  rows = steps * g.stride_h;
  plane_rows = steps + window_rows;
  if (plane_rows > g.out_h + 1) plane_rows = g.out_h + 1;
  plane_elements = pitch * plane_rows;
  weight_elements = (g.k_h + g.stride_h) / 2 * g.k_w;
  // Of each phase: one in the middle, and those that lack pairs at either end.
  const int32_t block_rows = (g.k_h + g.stride_h - 1) / g.stride_h + 3;
  blocks = g.stride_h * g.stride_w * (steps < block_rows ? steps : block_rows);
}

size_t WindowPlan::bytes() const {
  return sizeof(int16_t) * (plane_elements + weight_elements) * kElement +
         sizeof(TapPair) * weight_elements + sizeof(WindowBlock) * blocks;
}

bool InputGradByWindows(const DepthwiseInputGradParams& params, const WindowPlan& plan,
                        const int8_t* grad_out, const DepthwiseWeights& weights, const int32_t* m,
                        UnorderedWriter* writer, void* scratch) {
  const Geometry& g = params.geometry;
  int16_t* const plane = static_cast<int16_t*>(scratch);
  int16_t* const packed = plane + plan.plane_elements * kElement;
  TapPair* const taps = reinterpret_cast<TapPair*>(packed + plan.weight_elements * kElement);
  WindowBlock* const blocks = reinterpret_cast<WindowBlock*>(taps + plan.weight_elements);
  // The columns of zeros are never written again.
  std::memset(plane, 0, sizeof(int16_t) * plan.plane_elements * kElement);
  int32_t multipliers[kWindowLanes];
  BlockContext context = {plane,
                          packed,
                          plan.pitch * kElement,
                          g.stride_h * g.in_w * g.in_c,
                          g.stride_w * g.in_c,
                          0,
                          0,
                          multipliers};
  for (int32_t first = 0; first < g.in_h; first += plan.rows) {
    const WindowProgram program(g, plan, first, blocks, taps);
    for (int32_t c = 0; c < g.out_c; c += kWindowLanes) {
      const int lanes = g.out_c - c < kWindowLanes ? g.out_c - c : kWindowLanes;
      context.c = c;
      context.lanes = lanes;
      for (int lane = 0; lane < kWindowLanes; ++lane) {
        multipliers[lane] = lane < lanes ? m[c + lane] : 0;
      }
      PackWeights(program, weights, g.out_c, c, lanes, params.acc_shift - kPixelShift, packed);
      const LaneImage image = {grad_out + c, g.out_h, g.out_w, g.out_w * g.out_c, g.out_c, lanes};
      PackPlane(image, program.first_row(), program.end_row(), plan.pitch,
                plane + plan.left * kElement);
      for (int32_t i = 0; i < program.block_count(); ++i) {
        DoBlock(program.block(i), context, writer);
      }
      if (!writer->holds()) return false;
    }
  }
  return true;
}

}  // namespace tflm_train
