#include "tflm_kernels/window.h"

#include <cstring>

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

// PackPlane of four lanes, from words.
template <bool kShifted>
void PackWords(const LaneImage& image, const PlaneRows& rows, int16_t* to) {
  // What the lower half's sign leaves in the upper one is cut off.
  const int shift = rows.shift;
  const uint32_t mask = ~(((1u << shift) - 1) << 16);
  const auto shifted = [&](int32_t pair) {
    return kShifted ? static_cast<uint32_t>(pair) << shift & mask : static_cast<uint32_t>(pair);
  };
  const int32_t skip = (rows.pitch - image.columns) * kElement;
  const int8_t* from = image.first + rows.first * image.row_bytes;
  int32_t r = rows.first;
  for (int32_t i = rows.count; i > 0; --i, r += rows.step) {
    const int8_t* upper = from;
    const int8_t* lower = from + image.row_bytes;
    int32_t upper_stride = image.stride, lower_stride = image.stride;
    if (r < 0 || r >= image.rows) {
      upper = kZeroPixel;
      upper_stride = 0;
    }
    if (r < -1 || r + 1 >= image.rows) {
      lower = kZeroPixel;
      lower_stride = 0;
    }
    const auto pack = [&](uint32_t a, uint32_t b) {
      const uint32_t low = dsp::LowHalves(a, b);
      const uint32_t high = dsp::HighHalves(a, b);
      asm volatile(
          "strd %1, %2, [%0], #8\n\t"
          "strd %3, %4, [%0], #8"
          : "+&r"(to)
          : "r"(shifted(dsp::Bytes02(low))), "r"(shifted(dsp::Bytes13(low))),
            "r"(shifted(dsp::Bytes02(high))), "r"(shifted(dsp::Bytes13(high)))
          : "memory");
    };
    for (int32_t n = image.columns; n != 0; --n) {
      pack(dsp::LoadWord(upper), dsp::LoadWord(lower));
      upper += upper_stride;
      lower += lower_stride;
    }
    to += skip;
    from += rows.step * image.row_bytes;
  }
}
#endif

}  // namespace

void PackPlane(const LaneImage& image, const PlaneRows& rows, int16_t* to) {
#if defined(TFLM_TRAIN_DSP)
  if (image.lanes == kWindowLanes) {
    return rows.shift == 0 ? PackWords<false>(image, rows, to) : PackWords<true>(image, rows, to);
  }
#endif
  for (int32_t i = 0; i < rows.count; ++i, to += rows.pitch * kElement) {
    const int32_t r = rows.first + i * rows.step;
    const bool has_upper = r >= 0 && r < image.rows;
    const bool has_lower = r >= -1 && r + 1 < image.rows;
    const int8_t* upper = image.first + r * image.row_bytes;
    for (int32_t n = 0; n < image.columns; ++n, upper += image.stride) {
      PackElement(has_upper ? upper : nullptr, has_lower ? upper + image.row_bytes : nullptr,
                  image.lanes, rows.shift, to + n * kElement);
    }
  }
}

}  // namespace tflm_train
