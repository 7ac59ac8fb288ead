// Sums over the windows of a plane: the inner loop of depthwise layers.
//
// A plane holds four channels, its lanes, of an image. An element of it is a pair of
// pixels of one column, rows r and r + 1, of each channel: int16 [4][2]. The weights
// of a window are laid out like the elements they are multiplied with. A window of an
// odd height has zeros for the pixel below it.
//
// Sums are multiplied with the scale of their channel and rounded to int8.

#ifndef TFLM_KERNELS_WINDOW_H_
#define TFLM_KERNELS_WINDOW_H_

#include <cstdint>

#include "tflm_kernels/arch/features.h"
#include "tflm_kernels/spec/numerics.h"

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

// Rows of a plane, `pitch` elements apart; row i holds the pixels of image rows first + i
// and the one below. What lies outside is zero.
struct PlaneRows {
  int32_t first, count;
  int32_t pitch;
};

void PackPlane(const LaneImage& image, const PlaneRows& rows, int16_t* to);

// Bits below 1 of the factors that bring sums of channels to one scale, which are at most 1.
constexpr int kScaleBits = 16;

// sum * m * 2^-(kScaleBits + exponent), rounded half up, without 64 bits: |sum| < 2^21,
// 0 <= m <= 2^kScaleBits.
inline int32_t ScaleSmall(int32_t sum, int32_t m, int exponent) {
  // Below 2^30, so that a shift by 31 gives 0 as well.
  const int32_t scaled = sum * (m >> 8) + (sum * (m & 0xff) >> 8);
  const int wanted = exponent + (kScaleBits - 8);
  const int shift = wanted < 31 ? wanted : 31;
  return (scaled + (1 << (shift - 1))) >> shift;
}

// How the sums of four channels become int8: times m * 2^-(kScaleBits + exponent).
struct LaneScales {
  LaneScales() = default;

  // m: of the lanes that there are.
  LaneScales(const int32_t* m, int lanes, int result_exponent) : exponent(result_exponent) {
    const int shift = kHasLongMultiply ? kScaleBits - exponent : 0;
    for (int lane = 0; lane < kWindowLanes; ++lane) {
      factor[lane] = lane < lanes ? ShiftLeft(m[lane], shift) : 0;
    }
  }

  // Whether factors are at most 2^30, and even.
  // FAST-PATH-BOUND: least-exponent most-exponent
  static bool Exist(int exponent) { return exponent >= 2 && exponent < kScaleBits; }

  TFLM_TRAIN_INLINE int8_t Quantized(int32_t sum, int lane) const;

  // Of long multiplications, where the result is the upper half of the product; else m.
  int32_t factor[kWindowLanes];
  int exponent;
};

// The same of one channel, whose constants stay in registers where results are written.
class SumQuantizer {
 public:
  TFLM_TRAIN_INLINE SumQuantizer(const LaneScales& scales, int lane)
      : factor_(scales.factor[lane]),
        high_(factor_ >> 8),
        low_(factor_ & 0xff),
        shift_(scales.exponent + (kScaleBits - 8)),
        half_(1 << (shift_ - 1)) {}

  TFLM_TRAIN_INLINE int8_t operator()(int32_t sum) const {
    // Without long multiplications as in ScaleSmall.
    const int32_t q = kHasLongMultiply ? HighMul(sum, factor_)
                                       : (sum * high_ + (sum * low_ >> 8) + half_) >> shift_;
    return static_cast<int8_t>(q > 127 ? 127 : q < -128 ? -128 : q);
  }

 private:
  int32_t factor_, high_, low_;
  int shift_;
  int32_t half_;
};

inline int8_t LaneScales::Quantized(int32_t sum, int lane) const {
  return SumQuantizer(*this, lane)(sum);
}

// The weights of four channels.
struct LaneWeights {
  const int8_t* first;  // [tap][stride], four channels of each
  int32_t stride;
  LaneScales scales;
};

// Two pixels or weights of each lane, one below the other, as an element.
TFLM_TRAIN_INLINE void PackElement(const int8_t* upper, const int8_t* lower, int16_t* to) {
#if defined(TFLM_TRAIN_DSP)
  const uint32_t a = dsp::LoadWord(upper), b = dsp::LoadWord(lower);
  const uint32_t low = dsp::LowHalves(a, b), high = dsp::HighHalves(a, b);
  dsp::StoreWord(to, static_cast<uint32_t>(dsp::Bytes02(low)));
  dsp::StoreWord(to + 2, static_cast<uint32_t>(dsp::Bytes13(low)));
  dsp::StoreWord(to + 4, static_cast<uint32_t>(dsp::Bytes02(high)));
  dsp::StoreWord(to + 6, static_cast<uint32_t>(dsp::Bytes13(high)));
#else
  for (int lane = 0; lane < kWindowLanes; ++lane) {
    to[2 * lane] = upper[lane];
    to[2 * lane + 1] = lower[lane];
  }
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
                                  const LaneScales& scales, const WindowResults& results);

}  // namespace tflm_train

#if defined(TFLM_TRAIN_DSP)
#include "tflm_kernels/arch/window_dsp.h"
#else
#include "tflm_kernels/arch/window_portable.h"
#endif

#endif  // TFLM_KERNELS_WINDOW_H_
