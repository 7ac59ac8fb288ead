#include "tflm_kernels/depthwise_windows.h"

#include <cstring>

#include "tflm_kernels/spec/geometry.h"

namespace tflm_train {
namespace {

// The two taps of an element of a window's weights; lower is -1 where there is none.
struct TapPair {
  int32_t upper, lower;
};

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
  int32_t plane_pitch;     // elements to the next row of the plane
  int32_t row_step, step;  // elements of the target to the next row, and window
  int8_t* q;               // the target, from these channels on
  int lanes;
  LaneScales scales;
};

// What is below the last row of a window of an odd height.
const int8_t kNoWeights[kWindowLanes] = {};

// The results of windows whose lanes are not all there.
void KeepLanes(const int8_t* from, int lanes, int8_t* q) {
  for (int lane = 0; lane < lanes; ++lane) q[lane] = from[lane];
}

template <int kRowPairs, int kColumns>
void SumBlock(const WindowBlock& block, const BlockContext& context) {
  const Window window(context.weights + block.weights, block.row_pairs, block.columns,
                      context.plane_pitch);
  const int16_t* plane = context.plane + block.plane;
  int8_t* q = context.q + block.at;
  for (int32_t row = block.rows; row > 0; --row) {
    if (context.lanes == kWindowLanes) {
      SumWindows<kRowPairs, kColumns>(plane, window, context.scales,
                                      {q, context.step, block.windows});
    } else {
      for (int32_t n = 0; n < block.windows; ++n) {
        int8_t lanes[kWindowLanes];
        SumWindows<0, 0>(plane + n * kElement, window, context.scales, {lanes, kWindowLanes, 1});
        KeepLanes(lanes, context.lanes, q + n * context.step);
      }
    }
    plane += context.plane_pitch * kElement;
    q += context.row_step;
  }
}

// No taps at all.
void WriteZeros(const WindowBlock& block, const BlockContext& context) {
  const int8_t zeros[kWindowLanes] = {};
  for (int32_t row = 0; row < block.rows; ++row) {
    for (int32_t n = 0; n < block.windows; ++n) {
      KeepLanes(zeros, context.lanes,
                context.q + block.at + row * context.row_step + n * context.step);
    }
  }
}

// The windows of usual kernels have loops of their own.
void DoBlock(const WindowBlock& block, const BlockContext& context) {
  const int32_t pairs = block.row_pairs;
  switch (pairs == 0 ? -1 : block.columns) {
    case -1:
      return WriteZeros(block, context);
    case 1:
      return pairs == 1 ? SumBlock<1, 1>(block, context) : SumBlock<0, 1>(block, context);
    case 2:
      return pairs == 1 ? SumBlock<1, 2>(block, context) : SumBlock<0, 2>(block, context);
    case 3:
      return pairs == 1   ? SumBlock<1, 3>(block, context)
             : pairs == 2 ? SumBlock<2, 3>(block, context)
                          : SumBlock<0, 3>(block, context);
    case 4:
      return SumBlock<0, 4>(block, context);
    case 5:
      return SumBlock<0, 5>(block, context);
    case 7:
      return SumBlock<0, 7>(block, context);
    default:
      return SumBlock<0, 0>(block, context);
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

// Packs the weights for each pair of taps.
void PackWeights(const WindowProgram& program, const LaneWeights& weights, int16_t* to) {
  // Locals, which the stores cannot change.
  const int8_t* const first = weights.first;
  const int32_t stride = weights.stride;
  const TapPair* taps = program.taps();
  for (int32_t i = program.tap_count(); i > 0; --i, ++taps, to += kElement) {
    PackElement(first + taps->upper * stride,
                taps->lower < 0 ? kNoWeights : first + taps->lower * stride, to);
  }
}

}  // namespace

AxisPhase::AxisPhase(int32_t phase, int32_t kernel, int32_t stride, int32_t pad)
    : first_tap((phase + pad) % stride),
      taps(first_tap < kernel ? (kernel - first_tap + stride - 1) / stride : 0),
      first_output((phase + pad - first_tap) / stride) {}

LaneWeights LaneCursor::CopiedWeights() {
  // Channels with weights of their own among these: at columns [begin, next_kept_).
  const int32_t begin = next_kept_;
  while (next_kept_ < weights_.kept && weights_.channels[next_kept_] < channel_ + kWindowLanes) {
    ++next_kept_;
  }
  const int8_t* const from = weights_.all + channel_;
  int8_t* to = copy_;
  for (int32_t tap = 0; tap < taps_; ++tap, to += kWindowLanes) {
    std::memset(to, 0, kWindowLanes);
    std::memcpy(to, from + tap * channels_, static_cast<size_t>(lanes()));
    for (int32_t j = begin; j < next_kept_; ++j) {
      to[weights_.channels[j] - channel_] = weights_.columns[tap * weights_.kept + j];
    }
  }
  return {copy_, kWindowLanes, LaneScales(weights_.m + channel_, lanes(), weights_.exponent)};
}

WindowPlan::WindowPlan(const DepthwiseInputGradParams& params) {
  const Geometry& g = params.geometry;
  // FAST-PATH-BOUND: window-shape
  usable = params.multiplier == 1 && g.dil_h == 1 && g.dil_w == 1;
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
         sizeof(TapPair) * weight_elements + sizeof(WindowBlock) * blocks +
         2 * kWindowLanes * weight_elements;
}

void InputGradByWindows(const DepthwiseInputGradParams& params, const WindowPlan& plan,
                        const int8_t* grad_out, const DepthwiseWeights& weights, int8_t* grad_in,
                        void* scratch) {
  const Geometry& g = params.geometry;
  int16_t* const plane = static_cast<int16_t*>(scratch);
  int16_t* const packed = plane + plan.plane_elements * kElement;
  TapPair* const taps = reinterpret_cast<TapPair*>(packed + plan.weight_elements * kElement);
  WindowBlock* const blocks = reinterpret_cast<WindowBlock*>(taps + plan.weight_elements);
  int8_t* const copy = reinterpret_cast<int8_t*>(blocks + plan.blocks);
  // The columns of zeros are never written again.
  std::memset(plane, 0, sizeof(int16_t) * plan.plane_elements * kElement);
  BlockContext context = {
      plane, packed, plan.pitch, g.stride_h * g.in_w * g.in_c, g.stride_w * g.in_c, nullptr, 0, {}};
  for (int32_t first = 0; first < g.in_h; first += plan.rows) {
    const WindowProgram program(g, plan, first, blocks, taps);
    const PlaneRows rows = {program.first_row(), program.end_row() - program.first_row(),
                            plan.pitch};
    for (LaneCursor lanes(weights, g.out_c, g.k_h * g.k_w, copy); !lanes.done(); lanes.Next()) {
      const int32_t c = lanes.channel();
      const LaneWeights lane_weights = lanes.Weights();
      PackWeights(program, lane_weights, packed);
      context.scales = lane_weights.scales;
      PackPlane({grad_out + c, g.out_h, g.out_w, g.out_w * g.out_c, g.out_c, lanes.lanes()}, rows,
                plane + plan.left * kElement);
      context.q = grad_in + c;
      context.lanes = lanes.lanes();
      for (int32_t i = 0; i < program.block_count(); ++i) DoBlock(program.block(i), context);
    }
  }
}

}  // namespace tflm_train
