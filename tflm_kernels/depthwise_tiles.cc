#include "tflm_kernels/depthwise_tiles.h"

#include <cstring>

#include "tflm_kernels/strip.h"

namespace tflm_train {
namespace {

constexpr int32_t kTaps = 9;
// A plane has the column to the left of the first tile as well.
constexpr int32_t kMaxTiles = kPlaneBytes / kColumnBytes - 1;

int32_t Min(int32_t a, int32_t b) { return a < b ? a : b; }

// Tiles along one axis. Tile i has inputs 2 * i - pad and the next; [pad, end) have both, and
// there are such.
struct TileAxis {
  TileAxis(int32_t inputs, int32_t padding)
      : pad(padding), count((inputs + padding + 1) / 2), end((inputs + padding) / 2) {}

  // The end of at most `most` tiles from `first` on; no part of a tile is left over alone.
  int32_t EndOf(int32_t first, int32_t most) const {
    if (count - first <= most) return count;
    // FAST-PATH-BOUND: part-of-a-tile
    return count - first == most + 1 ? first + most - 1 : first + most;
  }

  int32_t pad, count, end;
};

// Some rows of tiles, and the rows of the plane that they need: outputs
// [plane_first, plane_first + plane_rows).
struct TileRows {
  TileRows(const TileAxis& axis, int32_t first_row)
      : first(first_row), strips(first_row == 0 ? axis.pad : first_row) {
    const int32_t above = strips > 0 ? 2 : 0;
    end = axis.EndOf(first, strips - first + kColumnRows - above);
    plane_first = strips - above;
    plane_rows = (end - plane_first + 3) / 4 * 4;
  }

  int32_t first, end;
  int32_t strips;  // the first whole row
  int32_t plane_first, plane_rows;
};

using SumFunction = void (*)(const TileStrip& strip, const int16_t* weights,
                             const LaneScales& scales, int lanes);

// Not inlined: the loops need all registers.
template <bool kAbove, int kTiles, bool kSaturates>
__attribute__((noinline)) void Sum(const TileStrip& strip, const int16_t* weights,
                                   const LaneScales& scales, int lanes) {
  SumTileStrip<kAbove, kTiles, kSaturates>(strip, weights, scales, lanes);
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
  // FAST-PATH-BOUND: never-saturates
  return HighMul(kLargestSum, largest) < INT8_MAX;
}

// A part of the tiles along one axis: a strip of whole ones, or the one at an edge of which
// one input does not exist. It is done first, and the results of that input go where those of
// a whole tile's follow.
struct TilePart {
  TilePart() = default;

  // pitch: of the plane; input_step: of the target. first: tile at the plane's and at the
  // target's start.
  TilePart(const TileAxis& axis, int32_t tile, int32_t tiles, int32_t pitch, int32_t input_step,
           int32_t first)
      : count(tiles),
        plane((tile - first) * pitch),
        q(2 * (tile - first) * input_step),
        step(input_step) {
    const bool low = tile < axis.pad, high = tile >= axis.end;
    if (low) q += 2 * input_step;
    if (low || high) step = -input_step;
  }

  int32_t count;
  int32_t plane, q;  // offsets of the first
  int32_t step;      // to the next input
};

constexpr int kMaxColumnParts = 3;
// Whole tiles: four rows of them in a strip, and less in the last two.
constexpr int kMaxRowParts = 2 + kColumnRows / 4 + 2;

// What is to be done for any four channels.
class TileProgram {
 public:
  TileProgram(const Geometry& g, const TileAxis& y_axis, const TileRows& rows,
              const TileAxis& x_axis, int32_t column, int32_t end_column) {
    const auto add_row = [&](int32_t row, int32_t tiles) {
      rows_[row_count_] = TilePart(y_axis, row, tiles, 1, g.in_w * g.in_c, rows.strips);
      sums_[row_count_][0] = SumOf<false>(row > 0, tiles);
      sums_[row_count_][1] = SumOf<true>(row > 0, tiles);
      ++row_count_;
    };
    const auto add_column = [&](int32_t first, int32_t tiles) {
      columns_[column_count_++] = TilePart(x_axis, first, tiles, kColumnElements, g.in_c, column);
    };
    if (rows.first < rows.strips) add_row(rows.first, 1);
    if (rows.end > y_axis.end) add_row(y_axis.end, 1);
    const int32_t end_row = Min(rows.end, y_axis.end);
    for (int32_t row = rows.strips; row < end_row;) {
      const int32_t tiles = end_row - row >= 4 ? 4 : end_row - row >= 2 ? 2 : 1;
      add_row(row, tiles);
      row += tiles;
    }
    const int32_t whole = column < x_axis.pad ? x_axis.pad : column;
    if (column < whole) add_column(column, 1);
    if (end_column > x_axis.end) add_column(x_axis.end, 1);
    add_column(whole, Min(end_column, x_axis.end) - whole);
  }

