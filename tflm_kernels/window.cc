#include "tflm_kernels/window.h"

#include <cstring>

#if defined(TFLM_TRAIN_DSP)
#include "tflm_kernels/arch/dsp.h"
#endif

namespace tflm_train {
namespace {

int16_t LaneOf(const int8_t* bytes, int lane, int lanes) {
  return bytes == nullptr || lane >= lanes ? int8_t{0} : bytes[lane];
}

void PackLanes(const int8_t* upper, const int8_t* lower, int lanes, int16_t* to) {
  for (int lane = 0; lane < kWindowLanes; ++lane) {
    to[2 * lane] = LaneOf(upper, lane, lanes);
    to[2 * lane + 1] = LaneOf(lower, lane, lanes);
  }
}

#if defined(TFLM_TRAIN_DSP)
const int8_t kZeroPixel[kWindowLanes] = {};

// PackPlane of four lanes, from words.
void PackWords(const LaneImage& image, const PlaneRows& rows, int16_t* to) {
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
          : "r"(dsp::Bytes02(low)), "r"(dsp::Bytes13(low)), "r"(dsp::Bytes02(high)),
            "r"(dsp::Bytes13(high))
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
  if (image.lanes == kWindowLanes) return PackWords(image, rows, to);
#endif
  for (int32_t i = 0; i < rows.count; ++i, to += rows.pitch * kElement) {
    const int32_t r = rows.first + i * rows.step;
    const bool has_upper = r >= 0 && r < image.rows;
    const bool has_lower = r >= -1 && r + 1 < image.rows;
    const int8_t* upper = image.first + r * image.row_bytes;
    for (int32_t n = 0; n < image.columns; ++n, upper += image.stride) {
      PackLanes(has_upper ? upper : nullptr, has_lower ? upper + image.row_bytes : nullptr,
                image.lanes, to + n * kElement);
    }
  }
}

}  // namespace tflm_train
