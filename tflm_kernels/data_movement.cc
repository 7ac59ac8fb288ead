#include "tflm_kernels/data_movement.h"

#include <cstring>

#include "tflm_kernels/channel_ops.h"
#include "tflm_kernels/requantize.h"
#include "tflm_kernels/spec/geometry.h"
#include "tflm_kernels/spec/numerics.h"

#if defined(TFLM_TRAIN_MVE)
#include "tflm_kernels/arch/gather_channels_mve.h"
#include "tflm_kernels/arch/mask_mve.h"
#elif defined(TFLM_TRAIN_DSP)
#include "tflm_kernels/arch/mask_dsp.h"
#endif

namespace tflm_train {
namespace {

// Fixed point of a window's 1 / count and of the ratio of two scales.
constexpr int kFractionBits = 14;

// Disjoint equal windows: the gradient is copied, its scale divided.
void SpreadWindows(const PoolGradParams& params, const int8_t* grad_out, float* scales,
                   const void* mask, int8_t* grad_in) {
  const Geometry& g = params.geometry;
  int8_t* pixel = grad_in;
  for (int32_t iy = 0; iy < g.in_h; ++iy) {
    const AxisRange y = WindowsOfInput(iy, g.k_h, g.stride_h, g.pad_t, g.out_h);
    for (int32_t ix = 0; ix < g.in_w; ++ix, pixel += g.in_c) {
      const AxisRange x = WindowsOfInput(ix, g.k_w, g.stride_w, g.pad_l, g.out_w);
      if (y.begin < y.end && x.begin < x.end) {
        std::memcpy(pixel, grad_out + (y.begin * g.out_w + x.begin) * g.out_c, g.in_c);
      } else {
        std::memset(pixel, 0, g.in_c);
      }
    }
  }
  ApplyMask(params.mask, mask, 0, grad_in, static_cast<size_t>(g.in_h) * g.in_w * g.in_c);
  scales[params.slot_out] = scales[params.slot_in] / static_cast<float>(params.count);
}

// Fills out[] along `axis` and all axes up to `end` (at least one more) from
// what `source` has at position 0 of them; a null source stands for zeros.
// Returns the end of what is written. Recursion as deep as there are axes.
int8_t* FillAxis(const MoveAxis* axis, const MoveAxis* end, const int8_t* source, int8_t* out) {
  if (axis + 1 == end && axis->step == 1 && axis->stride == 1 && source != nullptr) {
    // The inside is one run.
    const int32_t from = axis->begin < 0 ? -axis->begin : 0;
    const int32_t head = axis->begin < 0 ? 0 : axis->begin < axis->size ? axis->begin : axis->size;
    const int32_t available = axis->count - from;
    const int32_t run = available < 0                   ? 0
                        : available < axis->size - head ? available
                                                        : axis->size - head;
    std::memset(out, 0, head);
    if (run > 0) std::memcpy(out + head, source + from, run);
    std::memset(out + head + run, 0, axis->size - head - run);
    return out + axis->size;
  }
  for (int32_t i = 0; i < axis->size; ++i) {
    const int32_t distance = i - axis->begin;
    const int32_t o = distance / axis->step;
    const bool inside =
        source != nullptr && distance >= 0 && o < axis->count && o * axis->step == distance;
    const int8_t* at = inside ? source + o * axis->stride : nullptr;
    if (axis + 1 == end) {
      *out++ = inside ? *at : 0;
    } else {
      out = FillAxis(axis + 1, end, at, out);
    }
  }
  return out;
}

// The largest magnitude of an ACCUMULATE's masked sums.
uint32_t LargestSum(const AccumulateParams& params, const int16_t* factor, const void* mask,
                    const int8_t* const* inputs) {
  // Elements summed at a time; a multiple of four rows' worth of registers,
  // small enough for any stack.
  constexpr int32_t kChunk = 64;
  int32_t acc[kChunk];
  uint32_t largest = 0;
  for (int32_t first = 0; first < params.size; first += kChunk) {
    const int32_t n = params.size - first < kChunk ? params.size - first : kChunk;
    std::memset(acc, 0, sizeof(acc));
    RowSum sum(acc, n);
    for (int32_t k = 0; k < params.count; ++k) sum.Add(factor[k], inputs[k] + first);
    sum.Flush();
    ApplyMask(params.mask, mask, first, acc, n);
    const uint32_t max = MaxAbs(acc, n);
    largest = max > largest ? max : largest;
  }
  return largest;
}

// The exponent that sums need, from the extremes of what they were rounded to with a
// larger one, or with the one they need; -1: either of two, depending on their fractions.
int ExponentOfRounded(const Extremes<int8_t>& extremes, int exponent) {
  // 127 / 2 is halfway between 63 and 64, whose magnitude may come from either side of it.
  constexpr int32_t kMost = 127;
  const int32_t max = extremes.max > -extremes.min ? extremes.max : -extremes.min;
  // An input's -128 would exceed what the exponent was made for.
  // FAST-PATH-BOUND: rounded-exponent
  if (extremes.min <= -kMost || (max & (max - 1)) == 0) return -1;
  for (int32_t limit = kMost / 2; max <= limit; limit /= 2) --exponent;
  return exponent;
}

}  // namespace

size_t PoolGradScratchBytes(const PoolGradParams& params) {
  return params.uniform ? 0 : sizeof(int32_t) * params.geometry.in_c;
}

void PoolGrad(const PoolGradParams& params, const int8_t* grad_out, float* scales, float* ranges,
              const void* mask, int8_t* grad_in, void* scratch) {
  if (params.uniform) {
    SpreadWindows(params, grad_out, scales, mask, grad_in);
    return;
  }
  const Geometry& g = params.geometry;
  int32_t* acc = static_cast<int32_t*>(scratch);
  GradientWriter writer(
      {params.mask, mask, nullptr, 0.0f, grad_in, static_cast<size_t>(g.in_h) * g.in_w * g.in_c,
       g.in_c, &scales[params.slot_out], &ranges[params.slot_out]},
      scales[params.slot_in] * PowerOfTwo(-kFractionBits), grad_out,
      static_cast<size_t>(g.out_h) * g.out_w * g.out_c);
  if (!writer.flows()) return;
  for (int32_t iy = 0; iy < g.in_h; ++iy) {
    const AxisRange y = WindowsOfInput(iy, g.k_h, g.stride_h, g.pad_t, g.out_h);
    for (int32_t ix = 0; ix < g.in_w; ++ix) {
      const AxisRange x = WindowsOfInput(ix, g.k_w, g.stride_w, g.pad_l, g.out_w);
      std::memset(acc, 0, sizeof(int32_t) * g.in_c);
      RowSum sum(acc, g.in_c);
      for (int32_t oy = y.begin; oy < y.end; ++oy) {
        const int32_t rows = WindowLength(oy, g.k_h, g.stride_h, g.pad_t, g.in_h);
        for (int32_t ox = x.begin; ox < x.end; ++ox) {
          const int32_t count = rows * WindowLength(ox, g.k_w, g.stride_w, g.pad_l, g.in_w);
          const int32_t share = ((2 << kFractionBits) + count) / (2 * count);
          sum.Add(static_cast<int16_t>(share), grad_out + (oy * g.out_w + ox) * g.out_c);
        }
      }
      sum.Flush();
      writer.WritePixel(acc);
    }
  }
  writer.Finish();
}

void MoveGrad(const MoveGradParams& params, const int8_t* grad_out, float* scales, const void* mask,
              int8_t* grad_in) {
  const int8_t* first = grad_out + params.offset;
  int8_t* end = FillAxis(params.axis, params.axis + kMoveAxes, first, grad_in);
  ApplyMask(params.mask, mask, 0, grad_in, static_cast<size_t>(end - grad_in));
  scales[params.slot_out] = scales[params.slot_in] / static_cast<float>(params.divisor);
}

void Accumulate(const AccumulateParams& params, float* scales, const void* mask,
                const int8_t* const* inputs, int8_t* grad) {
  const size_t size = static_cast<size_t>(params.size);
  if (params.count == 1) {
    std::memcpy(grad, inputs[0], size);
    ApplyMask(params.mask, mask, 0, grad, size);
    scales[params.slot_out] = scales[params.slot_in[0]];
    return;
  }
  float scale = 0.0f;
  for (int32_t k = 0; k < params.count; ++k) {
    const float s = scales[params.slot_in[k]];
    scale = s > scale ? s : scale;
  }
  if (scale == 0.0f) {
    std::memset(grad, 0, size);
    scales[params.slot_out] = 0.0f;
    return;
  }
  int16_t factor[kMaxAccumulateInputs];
  for (int32_t k = 0; k < params.count; ++k) {
    const float ratio = scales[params.slot_in[k]] / scale;
    factor[k] = static_cast<int16_t>(RoundToInt32(ratio * PowerOfTwo(kFractionBits)));
  }
  const auto write = [&](int exponent) {
    WeightedSum(factor, inputs, params.count, exponent, grad, size);
    return MaskAndFindExtremes(params.mask, mask, grad, size);
  };
  // With the exponent that is always large enough, one pass does it for most tensors.
  int32_t sum_of_factors = 0;
  for (int32_t k = 0; k < params.count; ++k) sum_of_factors += factor[k];
  const int largest = ExponentFor(static_cast<uint32_t>(127 * sum_of_factors), 0);
  int exponent = ExponentOfRounded(write(largest), largest);
  if (exponent < 0) exponent = ExponentFor(LargestSum(params, factor, mask, inputs), 0);
  if (exponent != largest) write(exponent);
  scales[params.slot_out] = (scale * PowerOfTwo(-kFractionBits)) * PowerOfTwo(exponent);
}

void ClampMask(const ClampMaskParams& params, const int8_t* activation, uint8_t* bits) {
  ClampMaskPart(params.act_min, params.act_max, activation, 0, params.size, bits);
}

void ClampMaskPart(int32_t act_min, int32_t act_max, const int8_t* activation, int32_t first,
                   int32_t n, uint8_t* bits) {
  const int32_t shift = first & 7;
  uint8_t* to = bits + (first >> 3);
  uint32_t byte = shift == 0 ? 0 : *to;
  int32_t bit = shift;
#if defined(TFLM_TRAIN_MVE)
  // FAST-PATH-BOUND: mask-start
  if (shift == 0) {
    const MaskParams range = {kMaskActivation, act_min, act_max, kNoMark};
    return mve::ClampBits(range, activation, static_cast<size_t>(n), to);
  }
#elif defined(TFLM_TRAIN_DSP)
  if (shift == 0 && dsp::ByteRange::Exists(act_min, act_max)) {
    dsp::ClampBits(activation, dsp::ByteRange(act_min, act_max), static_cast<size_t>(n / 8), to);
    to += n / 8;
    activation += n / 8 * 8;
    n %= 8;
  }
#else
  // Whole bytes, a value's comparisons as one.
  const int32_t inside = act_max - act_min - 1;
  const uint32_t span = inside > 0 ? static_cast<uint32_t>(inside) : 0;
  for (; shift == 0 && n >= 8; n -= 8, activation += 8) {
    uint32_t whole = 0;
    int32_t i = 8;
#pragma GCC unroll 8
    do whole = 2 * whole + (static_cast<uint32_t>(activation[i - 1] - act_min - 1) < span);
    while (--i > 0);
    *to++ = static_cast<uint8_t>(whole);
  }
#endif
  while (n > 0) {
    const int32_t count = n < 8 - bit ? n : 8 - bit;
    for (int32_t i = 0; i < count; ++i) {
      const int32_t y = activation[i];
      byte |= static_cast<uint32_t>((y > act_min) & (y < act_max)) << (bit + i);
    }
    *to++ = static_cast<uint8_t>(byte);
    activation += count;
    n -= count;
    byte = 0;
    bit = 0;
  }
}

void ChannelSave(const ChannelSaveParams& params, const int8_t* values, const int16_t* channels,
                 int8_t* saved) {
#if defined(TFLM_TRAIN_MVE)
  mve::GatherChannels(values, params.positions, params.channels, channels, params.kept, saved);
  return;
#endif
  const int32_t kept = params.kept;
  for (int32_t p = 0; p < params.positions; ++p) {
    // Four at a time, loaded before they are stored: bytes may alias anything.
    const int16_t* channel = channels;
    int8_t* to = saved;
    int32_t left = kept;
    for (; left >= 4; left -= 4, channel += 4, to += 4) {
      const int8_t v0 = values[channel[0]], v1 = values[channel[1]];
      const int8_t v2 = values[channel[2]], v3 = values[channel[3]];
      to[0] = v0;
      to[1] = v1;
      to[2] = v2;
      to[3] = v3;
    }
    for (; left > 0; --left) *to++ = values[*channel++];
    values += params.channels;
    saved += kept;
  }
}

}  // namespace tflm_train
