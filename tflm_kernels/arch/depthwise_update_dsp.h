// Weight gradients of depthwise convolutions with the DSP extension. Only for update.cc.

#ifndef TFLM_KERNELS_ARCH_DEPTHWISE_UPDATE_DSP_H_
#define TFLM_KERNELS_ARCH_DEPTHWISE_UPDATE_DSP_H_

#include <cstdint>

#include "tflm_kernels/arch/dsp.h"
#include "tflm_kernels/panel.h"

namespace tflm_train {
namespace dsp {

// sums[j] = sum over the pixels of two grids of one size of byte j of q times byte j of x, less
// the zero point; four bytes.
__attribute__((noinline)) inline void SumProducts(const PixelGrid& x, const PixelGrid& q,
                                                  int32_t zero_point, int32_t* sums) {
  // All registers are in use: what the rows need is in memory.
  struct {
    int32_t x_skip, q_skip;
  } skip = {x.row_stride - x.columns * x.column_stride, q.row_stride - q.columns * q.column_stride};
  int32_t rows = q.rows, columns = q.columns;
  const int8_t *x_pixel = x.first, *q_pixel = q.first;
  int32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0;
  int32_t left, a, b, c, d;
  asm volatile(
      "1:\n\t"
      "ldr %[n], %[columns]\n"
      "2:\n\t"
      "ldr %[a], [%[x]]\n\t"
      "ldr %[b], [%[q]]\n\t"
      "add %[x], %[x_stride]\n\t"
      "add %[q], %[q_stride]\n\t"
      "subs %[n], #1\n\t"
      "sxtab16 %[c], %[z], %[a]\n\t"
      "sxtb16 %[d], %[b]\n\t"
      "sxtab16 %[a], %[z], %[a], ror #8\n\t"
      "sxtb16 %[b], %[b], ror #8\n\t"
      "smlabb %[s0], %[c], %[d], %[s0]\n\t"
      "smlatt %[s2], %[c], %[d], %[s2]\n\t"
      "smlabb %[s1], %[a], %[b], %[s1]\n\t"
      "smlatt %[s3], %[a], %[b], %[s3]\n\t"
      "bne 2b\n\t"
      "ldrd %[a], %[b], %[skip]\n\t"
      "ldr %[c], %[rows]\n\t"
      "add %[x], %[a]\n\t"
      "add %[q], %[b]\n\t"
      "subs %[c], #1\n\t"
      "str %[c], %[rows]\n\t"
      "bne 1b"
      : [x] "+&r"(x_pixel), [q] "+&r"(q_pixel), [s0] "+&r"(s0), [s1] "+&r"(s1), [s2] "+&r"(s2),
        [s3] "+&r"(s3), [n] "=&r"(left), [a] "=&r"(a), [b] "=&r"(b), [c] "=&r"(c), [d] "=&r"(d),
        [rows] "+m"(rows)
      : [x_stride] "r"(x.column_stride), [q_stride] "r"(q.column_stride),
        [z] "r"(Pack(-zero_point, -zero_point)), [columns] "m"(columns), [skip] "m"(skip)
      : "cc", "memory");
  sums[0] = s0;
  sums[1] = s1;
  sums[2] = s2;
  sums[3] = s3;
}

}  // namespace dsp
}  // namespace tflm_train

#endif  // TFLM_KERNELS_ARCH_DEPTHWISE_UPDATE_DSP_H_