  // plane, q: of the tile that parts are counted from.
  void Run(const int16_t* plane, int8_t* q, const int16_t* weights, const LaneScales& scales,
           int lanes) const {
    const int saturates = NeverSaturates(scales) ? 0 : 1;
    for (int i = 0; i < row_count_; ++i) {
      const TilePart& row = rows_[i];
      for (int j = 0; j < column_count_; ++j) {
        const TilePart& column = columns_[j];
        sums_[i][saturates]({plane + row.plane + column.plane, q + row.q + column.q, column.step,
                             row.step, column.count},
                            weights, scales, lanes);
      }
    }
  }

 private:
  int row_count_ = 0, column_count_ = 0;
  TilePart rows_[kMaxRowParts], columns_[kMaxColumnParts];
  SumFunction sums_[kMaxRowParts][2];
};

}  // namespace

TilePlan::TilePlan(const DepthwiseInputGradParams& params) {
  const Geometry& g = params.geometry;
  // FAST-PATH-BOUND: tile-shape
  usable = params.multiplier == 1 && g.k_h == 3 && g.k_w == 3 && g.dil_h == 1 && g.dil_w == 1 &&
           g.stride_h == 2 && g.stride_w == 2 && g.pad_t <= 1 && g.pad_l <= 1;
  const TileAxis y_axis(g.in_h, g.pad_t), x_axis(g.in_w, g.pad_l);
  // FAST-PATH-BOUND: tile-axis
  usable = usable && y_axis.end > y_axis.pad && x_axis.end > x_axis.pad;
  columns = Min(x_axis.count, kMaxTiles);
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
    const int16_t* const top = plane + (rows.strips - rows.plane_first);
    for (int32_t column = 0; column < x_axis.count;) {
      const int32_t end_column = x_axis.EndOf(column, plan.columns);
      const TileProgram program(g, y_axis, rows, x_axis, column, end_column);
      int8_t* const q =
          grad_in + ((2 * rows.strips - g.pad_t) * g.in_w + 2 * column - g.pad_l) * g.in_c;
      // Outputs in the plane: from those to the left of the first tile on.
      const int32_t left = column - 1, first = left < 0 ? 0 : left, last = Min(end_column, g.out_w);
      LaneImage image = {nullptr, g.out_h, last - first, g.out_w * g.out_c, g.out_c, 0};
      // What lies outside is never written.
      std::memset(plane, 0, static_cast<size_t>((end_column - left) * kColumnBytes));
      for (LaneCursor lanes(weights, g.out_c, kTaps, copy); !lanes.done(); lanes.Next()) {
        image.first = grad_out + first * g.out_c + lanes.channel();
        image.lanes = lanes.lanes();
        PackColumns(image, rows.plane_first, rows.plane_rows,
                    plane + (first - left) * kColumnElements);
        const LaneWeights lane_weights = lanes.Weights();
        PackTileWeights(lane_weights, packed);
        program.Run(top, q + lanes.channel(), packed, lane_weights.scales, image.lanes);
      }
      column = end_column;
    }
    row = rows.end;
  }
}

}  // namespace tflm_train
