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
  int8_t* to = static_cast<int8_t*>(patches.data) + pixel * patches.depth + first;
  register int32_t rest asm("lr") = n;
  // By hand: compilers make no loops with tail predication of intrinsics.
  asm volatile(
      "wlstp.8 lr, lr, 2f\n"
      "1:\n\t"
      "vldrb.8 q0, [%[from]], #16\n\t"
      "vstrb.8 q0, [%[to]], #16\n\t"
      "letp lr, 1b\n"
      "2:"
      : [from] "+r"(from), [to] "+r"(to), [rest] "+r"(rest)
      :
      : "q0", "cc", "memory");
}

// Of two pixels and four output channels.
struct TileSums {
  int32x4_t p0, p1;
  int32x4_t weights;  // their own sums
};

// Puts two words into the lower or the upper half of v.
template <bool kUpper>
TFLM_TRAIN_INLINE int32x4_t WithHalf(int32x4_t v, int32_t first, int32_t second) {
  if (kUpper) {
    asm("vmov %f0, %1, %2" : "+w"(v) : "r"(first), "r"(second));
  } else {
    asm("vmov %e0, %1, %2" : "+w"(v) : "r"(first), "r"(second));
  }
  return v;
}

// Puts the sums of two output channels into the lower or the upper half.
template <bool kUpper>
TFLM_TRAIN_INLINE TileSums SumTwoChannels(const Patches& patches, const int8_t* w0,
                                          const int8_t* w1, const TileSums& sums) {
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
TFLM_TRAIN_INLINE int32x4_t AnyVector() {
  int32x4_t v;
  asm("" : "=w"(v));
  return v;
}

// Adds the sums of four output channels.
TFLM_TRAIN_INLINE void AddTile(const Patches& patches, const int8_t* weights, int32x4_t* p0,
                               int32x4_t* p1) {
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

// What a second rounding, half up, rounds half away from zero.
TFLM_TRAIN_INLINE int32x4_t Toward(int32x4_t high) {
  return vaddq_s32(high, vshrq_n_s32(high, 31));
}

// Requantize, given the constants of four channels. VQRDMULH is its first rounding,
// VRSHL with the fix for negative values the second.
TFLM_TRAIN_INLINE int32x4_t Requantized(int32x4_t value, int32x4_t multiplier, int32x4_t shift,
                                        bool is_small) {
  if (is_small) {
    return vrshlq_s32(Toward(vqrdmulhq_s32(value, multiplier)), shift);
  }
  const int32x4_t zeros = vdupq_n_s32(0);
  const int32x4_t right = vminq_s32(shift, zeros);
  value = vqrdmulhq_s32(vshlq_s32(value, vmaxq_s32(shift, zeros)), multiplier);
  // Minus one where the value is negative and there is a second rounding.
  value = vaddq_s32(value, vshrq_n_s32(vandq_s32(value, right), 31));
  return vrshlq_s32(value, right);
}

TFLM_TRAIN_INLINE int32x4_t Clamped(int32x4_t value, const OutputParams& output) {
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

inline void ConvPixels(const Patches& patches, const int8_t* weights, const Patches* columns,
                       const int8_t* column_weights, const Finish& finish, int32_t n, int8_t* y0,
                       int8_t* y1) {
  // By value: bytes are written, which may alias anything that lies in memory.
  const Finish f = finish;
  const ChannelConstants& k = f.constants;
  for (int32_t c = 0; c < n; c += 4) {
    // What does not fill a tile is part of another one before it.
    c = c + 4 <= n ? c : n - 4;
    int32x4_t p0 = k.bias != nullptr ? vldrwq_s32(k.bias + c) : vdupq_n_s32(0), p1 = p0;
    const Patches* x = &patches;
    const int8_t* of_channels = weights;
    while (true) {
      AddTile(*x, of_channels + c * x->depth, &p0, &p1);
      if (columns == nullptr || x == columns) break;
      x = columns;
      of_channels = column_weights;
    }
    const int32x4_t multiplier = vldrwq_s32(k.multiplier + c), shift = vldrwq_s32(k.shift + c);
    p0 = Requantized(p0, multiplier, shift, f.is_small);
    p1 = Requantized(p1, multiplier, shift, f.is_small);
    vstrbq_s32(y0 + c, Clamped(p0, f.output));
    vstrbq_s32(y1 + c, Clamped(p1, f.output));
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

// Of 16 channels. No array: a loop over its vectors goes through memory where it is not unrolled.
struct FourthSums {
  int32x4_t s0, s1, s2, s3;  // channels j, j + 4, j + 8, j + 12
};

TFLM_TRAIN_INLINE FourthSums Loaded(const int32_t* from) {
  const int32x4x4_t v = vld4q_s32(from);
  return {v.val[0], v.val[1], v.val[2], v.val[3]};
}

// sums + each fourth channel of pairs of products of 16 channels.
TFLM_TRAIN_INLINE FourthSums AddHalves(const FourthSums& sums, int16x8_t even, int16x8_t odd) {
  return {vaddq_s32(sums.s0, vmovlbq_s16(even)), vaddq_s32(sums.s1, vmovlbq_s16(odd)),
          vaddq_s32(sums.s2, vmovltq_s16(even)), vaddq_s32(sums.s3, vmovltq_s16(odd))};
}

// scratch[c] = bias[c] - offset * the sum of the weights.
inline void PrepareTaps(const DepthwiseTap* taps, int32_t count, int32_t offset,
                        const Finish& finish, int32_t n, int32_t* scratch) {
  if (!TakesBlocks(finish, n)) return;
  for (int32_t c = 0; c < n; c += kDepthwiseChannels) {
    c = c + kDepthwiseChannels <= n ? c : n - kDepthwiseChannels;
    int16x8_t even = vdupq_n_s16(0), odd = even;
    const DepthwiseTap* tap = taps;
    int32_t k = count;
    do {
      const int8x16_t w = vldrbq_s8(tap++->weights + c);
      even = vaddq_s16(even, vmovlbq_s8(w));
      odd = vaddq_s16(odd, vmovltq_s8(w));
    } while (--k > 0);
    const int32x4_t zeros = vdupq_n_s32(0);
    FourthSums start = {zeros, zeros, zeros, zeros};
    if (finish.constants.bias != nullptr) start = Loaded(finish.constants.bias + c);
    const FourthSums sums = AddHalves({zeros, zeros, zeros, zeros}, even, odd);
    const int32x4x4_t all = {
        {vmlaq_n_s32(start.s0, sums.s0, -offset), vmlaq_n_s32(start.s1, sums.s1, -offset),
         vmlaq_n_s32(start.s2, sums.s2, -offset), vmlaq_n_s32(start.s3, sums.s3, -offset)}};
    vst4q_s32(scratch + c, all);
  }
}

// y[0 .. 15] = the outputs of channels c .. c + 15; one tap or more. start: of the sums, as
// PrepareTaps has them; multiplier, shift: of the channels.
inline void DepthwiseBlock(const DepthwiseTap* taps, int32_t count, int32_t c, const int32_t* start,
                           const int32_t* multiplier, const int32_t* shift,
                           const OutputParams& output, int8_t* y) {
  int32_t w;
  register int32_t n asm("lr") = count;
  // By hand, because compilers run out of registers. Sums are q0 to q3, each fourth channel.
  asm volatile(
      "vld40.32 {q0, q1, q2, q3}, [%[x]]\n\t"
      "vld41.32 {q0, q1, q2, q3}, [%[x]]\n\t"
      "vld42.32 {q0, q1, q2, q3}, [%[x]]\n\t"
      "vld43.32 {q0, q1, q2, q3}, [%[x]]\n\t"
      "dls lr, lr\n"
      "1:\n\t"
      "ldrd %[x], %[w], [%[taps]], #8\n\t"
      "add %[x], %[x], %[c]\n\t"
      "vldrb.8 q4, [%[x]]\n\t"
      "add %[w], %[w], %[c]\n\t"
      "vldrb.8 q5, [%[w]]\n\t"
      "vmullb.s8 q6, q4, q5\n\t"
      "vmullt.s8 q4, q4, q5\n\t"
      "vmovlb.s16 q5, q6\n\t"
      "vmovlt.s16 q6, q6\n\t"
      "vadd.i32 q0, q0, q5\n\t"
      "vmovlb.s16 q5, q4\n\t"
      "vadd.i32 q2, q2, q6\n\t"
      "vmovlt.s16 q4, q4\n\t"
      "vadd.i32 q1, q1, q5\n\t"
      "vadd.i32 q3, q3, q4\n\t"
      "le lr, 1b\n\t"
      // RequantizeSmall.
      "vld40.32 {q4, q5, q6, q7}, [%[multiplier]]\n\t"
      "vld41.32 {q4, q5, q6, q7}, [%[multiplier]]\n\t"
      "vld42.32 {q4, q5, q6, q7}, [%[multiplier]]\n\t"
      "vld43.32 {q4, q5, q6, q7}, [%[multiplier]]\n\t"
      "vqrdmulh.s32 q0, q0, q4\n\t"
      "vqrdmulh.s32 q1, q1, q5\n\t"
      "vshr.s32 q4, q0, #31\n\t"
      "vqrdmulh.s32 q2, q2, q6\n\t"
      "vadd.i32 q0, q0, q4\n\t"
      "vshr.s32 q5, q1, #31\n\t"
      "vqrdmulh.s32 q3, q3, q7\n\t"
      "vadd.i32 q1, q1, q5\n\t"
      "vshr.s32 q6, q2, #31\n\t"
      "vadd.i32 q2, q2, q6\n\t"
      "vshr.s32 q7, q3, #31\n\t"
      "vadd.i32 q3, q3, q7\n\t"
      "vld40.32 {q4, q5, q6, q7}, [%[shift]]\n\t"
      "vld41.32 {q4, q5, q6, q7}, [%[shift]]\n\t"
      "vld42.32 {q4, q5, q6, q7}, [%[shift]]\n\t"
      "vld43.32 {q4, q5, q6, q7}, [%[shift]]\n\t"
      "vrshl.s32 q0, q0, q4\n\t"
      "vadd.i32 q0, q0, %[zero_point]\n\t"
      "vrshl.s32 q1, q1, q5\n\t"
      "vadd.i32 q1, q1, %[zero_point]\n\t"
      "vrshl.s32 q2, q2, q6\n\t"
      "vqmovnb.s32 q4, q0\n\t"
      "vadd.i32 q2, q2, %[zero_point]\n\t"
      "vrshl.s32 q3, q3, q7\n\t"
      "vqmovnb.s32 q5, q1\n\t"
      "vadd.i32 q3, q3, %[zero_point]\n\t"
      "vqmovnt.s32 q4, q2\n\t"
      "vqmovnt.s32 q5, q3\n\t"
      "vqmovnb.s16 q4, q4\n\t"
      "vdup.8 q6, %[least]\n\t"
      "vqmovnt.s16 q4, q5\n\t"
      "vdup.8 q7, %[most]\n\t"
      "vmax.s8 q4, q4, q6\n\t"
      "vmin.s8 q4, q4, q7\n\t"
      "vstrb.8 q4, [%[y]]"
      : [taps] "+r"(taps), [n] "+r"(n), [x] "+&r"(start), [w] "=&r"(w)
      : [c] "r"(c), [multiplier] "r"(multiplier), [shift] "r"(shift),
        [zero_point] "r"(output.y_zero_point), [least] "r"(output.act_min),
        [most] "r"(output.act_max), [y] "r"(y)
      : "q0", "q1", "q2", "q3", "q4", "q5", "q6", "q7", "cc", "memory");
}

inline void DepthwisePixel(const DepthwiseTap* taps, int32_t count, int32_t offset,
                           const Finish& finish, int32_t n, int32_t* scratch, int8_t* y) {
  if (!TakesBlocks(finish, n)) {
    for (int32_t c = 0; c < n; ++c) scratch[c] = 0;
    DepthwiseSums(taps, count, offset, 1, n, scratch);
    return FinishRow(scratch, finish, n, y);
  }
  const ChannelConstants& k = finish.constants;
  for (int32_t c = 0; c < n; c += kDepthwiseChannels) {
    // What does not fill a block is part of another one before it.
    c = c + kDepthwiseChannels <= n ? c : n - kDepthwiseChannels;
    DepthwiseBlock(taps, count, c, scratch + c, k.multiplier + c, k.shift + c, finish.output,
                   y + c);
  }
}

inline void AddElements(const Addition& addition, const int8_t* a, const int8_t* b, int8_t* y,
                        int32_t n) {
  // In the order in which they are loaded, four at a time.
  const struct {
    int32_t a_zero_point, a_multiplier, a_rounds, a_shift;
    int32_t b_zero_point, b_multiplier, b_rounds, b_shift;
    int32_t multiplier, rounds, shift, zero_point;
  } k = {addition.a_zero_point,  addition.a.multiplier, -addition.a.negative,
         -addition.a.shift,      addition.b_zero_point, addition.b.multiplier,
         -addition.b.negative,   -addition.b.shift,     addition.sum.multiplier,
         -addition.sum.negative, -addition.sum.shift,   addition.output.y_zero_point};
  const void* constants;
  register int32_t rest asm("lr") = n;
  // By hand: compilers run out of registers, and make no loops with tail predication of
  // intrinsics. What a second rounding, half up, rounds is half away from zero by what the VMLAs
  // add: -1 to a negative value, where there is a second rounding.
  asm volatile(
      "vdup.32 q3, %[least]\n\t"
      "vdup.32 q4, %[most]\n\t"
      "wlstp.32 lr, lr, 2f\n"
      "1:\n\t"
      "mov %[k], %[all]\n\t"
      "ldm %[k]!, {r4, r5, r6, r8}\n\t"
      "vldrb.s32 q0, [%[a]], #4\n\t"
      "vsub.i32 q0, q0, r4\n\t"
      "vshl.s32 q0, %[left]\n\t"
      "vqrdmulh.s32 q0, q0, r5\n\t"
      "vldrb.s32 q1, [%[b]], #4\n\t"
      "vshr.s32 q2, q0, #31\n\t"
      "vmla.s32 q0, q2, r6\n\t"
      "vrshl.s32 q0, r8\n\t"
      "ldm %[k]!, {r4, r5, r6, r8}\n\t"
      "vsub.i32 q1, q1, r4\n\t"
      "vshl.s32 q1, %[left]\n\t"
      "vqrdmulh.s32 q1, q1, r5\n\t"
      "vshr.s32 q2, q1, #31\n\t"
      "vmla.s32 q1, q2, r6\n\t"
      "vrshl.s32 q1, r8\n\t"
      "ldm %[k], {r4, r5, r6, r8}\n\t"
      "vadd.i32 q0, q0, q1\n\t"
      "vqrdmulh.s32 q0, q0, r4\n\t"
      "vshr.s32 q2, q0, #31\n\t"
      "vmla.s32 q0, q2, r5\n\t"
      "vrshl.s32 q0, r6\n\t"
      "vadd.i32 q0, q0, r8\n\t"
      "vmax.s32 q0, q0, q3\n\t"
      "vmin.s32 q0, q0, q4\n\t"
      "vstrb.32 q0, [%[y]], #4\n\t"
      "letp lr, 1b\n"
      "2:"
      : [a] "+l"(a), [b] "+l"(b), [y] "+l"(y), [rest] "+r"(rest), [k] "=&r"(constants)
      : [all] "r"(&k), [left] "r"(addition.left_shift), [least] "r"(addition.output.act_min),
        [most] "r"(addition.output.act_max)
      : "r4", "r5", "r6", "r8", "q0", "q1", "q2", "q3", "q4", "cc", "memory");
}

}  // namespace tflm_train

#endif  // TFLM_KERNELS_ARCH_FORWARD_MVE_H_
