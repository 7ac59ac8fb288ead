// The inner loops of the forward layers with the DSP extension. Only for
// forward_ops.h. Patches are int16, less the offset, in blocks of four elements:
// 0 and 2 of either pixel, then 1 and 3, as SXTB16 takes the weights apart; what does
// not fill a block follows element by element, of either pixel.

#ifndef TFLM_KERNELS_ARCH_FORWARD_DSP_H_
#define TFLM_KERNELS_ARCH_FORWARD_DSP_H_

#include <arm_acle.h>

#include <cstdint>

#include "tflm_kernels/arch/dsp.h"
#include "tflm_kernels/arch/finish_dsp.h"
#include "tflm_kernels/forward_ops.h"

namespace tflm_train {

inline void FillPatch(const int8_t* from, int32_t n, int32_t pixel, int32_t first,
                      const Patches& patches) {
  const int32_t minus = static_cast<int32_t>(dsp::Pack(-patches.offset, -patches.offset));
  int16_t* to = static_cast<int16_t*>(patches.data) + 2 * first + 2 * pixel;
  for (int32_t blocks = n >> 2; blocks > 0; --blocks) {
    const uint32_t word = dsp::LoadWord(from);
    dsp::StoreWord(to, static_cast<uint32_t>(dsp::AddBytes02(minus, word)));
    dsp::StoreWord(to + 4, static_cast<uint32_t>(dsp::AddBytes13(minus, word)));
    from += 4;
    to += 8;
  }
  to -= pixel;
  for (int32_t i = 0; i < (n & 3); ++i) to[2 * i] = static_cast<int16_t>(from[i] - patches.offset);
}

inline TwoByTwo DotTwoByTwo(const Patches& patches, const int8_t* w0, const int8_t* w1,
                            TwoByTwo sums) {
  const int16_t* x = static_cast<const int16_t*>(patches.data);
  int32_t blocks = patches.depth >> 2;
  // By hand, because compilers run out of registers.
  if (blocks > 0) {
    uint32_t a, b, first, second, pair;
    asm("1:\n\t"
        "ldr %[first], [%[w0]], #4\n\t"
        "ldr %[second], [%[w1]], #4\n\t"
        "ldrd %[a], %[b], [%[x]], #8\n\t"
        "sxtb16 %[pair], %[first]\n\t"
        "smlad %[s00], %[a], %[pair], %[s00]\n\t"
        "smlad %[s10], %[b], %[pair], %[s10]\n\t"
        "sxtb16 %[pair], %[second]\n\t"
        "smlad %[s01], %[a], %[pair], %[s01]\n\t"
        "smlad %[s11], %[b], %[pair], %[s11]\n\t"
        "ldrd %[a], %[b], [%[x]], #8\n\t"
        "sxtb16 %[first], %[first], ror #8\n\t"
        "smlad %[s00], %[a], %[first], %[s00]\n\t"
        "smlad %[s10], %[b], %[first], %[s10]\n\t"
        "sxtb16 %[second], %[second], ror #8\n\t"
        "smlad %[s01], %[a], %[second], %[s01]\n\t"
        "smlad %[s11], %[b], %[second], %[s11]\n\t"
        "subs %[blocks], %[blocks], #1\n\t"
        "bne 1b"
        : [x] "+r"(x), [w0] "+r"(w0), [w1] "+r"(w1), [blocks] "+r"(blocks), [s00] "+r"(sums.s00),
          [s01] "+r"(sums.s01), [s10] "+r"(sums.s10), [s11] "+r"(sums.s11), [a] "=&r"(a),
          [b] "=&r"(b), [first] "=&r"(first), [second] "=&r"(second), [pair] "=&r"(pair)
        :
        : "cc", "memory");
  }
  for (int32_t rest = patches.depth & 3; rest > 0; --rest, x += 2, ++w0, ++w1) {
    sums.s00 += x[0] * *w0;
    sums.s01 += x[0] * *w1;
    sums.s10 += x[1] * *w0;
    sums.s11 += x[1] * *w1;
  }
  return sums;
}

inline void DepthwiseSums(const DepthwiseTap* taps, int32_t count, int32_t at, int32_t offset,
                          int32_t multiplier, int32_t n, int32_t* acc) {
  const int32_t minus = static_cast<int32_t>(dsp::Pack(-offset, -offset));
  const DepthwiseTap* const end = taps + count;
  const bool is_shared = multiplier % 4 == 0;
  int32_t c = 0;
  for (; c + 4 <= n && multiplier == 1; c += 4) {
    int32_t s0 = acc[c], s1 = acc[c + 1], s2 = acc[c + 2], s3 = acc[c + 3];
    for (const DepthwiseTap* tap = taps; tap < end; ++tap) {
      const uint32_t x = dsp::LoadWord(tap->pixel + at + c);
      const uint32_t w = dsp::LoadWord(tap->weights + c);
      const int32_t x02 = dsp::AddBytes02(minus, x), x13 = dsp::AddBytes13(minus, x);
      const int32_t w02 = dsp::Bytes02(w), w13 = dsp::Bytes13(w);
      s0 = __smlabb(x02, w02, s0);
      s1 = __smlabb(x13, w13, s1);
      s2 = __smlatt(x02, w02, s2);
      s3 = __smlatt(x13, w13, s3);
    }
    acc[c] = s0;
    acc[c + 1] = s1;
    acc[c + 2] = s2;
    acc[c + 3] = s3;
  }
  for (; c + 4 <= n && is_shared; c += 4) {
    const int32_t from = at + c / multiplier;
    int32_t s0 = acc[c], s1 = acc[c + 1], s2 = acc[c + 2], s3 = acc[c + 3];
    for (const DepthwiseTap* tap = taps; tap < end; ++tap) {
      const int32_t x = tap->pixel[from] - offset;
      const uint32_t w = dsp::LoadWord(tap->weights + c);
      const int32_t w02 = dsp::Bytes02(w), w13 = dsp::Bytes13(w);
      s0 = __smlabb(x, w02, s0);
      s1 = __smlabb(x, w13, s1);
      s2 = __smlabt(x, w02, s2);
      s3 = __smlabt(x, w13, s3);
    }
    acc[c] = s0;
    acc[c + 1] = s1;
    acc[c + 2] = s2;
    acc[c + 3] = s3;
  }
  for (; c < n; ++c) {
    const int32_t from = at + c / multiplier;
    int32_t sum = acc[c];
    for (const DepthwiseTap* tap = taps; tap < end; ++tap) {
      sum += tap->weights[c] * (tap->pixel[from] - offset);
    }
    acc[c] = sum;
  }
}

}  // namespace tflm_train

#endif  // TFLM_KERNELS_ARCH_FORWARD_DSP_H_
