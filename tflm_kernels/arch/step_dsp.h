// Steps of four weights with the DSP extension.

#ifndef TFLM_KERNELS_ARCH_STEP_DSP_H_
#define TFLM_KERNELS_ARCH_STEP_DSP_H_

#include <arm_acle.h>

#include <cstdint>

#include "tflm_kernels/arch/dsp.h"
#include "tflm_kernels/numerics.h"

#define TFLM_TRAIN_STEP_FOUR

namespace tflm_train {

// |HighMul(2^31, m)| is at most 32767, and 2^20.
constexpr int32_t kMaxNearestMultiplier = 65534;
constexpr int32_t kMaxRandomMultiplier = 1 << 21;

// The multipliers of four weights, with the gain.
struct StepMultipliers {
  StepMultipliers(const int32_t* m, int32_t stride, int gain_shift)
      : m0(m[0] << gain_shift),
        m1(m[stride] << gain_shift),
        m2(m[2 * stride] << gain_shift),
        m3(m[3 * stride] << gain_shift) {}

  int32_t m0, m1, m2, m3;
};

// t = 256 * W + R of two weights is a pair of int16; what it becomes, less 256.
inline int32_t StepPair(int32_t weights, int32_t residuals, uint32_t deltas) {
  int32_t t;
  asm("sadd16 %0, %1, %2" : "=r"(t) : "r"(weights), "r"(residuals) : "cc");
  t = __qsub16(t, static_cast<int32_t>(deltas));
  // To +-32512: 32767 less 255 above, -32768 plus 256 below.
  t = __qadd16(t, 0x00ff00ff);
  return __qsub16(t, 0x01ff01ff);
}

inline void StepFourNearest(const int32_t* sums, const StepMultipliers& m, int8_t* w, int8_t* r) {
  const uint32_t even_mask = 0x00ff00ff;
  const uint32_t weights = dsp::LoadWord(w);
  const uint32_t residuals = dsp::LoadWord(r);
  const uint32_t delta02 = dsp::Pack(HighMul(sums[0], m.m0), HighMul(sums[2], m.m2));
  const uint32_t delta13 = dsp::Pack(HighMul(sums[1], m.m1), HighMul(sums[3], m.m3));
  const uint32_t even = static_cast<uint32_t>(StepPair(
      static_cast<int32_t>((weights << 8) & ~even_mask), dsp::Bytes02(residuals), delta02));
  const uint32_t odd = static_cast<uint32_t>(
      StepPair(static_cast<int32_t>(weights & ~even_mask), dsp::Bytes13(residuals), delta13));
  // R is the low byte of t, W the high byte of t + 128.
  dsp::StoreWord(r, (even & even_mask) | (odd & even_mask) << 8);
  const uint32_t even_w = static_cast<uint32_t>(__qadd16(static_cast<int32_t>(even), 0x01800180));
  const uint32_t odd_w = static_cast<uint32_t>(__qadd16(static_cast<int32_t>(odd), 0x01800180));
  dsp::StoreWord(w, (even_w >> 8 & even_mask) | (odd_w & ~even_mask));
}

// Two weights' random numbers, as the low 12 bits of both halves.
inline uint32_t DitherPair(uint32_t key, uint32_t pair) { return Hash(key ^ pair); }

inline void StepFourRandom(const int32_t* sums, const StepMultipliers& m, uint32_t key,
                           uint32_t pair, int8_t* w) {
  const uint32_t dither01 = DitherPair(key, pair);
  const uint32_t dither23 = DitherPair(key, pair + 1);
  const int32_t e0 = static_cast<int32_t>(dither01 & 0xfff) - HighMul(sums[0], m.m0);
  const int32_t e1 = static_cast<int32_t>(dither01 >> 16 & 0xfff) - HighMul(sums[1], m.m1);
  const int32_t e2 = static_cast<int32_t>(dither23 & 0xfff) - HighMul(sums[2], m.m2);
  const int32_t e3 = static_cast<int32_t>(dither23 >> 16 & 0xfff) - HighMul(sums[3], m.m3);
  // (4096 * W + e) >> 12 = W + (e >> 12), in pairs of int16.
  const uint32_t weights = dsp::LoadWord(w);
  const uint32_t change02 =
      dsp::LowHalves(static_cast<uint32_t>(e0 >> 12), static_cast<uint32_t>(e2 >> 12));
  const uint32_t change13 =
      dsp::LowHalves(static_cast<uint32_t>(e1 >> 12), static_cast<uint32_t>(e3 >> 12));
  int32_t even, odd;
  asm("sxtab16 %0, %1, %2" : "=r"(even) : "r"(change02), "r"(weights));
  asm("sxtab16 %0, %1, %2, ror #8" : "=r"(odd) : "r"(change13), "r"(weights));
  even = __ssat16(even, 8);
  odd = __ssat16(odd, 8);
  const uint32_t bytes =
      (static_cast<uint32_t>(even) & 0x00ff00ff) | (static_cast<uint32_t>(odd) & 0x00ff00ff) << 8;
  // -128 becomes -127: less one with saturation, plus one without.
  uint32_t clamped;
  asm("qsub8 %0, %1, %2\n\tsadd8 %0, %0, %2" : "=&r"(clamped) : "r"(bytes), "r"(0x01010101) : "cc");
  dsp::StoreWord(w, clamped);
}

}  // namespace tflm_train

#endif  // TFLM_KERNELS_ARCH_STEP_DSP_H_
