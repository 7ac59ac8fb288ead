// The inner loops of the forward layers in plain C++. Only for forward_ops.h.
// Patches are int16, less the offset, one pixel's after the other's.

#ifndef TFLM_KERNELS_ARCH_FORWARD_PORTABLE_H_
#define TFLM_KERNELS_ARCH_FORWARD_PORTABLE_H_

#include <cstdint>
#include <cstring>

#include "tflm_kernels/arch/finish_generic.h"
#include "tflm_kernels/forward_ops.h"

#if defined(TFLM_TRAIN_AVX2)
#include "tflm_kernels/arch/forward_avx2.h"
#endif

namespace tflm_train {

constexpr bool kRawPatches = false;

inline void FillPatch(const int8_t* from, int32_t n, int32_t pixel, int32_t first,
                      const Patches& patches) {
  int16_t* const to = static_cast<int16_t*>(patches.data) + pixel * patches.depth + first;
  const int32_t offset = patches.offset;
  for (int32_t i = 0; i < n; ++i) to[i] = static_cast<int16_t>(from[i] - offset);
}

inline TwoByTwo DotTwoByTwo(const Patches& patches, const int8_t* w0, const int8_t* w1,
                            TwoByTwo sums) {
  const int16_t* const a0 = static_cast<const int16_t*>(patches.data);
  const int16_t* const a1 = a0 + patches.depth;
  const int32_t n = patches.depth;
  int32_t s00 = sums.s00, s01 = sums.s01, s10 = sums.s10, s11 = sums.s11;
  for (int32_t i = 0; i < n; ++i) {
    s00 = WrapAdd(s00, a0[i] * w0[i]);
    s01 = WrapAdd(s01, a0[i] * w1[i]);
    s10 = WrapAdd(s10, a1[i] * w0[i]);
    s11 = WrapAdd(s11, a1[i] * w1[i]);
  }
  return {s00, s01, s10, s11};
}

inline void DepthwiseSums(const DepthwiseTap* taps, int32_t count, int32_t offset,
                          int32_t multiplier, int32_t n, int32_t* acc) {
  const int16_t zero = static_cast<int16_t>(offset);
  for (int32_t k = 0; k < count; ++k) {
    const int8_t* const pixel = taps[k].pixel;
    const int8_t* const weights = taps[k].weights;
    if (multiplier == 1) {
      for (int32_t c = 0; c < n; ++c) {
        acc[c] = WrapAdd(acc[c],
                         static_cast<int16_t>(weights[c]) * static_cast<int16_t>(pixel[c] - zero));
      }
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
  FinishRowOneByOne(sums, finish, n, y);
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
    FinishTileOneByOne(first, second, f, c, y0 + c, y1 + c);
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
