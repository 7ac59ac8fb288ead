// The inner loops of the forward layers in plain C++. Only for forward_ops.h.
// Patches are int16, less the offset, one pixel's after the other's.

#ifndef TFLM_KERNELS_ARCH_FORWARD_PORTABLE_H_
#define TFLM_KERNELS_ARCH_FORWARD_PORTABLE_H_

#include <cstdint>
#include <cstring>

#include "tflm_kernels/arch/finish_generic.h"
#include "tflm_kernels/channel_ops.h"
#include "tflm_kernels/forward_ops.h"

#if defined(TFLM_TRAIN_AVX2)
#include "tflm_kernels/arch/forward_avx2.h"
#elif defined(TFLM_TRAIN_V6M)
#include "tflm_kernels/arch/sums_v6m.h"
#endif

namespace tflm_train {

constexpr bool kRawPatches = false;

inline void FillPatch(const int8_t* from, int32_t n, int32_t pixel, int32_t first,
                      const Patches& patches) {
  int16_t* const to = static_cast<int16_t*>(patches.data) + pixel * patches.depth + first;
  const int32_t offset = patches.offset;
  // Loops end with their test: compilers for size leave it at the begin, and jump there from the end.
  if (n <= 0) return;
  int32_t i = 0;
  do to[i] = static_cast<int16_t>(from[i] - offset);
  while (++i < n);
}

#if defined(TFLM_TRAIN_V6M)
using v6m::MultiplyTwoByTwo;
#else
// On its own, so that the registers of small cores are all for the sums.
__attribute__((noinline)) inline void MultiplyTwoByTwo(const int16_t* a, const int8_t* w0,
                                                       const int8_t* w1, int32_t depth,
                                                       int32_t* sums) {
  int32_t s00 = 0, s01 = 0, s10 = 0, s11 = 0;
  const int16_t* b = a + depth;
  const int16_t* const end = b;
  if (depth > 0) {
    do {
      const int32_t x0 = *a++, x1 = *b++, y0 = *w0++, y1 = *w1++;
      s00 = WrapAdd(s00, x0 * y0);
      s01 = WrapAdd(s01, x0 * y1);
      s10 = WrapAdd(s10, x1 * y0);
      s11 = WrapAdd(s11, x1 * y1);
    } while (a != end);
  }
  sums[0] = s00;
  sums[1] = s01;
  sums[2] = s10;
  sums[3] = s11;
}
#endif

TFLM_TRAIN_INLINE TwoByTwo DotTwoByTwo(const Patches& patches, const int8_t* w0, const int8_t* w1,
                                       TwoByTwo sums) {
  int32_t s[4];
  MultiplyTwoByTwo(static_cast<const int16_t*>(patches.data), w0, w1, patches.depth, s);
  return {WrapAdd(sums.s00, s[0]), WrapAdd(sums.s01, s[1]), WrapAdd(sums.s10, s[2]),
          WrapAdd(sums.s11, s[3])};
}

inline void DepthwiseSums(const DepthwiseTap* taps, int32_t count, int32_t offset,
                          int32_t multiplier, int32_t n, int32_t* acc) {
  const int16_t zero = static_cast<int16_t>(offset);
  for (int32_t k = 0; k < count; ++k) {
    const int8_t* const pixel = taps[k].pixel;
    const int8_t* const weights = taps[k].weights;
    if (multiplier == 1) {
      AccumulateProducts(acc, weights, pixel, offset, n);
      continue;
    }
    for (int32_t c = 0; c < n; c += multiplier) {
      const int16_t x = static_cast<int16_t>(pixel[c / multiplier] - zero);
      for (int32_t j = c; j < c + multiplier; ++j) {
        acc[j] = WrapAdd(acc[j], static_cast<int16_t>(weights[j]) * x);
      }
    }
  }
}

inline void FinishRow(const int32_t* sums, const Finish& finish, int32_t n, int8_t* y) {
  if (!finish.is_small) return FinishRowOneByOne(sums, finish, n, y);
  // By value: bytes are written, which may alias anything that lies in memory.
  const Finish f = finish;
  for (int32_t c = 0; c < n; ++c) {
    const int32_t sum = WrapAdd(sums[c], BiasOf(f, c));
    const int32_t multiplier = f.constants.multiplier[c], shift = f.constants.shift[c];
    y[c] = ClampedOutput(RequantizeSmall(sum, multiplier, shift), f.output);
  }
}

// Channels c .. c + 3: those of `first` and of `second`. On its own, as MultiplyTwoByTwo is.
__attribute__((noinline)) inline void FinishTile(const TwoByTwo& first, const TwoByTwo& second,
                                                 const Finish& f, int32_t c, int8_t* y0,
                                                 int8_t* y1) {
  if (!f.is_small) return FinishTileOneByOne(first, second, f, c, y0, y1);
  const int32_t sums[2][4] = {{first.s00, first.s01, second.s00, second.s01},
                              {first.s10, first.s11, second.s10, second.s11}};
  int32_t j = 0;
  do {
    const int32_t bias = BiasOf(f, c + j);
    const int32_t multiplier = f.constants.multiplier[c + j], shift = f.constants.shift[c + j];
    const int32_t sum0 = WrapAdd(sums[0][j], bias), sum1 = WrapAdd(sums[1][j], bias);
    y0[j] = ClampedOutput(RequantizeSmall(sum0, multiplier, shift), f.output);
    y1[j] = ClampedOutput(RequantizeSmall(sum1, multiplier, shift), f.output);
  } while (++j < 4);
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
    const int32_t depth = x.depth;
    const int8_t* const w = weights + c * depth;
    TwoByTwo first = {}, second = {};
    first = DotTwoByTwo(x, w, w + depth, first);
    second = DotTwoByTwo(x, w + 2 * depth, w + 3 * depth, second);
    if (kHasColumns) {
      const int32_t more = columns->depth;
      const int8_t* const v = column_weights + c * more;
      first = DotTwoByTwo(*columns, v, v + more, first);
      second = DotTwoByTwo(*columns, v + 2 * more, v + 3 * more, second);
    }
    FinishTile(first, second, f, c, y0 + c, y1 + c);
  }
}

