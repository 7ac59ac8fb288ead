// The inner loops of the forward layers with the DSP extension. Only for
// forward_ops.h. Widened elements lie in blocks of four as 0, 2, 1, 3, the order
// in which SXTB16 takes the weights apart; what does not fill a block follows as
// it is.

#ifndef TFLM_KERNELS_ARCH_FORWARD_DSP_H_
#define TFLM_KERNELS_ARCH_FORWARD_DSP_H_

#include <arm_acle.h>

#include <cstdint>

#include "tflm_kernels/arch/dsp.h"
#include "tflm_kernels/arch/finish_generic.h"
#include "tflm_kernels/forward_ops.h"

namespace tflm_train {

inline void Widen(const int8_t* from, int32_t offset, int32_t n, int16_t* to) {
  const int32_t offsets = static_cast<int32_t>(dsp::Pack(offset, offset));
  int32_t i = 0;
  for (; i + 4 <= n; i += 4) {
    const uint32_t word = dsp::LoadWord(from + i);
    dsp::StoreWord(to + i, static_cast<uint32_t>(__ssub16(dsp::Bytes02(word), offsets)));
    dsp::StoreWord(to + i + 2, static_cast<uint32_t>(__ssub16(dsp::Bytes13(word), offsets)));
  }
  for (; i < n; ++i) to[i] = static_cast<int16_t>(from[i] - offset);
}

inline TwoByTwo DotTwoByTwo(const int16_t* a0, const int16_t* a1, const int8_t* w0,
                            const int8_t* w1, int32_t n, TwoByTwo sums) {
  int32_t s00 = sums.s00, s01 = sums.s01, s10 = sums.s10, s11 = sums.s11;
  for (int32_t blocks = n >> 2; blocks > 0; --blocks) {
    const uint32_t first = dsp::LoadWord(w0);
    const uint32_t second = dsp::LoadWord(w1);
    w0 += 4;
    w1 += 4;
    int32_t x0 = static_cast<int32_t>(dsp::LoadWord(a0));
    int32_t x1 = static_cast<int32_t>(dsp::LoadWord(a1));
    int32_t f = dsp::Bytes02(first), s = dsp::Bytes02(second);
    s00 = __smlad(x0, f, s00);
    s01 = __smlad(x0, s, s01);
    s10 = __smlad(x1, f, s10);
    s11 = __smlad(x1, s, s11);
    x0 = static_cast<int32_t>(dsp::LoadWord(a0 + 2));
    x1 = static_cast<int32_t>(dsp::LoadWord(a1 + 2));
    a0 += 4;
    a1 += 4;
    f = dsp::Bytes13(first);
    s = dsp::Bytes13(second);
    s00 = __smlad(x0, f, s00);
    s01 = __smlad(x0, s, s01);
    s10 = __smlad(x1, f, s10);
    s11 = __smlad(x1, s, s11);
  }
  for (int32_t rest = n & 3; rest > 0; --rest, ++a0, ++a1, ++w0, ++w1) {
    s00 += *a0 * *w0;
    s01 += *a0 * *w1;
    s10 += *a1 * *w0;
    s11 += *a1 * *w1;
  }
  return {s00, s01, s10, s11};
}

inline void DepthwiseSums(const DepthwiseTap* taps, int32_t count, int32_t offset, int32_t n,
                          int32_t* acc) {
  const int32_t offsets = static_cast<int32_t>(dsp::Pack(offset, offset));
  const DepthwiseTap* const end = taps + count;
  int32_t c = 0;
  for (; c + 4 <= n; c += 4) {
    int32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0;
    for (const DepthwiseTap* tap = taps; tap < end; ++tap) {
      const uint32_t x = dsp::LoadWord(tap->pixel + c);
      const uint32_t w = dsp::LoadWord(tap->weights + c);
      const int32_t x02 = __ssub16(dsp::Bytes02(x), offsets);
      const int32_t x13 = __ssub16(dsp::Bytes13(x), offsets);
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
  for (; c < n; ++c) {
    int32_t sum = 0;
    for (const DepthwiseTap* tap = taps; tap < end; ++tap) {
      sum += tap->weights[c] * (tap->pixel[c] - offset);
    }
    acc[c] = sum;
  }
}

}  // namespace tflm_train

#endif  // TFLM_KERNELS_ARCH_FORWARD_DSP_H_
