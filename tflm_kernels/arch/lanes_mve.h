// Pixels of up to 16 channels, their lanes, taken apart into channels with Helium. Only for
// depthwise_mve.h.

#ifndef TFLM_KERNELS_ARCH_LANES_MVE_H_
#define TFLM_KERNELS_ARCH_LANES_MVE_H_

#include <arm_mve.h>

#include <cstdint>

#include "tflm_kernels/arch/features.h"

namespace tflm_train {
namespace mve {

// Moves rows of pixels of an image to a plane. The first pixel's lanes go to to[first], the
// second's to to[second], the third's to to[pair + first] ...
//
// DLSTP leaves as many lanes as there are, without a predicate for each instruction.
struct LaneRows {
  LaneRows(int32_t row_count, int32_t columns, int32_t pixel_step, int32_t row_bytes,
           int32_t pair_step, int32_t plane_row)
      : rows(columns > 0 ? row_count : 0),
        pairs(columns >> 1),
        odd(columns & 1),
        stride(pixel_step),
        skip(row_bytes - 2 * pairs * stride),
        pair(pair_step),
        to_skip(plane_row - pairs * pair) {}

  TFLM_TRAIN_INLINE void Move(const int8_t* from, int32_t lanes, uint8x16_t first,
                              uint8x16_t second, int8_t* to) const {
    int32_t left = rows, n;
    if (left <= 0) return;
    int8x16_t x;
    // clang-format off
    asm volatile(
        "dlstp.8 lr, %[lanes]\n"
        "1:\n\t"
        "movs %[n], %[pairs]\n\t"
        "beq 3f\n"
        "2:\n\t"
        "vldrb.u8 %q[x], [%[from]]\n\t"
        "add %[from], %[stride]\n\t"
        "vstrb.8 %q[x], [%[to], %q[first]]\n\t"
        "vldrb.u8 %q[x], [%[from]]\n\t"
        "add %[from], %[stride]\n\t"
        "vstrb.8 %q[x], [%[to], %q[second]]\n\t"
        "add %[to], %[pair]\n\t"
        "subs %[n], %[n], #1\n\t"
        "bne 2b\n"
        "3:\n\t"
        "cbz %[odd], 4f\n\t"
        "vldrb.u8 %q[x], [%[from]]\n\t"
        "vstrb.8 %q[x], [%[to], %q[first]]\n"
        "4:\n\t"
        "add %[from], %[skip]\n\t"
        "add %[to], %[to_skip]\n\t"
        "subs %[left], %[left], #1\n\t"
        "bne 1b\n\t"
        "lctp"
        : [from] "+r"(from), [to] "+r"(to), [left] "+r"(left), [n] "=&r"(n), [x] "=&w"(x)
        : [lanes] "r"(lanes), [pairs] "r"(pairs), [odd] "l"(odd), [stride] "r"(stride),
          [pair] "r"(pair), [skip] "r"(skip), [to_skip] "r"(to_skip), [first] "w"(first),
          [second] "w"(second)
        : "lr", "cc", "memory");
    // clang-format on
  }

  int32_t rows, pairs, odd;
  int32_t stride, skip;  // bytes from pixel to pixel, and behind a row's last pair to the next row
  int32_t pair, to_skip;
};

// Moves `count` pixels, at least 1, each to where the list says.
TFLM_TRAIN_INLINE void MoveLanes(const int8_t* from, int32_t stride, int32_t count, int32_t lanes,
                                 uint8x16_t at, int8_t* const* list) {
  int8_t* to;
  int8x16_t x;
  // clang-format off
  asm volatile(
      "dlstp.8 lr, %[lanes]\n"
      "1:\n\t"
      "vldrb.u8 %q[x], [%[from]]\n\t"
      "ldr %[to], [%[list]], #4\n\t"
      "add %[from], %[stride]\n\t"
      "subs %[count], %[count], #1\n\t"
      "vstrb.8 %q[x], [%[to], %q[at]]\n\t"
      "bne 1b\n\t"
      "lctp"
      : [from] "+r"(from), [count] "+r"(count), [list] "+r"(list), [to] "=&r"(to), [x] "=&w"(x)
      : [lanes] "r"(lanes), [stride] "r"(stride), [at] "w"(at)
      : "lr", "cc", "memory");
  // clang-format on
}

}  // namespace mve
}  // namespace tflm_train

#endif  // TFLM_KERNELS_ARCH_LANES_MVE_H_
