// The arithmetic primitives of docs/NUMERICS.md, section 1. They are bit-exact
// on every target: integers in two's complement, floats in IEEE single
// precision with one rounding per written operation and nothing from the
// platform's libm.

#ifndef TFLM_KERNELS_SPEC_NUMERICS_H_
#define TFLM_KERNELS_SPEC_NUMERICS_H_

#include <cstdint>
#include <cstring>

#include "tflm_kernels/arch/features.h"
#include "tflm_kernels/arch/soft_float.h"

namespace tflm_train {

// a / 2^n, half up; 0 <= n <= 31.
constexpr int32_t RoundShift(int32_t a, int n) {
  return n == 0 ? a : (a >> n) + ((a >> (n - 1)) & 1);
}

// The same of 64 bits, 1 <= n; the result must fit.
constexpr int32_t RoundShift64(int64_t a, int n) {
  return static_cast<int32_t>((a + (int64_t{1} << (n - 1))) >> n);
}

// Upper 32 bits of the product, rounded half up.
inline int32_t HighMul(int32_t a, int32_t b) {
#if defined(TFLM_TRAIN_DSP)
  int32_t high;
  asm("smmulr %0, %1, %2" : "=r"(high) : "r"(a), "r"(b));
  return high;
#elif defined(TFLM_TRAIN_V6M)
  // Of halves: half as long as the library's 64-bit product.
  const int32_t a_low = a & 0xffff, a_high = a >> 16, b_low = b & 0xffff, b_high = b >> 16;
  const uint32_t low = static_cast<uint32_t>(a_low) * static_cast<uint32_t>(b_low);
  const int32_t first = a_low * b_high + static_cast<int32_t>(low >> 16);
  const int32_t second = a_high * b_low + (first & 0xffff);
  return a_high * b_high + (first >> 16) + RoundShift(second, 16);
#else
  return static_cast<int32_t>((static_cast<int64_t>(a) * b + (int64_t{1} << 31)) >> 32);
#endif
}

// a << n without undefined behaviour for negative a. The result must fit.
constexpr int32_t ShiftLeft(int32_t a, int n) {
  return static_cast<int32_t>(static_cast<uint32_t>(a) << n);
}

// a + b and a * b modulo 2^32: sums of what no trained model holds may be beyond int32, and are
// then the same bits on every core.
constexpr int32_t WrapAdd(int32_t a, int32_t b) {
  return static_cast<int32_t>(static_cast<uint32_t>(a) + static_cast<uint32_t>(b));
}
constexpr int32_t WrapMul(int32_t a, int32_t b) {
  return static_cast<int32_t>(static_cast<uint32_t>(a) * static_cast<uint32_t>(b));
}

// TFLM's requantisation with double rounding: a * m * 2^(shift - 31), 0 <= m. Its
// first rounding (to nearest by a truncating division) is the floor below for
// products of either sign; its second is to nearest, half away from zero.
constexpr int32_t Requantize(int32_t a, int32_t m, int shift) {
  const int64_t product = static_cast<int64_t>(ShiftLeft(a, shift > 0 ? shift : 0)) * m;
  const int32_t high = static_cast<int32_t>((product + (int64_t{1} << 30)) >> 31);
  if (shift >= 0) return high;
  // high > -2^31, because m < 2^31.
  const int32_t toward = high + (high >> 31);
  return ((toward >> (-shift - 1)) + 1) >> 1;
}

// The same of |a| < 2^30 and shift < 0, without 64 bits where the core can.
TFLM_TRAIN_INLINE int32_t RequantizeSmall(int32_t a, int32_t m, int shift) {
  const int32_t high = HighMul(2 * a, m);
  const int32_t toward = high + (high >> 31);
  return ((toward >> (-shift - 1)) + 1) >> 1;
}

// lowbias32: a counter becomes uniform bits.
constexpr uint32_t Hash(uint32_t x) {
  x ^= x >> 16;
  x *= 0x7feb352du;
  x ^= x >> 15;
  x *= 0x846ca68bu;
  x ^= x >> 16;
  return x;
}

// Along a row of weights, random numbers are multiples of the golden ratio of 2^16.
constexpr uint32_t kDitherStep = 0x9E37;

// The square root, rounded down.
constexpr uint32_t Sqrt(uint32_t x) {
  uint32_t root = 0;
  for (uint32_t bit = uint32_t{1} << 15; bit != 0; bit >>= 1) {
    const uint32_t larger = root | bit;
    if (larger * larger <= x) root = larger;
  }
  return root;
}

// The largest magnitude of a trained bias: headroom for the int32 sum it is added to.
constexpr int32_t kMaxBias = 1 << 30;

constexpr int32_t ClampBias(int64_t bias) {
  return static_cast<int32_t>(bias > kMaxBias ? kMaxBias : bias < -kMaxBias ? -kMaxBias : bias);
}

// Ends a float operation. A compiler that contracts `a * b + c` into a fused
// multiply-add (GCC's default for C++ on cores that have one) rounds once where
// the specification rounds twice. -ffp-contract=off forbids it, but an Arduino
// sketch has no say in its flags, so every product that meets an addition, and
// every float that enters a routine which adds to it, passes through here.
inline float Rounded(float x) {
  volatile float stored = x;
  return stored;
}

// 2^e, -126 <= e <= 127.
inline float PowerOfTwo(int e) {
  const uint32_t bits = static_cast<uint32_t>(e + 127) << 23;
  float value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

inline int32_t RoundToInt32InSteps(float x) {
  if (x != x) return 0;
  if (x >= 2147483520.0f) return INT32_MAX;
  if (x <= -2147483520.0f) return -INT32_MAX;
  const int32_t r = static_cast<int32_t>(x);
  const float fraction = x - static_cast<float>(r);
  return fraction >= 0.5f ? r + 1 : fraction <= -0.5f ? r - 1 : r;
}

// The largest magnitude up to which rounding does not saturate.
constexpr int32_t kRoundsNear = 2147483392;

#if defined(TFLM_TRAIN_MVE) && defined(__ARM_FP)
// Half away from zero; beyond +-kRoundsNear where `value` is, NaN gives 0. Ends the operation
// that `value` comes from, too.
inline int32_t RoundNear(float value) {
  float converted;
  asm("vcvta.s32.f32 %0, %1" : "=t"(converted) : "t"(value));
  int32_t rounded;
  std::memcpy(&rounded, &converted, sizeof(rounded));
  return rounded;
}
#endif

// Half away from zero. Saturates at +-(2^31 - 1); NaN gives 0.
inline int32_t RoundToInt32(float value) {
#if defined(TFLM_TRAIN_MVE) && defined(__ARM_FP)
  const int32_t rounded = RoundNear(value);
  if (__builtin_expect(rounded <= kRoundsNear && rounded >= -kRoundsNear, 1)) return rounded;
#endif
#if defined(TFLM_TRAIN_SOFT_FLOAT)
  return soft::RoundToInt32(value);
#else
  return RoundToInt32InSteps(Rounded(value));
#endif
}

// 2 * x, rounded toward zero; saturates.
TFLM_TRAIN_INLINE int32_t HalvesTowardZero(float x) {
#if defined(TFLM_TRAIN_DSP) && defined(__ARM_FP)
  int32_t halves;
  asm("vcvt.s32.f32 %1, %1, #1\n\tvmov %0, %1" : "=r"(halves), "+t"(x));
  return halves;
#else
  x = Rounded(2.0f * x);
  if (x != x) return 0;
  return x >= 2147483648.0f ? INT32_MAX : x <= -2147483648.0f ? INT32_MIN : static_cast<int32_t>(x);
#endif
}

// RoundToInt32 where the result is below 2^30; where it is not, this is not either.
TFLM_TRAIN_INLINE int32_t RoundBelow30Bits(float x) {
  const int32_t halves = HalvesTowardZero(x);
  const uint32_t up = static_cast<uint32_t>(halves) + 1 + static_cast<uint32_t>(halves >> 31);
  return static_cast<int32_t>(up) >> 1;
}

// 2^-t, t >= 0: the Taylor series of exp over the fractional part.
inline float Exp2Neg(float t) {
  static constexpr float kReciprocal[] = {1.0f,        1.0f / 2.0f, 1.0f / 3.0f, 1.0f / 4.0f,
                                          1.0f / 5.0f, 1.0f / 6.0f, 1.0f / 7.0f};
#if defined(TFLM_TRAIN_SOFT_FLOAT)
  return soft::Exp2Neg(t, kReciprocal);
#else
  const float x = Rounded(t);
  if (x >= 125.0f) return 0.0f;
  const int n = static_cast<int>(x);
  const float z = Rounded((x - static_cast<float>(n)) * 0.69314718f);
  float r = 1.0f;
  for (int k = 7; k >= 1; --k) r = 1.0f - Rounded(Rounded(z * kReciprocal[k - 1]) * r);
  return r * PowerOfTwo(-n);
#endif
}

// Natural logarithm, x >= 1 and finite: ln(2^e * m) with the series of 2
// artanh(u), u = (m - 1) / (m + 1).
inline float Log(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof(bits));
  const int e = static_cast<int>(bits >> 23) - 127;
  bits = (bits & 0x007fffffu) | 0x3f800000u;
  float m;
  std::memcpy(&m, &bits, sizeof(m));
  const float u = (m - 1.0f) / (m + 1.0f);
  const float w = Rounded(u * u);
  float p = 1.0f / 11.0f;
  p = Rounded(p * w) + 1.0f / 9.0f;
  p = Rounded(p * w) + 1.0f / 7.0f;
  p = Rounded(p * w) + 1.0f / 5.0f;
  p = Rounded(p * w) + 1.0f / 3.0f;
  p = Rounded(p * w) + 1.0f;
  return Rounded(static_cast<float>(e) * 0.69314718f) + Rounded((2.0f * u) * p);
}

}  // namespace tflm_train

#endif  // TFLM_KERNELS_SPEC_NUMERICS_H_
