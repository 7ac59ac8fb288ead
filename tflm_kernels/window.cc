#include "tflm_kernels/window.h"

#if defined(TFLM_TRAIN_DSP)
#include "tflm_kernels/arch/dsp.h"
#endif

namespace tflm_train {
namespace {

int16_t LaneOf(const int8_t* bytes, int lane, int lanes, int shift) {
  return bytes == nullptr || lane >= lanes ? int16_t{0}
                                           : static_cast<int16_t>(bytes[lane] * (1 << shift));
}

void PackElement(const int8_t* upper, const int8_t* lower, int lanes, int shift, int16_t* to) {
  for (int lane = 0; lane < kWindowLanes; ++lane) {
    to[2 * lane] = LaneOf(upper, lane, lanes, shift);
    to[2 * lane + 1] = LaneOf(lower, lane, lanes, shift);
  }
}

#if defined(TFLM_TRAIN_DSP)
const int8_t kZeroPixel[kWindowLanes] = {};

// (bytes 0, bytes 1, ...) of two words as pairs of int16, times 256.
inline void StoreElement(uint32_t upper, uint32_t lower, int16_t** to) {
  constexpr uint32_t kHighBytes = 0xff00ff00;
  const uint32_t low = dsp::LowHalves(upper, lower);
  const uint32_t high = dsp::HighHalves(upper, lower);
  asm volatile(
      "strd %1, %2, [%0], #8\n\t"
      "strd %3, %4, [%0], #8"
      : "+&r"(*to)
      : "r"(low << 8 & kHighBytes), "r"(low & kHighBytes), "r"(high << 8 & kHighBytes),
        "r"(high & kHighBytes)
      : "memory");
}
#endif

}  // namespace

void PackPlane(const LaneImage& image, int32_t first, int32_t end, int32_t pitch, int16_t* to) {
  for (int32_t r = first; r < end; ++r, to += pitch * kElement) {
    const int8_t* upper = image.first + r * image.row_bytes;
    const int8_t* lower = upper + image.row_bytes;
    const bool has_upper = r >= 0;
    const bool has_lower = r + 1 < image.rows;
    int16_t* at = to;
#if defined(TFLM_TRAIN_DSP)
    if (image.lanes == kWindowLanes) {
      const int32_t upper_stride = has_upper ? image.stride : 0;
      const int32_t lower_stride = has_lower ? image.stride : 0;
      if (!has_upper) upper = kZeroPixel;
      if (!has_lower) lower = kZeroPixel;
      for (int32_t n = image.columns; n > 0; --n) {
        StoreElement(dsp::LoadWord(upper), dsp::LoadWord(lower), &at);
        upper += upper_stride;
        lower += lower_stride;
      }
      continue;
    }
#endif
    for (int32_t n = image.columns; n > 0; --n, at += kElement) {
      PackElement(has_upper ? upper : nullptr, has_lower ? lower : nullptr, image.lanes,
                  kPixelShift, at);
      upper += image.stride;
      lower += image.stride;
    }
  }
}

void PackWindow(const int8_t* weights, int32_t channels, int lanes, int shift, const TapPair* taps,
                int32_t count, int16_t* to) {
#if defined(TFLM_TRAIN_DSP)
  if (lanes == kWindowLanes) {
    // What the lower half's sign leaves in the upper one is cut off.
    const uint32_t mask = ~(((1u << shift) - 1) << 16);
    for (; count > 0; --count, ++taps, to += kElement) {
      const uint32_t upper = dsp::LoadWord(weights + taps->upper * channels);
      const uint32_t lower = taps->lower < 0 ? 0 : dsp::LoadWord(weights + taps->lower * channels);
      const uint32_t low = dsp::LowHalves(upper, lower);
      const uint32_t high = dsp::HighHalves(upper, lower);
      dsp::StoreWord(to, static_cast<uint32_t>(dsp::Bytes02(low)) << shift & mask);
      dsp::StoreWord(to + 2, static_cast<uint32_t>(dsp::Bytes13(low)) << shift & mask);
      dsp::StoreWord(to + 4, static_cast<uint32_t>(dsp::Bytes02(high)) << shift & mask);
      dsp::StoreWord(to + 6, static_cast<uint32_t>(dsp::Bytes13(high)) << shift & mask);
    }
    return;
  }
#endif
  for (; count > 0; --count, ++taps, to += kElement) {
    PackElement(weights + taps->upper * channels,
                taps->lower < 0 ? nullptr : weights + taps->lower * channels, lanes, shift, to);
  }
}

}  // namespace tflm_train
