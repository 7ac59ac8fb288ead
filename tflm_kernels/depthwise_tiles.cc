#include "tflm_kernels/depthwise_tiles.h"

#include <cstring>

#include "tflm_kernels/strip.h"

namespace tflm_train {
namespace {

constexpr int32_t kTaps = 9;
// A plane has the column to the left of the first tile as well.
constexpr int32_t kMaxTiles = kPlaneBytes / kColumnBytes - 1;

int32_t Min(int32_t a, int32_t b) { return a < b ? a : b; }

// Tiles along one axis. Tile i has inputs 2 * i - pad and the next.
struct TileAxis {
  TileAxis(int32_t inputs, int32_t padding)
      : pad(padding), count((inputs + padding + 1) / 2), end((inputs + padding) / 2) {}

  // Tiles [pad, end) have both inputs.
  bool Whole(int32_t i) const { return i >= pad && i < end; }

  int32_t pad, count, end;
};

// Some rows of tiles, and the rows of the plane that they need: outputs
// [plane_first, plane_first + plane_rows).
struct TileRows {
  TileRows(const TileAxis& axis, int32_t first_row)
      : first(first_row), strips(first_row == 0 ? axis.pad : first_row) {
    const int32_t above = strips > 0 ? 2 : 0;
    end = Min(axis.count, strips + kColumnRows - above);
    plane_first = strips - above;
    plane_rows = (end - plane_first + 3) / 4 * 4;
  }

  int32_t first, end;
  int32_t strips;  // the first row that may be in a strip
  int32_t plane_first, plane_rows;
};

using SumFunction = void (*)(const TileStrip& strip, int32_t channel, const int16_t* weights,
                             const LaneScales& scales, int lanes);

// Not inlined: the loops need all registers.
template <bool kAbove, int kTiles, bool kSaturates>
__attribute__((noinline)) void Sum(const TileStrip& strip, int32_t channel, const int16_t* weights,
                                   const LaneScales& scales, int lanes) {
  SumTileStrip<kAbove, kTiles, kSaturates>(strip, channel, weights, scales, lanes);
}

template <bool kSaturates>
SumFunction SumOf(bool above, int32_t tiles) {
  switch (tiles) {
    case 1:
      return above ? Sum<true, 1, kSaturates> : Sum<false, 1, kSaturates>;
    case 2:
      return above ? Sum<true, 2, kSaturates> : Sum<false, 2, kSaturates>;
    default:
      return above ? Sum<true, 4, kSaturates> : Sum<false, 4, kSaturates>;
  }
}

// Whether no sum of four products leaves int8.
bool NeverSaturates(const LaneScales& scales) {
  if (!kHasLongMultiply) return false;
  constexpr int32_t kLargestSum = 4 * 127 * 128;
  int32_t largest = scales.factor[0];
  for (int lane = 1; lane < kWindowLanes; ++lane) {
    if (scales.factor[lane] > largest) largest = scales.factor[lane];
  }
  return HighMul(kLargestSum, largest) < INT8_MAX;
}

// Four rows of tiles in each, and less in the last two.
constexpr int kMaxStrips = kColumnRows / 4 + 2;

// What is to be done for any four channels: strips of whole tiles, one below the other.
struct TileProgram {
  // strip: the first of them.
  TileProgram(const TileRows& rows, int32_t end, TileStrip strip) {
    if (strip.tiles <= 0) return;
    for (int32_t row = rows.strips; row < Min(rows.end, end); ++count) {
      const int32_t left = Min(rows.end, end) - row;
      const int32_t tiles = left >= 4 ? 4 : left >= 2 ? 2 : 1;
      strips[count] = strip;
      sum[count][0] = SumOf<false>(row > 0, tiles);
      sum[count][1] = SumOf<true>(row > 0, tiles);
      strip.plane += tiles;
      strip.q += 2 * tiles * strip.row_step;
      row += tiles;
    }
  }

