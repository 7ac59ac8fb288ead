// Clamp masks with the DSP extension: the flags of byte-wise comparisons select bytes.

#ifndef TFLM_KERNELS_ARCH_MASK_DSP_H_
#define TFLM_KERNELS_ARCH_MASK_DSP_H_

#include <cstddef>
#include <cstdint>

#include "tflm_kernels/arch/dsp.h"

namespace tflm_train {
namespace dsp {

// Values strictly between two limits, in each byte: those less `least` above `width` - as
// unsigned numbers - are outside.
struct ByteRange {
  // Some value must be inside.
  ByteRange(int32_t below, int32_t above)
      : least(static_cast<uint8_t>(below + 1) * 0x01010101u),
        width(static_cast<uint8_t>(above - below - 2) * 0x01010101u) {}

  // FAST-PATH-BOUND: byte-range
  static bool Exists(int32_t below, int32_t above) { return above - below >= 2; }

  uint32_t least, width;
};

// Zeroes the bytes of 8 * count values whose bit is 0; extremes: of the result.
inline void MaskBits(const uint8_t* bits, size_t count, int8_t* values, ByteExtremes* extremes) {
  // FAST-PATH-BOUND: aligned-mask
  if (reinterpret_cast<uintptr_t>(values) % sizeof(uint32_t) == 0) {
    const size_t pairs = count / 2;
    extremes->MaskAligned(bits, values, pairs);
    bits += 2 * pairs;
    values += 16 * pairs;
    count -= 2 * pairs;
  }
  for (; count > 0; --count, values += 8) {
    const uint32_t mask = *bits++;
    uint32_t low = LoadWord(values), high = LoadWord(values + 4);
    // The flags are bits 16 to 19 of the status register.
    asm("msr APSR_g, %2\n\t"
        "sel %0, %0, %4\n\t"
        "msr APSR_g, %3\n\t"
        "sel %1, %1, %4"
        : "+&r"(low), "+&r"(high)
        : "r"(mask << 16), "r"(mask << 12), "r"(0)
        : "cc");
    StoreWord(values, low);
    StoreWord(values + 4, high);
    extremes->Add(low, high);
  }
}

// Zeroes the bytes of 8 * count values whose activation is outside the range.
inline void MaskActivation(const int8_t* activation, const ByteRange& range, size_t count,
                           int8_t* values, ByteExtremes* extremes) {
  for (; count > 0; --count, values += 8, activation += 8) {
    uint32_t low = LoadWord(values), high = LoadWord(values + 4);
    uint32_t above;
    asm("usub8 %2, %3, %5\n\t"
        "usub8 %2, %6, %2\n\t"
        "sel %0, %0, %7\n\t"
        "usub8 %2, %4, %5\n\t"
        "usub8 %2, %6, %2\n\t"
        "sel %1, %1, %7"
        : "+&r"(low), "+&r"(high), "=&r"(above)
        : "r"(LoadWord(activation)), "r"(LoadWord(activation + 4)), "r"(range.least),
          "r"(range.width), "r"(0)
        : "cc");
    StoreWord(values, low);
    StoreWord(values + 4, high);
    extremes->Add(low, high);
  }
}

// One bit for each of 8 * count activations: whether it is inside the range.
inline void ClampBits(const int8_t* activation, const ByteRange& range, size_t count,
                      uint8_t* bits) {
  if (count == 0) return;
  // Words are ones at the bottom of each byte that passes, of every other word four bits
  // higher; the product brings those of a pair together in its top byte.
  constexpr uint32_t kGather = 0x01020408;
  uint32_t low, high;
  asm volatile(
      "1:\n\t"
      "ldr %[low], [%[from]], #4\n\t"
      "ldr %[high], [%[from]], #4\n\t"
      "usub8 %[low], %[low], %[least]\n\t"
      "usub8 %[low], %[width], %[low]\n\t"
      "sel %[low], %[ones], %[zero]\n\t"
      "usub8 %[high], %[high], %[least]\n\t"
      "usub8 %[high], %[width], %[high]\n\t"
      "sel %[high], %[sixteens], %[zero]\n\t"
      "orr %[low], %[low], %[high]\n\t"
      "mul %[low], %[low], %[gather]\n\t"
      "lsr %[low], %[low], #24\n\t"
      "strb %[low], [%[bits]], #1\n\t"
      "subs %[count], %[count], #1\n\t"
      "bne 1b"
      : [from] "+r"(activation), [bits] "+r"(bits), [count] "+r"(count), [low] "=&r"(low),
        [high] "=&r"(high)
      : [least] "r"(range.least), [width] "r"(range.width), [ones] "r"(0x01010101),
        [sixteens] "r"(0x10101010), [gather] "r"(kGather), [zero] "r"(0)
      : "cc", "memory");
}

// sums[j] = sum over `count` pixels, `stride` bytes apart, of byte j; four bytes.
inline void SumBytes(const int8_t* pixels, int32_t stride, int32_t count, int32_t* sums) {
  // FAST-PATH-BOUND: byte-sums
  constexpr int32_t kMost = 256;  // that fit int16
  int32_t sum0 = 0, sum1 = 0, sum2 = 0, sum3 = 0;
  while (count > 0) {
    const int32_t part = count < kMost ? count : kMost;
    count -= part;
    uint32_t even = 0, odd = 0, word, other;
    int32_t pairs = part >> 1;
    if (pairs > 0) {
      asm("1:\n\t"
          "ldr %[word], [%[p]]\n\t"
          "ldr %[other], [%[p], %[stride]]\n\t"
          "add %[p], %[p], %[stride], lsl #1\n\t"
          "sxtab16 %[even], %[even], %[word]\n\t"
          "sxtab16 %[odd], %[odd], %[word], ror #8\n\t"
          "subs %[n], %[n], #1\n\t"
          "sxtab16 %[even], %[even], %[other]\n\t"
          "sxtab16 %[odd], %[odd], %[other], ror #8\n\t"
          "bne 1b"
          : [p] "+r"(pixels), [n] "+r"(pairs), [even] "+r"(even), [odd] "+r"(odd),
            [word] "=&r"(word), [other] "=&r"(other)
          : [stride] "r"(stride)
          : "cc", "memory");
    }
    if (part & 1) {
      word = LoadWord(pixels);
      even = static_cast<uint32_t>(AddBytes02(even, word));
      odd = static_cast<uint32_t>(AddBytes13(odd, word));
      pixels += stride;
    }
    sum0 += static_cast<int16_t>(even);
    sum1 += static_cast<int16_t>(odd);
    sum2 += static_cast<int32_t>(even) >> 16;
    sum3 += static_cast<int32_t>(odd) >> 16;
  }
  sums[0] = sum0;
  sums[1] = sum1;
  sums[2] = sum2;
  sums[3] = sum3;
}

}  // namespace dsp
}  // namespace tflm_train

#endif  // TFLM_KERNELS_ARCH_MASK_DSP_H_
