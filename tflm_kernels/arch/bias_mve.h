// Steps of biases with Helium. Only for bias_stepper.h and update.cc.

#ifndef TFLM_KERNELS_ARCH_BIAS_MVE_H_
#define TFLM_KERNELS_ARCH_BIAS_MVE_H_

#include <arm_mve.h>

#include <cstdint>

#include "tflm_kernels/arch/step_mve.h"
#include "tflm_kernels/spec/numerics.h"

namespace tflm_train {
namespace mve {

constexpr int kColumns = 8;

// Sums of eight channels over all pixels, `stride` bytes apart.
inline Eight SumColumns(const int8_t* pixel, int32_t stride, int32_t pixels) {
  // FAST-PATH-BOUND: byte-sums
  constexpr int32_t kPart = 256;  // 128 * 256 fits int16
  Eight sums = {vdupq_n_s32(0), vdupq_n_s32(0)};
  for (; pixels > 0; pixels -= kPart) {
    int16x8_t part = vdupq_n_s16(0);
#pragma GCC unroll 4
    for (int32_t n = pixels < kPart ? pixels : kPart; n > 0; --n, pixel += stride) {
      part = vaddq_s16(part, vldrbq_s16(pixel));
    }
    sums.even = vaddq_s32(sums.even, vmovlbq_s16(part));
    sums.odd = vaddq_s32(sums.odd, vmovltq_s16(part));
  }
  return sums;
}

#if defined(__ARM_FP)
// Rounds sum * (base * kb) of four channels as RoundNear does. Scalar floats are what the
// numerics are defined with: vectors of them flush to zero.
TFLM_TRAIN_INLINE int32x4_t BiasSteps(int32x4_t sums, int32x4_t kb, float base) {
  register int32x4_t steps asm("q0") = sums;
  register int32x4_t factors asm("q1") = kb;
  register float factor asm("s8") = base;
  asm("vmul.f32 s4, s4, s8\n\t"
      "vmul.f32 s5, s5, s8\n\t"
      "vmul.f32 s6, s6, s8\n\t"
      "vmul.f32 s7, s7, s8\n\t"
      "vcvt.f32.s32 s0, s0\n\t"
      "vcvt.f32.s32 s1, s1\n\t"
      "vcvt.f32.s32 s2, s2\n\t"
      "vcvt.f32.s32 s3, s3\n\t"
      "vmul.f32 s0, s0, s4\n\t"
      "vmul.f32 s1, s1, s5\n\t"
      "vmul.f32 s2, s2, s6\n\t"
      "vmul.f32 s3, s3, s7\n\t"
      "vcvta.s32.f32 s0, s0\n\t"
      "vcvta.s32.f32 s1, s1\n\t"
      "vcvta.s32.f32 s2, s2\n\t"
      "vcvta.s32.f32 s3, s3"
      : "+w"(steps), "+w"(factors)
      : "t"(factor));
  return steps;
}

// Steps the biases of every second of eight channels.
TFLM_TRAIN_INLINE void StepFourBiases(int32x4_t steps, uint32x4_t at, int32_t limit,
                                      int32_t* bias) {
  int32x4_t b = vqsubq_s32(vldrwq_gather_offset_s32(bias, at), steps);
  b = vmaxq_s32(vminq_s32(b, vdupq_n_s32(limit)), vdupq_n_s32(-limit));
  vstrwq_scatter_offset_p_s32(bias, at, b, vcmpneq_n_s32(steps, 0));
}

// Steps the biases of eight channels whose gradients sum up to `sums`, within +-limit. Returns
// false, and leaves them, where a step saturates.
TFLM_TRAIN_INLINE bool StepBiases(const Eight& sums, float base, const float* kb, int32_t limit,
                                  int32_t* bias) {
  const uint32x4_t at = vidupq_n_u32(0, 8);
  const int32_t* const factors = reinterpret_cast<const int32_t*>(kb);
  const int32x4_t even = BiasSteps(sums.even, vldrwq_gather_offset_s32(factors, at), base);
  const int32x4_t odd = BiasSteps(sums.odd, vldrwq_gather_offset_s32(factors + 1, at), base);
  const uint32_t largest = vmaxavq_s32(vmaxavq_s32(0, even), odd);
  if (__builtin_expect(largest > static_cast<uint32_t>(kRoundsNear), 0)) return false;
  StepFourBiases(even, at, limit, bias);
  StepFourBiases(odd, at, limit, bias + 1);
  return true;
}
#else
inline bool StepBiases(const Eight&, float, const float*, int32_t, int32_t*) { return false; }
#endif

}  // namespace mve
}  // namespace tflm_train

#endif  // TFLM_KERNELS_ARCH_BIAS_MVE_H_
