// The inner loops of the forward layers with Helium. Only for forward_ops.h. Patches
// are the int8 themselves, one pixel's after the other's; the offset comes in by the
// sum of the weights.

#ifndef TFLM_KERNELS_ARCH_FORWARD_MVE_H_
#define TFLM_KERNELS_ARCH_FORWARD_MVE_H_

#include <arm_mve.h>

#include <cstdint>

#include "tflm_kernels/forward_ops.h"

namespace tflm_train {

constexpr bool kRawPatches = true;

inline void FillPatch(const int8_t* from, int32_t n, int32_t pixel, int32_t first,
                      const Patches& patches) {
  int8_t* const to = static_cast<int8_t*>(patches.data) + pixel * patches.depth + first;
  for (int32_t i = 0; i < n; i += 16) {
    const mve_pred16_t live = vctp8q(static_cast<uint32_t>(n - i));
    vstrbq_p_s8(to + i, vldrbq_z_s8(from + i, live), live);
  }
}

// Of two pixels and four output channels.
struct TileSums {
  int32x4_t p0, p1;
  int32x4_t weights;  // their own sums
};

// Puts two words into the lower or the upper half of v.
template <bool kUpper>
inline int32x4_t WithHalf(int32x4_t v, int32_t first, int32_t second) {
  if (kUpper) {
    asm("vmov %f0, %1, %2" : "+w"(v) : "r"(first), "r"(second));
  } else {
    asm("vmov %e0, %1, %2" : "+w"(v) : "r"(first), "r"(second));
  }
  return v;
}

// Puts the sums of two output channels into the lower or the upper half.
template <bool kUpper>
inline TileSums SumTwoChannels(const Patches& patches, const int8_t* w0, const int8_t* w1,
                               const TileSums& sums) {
  const int8_t* a0 = static_cast<const int8_t*>(patches.data);
  const int8_t* a1 = a0 + patches.depth;
  int32_t s00, s01, s10, s11, sum0, sum1;
  register int32_t n asm("lr") = patches.depth;
  // By hand: compilers make no loops with tail predication of intrinsics.
  asm("mov %[s00], #0\n\t"
      "mov %[s01], #0\n\t"
      "mov %[s10], #0\n\t"
      "mov %[s11], #0\n\t"
      "mov %[sum0], #0\n\t"
      "mov %[sum1], #0\n\t"
      "dlstp.8 lr, lr\n"
      "1:\n\t"
      "vldrb.8 q0, [%[a0]], #16\n\t"
      "vldrb.8 q2, [%[w0]], #16\n\t"
      "vmladava.s8 %[s00], q0, q2\n\t"
      "vldrb.8 q3, [%[w1]], #16\n\t"
      "vmladava.s8 %[s01], q0, q3\n\t"
      "vldrb.8 q1, [%[a1]], #16\n\t"
      "vmladava.s8 %[s10], q1, q2\n\t"
      "vaddva.s8 %[sum0], q2\n\t"
      "vmladava.s8 %[s11], q1, q3\n\t"
      "vaddva.s8 %[sum1], q3\n\t"
      "letp lr, 1b"
      : [a0] "+r"(a0), [a1] "+r"(a1), [w0] "+r"(w0), [w1] "+r"(w1), [s00] "=&Te"(s00),
        [s01] "=&Te"(s01), [s10] "=&Te"(s10), [s11] "=&Te"(s11), [sum0] "=&Te"(sum0),
        [sum1] "=&Te"(sum1), [n] "+r"(n)
      :
      : "q0", "q1", "q2", "q3", "cc", "memory");
  return {WithHalf<kUpper>(sums.p0, s00, s01), WithHalf<kUpper>(sums.p1, s10, s11),
          WithHalf<kUpper>(sums.weights, sum0, sum1)};
}

inline TwoByTwo DotTwoByTwo(const Patches& patches, const int8_t* w0, const int8_t* w1,
                            TwoByTwo sums) {
  const int32x4_t zeros = vdupq_n_s32(0);
  const TileSums raw = SumTwoChannels<false>(patches, w0, w1, {zeros, zeros, zeros});
  const int32x4_t offset = vmulq_n_s32(raw.weights, patches.offset);
  const int32x4_t p0 = vsubq_s32(raw.p0, offset), p1 = vsubq_s32(raw.p1, offset);
  return {sums.s00 + vgetq_lane_s32(p0, 0), sums.s01 + vgetq_lane_s32(p0, 1),
          sums.s10 + vgetq_lane_s32(p1, 0), sums.s11 + vgetq_lane_s32(p1, 1)};
}

// Of values that do not matter.
inline int32x4_t AnyVector() {
  int32x4_t v;
  asm("" : "=w"(v));
  return v;
}

// Adds the sums of four output channels.
inline void AddTile(const Patches& patches, const int8_t* weights, int32x4_t* p0, int32x4_t* p1) {
  const int32_t depth = patches.depth;
  const TileSums any = {AnyVector(), AnyVector(), AnyVector()};
  const TileSums half = SumTwoChannels<false>(patches, weights, weights + depth, any);
  const int8_t* const others = weights + 2 * depth;
  const TileSums raw = SumTwoChannels<true>(patches, others, others + depth, half);
  const int32x4_t offset = vmulq_n_s32(raw.weights, patches.offset);
  *p0 = vaddq_s32(*p0, vsubq_s32(raw.p0, offset));
  *p1 = vaddq_s32(*p1, vsubq_s32(raw.p1, offset));
}

inline void DepthwiseSums(const DepthwiseTap* taps, int32_t count, int32_t offset,
                          int32_t multiplier, int32_t n, int32_t* acc) {
  for (int32_t c = 0; c < n && multiplier == 1; c += 4) {
    const mve_pred16_t live = vctp32q(static_cast<uint32_t>(n - c));
    int32x4_t sums = vldrwq_z_s32(acc + c, live);
    for (int32_t k = 0; k < count; ++k) {
      const int32x4_t x = vldrbq_z_s32(taps[k].pixel + c, live);
      const int32x4_t w = vldrbq_z_s32(taps[k].weights + c, live);
      sums = vaddq_s32(sums, vmulq_s32(vsubq_n_s32(x, offset), w));
    }
    vst1q_p_s32(acc + c, sums, live);
  }
  for (int32_t c = 0; c < n && multiplier != 1; c += multiplier) {
    for (int32_t k = 0; k < count; ++k) {
      const int32_t x = taps[k].pixel[c / multiplier] - offset;
      for (int32_t j = 0; j < multiplier; j += 4) {
        const mve_pred16_t live = vctp32q(static_cast<uint32_t>(multiplier - j));
        const int32x4_t w = vldrbq_z_s32(taps[k].weights + c + j, live);
        vst1q_p_s32(acc + c + j, vmlaq_n_s32(vldrwq_z_s32(acc + c + j, live), w, x), live);
      }
    }
  }
}

// Requantize, given the constants of four channels. VQRDMULH is its first rounding,
// VRSHL with the fix for negative values the second.
inline int32x4_t Requantized(int32x4_t value, int32x4_t multiplier, int32x4_t shift,
                             bool is_small) {
  if (is_small) {
    value = vqrdmulhq_s32(value, multiplier);
    return vrshlq_s32(vaddq_s32(value, vshrq_n_s32(value, 31)), shift);
  }
  const int32x4_t zeros = vdupq_n_s32(0);
  const int32x4_t right = vminq_s32(shift, zeros);
  value = vqrdmulhq_s32(vshlq_s32(value, vmaxq_s32(shift, zeros)), multiplier);
  // Minus one where the value is negative and there is a second rounding.
  value = vaddq_s32(value, vshrq_n_s32(vandq_s32(value, right), 31));
  return vrshlq_s32(value, right);
}

inline int32x4_t Clamped(int32x4_t value, const OutputParams& output) {
  value = vaddq_n_s32(value, output.y_zero_point);
  value = vmaxq_s32(value, vdupq_n_s32(output.act_min));
  return vminq_s32(value, vdupq_n_s32(output.act_max));
}

inline void FinishRow(const int32_t* sums, const Finish& finish, int32_t n, int8_t* y) {
  const ChannelConstants& k = finish.constants;
  for (int32_t c = 0; c < n; c += 4) {
    const mve_pred16_t live = vctp32q(static_cast<uint32_t>(n - c));
    int32x4_t value = vldrwq_z_s32(sums + c, live);
    if (k.bias != nullptr) value = vaddq_s32(value, vldrwq_z_s32(k.bias + c, live));
    value = Requantized(value, vldrwq_z_s32(k.multiplier + c, live),
                        vldrwq_z_s32(k.shift + c, live), finish.is_small);
    vstrbq_p_s32(y + c, Clamped(value, finish.output), live);
  }
}

template <bool kHasColumns>
inline void ConvPixelsOf(const Patches& patches, const int8_t* weights, const Patches* columns,
                         const int8_t* column_weights, const Finish& finish, int32_t n, int8_t* y0,
                         int8_t* y1) {
  // By value: bytes are written, which may alias anything that lies in memory.
  const Patches x = patches;
  const Finish f = finish;
  for (int32_t c = 0; c < n; c += 4) {
    // What does not fill a tile is part of another one before it.
    c = c + 4 <= n ? c : n - 4;
    const ChannelConstants& k = f.constants;
    int32x4_t p0 = k.bias != nullptr ? vldrwq_s32(k.bias + c) : vdupq_n_s32(0), p1 = p0;
    AddTile(x, weights + c * x.depth, &p0, &p1);
    if (kHasColumns) AddTile(*columns, column_weights + c * columns->depth, &p0, &p1);
    const int32x4_t multiplier = vldrwq_s32(k.multiplier + c), shift = vldrwq_s32(k.shift + c);
    p0 = Requantized(p0, multiplier, shift, f.is_small);
    p1 = Requantized(p1, multiplier, shift, f.is_small);
    vstrbq_s32(y0 + c, Clamped(p0, f.output));
    vstrbq_s32(y1 + c, Clamped(p1, f.output));
  }
}

inline void ConvPixels(const Patches& patches, const int8_t* weights, const Patches* columns,
                       const int8_t* column_weights, const Finish& finish, int32_t n, int8_t* y0,
                       int8_t* y1) {
  if (columns == nullptr) {
    ConvPixelsOf<false>(patches, weights, columns, column_weights, finish, n, y0, y1);
  } else {
    ConvPixelsOf<true>(patches, weights, columns, column_weights, finish, n, y0, y1);
  }
}

// Channels of DepthwisePixel that are summed at once. Products and their pairs are
// int16: even and odd channels; sums are int32: each fourth channel, as VLD4 and VST4
// have them.
constexpr int32_t kDepthwiseChannels = 16;

// Whether DepthwisePixel takes blocks of channels.
inline bool TakesBlocks(const Finish& finish, int32_t n) {
  // FAST-PATH-BOUND: byte-blocks
  return finish.is_small && n >= kDepthwiseChannels;
}

// sums + each fourth channel of pairs of products of 16 channels.
inline int32x4x4_t AddHalves(int32x4x4_t sums, int16x8_t even, int16x8_t odd) {
  sums.val[0] = vaddq_s32(sums.val[0], vmovlbq_s16(even));
  sums.val[1] = vaddq_s32(sums.val[1], vmovlbq_s16(odd));
  sums.val[2] = vaddq_s32(sums.val[2], vmovltq_s16(even));
  sums.val[3] = vaddq_s32(sums.val[3], vmovltq_s16(odd));
  return sums;
}

// scratch[c] = bias[c] - offset * the sum of the weights.
inline void PrepareTaps(const DepthwiseTap* taps, int32_t count, int32_t offset,
                        const Finish& finish, int32_t n, int32_t* scratch) {
  if (!TakesBlocks(finish, n)) return;
  const int32x4_t zeros = vdupq_n_s32(0);
  for (int32_t c = 0; c < n; c += kDepthwiseChannels) {
    c = c + kDepthwiseChannels <= n ? c : n - kDepthwiseChannels;
    int16x8_t even = vdupq_n_s16(0), odd = even;
    for (int32_t k = 0; k < count; ++k) {
      const int8x16_t w = vldrbq_s8(taps[k].weights + c);
      even = vaddq_s16(even, vmovlbq_s8(w));
      odd = vaddq_s16(odd, vmovltq_s8(w));
    }
    int32x4x4_t sums = AddHalves({{zeros, zeros, zeros, zeros}}, even, odd);
    for (int j = 0; j < 4; ++j) sums.val[j] = vmulq_n_s32(sums.val[j], -offset);
    if (finish.constants.bias != nullptr) {
      const int32x4x4_t bias = vld4q_s32(finish.constants.bias + c);
      for (int j = 0; j < 4; ++j) sums.val[j] = vaddq_s32(sums.val[j], bias.val[j]);
    }
    vst4q_s32(scratch + c, sums);
  }
}

inline void DepthwisePixel(const DepthwiseTap* taps, int32_t count, int32_t offset,
                           const Finish& finish, int32_t n, int32_t* scratch, int8_t* y) {
  if (!TakesBlocks(finish, n)) {
    for (int32_t c = 0; c < n; ++c) scratch[c] = 0;
    DepthwiseSums(taps, count, offset, 1, n, scratch);
    return FinishRow(scratch, finish, n, y);
  }
  const ChannelConstants& k = finish.constants;
  const OutputParams& output = finish.output;
  const DepthwiseTap* const end = taps + count;
  for (int32_t c = 0; c < n; c += kDepthwiseChannels) {
    // What does not fill a block is part of another one before it.
    c = c + kDepthwiseChannels <= n ? c : n - kDepthwiseChannels;
    int32x4x4_t sums = vld4q_s32(scratch + c);
    for (const DepthwiseTap* tap = taps; tap < end; ++tap) {
      const int8x16_t x = vldrbq_s8(tap->pixel + c), w = vldrbq_s8(tap->weights + c);
      sums = AddHalves(sums, vmullbq_int_s8(x, w), vmulltq_int_s8(x, w));
    }
    const int32x4x4_t multiplier = vld4q_s32(k.multiplier + c), shift = vld4q_s32(k.shift + c);
    for (int j = 0; j < 4; ++j) {
      sums.val[j] = Requantized(sums.val[j], multiplier.val[j], shift.val[j], true);
      sums.val[j] = vaddq_n_s32(sums.val[j], output.y_zero_point);
    }
    int16x8_t even = vqmovnbq_s32(vdupq_n_s16(0), sums.val[0]), odd = even;
    even = vqmovntq_s32(even, sums.val[2]);
    odd = vqmovntq_s32(vqmovnbq_s32(odd, sums.val[1]), sums.val[3]);
    int8x16_t bytes = vqmovntq_s16(vqmovnbq_s16(vdupq_n_s8(0), even), odd);
    bytes = vmaxq_s8(bytes, vdupq_n_s8(static_cast<int8_t>(output.act_min)));
    bytes = vminq_s8(bytes, vdupq_n_s8(static_cast<int8_t>(output.act_max)));
    vstrbq_s8(y + c, bytes);
  }
}

inline int32x4_t Scaled(const Scaling& by, int32x4_t a) {
  const int32x4_t high = vqrdmulhq_n_s32(a, by.multiplier);
  if (by.shift == 0) return high;
  return vrshlq_n_s32(vaddq_s32(high, vshrq_n_s32(high, 31)), -by.shift);
}

inline void AddElements(const Addition& addition, const int8_t* a, const int8_t* b, int8_t* y,
                        int32_t n) {
  const Addition add = addition;
  for (int32_t i = 0; i < n; i += 4) {
    const mve_pred16_t live = vctp32q(static_cast<uint32_t>(n - i));
    const int32x4_t x0 = vsubq_n_s32(vldrbq_z_s32(a + i, live), add.a_zero_point);
    const int32x4_t x1 = vsubq_n_s32(vldrbq_z_s32(b + i, live), add.b_zero_point);
    const int32x4_t sum = vaddq_s32(Scaled(add.a, vshlq_r_s32(x0, add.left_shift)),
                                    Scaled(add.b, vshlq_r_s32(x1, add.left_shift)));
    vstrbq_p_s32(y + i, Clamped(Scaled(add.sum, sum), add.output), live);
  }
}

}  // namespace tflm_train

#endif  // TFLM_KERNELS_ARCH_FORWARD_MVE_H_
