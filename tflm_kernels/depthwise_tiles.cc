#include "tflm_kernels/depthwise_tiles.h"

#include <cstring>

#include "tflm_kernels/window.h"

namespace tflm_train {
namespace {

constexpr int32_t kTaps = 9;
// The larger of two pairs of lanes' and of a tile's of stride 2.
constexpr int32_t kTileWeights = 2 * kPairTileWeights;
static_assert(kTileWeights >= kStrideTileWeights);

// Inputs, their layer and the four channels that are worked on.
struct TileTarget {
  const Geometry& g;
  int8_t* q;  // the input gradient, from these channels on
  int lanes;

  int32_t row_step() const { return g.in_w * g.in_c; }
  int8_t* At(int32_t y, int32_t x) const { return q + (y * g.in_w + x) * g.in_c; }
};

// `tile_rows` rows of tiles from input row y on.
void SumPairTileRows(const TileTarget& target, const TilePlan& plan, int32_t y, int32_t tile_rows,
                     const int16_t* plane, const int16_t* weights, const LaneScales& scales) {
  const Geometry& g = target.g;
  // The last row may be half a tile.
  const int32_t whole = y + 2 * tile_rows <= g.in_h ? tile_rows : tile_rows - 1;
  const bool padded = plan.left == 1 && g.out_w == g.in_w && g.in_w > 1;
  for (int lane = 0; lane < target.lanes; lane += 2, weights += kPairTileWeights) {
    const int16_t* const lanes = plane + 2 * lane;
    if (lane + 1 < target.lanes) {
      PairTileRows tiles = {{target.At(y, 0) + lane, g.in_c, g.in_w},
                            target.row_step(),
                            whole,
                            2 * target.row_step(),
                            plan.pitch,
                            padded,
                            lane};
      if (whole > 0) SumPairTiles(lanes, weights, scales, tiles);
      if (whole < tile_rows) {
        tiles.results.q += whole * tiles.row_step;
        tiles.second = 0;
        tiles.rows = 1;
        SumPairTiles(lanes + whole * plan.pitch * kElement, weights, scales, tiles);
      }
      continue;
    }
    // One lane: its neighbour's results go nowhere.
    for (int32_t row = 0; row < tile_rows; ++row) {
      for (int32_t x = 0; x < g.in_w; ++x) {
        int8_t results[4];
        SumPairTiles(lanes + (row * plan.pitch + x) * kElement, weights, scales,
                     {{results, 4, 1}, 2, 1, 0, plan.pitch, false, lane});
        int8_t* const q = target.At(y + 2 * row, x) + lane;
        if (row < whole) q[target.row_step()] = results[2];
        q[0] = results[0];
      }
    }
  }
}

// The tile at (y, x), of which not all inputs or lanes exist.
void SumPartOfTile(const TileTarget& target, int32_t y, int32_t x, const int16_t* plane,
                   const int16_t* weights, const LaneScales& scales) {
  int8_t results[4 * kWindowLanes];
  SumStrideTiles(
      plane, weights, scales,
      {{results, 4 * kWindowLanes, 1}, kWindowLanes, 2 * kWindowLanes, 3 * kWindowLanes, 1, 0, 0});
  for (int i = 0; i < 4; ++i) {
    const int32_t iy = y + i / 2, ix = x + i % 2;
    if (iy < 0 || iy >= target.g.in_h || ix < 0 || ix >= target.g.in_w) continue;
    std::memcpy(target.At(iy, ix), results + i * kWindowLanes, static_cast<size_t>(target.lanes));
  }
}

// `tile_rows` rows of tiles from input row y on, which may be -1.
void SumStrideTileRows(const TileTarget& target, const TilePlan& plan, int32_t y, int32_t tile_rows,
                       const int16_t* plane, const int16_t* weights, const LaneScales& scales) {
  const Geometry& g = target.g;
  // Whole tiles are done together.
  const int32_t x0 = g.pad_l;
  const int32_t first = y < 0 ? 1 : 0;
  const int32_t columns = (g.in_w - x0) / 2;
  const int32_t fitting = (g.in_h - y) / 2;
  const int32_t end = tile_rows < fitting ? tile_rows : fitting;
  const bool whole = columns > 0 && end > first && target.lanes == kWindowLanes;
  if (whole) {
    SumStrideTiles(plane + (first * plan.pitch + x0) * kElement, weights, scales,
                   {{target.At(y + 2 * first, x0), 2 * g.in_c, columns},
                    g.in_c,
                    target.row_step(),
                    target.row_step() + g.in_c,
                    end - first,
                    2 * target.row_step(),
                    plan.pitch});
    if (end - first == tile_rows && x0 + 2 * columns == g.in_w && x0 == 0) return;
  }
  for (int32_t row = 0; row < tile_rows; ++row) {
    for (int32_t x = -g.pad_l, i = 0; x < g.in_w; x += 2, ++i) {
      if (whole && row >= first && row < end && x >= 0 && x + 1 < g.in_w) continue;
      SumPartOfTile(target, y + 2 * row, x, plane + (row * plan.pitch + i) * kElement, weights,
                    scales);
    }
  }
}

}  // namespace

TilePlan::TilePlan(const DepthwiseInputGradParams& params) {
  const Geometry& g = params.geometry;
  const int32_t stride = g.stride_h;
  usable = params.multiplier == 1 && g.k_h == 3 && g.k_w == 3 && g.dil_h == 1 && g.dil_w == 1 &&
           g.stride_w == stride && stride <= 2 && g.pad_t <= 3 - stride && g.pad_l <= 3 - stride;
  left = stride == 1 ? 2 - g.pad_l : 1;
  pitch = stride == 1 ? g.in_w + 2 : (g.in_w + g.pad_l + 1) / 2 + 1;
  tile_rows = stride == 1 ? (g.in_h + 1) / 2 : (g.in_h + g.pad_t + 1) / 2;
  usable = usable && left + g.out_w <= pitch;
  // Tiles of stride 1 need the next plane row as well.
  const int32_t more = stride == 1 ? 1 : 0;
  const int32_t fitting = kPlaneBytes / (pitch * kElementBytes) - more;
  rows_at_once = fitting < 1 ? 1 : fitting < tile_rows ? fitting : tile_rows;
  plane_rows = rows_at_once + more;
}

size_t TilePlan::bytes() const {
  return sizeof(int16_t) * (pitch * plane_rows * kElement + kTileWeights) + kTaps * kWindowLanes;
}

void InputGradByTiles(const DepthwiseInputGradParams& params, const TilePlan& plan,
                      const int8_t* grad_out, const DepthwiseWeights& weights, int8_t* grad_in,
                      void* scratch) {
  const Geometry& g = params.geometry;
  const bool strided = g.stride_h == 2;
  int16_t* const plane = static_cast<int16_t*>(scratch);
  int16_t* const packed = plane + plan.pitch * plan.plane_rows * kElement;
  int8_t* const copy = reinterpret_cast<int8_t*>(packed + kTileWeights);
  // The columns of zeros are never written again.
  std::memset(plane, 0, sizeof(int16_t) * plan.pitch * plan.plane_rows * kElement);
  for (int32_t first = 0; first < plan.tile_rows; first += plan.rows_at_once) {
    const int32_t rest = plan.tile_rows - first;
    const int32_t tile_rows = rest < plan.rows_at_once ? rest : plan.rows_at_once;
    const PlaneRows rows = {strided ? first - 1 : 2 * first + g.pad_t - 2, strided ? 1 : 2,
                            tile_rows + plan.plane_rows - plan.rows_at_once, plan.pitch};
    for (LaneCursor lanes(weights, g.out_c, kTaps, copy); !lanes.done(); lanes.Next()) {
      const TileTarget target = {g, grad_in + lanes.channel(), lanes.lanes()};
      PackPlane(
          {grad_out + lanes.channel(), g.out_h, g.out_w, g.out_w * g.out_c, g.out_c, target.lanes},
          rows, plane + plan.left * kElement);
      const LaneWeights lane_weights = lanes.Weights();
      if (strided) {
        PackStrideTileWeights(lane_weights, packed);
      } else {
        PackPairTileWeights(lane_weights, packed);
      }
      if (!strided) {
        SumPairTileRows(target, plan, 2 * first, tile_rows, plane, packed, lane_weights.scales);
        continue;
      }
      SumStrideTileRows(target, plan, 2 * first - g.pad_t, tile_rows, plane, packed,
                        lane_weights.scales);
    }
  }
}

}  // namespace tflm_train
