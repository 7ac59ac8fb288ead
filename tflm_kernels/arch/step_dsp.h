// Steps of four weights with the DSP extension. Only for weight_stepper.h.

#ifndef TFLM_KERNELS_ARCH_STEP_DSP_H_
#define TFLM_KERNELS_ARCH_STEP_DSP_H_

#include <arm_acle.h>

#include <cstdint>
#include <cstring>

#include "tflm_kernels/arch/dsp.h"
#include "tflm_kernels/arch/features.h"
#include "tflm_kernels/spec/numerics.h"

#define TFLM_TRAIN_STEP_FOUR

namespace tflm_train {

// The multipliers of four weights.
struct StepMultipliers {
  StepMultipliers(const int32_t* m, int32_t stride, int shift)
      : m0(m[0]), m1(m[stride]), m2(m[2 * stride]), m3(m[3 * stride]), gain_shift(shift) {}

  int32_t m0, m1, m2, m3;
  int gain_shift;
};

// HighMul(sum << gain, m) + more.
TFLM_TRAIN_INLINE int32_t Delta(int32_t sum, int gain_shift, int32_t m, int32_t more) {
  int32_t delta;
  asm("smmlar %0, %1, %2, %3" : "=r"(delta) : "r"(ShiftLeft(sum, gain_shift)), "r"(m), "r"(more));
  return delta;
}

// Four int8 sums, saturated.
inline uint32_t AddSaturated(uint32_t a, uint32_t b) {
  uint32_t sums;
  asm("qadd8 %0, %1, %2" : "=r"(sums) : "r"(a), "r"(b));
  return sums;
}
constexpr uint32_t kOnes = 0x01010101;
// Two whole steps of weights, in 256ths.
constexpr uint32_t kWholeSteps = 0x01000100;

inline void StepFourNearest(const int32_t* sums, const StepMultipliers& m, int8_t* w, int8_t* r) {
  const uint32_t even_mask = 0x00ff00ff;
  const int gain = m.gain_shift;
  const uint32_t weights = dsp::LoadWord(w);
  const uint32_t residuals = dsp::LoadWord(r);
  const uint32_t delta02 =
      dsp::Pack(Delta(sums[0], gain, m.m0, -128), Delta(sums[2], gain, m.m2, -128));
  const uint32_t delta13 =
      dsp::Pack(Delta(sums[1], gain, m.m1, -128), Delta(sums[3], gain, m.m3, -128));
  // t = 256 * W + R + 128 + delta in pairs of int16, once 256 less, once 256 more, so that it
  // saturates at both ends where W and R do: R is the low byte of t, less 128; W the high one.
  const uint32_t even =
      static_cast<uint32_t>(__qadd16(__qadd16(dsp::AddBytes02(weights << 8 & ~even_mask, residuals),
                                              static_cast<int32_t>(delta02)),
                                     kWholeSteps));
  const uint32_t odd = static_cast<uint32_t>(__qadd16(
      __qadd16(dsp::AddBytes13(weights & ~even_mask, residuals), static_cast<int32_t>(delta13)),
      kWholeSteps));
  dsp::StoreWord(r, ((even & even_mask) | (odd & even_mask) << 8) ^ 0x80808080u);
  dsp::StoreWord(w, (even >> 8 & even_mask) | (odd & ~even_mask));
}

// Four weights' random numbers in [0, 65536).
struct Dithers {
  int32_t d0, d1, d2, d3;
};

inline void StepFourRandom(const int32_t* sums, const StepMultipliers& m, const Dithers& dither,
                           int8_t* w) {
  // One weight less: adding it again with saturation keeps -128 away.
  constexpr int32_t kLess = -65536;
  const int gain = m.gain_shift;
  const int32_t e0 = Delta(sums[0], gain, m.m0, dither.d0 + kLess);
  const int32_t e1 = Delta(sums[1], gain, m.m1, dither.d1 + kLess);
  const int32_t e2 = Delta(sums[2], gain, m.m2, dither.d2 + kLess);
  const int32_t e3 = Delta(sums[3], gain, m.m3, dither.d3 + kLess);
  const uint32_t change02 =
      dsp::HighHalves(static_cast<uint32_t>(e0), static_cast<uint32_t>(e2)) & 0x00ff00ff;
  const uint32_t change13 =
      dsp::HighHalves(static_cast<uint32_t>(e1), static_cast<uint32_t>(e3)) & 0x00ff00ff;
  const uint32_t weights = AddSaturated(dsp::LoadWord(w), change02 | change13 << 8);
  dsp::StoreWord(w, AddSaturated(weights, kOnes));
}

// Two weights and residuals of four bits: t in 256ths of a weight, from weights in 256ths and
// the rest; clamped to +-2032 sixteenths, less 256.
inline uint32_t StepSixteenths(uint32_t weights, int32_t rest) {
  const int32_t t = __qadd16(rest, static_cast<int32_t>(weights));
  // By saturating at 2047 sixteenths above and -2048 below.
  return static_cast<uint32_t>(__qsub16(__qadd16(t, 0x00f000f0), 0x01f001f0));
}

// The same with residuals of four bits, two to a byte.
inline void StepFourSixteenths(const int32_t* sums, const StepMultipliers& m, const Dithers& dither,
                               int8_t* w, uint8_t* r) {
  constexpr uint32_t kNibbles = 0x00f000f0, kHigh = 0xff00ff00;
  const int gain = m.gain_shift;
  const int32_t e0 = Delta(sums[0], gain, m.m0, dither.d0 >> 4);
  const int32_t e1 = Delta(sums[1], gain, m.m1, dither.d1 >> 4);
  const int32_t e2 = Delta(sums[2], gain, m.m2, dither.d2 >> 4);
  const int32_t e3 = Delta(sums[3], gain, m.m3, dither.d3 >> 4);
  const uint32_t change02 = dsp::Pack(e0 >> 8, e2 >> 8);
  const uint32_t change13 = dsp::Pack(e1 >> 8, e3 >> 8);
  const uint32_t weights = dsp::LoadWord(w);
  uint16_t packed;
  std::memcpy(&packed, r, sizeof(packed));
  const uint32_t nibbles = packed | static_cast<uint32_t>(packed) << 8;
  const uint32_t even =
      StepSixteenths(weights << 8 & kHigh, dsp::AddBytes02(change02, nibbles << 4 & kNibbles));
  const uint32_t odd =
      StepSixteenths(weights & kHigh, dsp::AddBytes02(change13, nibbles & kNibbles));
  const uint32_t low = (even & kNibbles) >> 4 | (odd & kNibbles);
  packed = static_cast<uint16_t>(low | low >> 8);
  std::memcpy(r, &packed, sizeof(packed));
  // The nearest whole weight is the high byte of t + 128.
  const auto nearest = [](uint32_t t) {
    return static_cast<uint32_t>(__qadd16(static_cast<int32_t>(t), 0x01800180));
  };
  dsp::StoreWord(w, (nearest(even) >> 8 & ~kHigh) | (nearest(odd) & kHigh));
}

}  // namespace tflm_train

#endif  // TFLM_KERNELS_ARCH_STEP_DSP_H_