  int count = 0;
  TileStrip strips[kMaxStrips];
  SumFunction sum[kMaxStrips][2];
};

// The tile in row `row` and column `column`, of which not all inputs exist.
void SumPartOfTile(const Geometry& g, int32_t row, int32_t column, const int16_t* plane,
                   const int16_t* weights, const LaneScales& scales, int lanes, int8_t* grad_in) {
  const int32_t y = 2 * row - g.pad_t, x = 2 * column - g.pad_l;
  const bool upper = y >= 0, lower = y + 1 < g.in_h, left = x >= 0, right = x + 1 < g.in_w;
  const int32_t step = g.in_c, row_step = g.in_w * g.in_c;
  int8_t* q = grad_in + y * row_step + x * step;
  for (int lane = 0; lane < lanes; ++lane, ++q, plane += kColumnRows, weights += kTileWeights) {
    int8_t results[4];
    SumTile(row > 0, plane, weights, scales, lane, results);
    if (upper && left) q[0] = results[0];
    if (upper && right) q[step] = results[1];
    if (lower && left) q[row_step] = results[2];
    if (lower && right) q[row_step + step] = results[3];
  }
}

}  // namespace

TilePlan::TilePlan(const DepthwiseInputGradParams& params) {
  const Geometry& g = params.geometry;
  usable = params.multiplier == 1 && g.k_h == 3 && g.k_w == 3 && g.dil_h == 1 && g.dil_w == 1 &&
           g.stride_h == 2 && g.stride_w == 2 && g.pad_t <= 1 && g.pad_l <= 1;
  columns = Min((g.in_w + g.pad_l + 1) / 2, kMaxTiles);
}

size_t TilePlan::bytes() const {
  return static_cast<size_t>((columns + 1) * kColumnBytes) +
         sizeof(int16_t) * kTileWeights * kWindowLanes + kTaps * kWindowLanes;
}

void InputGradByTiles(const DepthwiseInputGradParams& params, const TilePlan& plan,
                      const int8_t* grad_out, const DepthwiseWeights& weights, int8_t* grad_in,
                      void* scratch) {
  const Geometry& g = params.geometry;
  int16_t* const plane = static_cast<int16_t*>(scratch);
  int16_t* const packed = plane + (plan.columns + 1) * kColumnElements;
  int8_t* const copy = reinterpret_cast<int8_t*>(packed + kTileWeights * kWindowLanes);
  const TileAxis y_axis(g.in_h, g.pad_t), x_axis(g.in_w, g.pad_l);
  for (int32_t row = 0; row < y_axis.count;) {
    const TileRows rows(y_axis, row);
    for (int32_t column = 0; column < x_axis.count; column += plan.columns) {
      const int32_t end_column = Min(column + plan.columns, x_axis.count);
      // Outputs in the plane: from those to the left of the first tile on.
      const int32_t left = column - 1, first = left < 0 ? 0 : left, last = Min(end_column, g.out_w);
      const int32_t whole = column < x_axis.pad ? x_axis.pad : column;
      const int16_t* const top = plane + (rows.strips - rows.plane_first);
      const TileProgram program(
          rows, y_axis.end,
          {top + (whole - column) * kColumnElements,
           grad_in + ((2 * rows.strips - g.pad_t) * g.in_w + 2 * whole - g.pad_l) * g.in_c, g.in_c,
           g.in_w * g.in_c, Min(end_column, x_axis.end) - whole});
      const bool all_whole = y_axis.Whole(row) && y_axis.Whole(rows.end - 1) &&
                             x_axis.Whole(column) && x_axis.Whole(end_column - 1);
      LaneImage image = {nullptr, g.out_h, last - first, g.out_w * g.out_c, g.out_c, 0};
      // What lies outside is never written.
      std::memset(plane, 0, static_cast<size_t>((end_column - left) * kColumnBytes));
      for (LaneCursor lanes(weights, g.out_c, kTaps, copy); !lanes.done(); lanes.Next()) {
        const int32_t channel = lanes.channel();
        image.first = grad_out + first * g.out_c + channel;
        image.lanes = lanes.lanes();
        PackColumns(image, rows.plane_first, rows.plane_rows,
                    plane + (first - left) * kColumnElements);
        const LaneWeights lane_weights = lanes.Weights();
        const LaneScales& scales = lane_weights.scales;
        PackTileWeights(lane_weights, packed);
        const int saturates = NeverSaturates(scales) ? 0 : 1;
        for (int i = 0; i < program.count; ++i) {
          program.sum[i][saturates](program.strips[i], channel, packed, scales, image.lanes);
        }
        if (all_whole) continue;
        for (int32_t r = row; r < rows.end; ++r) {
          for (int32_t c = column; c < end_column; ++c) {
            if (y_axis.Whole(r) && x_axis.Whole(c)) continue;
            SumPartOfTile(g, r, c, top + (r - rows.strips) + (c - column) * kColumnElements, packed,
                          scales, image.lanes, grad_in + channel);
          }
        }
      }
    }
    row = rows.end;
  }
}

}  // namespace tflm_train
