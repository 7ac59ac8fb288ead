// Float operations of cores without an FPU, in integers: the same bits as from the compiler's
// library, in a fraction of its instructions, as the ranges are known. On other cores only tests
// call them.

#ifndef TFLM_KERNELS_ARCH_SOFT_FLOAT_H_
#define TFLM_KERNELS_ARCH_SOFT_FLOAT_H_

#include <cstdint>
#include <cstring>

#include "tflm_kernels/arch/features.h"

namespace tflm_train {
namespace soft {

constexpr uint32_t kHidden = 1u << 23;  // the leading bit of a significand
constexpr uint32_t kInfinity = 0xffu << 23;
constexpr int kExponentBias = 150;  // of significands as whole numbers

inline uint32_t BitsOf(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof(bits));
  return bits;
}

inline float FloatOf(uint32_t bits) {
  float x;
  std::memcpy(&x, &bits, sizeof(x));
  return x;
}

// Half away from zero. Saturates at +-(2^31 - 1); NaN gives 0.
inline int32_t RoundToInt32(float x) {
  const uint32_t bits = BitsOf(x), magnitude = bits & 0x7fffffffu;
  const int shift = kExponentBias - static_cast<int>(magnitude >> 23);
  if (shift > 24 || magnitude > kInfinity) return 0;
  int32_t rounded = INT32_MAX;
  if (magnitude < 0x4effffffu) {
    const uint32_t significand = (magnitude & (kHidden - 1)) | kHidden;
    rounded = static_cast<int32_t>(shift <= 0 ? significand << -shift
                                              : ((significand >> (shift - 1)) + 1) >> 1);
  }
  return bits >> 31 != 0 ? -rounded : rounded;
}

// significand * 2^exponent, 2^23 <= significand < 2^24.
struct Positive {
  uint32_t significand;
  int exponent;
};

inline Positive PositiveOf(float x) {
  const uint32_t bits = BitsOf(x);
  return {(bits & (kHidden - 1)) | kHidden, static_cast<int>(bits >> 23) - kExponentBias};
}

// A number and what follows its last bit, in 2^-32: to nearest, half to even.
constexpr uint32_t RoundHalfEven(uint32_t whole, uint32_t rest) {
  return whole + (rest > 0x80000000u || (rest == 0x80000000u && (whole & 1) != 0));
}

// a * b * 2^exponent, rounded; 2^23 <= b <= 2^24. Not inlined: it is all that takes room.
__attribute__((noinline)) inline Positive Product(const Positive& a, uint32_t b, int exponent) {
  // The upper 32 of 48 bits, the last of which is set where one below is.
  uint32_t high, low;
  if (kHasLongMultiply) {
    const uint64_t product = static_cast<uint64_t>(a.significand) * b;
    high = static_cast<uint32_t>(product >> 16);
    low = static_cast<uint32_t>(product) & 0xffff;
  } else {
    const uint32_t a_low = a.significand & 0xffff, a_high = a.significand >> 16;
    const uint32_t b_low = b & 0xffff, b_high = b >> 16;
    low = a_low * b_low;
    high = (a_high * b_high << 16) + a_low * b_high + a_high * b_low + (low >> 16);
    low &= 0xffff;
  }
  const int shift = 7 + static_cast<int>(high >> 31);
  const uint32_t rounded = RoundHalfEven(high >> shift, high << (32 - shift) | (low != 0));
  const int carry = static_cast<int>(rounded >> 24);
  return {rounded >> carry, a.exponent + exponent + 16 + shift + carry};
}

// 2^-t, t >= 0: see Exp2Neg.
inline float Exp2Neg(float t, const float* reciprocals) {
  const uint32_t bits = BitsOf(t) & 0x7fffffffu;  // -0 is 0
  if (bits >= BitsOf(125.0f)) return 0.0f;
  // What is taken from 1 is less than half of its last bit.
  if (bits < uint32_t{127 - 40} << 23) return 1.0f;
  Positive fraction = PositiveOf(t);
  uint32_t whole = 0;
  if (fraction.exponent > -24) {
    whole = fraction.significand >> -fraction.exponent;
    fraction.significand -= whole << -fraction.exponent;
  }
  uint32_t r = 2 * kHidden;  // in 2^-24: all that is subtracted from 1 leaves multiples of it
  if (fraction.significand != 0) {
    for (; fraction.significand < kHidden; --fraction.exponent) fraction.significand *= 2;
    const Positive ln2 = PositiveOf(0.69314718f);
    const Positive z = Product(fraction, ln2.significand, ln2.exponent);
    for (int k = 7; k >= 1; --k) {
      const Positive by = PositiveOf(reciprocals[k - 1]);
      const Positive y = Product(Product(z, by.significand, by.exponent), r, -24);
      const int shift = -24 - y.exponent;
      r = 2 * kHidden;
      if (shift == 0) {
        r -= y.significand;
      } else if (shift <= 24) {
        r -= RoundHalfEven(y.significand >> shift, y.significand << (32 - shift));
      }
    }
  }
  // The leading bit of r counts in the exponent, also where it is 1.
  int exponent = 126 - static_cast<int>(whole);
  for (; r < kHidden; --exponent) r *= 2;
  return FloatOf((static_cast<uint32_t>(exponent) << 23) + (r - kHidden));
}

}  // namespace soft
}  // namespace tflm_train

#endif  // TFLM_KERNELS_ARCH_SOFT_FLOAT_H_
