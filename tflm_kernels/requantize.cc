#include "tflm_kernels/requantize.h"

#include <cstring>

#include "tflm_kernels/arch/features.h"
#include "tflm_kernels/channel_ops.h"
#include "tflm_kernels/spec/numerics.h"

#if defined(TFLM_TRAIN_MVE)
#include "tflm_kernels/arch/mask_mve.h"
#elif defined(TFLM_TRAIN_DSP)
#include "tflm_kernels/arch/mask_dsp.h"
#endif

namespace tflm_train {
namespace {

constexpr float kRangeDecay = 0.95f;
// Of a gradient that is not saturated, and what its largest is predicted to reach.
// FAST-PATH-BOUND: largest-gradient
constexpr int32_t kMinGradient = -127;
constexpr int32_t kMaxGradient = 126;
constexpr uint32_t kLargestGradient = 127;
constexpr float kPredictedMax = 112.0f;
constexpr int32_t kMaxAddendFactor = 1 << 24;

// Whether no value that a gradient was saturated to is among them.
bool Fits(const Extremes<int8_t>& extremes) {
  return extremes.max <= kMaxGradient && extremes.min >= kMinGradient;
}

template <typename T>
void ApplyMaskTo(const MaskParams& params, const void* mask, size_t first, T* __restrict values,
                 size_t n) {
  if (params.mask_kind == kMaskActivation) {
    const int8_t* __restrict y = static_cast<const int8_t*>(mask) + first;
    const int32_t lo = params.act_min;
    const int32_t hi = params.act_max;
    if (n == 0) return;
    size_t i = 0;
    do values[i] = (y[i] > lo) & (y[i] < hi) ? values[i] : T{0};
    while (++i < n);
  } else if (params.mask_kind == kMaskBits) {
    const uint8_t* __restrict bits = static_cast<const uint8_t*>(mask);
    size_t i = 0;
#if defined(TFLM_TRAIN_AVX2)
    // A byte of the mask at a time, which the compiler makes vectors of.
    for (; first % 8 == 0 && i + 8 <= n; i += 8) {
      const int32_t byte = bits[(first + i) / 8];
      for (int32_t j = 0; j < 8; ++j) {
        values[i + j] = (byte & (1 << j)) != 0 ? values[i + j] : T{0};
      }
    }
#endif
    if (i >= n) return;
    do {
      const size_t index = first + i;
      if (((bits[index >> 3] >> (index & 7)) & 1) == 0) values[i] = 0;
    } while (++i < n);
  }
}

// Applies the mask to a whole tensor; returns max |v|, or more than kLargestGradient where a value
// may be saturated.
uint32_t MaskAndFindMaxAbs(const MaskParams& params, const void* mask, int8_t* values, size_t n) {
#if defined(TFLM_TRAIN_MVE)
  const uint32_t max_abs = params.mask_kind == kMaskNone
                               ? MaxAbs(values, n)
                               : mve::MaskAndFindMaxAbs(params, mask, values, n);
  // FAST-PATH-BOUND: largest-magnitude
  if (max_abs != kLargestGradient) return max_abs;  // else 127 is one, -127 is none
#endif
  const Extremes<int8_t> extremes = MaskAndFindExtremes(params, mask, values, n);
  if (!Fits(extremes)) return kLargestGradient + 1;
  return static_cast<uint32_t>(extremes.max > -extremes.min ? extremes.max : -extremes.min);
}

}  // namespace

void ApplyMask(const MaskParams& params, const void* mask, size_t first, int32_t* values,
               size_t n) {
  ApplyMaskTo(params, mask, first, values, n);
}

void ApplyMask(const MaskParams& params, const void* mask, size_t first, int8_t* values, size_t n) {
#if defined(TFLM_TRAIN_MVE)
  if (first == 0 && params.mask_kind != kMaskNone) {
    mve::MaskAndFindMaxAbs(params, mask, values, n);
    return;
  }
#endif
  ApplyMaskTo(params, mask, first, values, n);
}

Extremes<int8_t> MaskAndFindExtremes(const MaskParams& params, const void* mask, int8_t* values,
                                     size_t n) {
#if defined(TFLM_TRAIN_MVE)
  if (params.mask_kind != kMaskNone) {
    return mve::MaskAndFindExtremes(params, mask, values, n);
  }
#elif defined(TFLM_TRAIN_DSP)
  const bool by_bits = params.mask_kind == kMaskBits;
  if (by_bits || (params.mask_kind == kMaskActivation &&
                  dsp::ByteRange::Exists(params.act_min, params.act_max))) {
    const size_t whole = n / 8 * 8;
    dsp::ByteExtremes words;
    if (by_bits) {
      dsp::MaskBits(static_cast<const uint8_t*>(mask), whole / 8, values, &words);
    } else {
      dsp::MaskActivation(static_cast<const int8_t*>(mask),
                          dsp::ByteRange(params.act_min, params.act_max), whole / 8, values,
                          &words);
    }
    ApplyMask(params, mask, whole, values + whole, n - whole);
    Extremes<int8_t> extremes = FindExtremes(values + whole, n - whole);
    words.Reduce(&extremes.max, &extremes.min);
    return extremes;
  }
#endif
  ApplyMask(params, mask, 0, values, n);
  return FindExtremes(values, n);
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
    addend_factor_ = factor < 0 ? 0 : factor < kMaxAddendFactor ? factor : kMaxAddendFactor;
    unit_ = unit * PowerOfTwo(n);
  }
  const float predicted = *target.range * incoming_max_;
  while (exponent_ < kMaxExponent && !(predicted <= kPredictedMax * PowerOfTwo(exponent_))) {
    ++exponent_;
  }
}

void GradientWriter::WritePixel(int32_t* acc) {
  const int32_t channels = target_.channels;
  if (target_.addend != nullptr) {
    MergeAddend(acc, addend_shift_, target_.addend + written_, addend_factor_, channels);
  }
  ApplyMask(target_.mask_params, target_.mask, written_, acc, channels);
  const Extremes<int32_t> extremes = FindExtremes(acc, channels);
  int needed = exponent_;
  while (RoundShift(extremes.max, needed) > kMaxGradient ||
         RoundShift(extremes.min, needed) < kMinGradient) {
    ++needed;
  }
  RoundShiftRow(acc, needed, target_.q + written_, channels);
  FinishPixel(needed);
}

bool GradientWriter::MaskFittingPixel() {
  int8_t* const q = target_.q + written_;
  ApplyMaskTo(target_.mask_params, target_.mask, written_, q, target_.channels);
  return Fits(FindExtremes(q, target_.channels));
}

void GradientWriter::FinishPixel(int exponent) {
  if (exponent > exponent_) {
    RoundAwayInPlace(target_.q, exponent - exponent_, written_);
    exponent_ = exponent;
  }
  written_ += target_.channels;
}

void GradientWriter::Finish() { Store(MaxAbs(target_.q, target_.size)); }

bool GradientWriter::FinishSaturated() {
  const uint32_t max_abs =
      MaskAndFindMaxAbs(target_.mask_params, target_.mask, target_.q, target_.size);
  if (max_abs > kLargestGradient) return false;
  Store(max_abs);
  return true;
}

void GradientWriter::Store(uint32_t max_abs) {
  const float step = PowerOfTwo(exponent_);
  const float ratio = (static_cast<float>(max_abs) * step) / incoming_max_;
  const float decayed = *target_.range * kRangeDecay;
  *target_.range = ratio > decayed ? ratio : decayed;
  *target_.scale = unit_ * step;
}

}  // namespace tflm_train
