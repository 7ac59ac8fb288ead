#include "tflm_kernels/strip.h"

#if defined(TFLM_TRAIN_DSP)
#include "tflm_kernels/arch/dsp.h"
#endif

namespace tflm_train {
namespace {

constexpr int32_t kRowsAtOnce = 4;

#if defined(TFLM_TRAIN_DSP)
// Four rows of four lanes, all inside.
void PackFourRows(const LaneImage& image, const int8_t* from, int16_t* to) {
  const int32_t row = image.row_bytes, stride = image.stride;
  const int8_t* upper = from;
  const int8_t* lower = from + 2 * row;
#pragma GCC unroll 1
  for (int32_t n = image.columns; n != 0; --n) {
    const uint32_t r0 = dsp::LoadWord(upper), r1 = dsp::LoadWord(upper + row);
    const uint32_t r2 = dsp::LoadWord(lower), r3 = dsp::LoadWord(lower + row);
    const uint32_t low01 = dsp::LowHalves(r0, r1), low23 = dsp::LowHalves(r2, r3);
    const uint32_t high01 = dsp::HighHalves(r0, r1), high23 = dsp::HighHalves(r2, r3);
    dsp::StoreWords(to, dsp::Bytes02(low01), dsp::Bytes02(low23));
    dsp::StoreWords(to + kColumnRows, dsp::Bytes13(low01), dsp::Bytes13(low23));
    dsp::StoreWords(to + 2 * kColumnRows, dsp::Bytes02(high01), dsp::Bytes02(high23));
    dsp::StoreWords(to + 3 * kColumnRows, dsp::Bytes13(high01), dsp::Bytes13(high23));
    upper += stride;
    lower += stride;
    to += kColumnElements;
  }
}
#endif

// One row; nullptr: zeros.
void PackRow(const LaneImage& image, const int8_t* from, int16_t* to) {
  const int32_t columns = image.columns, stride = image.stride;
  if (from != nullptr && image.lanes == kWindowLanes) {
    for (int32_t n = columns; n > 0; --n, from += stride, to += kColumnElements) {
      for (int lane = 0; lane < kWindowLanes; ++lane) to[lane * kColumnRows] = from[lane];
    }
    return;
  }
  for (int32_t n = 0; n < columns; ++n, to += kColumnElements) {
    for (int lane = 0; lane < kWindowLanes; ++lane) {
      const bool exists = from != nullptr && lane < image.lanes;
      to[lane * kColumnRows] = exists ? from[n * stride + lane] : int8_t{0};
    }
  }
}

}  // namespace

void PackColumns(const LaneImage& image, int32_t first, int32_t count, int16_t* to) {
  for (int32_t r = first; r < first + count; r += kRowsAtOnce, to += kRowsAtOnce) {
#if defined(TFLM_TRAIN_DSP)
    if (r >= 0 && r + kRowsAtOnce <= image.rows && image.lanes == kWindowLanes) {
      PackFourRows(image, image.first + r * image.row_bytes, to);
      continue;
    }
#endif
    for (int32_t i = 0; i < kRowsAtOnce; ++i) {
      const bool inside = r + i >= 0 && r + i < image.rows;
      PackRow(image, inside ? image.first + (r + i) * image.row_bytes : nullptr, to + i);
    }
  }
}

}  // namespace tflm_train
