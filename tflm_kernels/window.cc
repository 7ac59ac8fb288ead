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

TFLM_TRAIN_INLINE void PackWords(uint32_t upper, uint32_t lower, int16_t* to) {
  const uint32_t low = dsp::LowHalves(upper, lower), high = dsp::HighHalves(upper, lower);
  dsp::StoreWords(to, dsp::Bytes02(low), dsp::Bytes13(low));
  dsp::StoreWords(to + 4, dsp::Bytes02(high), dsp::Bytes13(high));
}

// One row of a plane of four lanes, which begins at image row r.
void PackRow(const LaneImage& image, int32_t r, int16_t* to) {
  const int8_t* upper = image.first + r * image.row_bytes;
  const int8_t* lower = upper + image.row_bytes;
  int32_t upper_stride = image.stride, lower_stride = image.stride;
  if (r < 0 || r >= image.rows) {
    upper = kZeroPixel;
    upper_stride = 0;
  }
  if (r < -1 || r + 1 >= image.rows) {
    lower = kZeroPixel;
    lower_stride = 0;
  }
  for (int32_t n = image.columns; n != 0; --n, to += kElement) {
    PackWords(dsp::LoadWord(upper), dsp::LoadWord(lower), to);
    upper += upper_stride;
    lower += lower_stride;
  }
}

// Two rows, of three image rows that are all inside. Not inlined: the loop
// needs all registers.
__attribute__((noinline)) void PackTwoRows(const int8_t* from, int32_t row, int32_t stride,
                                           int32_t columns, int16_t* to, int32_t pitch) {
  int16_t* second = to + pitch;
  const int16_t* const end = to + columns * kElement;
  while (to != end) {
    const uint32_t middle = dsp::LoadWord(from + row);
    PackWords(dsp::LoadWord(from), middle, to);
    PackWords(middle, dsp::LoadWord(from + 2 * row), second);
    from += stride;
    to += kElement;
    second += kElement;
  }
}

void PackFourLanes(const LaneImage& image, const PlaneRows& rows, int16_t* to) {
  const int32_t pitch = rows.pitch * kElement;
  const int32_t end = rows.first + rows.count;
  for (int32_t r = rows.first; r < end;) {
    if (r >= 0 && r + 2 < image.rows && r + 1 < end) {
      PackTwoRows(image.first + r * image.row_bytes, image.row_bytes, image.stride, image.columns,
                  to, pitch);
      r += 2;
      to += 2 * pitch;
    } else {
      PackRow(image, r, to);
      ++r;
      to += pitch;
    }
  }
}
#endif

}  // namespace

void PackPlane(const LaneImage& image, const PlaneRows& rows, int16_t* to) {
#if defined(TFLM_TRAIN_DSP)
  if (image.lanes == kWindowLanes) return PackFourLanes(image, rows, to);
#endif
  for (int32_t i = 0; i < rows.count; ++i, to += rows.pitch * kElement) {
    const int32_t r = rows.first + i;
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
