#include "tflm_kernels/requantize.h"

#include <cstring>

#include "tflm_kernels/channel_ops.h"
#include "tflm_kernels/numerics.h"

namespace tflm_train {
namespace {

constexpr float kRangeDecay = 0.95f;
constexpr int32_t kMaxAddendFactor = 1 << 24;

template <typename T>
void ApplyMaskTo(const MaskParams& params, const void* mask, size_t first, T* __restrict values,
                 size_t n) {
  if (params.mask_kind == kMaskActivation) {
    const int8_t* __restrict y = static_cast<const int8_t*>(mask) + first;
    const int32_t lo = params.act_min;
    const int32_t hi = params.act_max;
    for (size_t i = 0; i < n; ++i) {
      values[i] = (y[i] > lo) & (y[i] < hi) ? values[i] : T{0};
    }
  } else if (params.mask_kind == kMaskBits) {
    const uint8_t* __restrict bits = static_cast<const uint8_t*>(mask);
    for (size_t i = 0; i < n; ++i) {
      const size_t index = first + i;
      if (((bits[index >> 3] >> (index & 7)) & 1) == 0) values[i] = 0;
    }
  }
}

}  // namespace

void ApplyMask(const MaskParams& params, const void* mask, size_t first, int32_t* values,
               size_t n) {
  ApplyMaskTo(params, mask, first, values, n);
}

void ApplyMask(const MaskParams& params, const void* mask, size_t first, int8_t* values, size_t n) {
  ApplyMaskTo(params, mask, first, values, n);
}

int32_t PassingBits(const MaskParams& params, const void* mask, size_t first, int n) {
  if (params.mask_kind == kMaskBits) {
    const uint8_t* const bits = static_cast<const uint8_t*>(mask) + (first >> 3);
    const int shift = first & 7;
    // The second byte only where it holds some of them: there may be none.
    const int32_t next = shift + n > 8 ? bits[1] << 8 : 0;
    return (bits[0] | next) >> shift;
  }
  const int8_t* const y = static_cast<const int8_t*>(mask) + first;
  const int32_t lo = params.act_min + 1;
  const uint32_t width =
      params.act_max > lo ? static_cast<uint32_t>(params.act_max - lo) : uint32_t{0};
  int32_t passing = 0;
  for (int i = 0; i < n; ++i) {
    passing |= static_cast<int32_t>(static_cast<uint32_t>(y[i] - lo) < width) << i;
  }
  return passing;
}

int ExponentFor(uint32_t max_abs, int from) {
  int e = from;
  while (max_abs > (uint64_t{127} << e)) ++e;
  return e;
}

GradientWriter::GradientWriter(const GradientTarget& target, float unit, const int8_t* incoming,
                               size_t incoming_size)
    : target_(target),
      unit_(unit),
      incoming_max_(static_cast<float>(MaxAbs(incoming, incoming_size))),
      flows_(unit != 0.0f && incoming_max_ != 0.0f) {
  if (!flows_) {
    if (target.addend != nullptr) {
      std::memcpy(target.q, target.addend, target.size);
      ApplyMask(target.mask_params, target.mask, 0, target.q, target.size);
      *target.scale = target.addend_scale;
    } else {
      std::memset(target.q, 0, target.size);
      *target.scale = 0.0f;
    }
    return;
  }
  if (target.addend != nullptr) {
    const float f = target.addend_scale / unit;
    int n = 1;
    while (n < 31 && !(f * PowerOfTwo(-n) <= 65536.0f)) ++n;
    const int32_t factor = RoundToInt32((f * PowerOfTwo(-n)) * 256.0f);
    addend_shift_ = n;
    addend_factor_ = factor < kMaxAddendFactor ? factor : kMaxAddendFactor;
    unit_ = unit * PowerOfTwo(n);
  }
  const float predicted = *target.range * incoming_max_;
  while (exponent_ < kMaxExponent && !(predicted <= 127.0f * PowerOfTwo(exponent_))) ++exponent_;
}

void GradientWriter::WritePixel(int32_t* acc) {
  const int32_t channels = target_.channels;
  if (target_.addend != nullptr) {
    MergeAddend(acc, addend_shift_, target_.addend + written_, addend_factor_, channels);
  }
  ApplyMask(target_.mask_params, target_.mask, written_, acc, channels);
  const uint32_t max = MaxAbs(acc, channels);
  if (max > max_abs_) {
    max_abs_ = max;
    const int needed = ExponentFor(max, exponent_);
    if (needed > exponent_) {
      RoundShiftInPlace(target_.q, needed - exponent_, written_);
      exponent_ = needed;
    }
  }
  RoundShiftRow(acc, exponent_, target_.q + written_, channels);
  written_ += channels;
}

void GradientWriter::Finish() {
  const float ratio = static_cast<float>(max_abs_) / incoming_max_;
  const float decayed = *target_.range * kRangeDecay;
  *target_.range = ratio > decayed ? ratio : decayed;
  *target_.scale = unit_ * PowerOfTwo(exponent_);
}

}  // namespace tflm_train
