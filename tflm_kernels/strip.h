// Sums over 3x3 windows, the usual ones: some rows of inputs, a strip, from left to right, of
// one channel, whose weights stay in registers.
//
// A plane holds four channels, its lanes, of some rows and columns of the incoming gradient,
// and zeros outside of it: int16 [column][lane][kColumnRows].

#ifndef TFLM_KERNELS_STRIP_H_
#define TFLM_KERNELS_STRIP_H_

#include <cstdint>

#include "tflm_kernels/arch/features.h"
#include "tflm_kernels/window.h"

namespace tflm_train {

constexpr int kColumnRows = 16;  // pairs of them are words
constexpr int kColumnElements = kWindowLanes * kColumnRows;
constexpr int kColumnBytes = 2 * kColumnElements;

// Packs rows [first, first + count) of an image. Nothing is written for what lies outside of it;
// count is a multiple of 4.
void PackSomeColumns(const LaneImage& image, int32_t first, int32_t count, int16_t* to);
// The same of rows that are all inside, and of four lanes.
void PackWholeColumns(const LaneImage& image, int32_t first, int32_t count, int16_t* to);

inline void PackColumns(const LaneImage& image, int32_t first, int32_t count, int16_t* to) {
  if (image.lanes == kWindowLanes && first >= 0 && first + count <= image.rows) {
    return PackWholeColumns(image, first, count, to);
  }
  PackSomeColumns(image, first, count, to);
}

// Rows of a strip of stride 1; or it has two.
constexpr int kStripRows = 4;

// A lane's weights for stride 1: for each column, rows (first, second), (second, third), in
// the order of the outputs; and room for its factor.
constexpr int kStripWeights = 14;  // int16

// Packs them for four lanes.
void PackStripWeights(const LaneWeights& weights, int16_t* to);

// Where a strip is and where its results go.
struct Strip {
  const int16_t* plane;  // row 0 of the strip, in the column to the left of the first input
  int8_t* q;             // of the first input, channel 0
  int32_t step;          // to the next
  int32_t columns;       // at least 1
  // From q to the other rows. What has no row of its own has that of a row above it.
  int32_t rows[kStripRows - 1];
  bool left, right;  // nothing but zeros beside the first, the last column; columns > 1
};

// The lanes of a strip, the first of which is `channel`. kAbove, kBelow: whether the row above
// or below the strip has an output; what is in the plane there is not looked at otherwise.
// kRows: 2 or 4.
template <int kRows, bool kAbove, bool kBelow>
TFLM_TRAIN_INLINE void SumStrip(const Strip& strip, int32_t channel, const int16_t* weights,
                                const LaneScales& scales, int lanes);

// Stride 2: inputs in tiles of two rows and two columns, which meet the same four outputs.
// A strip has four rows of tiles, two or one.
//
// A lane's weights for stride 2, for outputs (upper left, lower left), (upper right, lower
// right) of the input that meets four taps; the right ones, and (lower left, lower right), of
// those that meet two; and of the one that meets the lower right only. And room for its factor.
constexpr int kTileWeights = 12;  // int16

// Packs them for four lanes.
void PackTileWeights(const LaneWeights& weights, int16_t* to);

struct TileStrip {
  const int16_t* plane;  // the lower left output of the first tile
  int8_t* q;             // of the first tile
  int32_t step;          // to the next column of inputs
  int32_t row_step;      // to the next row
  int32_t tiles;         // at least 1
};

// The lanes of a strip. kAbove: whether there are outputs above the first ones. kTiles: rows
// of tiles; the plane is of an even row, unless it is one. kSaturates: false where no result
// can leave int8.
template <bool kAbove, int kTiles, bool kSaturates>
TFLM_TRAIN_INLINE void SumTileStrip(const TileStrip& strip, const int16_t* weights,
                                    const LaneScales& scales, int lanes);

}  // namespace tflm_train

#if defined(TFLM_TRAIN_DSP)
#include "tflm_kernels/arch/strip_dsp.h"
#else
#include "tflm_kernels/arch/strip_portable.h"
#endif

#endif  // TFLM_KERNELS_STRIP_H_
