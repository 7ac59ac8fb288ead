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

// One bit for each of 16 * count activations: whether it is inside the range.
inline void ClampBits(const int8_t* activation, const ByteRange& range, size_t count,
                      uint8_t* bits) {
  // Words are ones at the bottom of each byte that passes, of every other word four bits
  // higher; the product brings those of a pair together in its top byte.
  constexpr uint32_t kGather = 0x01020408;
  const auto eight = [&](const int8_t* from) {
    uint32_t low = LoadWord(from), high = LoadWord(from + 4);
    asm("usub8 %0, %0, %2\n\t"
        "usub8 %0, %3, %0\n\t"
        "sel %0, %4, %6\n\t"
        "usub8 %1, %1, %2\n\t"
        "usub8 %1, %3, %1\n\t"
        "sel %1, %5, %6"
        : "+&r"(low), "+&r"(high)
        : "r"(range.least), "r"(range.width), "r"(0x01010101), "r"(0x10101010), "r"(0)
        : "cc");
    return (low | high) * kGather >> 24;
  };
  for (; count > 0; --count, activation += 16, bits += 2) {
    const uint32_t first = eight(activation);
    const uint16_t both = static_cast<uint16_t>(first | eight(activation + 8) << 8);
    std::memcpy(bits, &both, sizeof(both));
  }
}

// sums[j] = sum over `count` pixels, `stride` bytes apart, of byte j; four bytes.
inline void SumBytes(const int8_t* pixels, int32_t stride, int32_t count, int32_t* sums) {
  // FAST-PATH-BOUND: byte-sums
  constexpr int32_t kMost = 256;  // that fit int16
  sums[0] = sums[1] = sums[2] = sums[3] = 0;
  while (count > 0) {
    const int32_t part = count < kMost ? count : kMost;
    count -= part;
    uint32_t even = 0, odd = 0;
    const auto add = [&](uint32_t word) {
      asm("sxtab16 %0, %0, %2\n\t"
          "sxtab16 %1, %1, %2, ror #8"
          : "+&r"(even), "+&r"(odd)
          : "r"(word));
    };
    int32_t n = part;
    for (; n >= 4; n -= 4) {
      const int8_t* const next = pixels + 2 * stride;
      add(LoadWord(pixels));
      add(LoadWord(pixels + stride));
      add(LoadWord(next));
      add(LoadWord(next + stride));
      pixels = next + 2 * stride;
    }
    for (; n > 0; --n, pixels += stride) add(LoadWord(pixels));
    sums[0] += static_cast<int16_t>(even);
    sums[1] += static_cast<int16_t>(odd);
    sums[2] += static_cast<int32_t>(even) >> 16;
    sums[3] += static_cast<int32_t>(odd) >> 16;
  }
}

}  // namespace dsp
}  // namespace tflm_train

#endif  // TFLM_KERNELS_ARCH_MASK_DSP_H_
