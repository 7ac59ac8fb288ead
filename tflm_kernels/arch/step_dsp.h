// Steps of four weights with the DSP extension. Only for weight_stepper.h.

#ifndef TFLM_KERNELS_ARCH_STEP_DSP_H_
#define TFLM_KERNELS_ARCH_STEP_DSP_H_

#include <arm_acle.h>

#include <cstdint>
#include <cstring>

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
inline int32_t StepPair(int32_t t, uint32_t deltas) {
  t = __qsub16(t, static_cast<int32_t>(deltas));
  // To +-32512: 32767 less 255 above, -32768 plus 256 below.
  t = __qadd16(t, 0x00ff00ff);
  return __qsub16(t, 0x01ff01ff);
}

// pairs + the signed bytes 0 and 2, or 1 and 3, of a word.
inline int32_t AddBytes02(uint32_t pairs, uint32_t word) {
  int32_t sums;
  asm("sxtab16 %0, %1, %2" : "=r"(sums) : "r"(pairs), "r"(word));
  return sums;
}
inline int32_t AddBytes13(uint32_t pairs, uint32_t word) {
  int32_t sums;
  asm("sxtab16 %0, %1, %2, ror #8" : "=r"(sums) : "r"(pairs), "r"(word));
  return sums;
}

inline void StepFourNearest(const int32_t* sums, const StepMultipliers& m, int8_t* w, int8_t* r) {
  const uint32_t even_mask = 0x00ff00ff;
  const uint32_t weights = dsp::LoadWord(w);
  const uint32_t residuals = dsp::LoadWord(r);
  const uint32_t delta02 = dsp::Pack(HighMul(sums[0], m.m0), HighMul(sums[2], m.m2));
  const uint32_t delta13 = dsp::Pack(HighMul(sums[1], m.m1), HighMul(sums[3], m.m3));
  const uint32_t even =
      static_cast<uint32_t>(StepPair(AddBytes02(weights << 8 & ~even_mask, residuals), delta02));
  const uint32_t odd =
      static_cast<uint32_t>(StepPair(AddBytes13(weights & ~even_mask, residuals), delta13));
  // R is the low byte of t, W the high byte of t + 128.
  dsp::StoreWord(r, (even & even_mask) | (odd & even_mask) << 8);
  const uint32_t even_w = static_cast<uint32_t>(__qadd16(static_cast<int32_t>(even), 0x01800180));
  const uint32_t odd_w = static_cast<uint32_t>(__qadd16(static_cast<int32_t>(odd), 0x01800180));
  dsp::StoreWord(w, (even_w >> 8 & even_mask) | (odd_w & ~even_mask));
}

// Four weights' random numbers in [0, 4096).
struct Dithers {
  int32_t d0, d1, d2, d3;
};

inline void StepFourRandom(const int32_t* sums, const StepMultipliers& m, const Dithers& dither,
                           int8_t* w) {
  const int32_t e0 = dither.d0 - HighMul(sums[0], m.m0);
  const int32_t e1 = dither.d1 - HighMul(sums[1], m.m1);
  const int32_t e2 = dither.d2 - HighMul(sums[2], m.m2);
  const int32_t e3 = dither.d3 - HighMul(sums[3], m.m3);
  // (4096 * W + e) >> 12 = W + (e >> 12), in pairs of int16.
  const uint32_t weights = dsp::LoadWord(w);
  const uint32_t change02 =
      dsp::LowHalves(static_cast<uint32_t>(e0 >> 12), static_cast<uint32_t>(e2 >> 12));
  const uint32_t change13 =
      dsp::LowHalves(static_cast<uint32_t>(e1 >> 12), static_cast<uint32_t>(e3 >> 12));
  const int32_t even = __ssat16(AddBytes02(change02, weights), 8);
  const int32_t odd = __ssat16(AddBytes13(change13, weights), 8);
  const uint32_t bytes =
      (static_cast<uint32_t>(even) & 0x00ff00ff) | (static_cast<uint32_t>(odd) & 0x00ff00ff) << 8;
  // -128 becomes -127: less one with saturation, plus one without.
  uint32_t clamped;
  asm("qsub8 %0, %1, %2\n\tsadd8 %0, %0, %2" : "=&r"(clamped) : "r"(bytes), "r"(0x01010101) : "cc");
  dsp::StoreWord(w, clamped);
}

// Two weights in sixteenths, less 16, from those they were less 8, and the changes.
inline uint32_t StepSixteenths(uint32_t sixteenths, uint32_t changes) {
  int32_t v = __qadd16(static_cast<int32_t>(sixteenths), static_cast<int32_t>(changes));
  // To +-2032, by saturating at 2047 above and -2048 below.
  v = __ssat16(__qadd16(v, 0x00070007), 12);
  v = __ssat16(__qsub16(v, 0x001f001f), 12);
  return static_cast<uint32_t>(v);
}

// The same with residuals of four bits, two to a byte.
inline void StepFourSixteenths(const int32_t* sums, const StepMultipliers& m, const Dithers& dither,
                               int8_t* w, uint8_t* r) {
  const int32_t e0 = (dither.d0 >> 4) - HighMul(sums[0], m.m0);
  const int32_t e1 = (dither.d1 >> 4) - HighMul(sums[1], m.m1);
  const int32_t e2 = (dither.d2 >> 4) - HighMul(sums[2], m.m2);
  const int32_t e3 = (dither.d3 >> 4) - HighMul(sums[3], m.m3);
  const uint32_t change02 =
      dsp::LowHalves(static_cast<uint32_t>(e0 >> 8), static_cast<uint32_t>(e2 >> 8));
  const uint32_t change13 =
      dsp::LowHalves(static_cast<uint32_t>(e1 >> 8), static_cast<uint32_t>(e3 >> 8));
  constexpr uint32_t kNibbles = 0x000f000f, kSigns = 0x00080008;
  const uint32_t weights = dsp::LoadWord(w);
  uint16_t packed;
  std::memcpy(&packed, r, sizeof(packed));
  // A nibble with its sign flipped is the residual plus 8.
  const uint32_t nibbles = packed | static_cast<uint32_t>(packed) << 8;
  const uint32_t residual02 = (nibbles & kNibbles) ^ kSigns;
  const uint32_t residual13 = (nibbles >> 4 & kNibbles) ^ kSigns;
  const auto sixteenths = [](int32_t bytes, uint32_t residual) {
    // A factor of 16 in each half: what the lower one's sign leaves above is cut off.
    const uint32_t shifted = static_cast<uint32_t>(bytes) << 4 & 0xfff0fff0;
    return shifted + residual;
  };
  const uint32_t even = StepSixteenths(sixteenths(dsp::Bytes02(weights), residual02), change02);
  const uint32_t odd = StepSixteenths(sixteenths(dsp::Bytes13(weights), residual13), change13);
  const uint32_t low = (even & kNibbles) | (odd & kNibbles) << 4;
  packed = static_cast<uint16_t>(low | low >> 8);
  std::memcpy(r, &packed, sizeof(packed));
  // W = (v + 8) >> 4 is the high byte of 16 * (v + 8).
  const uint32_t even_w = static_cast<uint32_t>(__qadd16(static_cast<int32_t>(even), 0x00180018))
                          << 4;
  const uint32_t odd_w = static_cast<uint32_t>(__qadd16(static_cast<int32_t>(odd), 0x00180018))
                         << 4;
  dsp::StoreWord(w, (even_w >> 8 & 0x00ff00ff) | (odd_w & 0xff00ff00));
}

}  // namespace tflm_train

#endif  // TFLM_KERNELS_ARCH_STEP_DSP_H_
