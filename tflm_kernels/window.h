// Sums over the windows of a plane: the inner loop of depthwise layers.
//
// A plane holds four channels, its lanes, of an image. An element of it is a pair of
// pixels of one column, rows r and r + 1, of each channel: int16 [4][2]. The weights
// of a window are laid out like the elements they are multiplied with. A window of an
// odd height has zeros for the pixel below it.
//
// Sums come with kSumShift bits below the int8 that they are rounded to.

#ifndef TFLM_KERNELS_WINDOW_H_
#define TFLM_KERNELS_WINDOW_H_

#include <cstdint>

#include "tflm_kernels/arch/features.h"

#if defined(TFLM_TRAIN_DSP)
#include "tflm_kernels/arch/dsp.h"
#endif

namespace tflm_train {

// Without instructions for pairs, large windows are faster pixel by pixel.
#if defined(TFLM_TRAIN_DSP) || defined(__SSE2__)
constexpr bool kWindowsPay = true;
#else
constexpr bool kWindowsPay = false;
#endif

constexpr int kWindowLanes = 4;
constexpr int kSumShift = 12;
constexpr int kElement = 2 * kWindowLanes;  // int16 of an element
constexpr int kElementBytes = 2 * kElement;

// Four channels of an image, or what is there of them.
struct LaneImage {
  const int8_t* first;  // first row, first pixel, first of the channels
  int32_t rows, columns;
  int32_t row_bytes;  // from row to row
  int32_t stride;     // bytes from pixel to pixel
  int lanes;          // channels that there are
};

// Rows of a plane, `pitch` elements apart; row i holds the pixels of image rows
// first + i * step and the one below, times 2^shift. What lies outside is zero.
struct PlaneRows {
  int32_t first, step, count;
  int32_t pitch;
  int shift;  // at most 8
};

void PackPlane(const LaneImage& image, const PlaneRows& rows, int16_t* to);

// The weights of four channels.
struct LaneWeights {
  const int8_t* first;  // [tap][stride], four channels of each
  int32_t stride;

  // What brings a weight to the upper half of a word, where it is rounded.
  int32_t multiplier[kWindowLanes];

  // The scaled weight of a lane, in the upper half.
  TFLM_TRAIN_INLINE int32_t Upper(const int8_t* tap, int lane) const {
    constexpr int32_t kHalf = 1 << 15;
#if defined(TFLM_TRAIN_DSP)
    // The compiler would add the constant on its own.
    int32_t upper;
    asm("mla %0, %1, %2, %3"
        : "=r"(upper)
        : "r"(static_cast<int32_t>(tap[lane])), "r"(multiplier[lane]), "r"(kHalf));
    return upper;
#else
    return tap[lane] * multiplier[lane] + kHalf;
#endif
  }
};

// The upper halves of two words as a pair of int16.
TFLM_TRAIN_INLINE void StoreUppers(int32_t first, int32_t second, int16_t* to) {
#if defined(TFLM_TRAIN_DSP)
  dsp::StoreWord(to, dsp::HighHalves(static_cast<uint32_t>(first), static_cast<uint32_t>(second)));
#else
  to[0] = static_cast<int16_t>(first >> 16);
  to[1] = static_cast<int16_t>(second >> 16);
#endif
}

// A window as SumWindows wants it.
struct Window {
  const int16_t* weights;  // [row_pairs][columns] elements
  int32_t row_pairs;       // at least 1
  int32_t columns;         // at least 1
  int32_t row_skip;        // bytes from behind a row of the window to that two rows below

  Window(const int16_t* window_weights, int32_t pairs, int32_t width, int32_t plane_pitch)
      : weights(window_weights),
        row_pairs(pairs),
        columns(width),
        row_skip((2 * plane_pitch - width) * kElementBytes) {}
};

// Where the results of windows go.
struct WindowResults {
  int8_t* q;      // of the first window, four bytes each
  int32_t step;   // to the next
  int32_t count;  // at least 1
};

// Sums over the windows at `plane` and to its right, rounded to int8 and saturated.
// kRowPairs and kColumns: the window's where known, else 0.
template <int kRowPairs, int kColumns>
TFLM_TRAIN_INLINE void SumWindows(const int16_t* plane, const Window& window,
                                  const WindowResults& results);

// The weights of two lanes of a tile of two 3x3 windows, one below the other: for each
// column, rows (first, second) of either lane, then rows (second, third) of either lane.
constexpr int kPairTileWeights = 24;  // int16

// Packs them for all four lanes: of the first two, then of the others. Taps are in
// reverse order.
TFLM_TRAIN_INLINE void PackPairTileWeights(const LaneWeights& weights, int16_t* to);

// Rows of tiles: results.q is of the first tile, results.count tiles are beside each other.
struct PairTileRows {
  WindowResults results;  // two bytes for each window
  int32_t second;         // from the upper window's result to the lower's; 0: not wanted
  int32_t rows;           // at least 1
  int32_t row_step;       // from one row's results to the next's
  int32_t pitch;          // of the plane, elements
  bool padded;            // the first and the last column of each row are zero; count > 1
};

// The sums of two lanes over tiles of two 3x3 windows. plane: the two lanes of the first
// tile's first element, of its upper pair of rows; the lower pair is the next row's.
TFLM_TRAIN_INLINE void SumPairTiles(const int16_t* plane, const int16_t* weights,
                                    const PairTileRows& tiles);

// The weights of a tile of 2x2 inputs of a layer with stride 2: elements for
// (upper left, lower left), (upper right, lower right) of the input that meets four
// taps, then of that between two rows, then of that between two columns - whose pair
// is (left, right) -, and of that at the centre.
constexpr int kStrideTileWeights = 5 * kElement;

// Packs them.
TFLM_TRAIN_INLINE void PackStrideTileWeights(const LaneWeights& weights, int16_t* to);

// Rows of such tiles: results.q is of the first tile, results.count tiles are beside each other.
struct StrideTileRows {
  WindowResults results;           // four bytes for each of four sums
  int32_t right, below, diagonal;  // from a tile's first result to the others
  int32_t rows;                    // at least 1
  int32_t row_step;                // from one row's results to the next's
  int32_t pitch;                   // of the plane, elements
};

// The four sums of each such tile. plane: the element to the left of the first tile.
TFLM_TRAIN_INLINE void SumStrideTiles(const int16_t* plane, const int16_t* weights,
                                      const StrideTileRows& tiles);

}  // namespace tflm_train

#if defined(TFLM_TRAIN_DSP)
#include "tflm_kernels/arch/window_dsp.h"
#else
#include "tflm_kernels/arch/window_portable.h"
#endif

#endif  // TFLM_KERNELS_WINDOW_H_
