// Sums over the windows of a plane: the inner loop of depthwise layers.
//
// A plane holds four channels, its lanes, of an image. An element of it is a pair of
// pixels of one column, rows r and r + 1, of each channel: int16 [4][2]. The weights
// of a window are laid out like the elements they are multiplied with. A window of an
// odd height has zeros for the pixel below it.
//
// Pixels are kept times 256, weights times a power of two, so that the sums come with
// the headroom shift that their multiplier wants.

#ifndef TFLM_KERNELS_WINDOW_H_
#define TFLM_KERNELS_WINDOW_H_

#include <cstdint>

#include "tflm_kernels/arch/features.h"

namespace tflm_train {

constexpr int kWindowLanes = 4;
constexpr int kPixelShift = 8;
constexpr int kElement = 2 * kWindowLanes;  // int16 of an element
constexpr int kElementBytes = 2 * kElement;

// Without instructions for pairs, pixel by pixel is faster.
#if defined(TFLM_TRAIN_DSP) || defined(__SSE2__)
constexpr bool kWindowsPay = true;
#else
constexpr bool kWindowsPay = false;
#endif

// Four channels of an image, or what is there of them.
struct LaneImage {
  const int8_t* first;  // first row, first pixel, first of the channels
  int32_t rows, columns;
  int32_t row_bytes;  // from row to row
  int32_t stride;     // bytes from pixel to pixel
  int lanes;          // channels that there are
};

// Packs the elements of rows [first, end) of a plane, -1 <= first, end <= image.rows; rows of
// the plane are `pitch` elements apart. What lies outside the image is zero.
void PackPlane(const LaneImage& image, int32_t first, int32_t end, int32_t pitch, int16_t* to);

// The two taps of an element of a window's weights; lower is -1 where there is none.
struct TapPair {
  int32_t upper, lower;
};

// Packs elements of weights << shift, shift <= 8. weights: int8 [tap][channels], from the
// first of `lanes` channels on.
void PackWindow(const int8_t* weights, int32_t channels, int lanes, int shift, const TapPair* taps,
                int32_t count, int16_t* to);

// A window as SumWindow wants it.
struct Window {
  const int16_t* weights;  // [row_pairs][columns] elements
  int32_t row_pairs;       // at least 1
  int32_t columns;         // at least 1
  int32_t row_step;        // bytes from an element of the plane to that two rows below
  int32_t row_skip;        // the same from behind a row of the window

  Window(const int16_t* window_weights, int32_t pairs, int32_t width, int32_t plane_pitch)
      : weights(window_weights),
        row_pairs(pairs),
        columns(width),
        row_step(2 * plane_pitch * kElementBytes),
        row_skip(row_step - width * kElementBytes) {}
};

// sums[j] = sum over the window at `plane` of pixel * weight in lane j. kRowPairs and
// kColumns: the window's where known, else 0.
template <int kRowPairs, int kColumns>
TFLM_TRAIN_INLINE void SumWindow(const int16_t* plane, const Window& window, int32_t* sums);

// sums[j] = HighMul(sums[j], m[j]).
TFLM_TRAIN_INLINE void ScaleSums(const int32_t* m, int32_t* sums);

}  // namespace tflm_train

#if defined(TFLM_TRAIN_DSP)
#include "tflm_kernels/arch/window_dsp.h"
#else
#include "tflm_kernels/arch/window_portable.h"
#endif

#endif  // TFLM_KERNELS_WINDOW_H_