inline void ConvPixels(const Patches& patches, const int8_t* weights, const Patches* columns,
                       const int8_t* column_weights, const Finish& finish, int32_t n, int8_t* y0,
                       int8_t* y1) {
#if defined(TFLM_TRAIN_AVX2)
  if (HasAvx2()) {
    return ConvPixelsAvx2(patches, weights, columns, column_weights, finish, n, y0, y1);
  }
#endif
  if (columns == nullptr) {
    ConvPixelsOf<false>(patches, weights, columns, column_weights, finish, n, y0, y1);
  } else {
    ConvPixelsOf<true>(patches, weights, columns, column_weights, finish, n, y0, y1);
  }
}

inline void PrepareTaps(const DepthwiseTap*, int32_t, int32_t, const Finish&, int32_t, int32_t*) {}

inline void DepthwisePixel(const DepthwiseTap* taps, int32_t count, int32_t offset,
                           const Finish& finish, int32_t n, int32_t* scratch, int8_t* y) {
#if defined(TFLM_TRAIN_AVX2)
  if (HasAvx2()) return DepthwisePixelAvx2(taps, count, offset, finish, n, y);
#endif
  std::memset(scratch, 0, sizeof(int32_t) * n);
  DepthwiseSums(taps, count, offset, 1, n, scratch);
  FinishRow(scratch, finish, n, y);
}

inline void AddElements(const Addition& addition, const int8_t* a, const int8_t* b, int8_t* y,
                        int32_t n) {
  AddOneByOne(addition, a, b, y, n);
}

}  // namespace tflm_train

#endif  // TFLM_KERNELS_ARCH_FORWARD_PORTABLE_H_
