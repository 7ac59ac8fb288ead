// The inner loops of the forward layers with the DSP extension. Only for
// forward_ops.h. Patches are int16, less the offset, in blocks of four elements:
// 0 and 2 of either pixel, then 1 and 3, as SXTB16 takes the weights apart; what does
// not fill a block follows element by element, of either pixel.

#ifndef TFLM_KERNELS_ARCH_FORWARD_DSP_H_
#define TFLM_KERNELS_ARCH_FORWARD_DSP_H_

#include <arm_acle.h>

#include <cstdint>
#include <cstring>

#include "tflm_kernels/arch/dsp.h"
#include "tflm_kernels/arch/finish_dsp.h"
#include "tflm_kernels/forward_ops.h"

namespace tflm_train {

constexpr bool kRawPatches = false;

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

TFLM_TRAIN_INLINE TwoByTwo DotTwoByTwo(const Patches& patches, const int8_t* w0, const int8_t* w1,
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

inline void ConvPixels(const Patches& patches, const int8_t* weights, const Patches* columns,
                       const int8_t* column_weights, const Finish& finish, int32_t n, int8_t* y0,
                       int8_t* y1) {
  // By value: bytes are written, which may alias anything that lies in memory.
  const Finish f = finish;
  const ByteClamp clamp(f.output);
  const int32_t offset = 2 * f.output.y_zero_point + 1;
  const int32_t* const bias = f.is_small ? f.constants.bias : nullptr;
  for (int32_t c = 0; c < n; c += 4) {
    // What does not fill a tile is part of another one before it.
    c = c + 4 <= n ? c : n - 4;
    int32_t b0 = 0, b1 = 0, b2 = 0, b3 = 0;
    if (bias != nullptr) {
      b0 = bias[c];
      b1 = bias[c + 1];
      b2 = bias[c + 2];
      b3 = bias[c + 3];
    }
    TwoByTwo first = {b0, b1, b0, b1}, second = {b2, b3, b2, b3};
    const Patches* x = &patches;
    const int8_t* of_channels = weights;
    while (true) {
      const int32_t depth = x->depth;
      const int8_t* const w = of_channels + c * depth;
      first = DotTwoByTwo(*x, w, w + depth, first);
      second = DotTwoByTwo(*x, w + 2 * depth, w + 3 * depth, second);
      if (columns == nullptr || x == columns) break;
      x = columns;
      of_channels = column_weights;
    }
    if (f.is_small) {
      FinishTile(first, second, f.constants, clamp, offset, c, y0 + c, y1 + c);
    } else {
      FinishTileOneByOne(first, second, f, c, y0 + c, y1 + c);
    }
  }
}

// Of four channels.
struct FourSums {
  int32_t s0, s1, s2, s3;
};

// sums + the taps' at channels c .. c + 3.
TFLM_TRAIN_INLINE FourSums AddTaps(const DepthwiseTap* taps, int32_t count, int32_t c,
                                   int32_t minus, FourSums sums) {
  uint32_t x, w;
  int32_t a, b;
  // By hand, because compilers run out of registers; with one more they do in places, too.
  asm("1:\n\t"
      "ldrd %[x], %[w], [%[taps]], #8\n\t"
      "ldr %[x], [%[x], %[c]]\n\t"
      "ldr %[w], [%[w], %[c]]\n\t"
      "sxtab16 %[a], %[minus], %[x]\n\t"
      "sxtb16 %[b], %[w]\n\t"
      "smlabb %[s0], %[a], %[b], %[s0]\n\t"
      "smlatt %[s2], %[a], %[b], %[s2]\n\t"
      "sxtab16 %[a], %[minus], %[x], ror #8\n\t"
      "sxtb16 %[b], %[w], ror #8\n\t"
      "smlabb %[s1], %[a], %[b], %[s1]\n\t"
      "smlatt %[s3], %[a], %[b], %[s3]\n\t"
      "subs %[count], %[count], #1\n\t"
      "bne 1b"
      : [taps] "+r"(taps), [count] "+r"(count), [s0] "+r"(sums.s0), [s1] "+r"(sums.s1),
        [s2] "+r"(sums.s2), [s3] "+r"(sums.s3), [x] "=&r"(x), [w] "=&r"(w), [a] "=&r"(a),
        [b] "=&r"(b)
      : [c] "r"(c), [minus] "r"(minus)
      : "cc", "memory");
  return sums;
}

inline void DepthwiseSums(const DepthwiseTap* taps, int32_t count, int32_t offset,
                          int32_t multiplier, int32_t n, int32_t* acc) {
  if (count == 0) return;
  const int32_t minus = static_cast<int32_t>(dsp::Pack(-offset, -offset));
  const DepthwiseTap* const end = taps + count;
  // FAST-PATH-BOUND: shared-input
  const bool is_shared = multiplier % 4 == 0;
  int32_t c = 0;
  for (; c + 4 <= n && (multiplier == 1 || is_shared); c += 4) {
    FourSums sums = {acc[c], acc[c + 1], acc[c + 2], acc[c + 3]};
    if (multiplier == 1) {
      sums = AddTaps(taps, count, c, minus, sums);
    } else {
      const int32_t from = c / multiplier;
      for (const DepthwiseTap* tap = taps; tap < end; ++tap) {
        const int32_t x = tap->pixel[from] - offset;
        const uint32_t w = dsp::LoadWord(tap->weights + c);
        const int32_t w02 = dsp::Bytes02(w), w13 = dsp::Bytes13(w);
        sums = {__smlabb(x, w02, sums.s0), __smlabb(x, w13, sums.s1), __smlabt(x, w02, sums.s2),
                __smlabt(x, w13, sums.s3)};
      }
    }
    acc[c] = sums.s0;
    acc[c + 1] = sums.s1;
    acc[c + 2] = sums.s2;
    acc[c + 3] = sums.s3;
  }
  for (; c < n; ++c) {
    const int32_t from = c / multiplier;
    int32_t sum = acc[c];
    for (const DepthwiseTap* tap = taps; tap < end; ++tap) {
      sum += tap->weights[c] * (tap->pixel[from] - offset);
    }
    acc[c] = sum;
  }
}

inline void PrepareTaps(const DepthwiseTap*, int32_t, int32_t, const Finish&, int32_t, int32_t*) {}

inline void DepthwisePixel(const DepthwiseTap* taps, int32_t count, int32_t offset,
                           const Finish& finish, int32_t n, int32_t* scratch, int8_t* y) {
  // FAST-PATH-BOUND: four-channels
  if (n < 4 || !finish.is_small) {
    std::memset(scratch, 0, sizeof(int32_t) * n);
    DepthwiseSums(taps, count, offset, 1, n, scratch);
    return FinishRow(scratch, finish, n, y);
  }
  const int32_t minus = static_cast<int32_t>(dsp::Pack(-offset, -offset));
  const ByteClamp clamp(finish.output);
  const int32_t twice = 2 * finish.output.y_zero_point + 1;
  const ChannelConstants k = finish.constants;
  for (int32_t c = 0; c < n; c += 4) {
    // What does not fill a block of four is part of another one before it.
    c = c + 4 <= n ? c : n - 4;
    FourSums sums = {};
    if (k.bias != nullptr) sums = {k.bias[c], k.bias[c + 1], k.bias[c + 2], k.bias[c + 3]};
    sums = AddTaps(taps, count, c, minus, sums);
    const int32_t* const m = k.multiplier + c;
    const int32_t* const shift = k.shift + c;
    const int32_t b0 = FinishByte(sums.s0, m[0], ~shift[0], twice);
    const int32_t b1 = FinishByte(sums.s1, m[1], ~shift[1], twice);
    const int32_t b2 = FinishByte(sums.s2, m[2], ~shift[2], twice);
    const int32_t b3 = FinishByte(sums.s3, m[3], ~shift[3], twice);
    dsp::StoreWord(y + c, clamp(dsp::PackBytes(b0, b1, b2, b3)));
  }
}

inline void AddElements(const Addition& addition, const int8_t* a, const int8_t* b, int8_t* y,
                        int32_t n) {
  AddOneByOne(addition, a, b, y, n);
}

}  // namespace tflm_train

#endif  // TFLM_KERNELS_ARCH_FORWARD_DSP_H_
