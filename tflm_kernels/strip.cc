#include "tflm_kernels/strip.h"

#if defined(TFLM_TRAIN_DSP)
#include "tflm_kernels/arch/dsp.h"
#endif

namespace tflm_train {
namespace {

constexpr int32_t kRowsAtOnce = 4;

// One row, of the lanes that there are.
void PackRow(const LaneImage& image, const int8_t* from, int16_t* to) {
  const int32_t columns = image.columns, stride = image.stride;
  if (columns <= 0) return;  // Of a stride that is wider than the image.
  if (image.lanes == kWindowLanes) {
    int32_t n = columns;
    do {
      const int16_t v0 = from[0], v1 = from[1], v2 = from[2], v3 = from[3];
      to[0] = v0;
      to[kColumnRows] = v1;
      to[2 * kColumnRows] = v2;
      to[3 * kColumnRows] = v3;
      from += stride;
      to += kColumnElements;
    } while (--n > 0);
    return;
  }
  for (int32_t n = columns; n > 0; --n, from += stride, to += kColumnElements) {
    for (int lane = 0; lane < image.lanes; ++lane) to[lane * kColumnRows] = from[lane];
  }
}

}  // namespace

void PackSomeColumns(const LaneImage& image, int32_t first, int32_t count, int16_t* to) {
  for (int32_t r = first; r < first + count; r += kRowsAtOnce, to += kRowsAtOnce) {
    if (r >= 0 && r + kRowsAtOnce <= image.rows && image.lanes == kWindowLanes) {
      PackWholeColumns(image, r, kRowsAtOnce, to);
      continue;
    }
    for (int32_t i = 0; i < kRowsAtOnce; ++i) {
      if (r + i < 0 || r + i >= image.rows) continue;
      PackRow(image, image.first + (r + i) * image.row_bytes, to + i);
    }
  }
}

#if defined(TFLM_TRAIN_DSP)

void PackWholeColumns(const LaneImage& image, int32_t first, int32_t count, int16_t* to) {
  const int32_t row = image.row_bytes, stride = image.stride;
  const int32_t bytes = image.columns * stride, elements = image.columns * kColumnElements;
  const int8_t* upper = image.first + first * row;
#pragma GCC unroll 1
  for (; count > 0; count -= kRowsAtOnce) {
    const int8_t* lower = upper + 2 * row;
    const int16_t* const end = to + elements;
#pragma GCC unroll 1
    while (to != end) {
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
    upper += 4 * row - bytes;
    to += kRowsAtOnce - elements;
  }
}

void PackStripWeights(const LaneWeights& weights, int16_t* to) {
  const int32_t stride = weights.stride, row = 3 * stride;
  const int8_t* tap = weights.first + 2 * stride;
  for (int lane = 0; lane < kWindowLanes; ++lane) {
    int16_t* const factor = to + (lane + 1) * kStripWeights - 2;
    dsp::StoreWord(factor, static_cast<uint32_t>(weights.scales.factor[lane]));
  }
#pragma GCC unroll 1
  for (int column = 0; column < 3; ++column, tap -= stride, to += 4) {
    const uint32_t first = dsp::LoadWord(tap + 2 * row), second = dsp::LoadWord(tap + row),
                   third = dsp::LoadWord(tap);
    const uint32_t upper = dsp::LowHalves(first, second), lower = dsp::LowHalves(second, third);
    dsp::StoreWords(to, dsp::Bytes02(upper), dsp::Bytes02(lower));
    dsp::StoreWords(to + kStripWeights, dsp::Bytes13(upper), dsp::Bytes13(lower));
    const uint32_t upper_high = dsp::HighHalves(first, second),
                   lower_high = dsp::HighHalves(second, third);
    dsp::StoreWords(to + 2 * kStripWeights, dsp::Bytes02(upper_high), dsp::Bytes02(lower_high));
    dsp::StoreWords(to + 3 * kStripWeights, dsp::Bytes13(upper_high), dsp::Bytes13(lower_high));
  }
}

void PackTileWeights(const LaneWeights& weights, int16_t* to) {
  const int8_t* const first = weights.first;
  const int32_t stride = weights.stride;
  const int8_t* const third = first + 3 * stride;
  const int8_t* const sixth = third + 3 * stride;
  const auto pack = [&](const int8_t* a, const int8_t* b, const int8_t* c, const int8_t* d,
                        int16_t* pairs) {
    const uint32_t wa = dsp::LoadWord(a), wb = dsp::LoadWord(b);
    const uint32_t wc = dsp::LoadWord(c), wd = dsp::LoadWord(d);
    const uint32_t ab = dsp::LowHalves(wa, wb), cd = dsp::LowHalves(wc, wd);
    dsp::StoreWords(pairs, dsp::Bytes02(ab), dsp::Bytes02(cd));
    dsp::StoreWords(pairs + kTileWeights, dsp::Bytes13(ab), dsp::Bytes13(cd));
    const uint32_t ab_high = dsp::HighHalves(wa, wb), cd_high = dsp::HighHalves(wc, wd);
    dsp::StoreWords(pairs + 2 * kTileWeights, dsp::Bytes02(ab_high), dsp::Bytes02(cd_high));
    dsp::StoreWords(pairs + 3 * kTileWeights, dsp::Bytes13(ab_high), dsp::Bytes13(cd_high));
  };
  pack(sixth + 2 * stride, first + 2 * stride, sixth, first, to);
  pack(sixth + stride, first + stride, third + 2 * stride, third, to + 4);
  const int8_t* const middle = third + stride;
  for (int lane = 0; lane < kWindowLanes; ++lane) {
    dsp::StoreWords(to + lane * kTileWeights + 8, middle[lane], weights.scales.factor[lane]);
  }
}

#else

void PackWholeColumns(const LaneImage& image, int32_t first, int32_t count, int16_t* to) {
  for (int32_t r = first; r < first + count; ++r, ++to) {
    PackRow(image, image.first + r * image.row_bytes, to);
  }
}

void PackStripWeights(const LaneWeights& weights, int16_t* to) {
  const int32_t row = 3 * weights.stride;
  for (int lane = 0; lane < kWindowLanes; ++lane, to += 2) {
    const int8_t* tap = weights.first + 2 * weights.stride + lane;
    for (int column = 0; column < 3; ++column, tap -= weights.stride, to += 4) {
      to[0] = tap[2 * row];
      to[1] = to[2] = tap[row];
      to[3] = tap[0];
    }
  }
}

void PackTileWeights(const LaneWeights& weights, int16_t* to) {
  constexpr int kTaps[] = {8, 2, 6, 0, 7, 1, 5, 3, 4};
  for (int lane = 0; lane < kWindowLanes; ++lane, to += kTileWeights) {
    for (int i = 0; i < 9; ++i) to[i] = weights.first[kTaps[i] * weights.stride + lane];
  }
}

#endif

}  // namespace tflm_train
