#include "tflm_kernels/depthwise_strips.h"

#include <cstring>

#include "tflm_kernels/strip.h"

namespace tflm_train {
namespace {

constexpr int32_t kTaps = 9;
// Columns of a plane that a window has beyond its own.
constexpr int32_t kMoreColumns = 2;
constexpr int32_t kMaxColumns = kPlaneBytes / kColumnBytes - kMoreColumns;

// Input rows [y, y + rows), whole strips but for the last, and the rows of the plane that
// they need: outputs [first, first + plane_rows).
struct StripRows {
  StripRows(const Geometry& geometry, int32_t first_y) : g(geometry), y(first_y) {
    const int32_t above = HasAbove(y) ? 2 : 0;
    const int32_t rest = (g.in_h - y + kStripRows - 1) / kStripRows * kStripRows;
    const int32_t below = HasBelow(y + rest - kStripRows) ? 2 : 0;
    rows = above + rest + below <= kColumnRows
               ? rest
               : (kColumnRows - above - 2) / kStripRows * kStripRows;
    first = Middle(y) - above;
    const int32_t needed = above + rows + (HasBelow(y + rows - kStripRows) ? 2 : 0);
    plane_rows = (needed + 3) / 4 * 4;
  }

  // The output under the middle tap of input row y.
  int32_t Middle(int32_t input_y) const { return input_y + g.pad_t - 1; }
  // Rows of a strip that begins at input row y, and whether it has outputs beyond them.
  int32_t RowsOf(int32_t strip_y) const { return g.in_h - strip_y <= 2 ? 2 : kStripRows; }
  bool HasAbove(int32_t strip_y) const { return Middle(strip_y) > 0; }
  bool HasBelow(int32_t strip_y) const { return Middle(strip_y) + RowsOf(strip_y) < g.out_h; }

  const Geometry& g;
  int32_t y, rows;
  int32_t first, plane_rows;
};

using SumFunction = void (*)(const Strip& strip, int32_t channel, const int16_t* weights,
                             const LaneScales& scales, int lanes);

// Not inlined: the loops need all registers.
template <int kRows, bool kAbove, bool kBelow>
__attribute__((noinline)) void Sum(const Strip& strip, int32_t channel, const int16_t* weights,
                                   const LaneScales& scales, int lanes) {
  SumStrip<kRows, kAbove, kBelow>(strip, channel, weights, scales, lanes);
}

template <int kRows>
SumFunction SumOf(bool above, bool below) {
  return above   ? below ? Sum<kRows, true, true> : Sum<kRows, true, false>
           : below ? Sum<kRows, false, true>
                 : Sum<kRows, false, false>;
}

constexpr int kMaxStrips = kColumnRows / kStripRows;

// What is to be done for any four channels: some strips, one below the other.
struct StripProgram {
  // first: the first of them, without its rows.
  StripProgram(const StripRows& rows, Strip strip) {
    const int32_t row_step = rows.g.in_w * rows.g.in_c;
    for (int32_t y = rows.y; y < rows.y + rows.rows; y += kStripRows, ++count) {
      const int32_t last = rows.g.in_h - 1 - y;
      for (int i = 1; i < kStripRows; ++i) strip.rows[i - 1] = (i < last ? i : last) * row_step;
      strips[count] = strip;
      const bool above = rows.HasAbove(y), below = rows.HasBelow(y);
      sum[count] = rows.RowsOf(y) == 2 ? SumOf<2>(above, below) : SumOf<4>(above, below);
      strip.plane += kStripRows;
      strip.q += kStripRows * row_step;
    }
  }

  int count = 0;
  Strip strips[kMaxStrips];
  SumFunction sum[kMaxStrips];
};

}  // namespace

StripPlan::StripPlan(const DepthwiseInputGradParams& params) {
  const Geometry& g = params.geometry;
  // FAST-PATH-BOUND: strip-shape
  usable = params.multiplier == 1 && g.k_h == 3 && g.k_w == 3 && g.dil_h == 1 && g.dil_w == 1 &&
           g.stride_h == 1 && g.stride_w == 1 && g.pad_t <= 2 && g.pad_l <= 2;
  columns = g.in_w < kMaxColumns ? g.in_w : kMaxColumns;
}

size_t StripPlan::bytes() const {
  return static_cast<size_t>((columns + kMoreColumns) * kColumnBytes) +
         sizeof(int16_t) * kStripWeights * kWindowLanes + kTaps * kWindowLanes;
}

void InputGradByStrips(const DepthwiseInputGradParams& params, const StripPlan& plan,
                       const int8_t* grad_out, const DepthwiseWeights& weights, int8_t* grad_in,
                       void* scratch) {
  const Geometry& g = params.geometry;
  int16_t* const plane = static_cast<int16_t*>(scratch);
  int16_t* const packed = plane + (plan.columns + kMoreColumns) * kColumnElements;
  int8_t* const copy = reinterpret_cast<int8_t*>(packed + kStripWeights * kWindowLanes);
  for (int32_t y = 0; y < g.in_h;) {
    const StripRows rows(g, y);
    for (int32_t x = 0; x < g.in_w; x += plan.columns) {
      const int32_t columns = g.in_w - x < plan.columns ? g.in_w - x : plan.columns;
      // Outputs in the plane: from that under the left tap of the first input on.
      const int32_t left = x + g.pad_l - 2, end = left + columns + kMoreColumns;
      const int32_t first = left < 0 ? 0 : left, last = end < g.out_w ? end : g.out_w;
      const StripProgram program(rows, {plane + (rows.HasAbove(y) ? 2 : 0),
                                        grad_in + (y * g.in_w + x) * g.in_c,
                                        g.in_c,
                                        columns,
                                        {},
                                        left < 0 && columns > 1,
                                        end > g.out_w && columns > 1});
      LaneImage image = {nullptr, g.out_h, last - first, g.out_w * g.out_c, g.out_c, 0};
      // What lies outside is never written.
      std::memset(plane, 0, static_cast<size_t>((columns + kMoreColumns) * kColumnBytes));
      for (LaneCursor lanes(weights, g.out_c, kTaps, copy); !lanes.done(); lanes.Next()) {
        const int32_t channel = lanes.channel();
        image.first = grad_out + first * g.out_c + channel;
        image.lanes = lanes.lanes();
        PackColumns(image, rows.first, rows.plane_rows, plane + (first - left) * kColumnElements);
        const LaneWeights lane_weights = lanes.Weights();
        PackStripWeights(lane_weights, packed);
        for (int i = 0; i < program.count; ++i) {
          program.sum[i](program.strips[i], channel, packed, lane_weights.scales, image.lanes);
        }
      }
    }
    y += rows.rows;
  }
}

}  // namespace tflm_train
