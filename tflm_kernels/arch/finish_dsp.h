// Requantisation of four sums at a time with the DSP extension. Only for
// forward_ops.h.

#ifndef TFLM_KERNELS_ARCH_FINISH_DSP_H_
#define TFLM_KERNELS_ARCH_FINISH_DSP_H_

#include <cstdint>

#include "tflm_kernels/arch/dsp.h"
#include "tflm_kernels/arch/finish_generic.h"
#include "tflm_kernels/forward_ops.h"
#include "tflm_kernels/spec/numerics.h"

namespace tflm_train {

// RequantizeSmall(sum, multiplier, -1 - down) + zero point, saturated to int8;
// offset: 2 * zero point + 1.
TFLM_TRAIN_INLINE int32_t FinishByte(int32_t sum, int32_t multiplier, int32_t down,
                                     int32_t offset) {
  int32_t high = HighMul(2 * sum, multiplier);
  high += high >> 31;
  return dsp::SaturateHalf((high >> down) + offset);
}

// The outputs' range when it is not that of int8.
class ByteClamp {
 public:
  explicit ByteClamp(const OutputParams& output)
      : is_needed_(output.act_min > INT8_MIN || output.act_max < INT8_MAX),
        min_(dsp::FourTimes(output.act_min)),
        max_(dsp::FourTimes(output.act_max)) {}

  TFLM_TRAIN_INLINE uint32_t operator()(uint32_t bytes) const {
    return is_needed_ ? dsp::MinBytes(dsp::MaxBytes(bytes, min_), max_) : bytes;
  }

 private:
  bool is_needed_;
  uint32_t min_, max_;
};

inline void FinishRow(const int32_t* sums, const Finish& finish, int32_t n, int8_t* y) {
  if (!finish.is_small) return FinishRowOneByOne(sums, finish, n, y);
  const ByteClamp clamp(finish.output);
  const int32_t offset = 2 * finish.output.y_zero_point + 1;
  const int32_t* multiplier = finish.constants.multiplier;
  const int32_t* shift = finish.constants.shift;
  const int32_t* bias = finish.constants.bias;
  const auto one = [&](int32_t j) {
    return FinishByte(sums[j] + (bias == nullptr ? 0 : bias[j]), multiplier[j], ~shift[j], offset);
  };
  for (; n >= 4; n -= 4) {
    dsp::StoreWord(y, clamp(dsp::PackBytes(one(0), one(1), one(2), one(3))));
    y += 4;
    sums += 4;
    multiplier += 4;
    shift += 4;
    if (bias != nullptr) bias += 4;
  }
  for (int32_t j = 0; j < n; ++j) y[j] = static_cast<int8_t>(clamp(static_cast<uint8_t>(one(j))));
}

// Of one channel at two pixels.
struct PixelBytes {
  int32_t p0, p1;
};
TFLM_TRAIN_INLINE PixelBytes FinishPixels(int32_t sum0, int32_t sum1, int32_t multiplier,
                                          int32_t down, int32_t offset) {
  return {FinishByte(sum0, multiplier, down, offset), FinishByte(sum1, multiplier, down, offset)};
}

// Two pixels, channels c .. c + 3: those of `first` and of `second`; the biases are in
// the sums. Only of small sums.
TFLM_TRAIN_INLINE void FinishTile(const TwoByTwo& first, const TwoByTwo& second,
                                  const ChannelConstants& constants, const ByteClamp& clamp,
                                  int32_t offset, int32_t c, int8_t* y0, int8_t* y1) {
  const int32_t* const m = constants.multiplier + c;
  const int32_t* const shift = constants.shift + c;
  const PixelBytes b0 = FinishPixels(first.s00, first.s10, m[0], ~shift[0], offset);
  const PixelBytes b1 = FinishPixels(first.s01, first.s11, m[1], ~shift[1], offset);
  const PixelBytes b2 = FinishPixels(second.s00, second.s10, m[2], ~shift[2], offset);
  const PixelBytes b3 = FinishPixels(second.s01, second.s11, m[3], ~shift[3], offset);
  dsp::StoreWord(y0, clamp(dsp::PackBytes(b0.p0, b1.p0, b2.p0, b3.p0)));
  dsp::StoreWord(y1, clamp(dsp::PackBytes(b0.p1, b1.p1, b2.p1, b3.p1)));
}

}  // namespace tflm_train

#endif  // TFLM_KERNELS_ARCH_FINISH_DSP_H_
