// The inner loops of the forward layers (forward_rows.h). All sums are exact
// integers, so that the variants agree. No alignment is assumed for int8.

#ifndef TFLM_KERNELS_FORWARD_OPS_H_
#define TFLM_KERNELS_FORWARD_OPS_H_

#include <cstdint>

namespace tflm_train {

// to[i] = from[i] - offset, in the order that DotTwoByTwo wants. `from` may be the
// upper half of `to`'s memory: byte i of it at byte n + i.
void Widen(const int8_t* from, int32_t offset, int32_t n, int16_t* to);

// sums[2 * r + c] += sum over i of a[r][i] * w[c][i]; a[r] of n elements from Widen.
void DotTwoByTwo(const int16_t* const a[2], const int8_t* const w[2], int32_t n, int32_t sums[4]);

// A kernel tap inside the input.
struct DepthwiseTap {
  const int8_t* pixel;
  const int8_t* weights;
};

// acc[c] = sum over taps of (pixel[c] - offset) * weights[c], c = 0 .. n - 1.
void DepthwiseSums(const DepthwiseTap* taps, int32_t count, int32_t offset, int32_t n,
                   int32_t* acc);

}  // namespace tflm_train

#endif  // TFLM_KERNELS_FORWARD_OPS_H_
