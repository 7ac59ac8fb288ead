// Products of packed panels: the inner loops of everything that multiplies a
// matrix by a matrix (input gradients and weight gradients of convolutions).
//
// A panel holds four int16 vectors, its lanes, of one depth, interleaved in the
// way that the core multiplies fastest: kQuantum elements of lane 0, as many of
// lanes 1 to 3, the next kQuantum of lane 0, and so on; with the DSP extension
// first lanes 0 and 1 so, then 2 and 3. Two panels of one depth give the dot
// products of two lanes of the first with the four lanes of the second. All sums are exact modulo 2^32, so that the variants agree.
#ifndef TFLM_KERNELS_PANEL_H_
#define TFLM_KERNELS_PANEL_H_

#include <cstdint>

#include "tflm_kernels/arch/features.h"

namespace tflm_train {

constexpr int kLanes = 4;

// int16 multiplied at a time: vectors, pairs or single ones.
#if defined(TFLM_TRAIN_MVE)
constexpr int kQuantum = 8;
#elif defined(TFLM_TRAIN_DSP) || defined(__SSE2__)
constexpr int kQuantum = 2;
#else
constexpr int kQuantum = 1;
#endif

#if defined(TFLM_TRAIN_DSP) && !defined(TFLM_TRAIN_MVE)
constexpr int kInterleaved = 2;      // lanes
constexpr int kUnit = 2 * kQuantum;  // depths are filled up to a multiple of it
#else
constexpr int kInterleaved = kLanes;
constexpr int kUnit = kQuantum;
#endif

// Room for one depth's panel, in int16: the same for all cores.
constexpr int32_t PanelElements(int32_t depth) { return (depth + 7) / 8 * 8 * kLanes; }

// What one depth's panel takes of that.
constexpr int32_t PackedElements(int32_t depth) {
  return (depth + kUnit - 1) / kUnit * kUnit * kLanes;
}

// Where lane j begins in a panel of `elements`.
constexpr int32_t LaneStart(int32_t j, int32_t elements) {
  if (kInterleaved == kLanes) return j * kQuantum;
  return j / kInterleaved * (elements / kLanes * kInterleaved) + j % kInterleaved * kQuantum;
}

// A rectangle of pixels: rows of `columns` pixels, `column_stride` bytes apart.
struct PixelGrid {
  const int8_t* first;
  int32_t rows, columns;
  int32_t row_stride, column_stride;

  int32_t size() const { return rows * columns; }

  // The same pixels from another channel on.
  PixelGrid Moved(int32_t channels) const {
    return {first + channels, rows, columns, row_stride, column_stride};
  }

  // The same with one row where the pixels are evenly spaced.
  PixelGrid Flattened() const {
    if (rows > 1 && row_stride != columns * column_stride) return *this;
    return {first, 1, rows * columns, 0, column_stride};
  }
};

// Walks over the pixels of a grid row by row.
class PixelCursor {
 public:
  explicit PixelCursor(const PixelGrid& grid)
      : at_(grid.first),
        left_(grid.columns),
        columns_(grid.columns),
        column_stride_(grid.column_stride),
        row_skip_(grid.row_stride - grid.columns * grid.column_stride) {}

  // Where this one is, from another channel on.
  PixelCursor Moved(int32_t channels) const {
    PixelCursor moved = *this;
    moved.at_ += channels;
    return moved;
  }

  // The distance of the next `count` pixels where all are in one row, else 0.
  int32_t EvenStride(int32_t count) const { return count <= left_ ? column_stride_ : 0; }

  // Passes over `count` pixels; returns the first.
  const int8_t* Skip(int32_t count) {
    const int8_t* const first = at_;
    at_ += count * column_stride_;
    left_ -= count;
    while (left_ <= 0) {
      left_ += columns_;
      at_ += row_skip_;
    }
    return first;
  }

  // What the offset of pixel k from the next one is made of: k * column_stride() and, for
  // pixel left() and every columns() from there on, row_skip().
  int32_t left() const { return left_; }
  int32_t columns() const { return columns_; }
  int32_t column_stride() const { return column_stride_; }
  int32_t row_skip() const { return row_skip_; }

  // Where the next pixel is.
  const int8_t* at() const { return at_; }

  const int8_t* Next() {
    const int8_t* const pixel = at_;
    at_ += column_stride_;
    if (--left_ == 0) {
      left_ = columns_;
      at_ += row_skip_;
    }
    return pixel;
  }

 private:
  const int8_t* at_;
  int32_t left_;
  int32_t columns_;
  int32_t column_stride_;
  int32_t row_skip_;
};

#if defined(TFLM_TRAIN_DSP) && !defined(TFLM_TRAIN_MVE)
// Packs into lane j byte j of `depth` pixels, `stride` apart. first, second: lanes 0 and 2.
void PackFourLanes(const int8_t* pixels, int32_t stride, int32_t depth, int16_t* first,
                   int16_t* second);
#else
// Packs into lane j byte j of the next `depth` pixels, minus offset; lanes from `lanes` on
// are zero, and so is the end of the last quantum.
void PackLanes(PixelCursor* cursor, int32_t depth, int lanes, int32_t offset, int16_t* panel);
#endif

// Packs depth bytes, `stride` apart, into one lane and leaves the others alone.
void PackLane(const int8_t* bytes, int32_t stride, int32_t depth, int16_t* lane);

// Packs q[k] * m[k] into one lane and leaves the others alone. lane: see LaneStart.
void PackProducts(const int8_t* q, const int8_t* m, int32_t depth, int16_t* lane);

#if defined(TFLM_TRAIN_MVE) || defined(TFLM_TRAIN_DSP)
// PackProducts of kInterleaved pixels, `stride` apart, into lanes beside each other.
void PackInterleavedProducts(const int8_t* q, int32_t stride, const int8_t* m, int32_t depth,
                             int16_t* lanes);
#endif

// Zeroes one lane.
void ClearLane(int32_t depth, int16_t* lane);

#if !defined(TFLM_TRAIN_MVE) && !defined(TFLM_TRAIN_DSP)
// sums[r * 4 + j] = dot product of lane r of `a`, r = 0 and 1, with lane j of `b`. For
// lanes 2 and 3 of `a` pass its panel + 2 * kQuantum. With Helium: PanelRun; with the DSP extension:
// arch/multiply_dsp.h.
inline void MultiplyPanels(const int16_t* a, const int16_t* b, int32_t depth, int32_t* sums);
#endif

}  // namespace tflm_train

#if defined(TFLM_TRAIN_MVE)
#include "tflm_kernels/arch/multiply_mve.h"
#elif defined(TFLM_TRAIN_DSP)
#include "tflm_kernels/arch/multiply_dsp.h"
#else
#include "tflm_kernels/arch/multiply_portable.h"
#endif

#endif  // TFLM_KERNELS_PANEL_H_
