// Steps of four weights with the DSP extension. Only for weight_stepper.h.

#ifndef TFLM_KERNELS_ARCH_STEP_DSP_H_
#define TFLM_KERNELS_ARCH_STEP_DSP_H_

#include <arm_acle.h>

#include <cstdint>
#include <cstring>

#include "tflm_kernels/arch/dsp.h"
#include "tflm_kernels/arch/features.h"
#include "tflm_kernels/numerics.h"

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

// Four int8 sums, saturated.
inline uint32_t AddSaturated(uint32_t a, uint32_t b) {
  uint32_t sums;
  asm("qadd8 %0, %1, %2" : "=r"(sums) : "r"(a), "r"(b));
  return sums;
}
constexpr uint32_t kOnes = 0x01010101;

inline void StepFourNearest(const int32_t* sums, const StepMultipliers& m, int8_t* w, int8_t* r) {
  const uint32_t even_mask = 0x00ff00ff;
  const int gain = m.gain_shift;
  const uint32_t weights = dsp::LoadWord(w);
  const uint32_t residuals = dsp::LoadWord(r);
  const uint32_t delta02 =
      dsp::Pack(Delta(sums[0], gain, m.m0, -128), Delta(sums[2], gain, m.m2, -128));
  const uint32_t delta13 =
      dsp::Pack(Delta(sums[1], gain, m.m1, -128), Delta(sums[3], gain, m.m3, -128));
  // t = 256 * W + R - 128 + delta in pairs of int16: R is the low byte of t, plus 128; W the
  // high one, plus 1.
  const uint32_t even = static_cast<uint32_t>(
      __qadd16(AddBytes02(weights << 8 & ~even_mask, residuals), static_cast<int32_t>(delta02)));
  const uint32_t odd = static_cast<uint32_t>(
      __qadd16(AddBytes13(weights & ~even_mask, residuals), static_cast<int32_t>(delta13)));
  dsp::StoreWord(r, ((even & even_mask) | (odd & even_mask) << 8) ^ 0x80808080u);
  dsp::StoreWord(w, AddSaturated((even >> 8 & even_mask) | (odd & ~even_mask), kOnes));
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
  const int gain = m.gain_shift;
  const int32_t e0 = Delta(sums[0], gain, m.m0, dither.d0 >> 4);
  const int32_t e1 = Delta(sums[1], gain, m.m1, dither.d1 >> 4);
  const int32_t e2 = Delta(sums[2], gain, m.m2, dither.d2 >> 4);
  const int32_t e3 = Delta(sums[3], gain, m.m3, dither.d3 >> 4);
  const uint32_t change02 =
      dsp::LowHalves(static_cast<uint32_t>(e0 >> 12), static_cast<uint32_t>(e2 >> 12));
  const uint32_t change13 =
      dsp::LowHalves(static_cast<uint32_t>(e1 >> 12), static_cast<uint32_t>(e3 >> 12));
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
