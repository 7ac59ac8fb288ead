// Steps of four weights with Helium.

#ifndef TFLM_KERNELS_ARCH_STEP_MVE_H_
#define TFLM_KERNELS_ARCH_STEP_MVE_H_

#include <arm_mve.h>

#include <cstdint>

#define TFLM_TRAIN_STEP_FOUR

namespace tflm_train {

// |HighMul(2^31, m)| is at most 65535, and 2^20.
constexpr int32_t kMaxNearestMultiplier = 131070;
constexpr int32_t kMaxRandomMultiplier = 1 << 21;

// The multipliers of four weights, with the gain.
struct StepMultipliers {
  StepMultipliers(const int32_t* m, int32_t stride, int gain_shift)
      : m(vshlq_r_s32(stride == 0 ? vdupq_n_s32(*m) : vld1q_s32(m), gain_shift)) {}

  int32x4_t m;
};

inline int32x4_t ClampTo(int32x4_t v, int32_t limit) {
  return vmaxq_s32(vminq_s32(v, vdupq_n_s32(limit)), vdupq_n_s32(-limit));
}

inline void StepFourNearest(const int32_t* sums, const StepMultipliers& m, int8_t* w, int8_t* r) {
  const int32x4_t delta = vrmulhq_s32(vld1q_s32(sums), m.m);
  int32x4_t t = vaddq_s32(vshlq_n_s32(vldrbq_s32(w), 8), vldrbq_s32(r));
  t = ClampTo(vsubq_s32(t, delta), 127 * 256);
  // W = (t + 128) >> 8, R the low byte of t.
  vstrbq_s32(w, vrshrq_n_s32(t, 8));
  vstrbq_s32(r, t);
}

inline void StepFourRandom(const int32_t* sums, const StepMultipliers& m, uint32_t key,
                           uint32_t pair, int8_t* w) {
  const uint32_t hash01 = Hash(key ^ pair);
  const uint32_t hash23 = Hash(key ^ (pair + 1));
  const uint32x4_t dither = {hash01 & 0xfff, hash01 >> 16 & 0xfff, hash23 & 0xfff,
                             hash23 >> 16 & 0xfff};
  const int32x4_t delta = vrmulhq_s32(vld1q_s32(sums), m.m);
  int32x4_t t = vsubq_s32(vreinterpretq_s32_u32(dither), delta);
  // (4096 * W + t) >> 12
  t = ClampTo(vaddq_s32(vshrq_n_s32(t, 12), vldrbq_s32(w)), 127);
  vstrbq_s32(w, t);
}

}  // namespace tflm_train

#endif  // TFLM_KERNELS_ARCH_STEP_MVE_H_
