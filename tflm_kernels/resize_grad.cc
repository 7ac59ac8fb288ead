#include "tflm_kernels/resize_grad.h"

#include <cstring>

#include "tflm_kernels/channel_ops.h"
#include "tflm_kernels/requantize.h"
#include "tflm_kernels/spec/numerics.h"

namespace tflm_train {
namespace {

constexpr int kUnitExponent = -14;  // kResizeOne squared

// The weight with which output position `o` of an axis reads input position i.
int32_t Weight(const int16_t* table, int32_t o, int32_t i) {
  const int32_t first = table[2 * o];
  const int32_t weight = table[2 * o + 1];
  return i == first ? kResizeOne - weight : i == first + 1 ? weight : 0;
}

// The output positions in [begin, end) with a first input position below
// `limit`; they do not decrease.
int32_t SkipBelow(const int16_t* table, int32_t begin, int32_t end, int32_t limit) {
  while (begin < end && table[2 * begin] < limit) ++begin;
  return begin;
}

}  // namespace

size_t ResizeGradScratchBytes(const ResizeGradParams& params) {
  return sizeof(int32_t) * params.channels;
}

void ResizeGrad(const ResizeGradParams& params, const int8_t* grad_out, const int16_t* rows,
                const int16_t* columns, float* scales, float* ranges, const void* mask,
                const int8_t* addend, int8_t* grad_in, void* scratch) {
  const int32_t channels = params.channels;
  int32_t* acc = static_cast<int32_t*>(scratch);
  GradientWriter writer(
      {params.mask, mask, addend, addend != nullptr ? scales[params.slot_addend] : 0.0f, grad_in,
       static_cast<size_t>(params.in_h) * params.in_w * channels, channels,
       &scales[params.slot_out], &ranges[params.slot_out]},
      scales[params.slot_in] * PowerOfTwo(kUnitExponent), grad_out,
      static_cast<size_t>(params.out_h) * params.out_w * channels);
  if (!writer.flows()) return;
  int32_t first_row = 0;
  for (int32_t iy = 0; iy < params.in_h; ++iy) {
    first_row = SkipBelow(rows, first_row, params.out_h, iy - 1);
    int32_t first_column = 0;
    for (int32_t ix = 0; ix < params.in_w; ++ix) {
      first_column = SkipBelow(columns, first_column, params.out_w, ix - 1);
      std::memset(acc, 0, sizeof(int32_t) * channels);
      RowSum sum(acc, channels);
      for (int32_t oy = first_row; oy < params.out_h && rows[2 * oy] <= iy; ++oy) {
        const int32_t row_weight = Weight(rows, oy, iy);
        for (int32_t ox = first_column; ox < params.out_w && columns[2 * ox] <= ix; ++ox) {
          sum.Add(static_cast<int16_t>(row_weight * Weight(columns, ox, ix)),
                  grad_out + (oy * params.out_w + ox) * channels);
        }
      }
      sum.Flush();
      writer.WritePixel(acc);
    }
  }
  writer.Finish();
}

int32_t LargestResizeWeight(const int16_t* table, int32_t out, int32_t in) {
  int32_t largest = 0;
  int32_t here = 0;   // sum of the weights of `first`
  int32_t below = 0;  // of the position after it
  int32_t first = 0;
  for (int32_t o = 0; o < out; ++o) {
    const int32_t next = table[2 * o];
    const int32_t weight = table[2 * o + 1];
    if (next < first || next >= in || weight < 0 || weight > kResizeOne ||
        (weight > 0 && next + 1 >= in)) {
      return -1;
    }
    if (next > first) {
      here = next == first + 1 ? below : 0;
      below = 0;
      first = next;
    }
    here += kResizeOne - weight;
    below += weight;
    largest = here > largest ? here : largest;
    largest = below > largest ? below : largest;
  }
  return largest;
}

}  // namespace tflm_train
