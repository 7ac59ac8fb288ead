// Words of four int8 and pairs of int16 on cores with the DSP extension.

#ifndef TFLM_KERNELS_ARCH_DSP_H_
#define TFLM_KERNELS_ARCH_DSP_H_

#include <arm_acle.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "tflm_kernels/arch/features.h"

namespace tflm_train {
namespace dsp {

// Unaligned loads are one instruction.
TFLM_TRAIN_INLINE uint32_t LoadWord(const void* from) {
  uint32_t word;
  std::memcpy(&word, from, sizeof(word));
  return word;
}

TFLM_TRAIN_INLINE int32_t LoadPair(const int16_t* from) {
  return static_cast<int32_t>(LoadWord(from));
}

TFLM_TRAIN_INLINE void StoreWord(void* to, uint32_t word) { std::memcpy(to, &word, sizeof(word)); }

// Two words, aligned to 4.
TFLM_TRAIN_INLINE void StoreWords(int16_t* to, int32_t first, int32_t second) {
  using Words = uint64_t __attribute__((may_alias));
  asm("strd %1, %2, %0" : "=m"(*reinterpret_cast<Words*>(to)) : "r"(first), "r"(second));
}

// The instructions below have no intrinsics in GCC, or not with a rotation.

// (low half of a, low half of b).
TFLM_TRAIN_INLINE uint32_t LowHalves(uint32_t a, uint32_t b) {
  uint32_t pair;
  asm("pkhbt %0, %1, %2, lsl #16" : "=r"(pair) : "r"(a), "r"(b));
  return pair;
}

// (high half of a, high half of b).
TFLM_TRAIN_INLINE uint32_t HighHalves(uint32_t a, uint32_t b) {
  uint32_t pair;
  asm("pkhtb %0, %2, %1, asr #16" : "=r"(pair) : "r"(a), "r"(b));
  return pair;
}

// (low, high) of two int16.
TFLM_TRAIN_INLINE uint32_t Pack(int32_t low, int32_t high) {
  return LowHalves(static_cast<uint32_t>(low), static_cast<uint32_t>(high));
}

// Bytes 0 and 2, 1 and 3 of a word as a pair, sign extended.
TFLM_TRAIN_INLINE int32_t Bytes02(uint32_t word) {
  int32_t pair;
  asm("sxtb16 %0, %1" : "=r"(pair) : "r"(word));
  return pair;
}
TFLM_TRAIN_INLINE int32_t Bytes13(uint32_t word) {
  int32_t pair;
  asm("sxtb16 %0, %1, ror #8" : "=r"(pair) : "r"(word));
  return pair;
}

// The same, added to the halves of `pair`.
TFLM_TRAIN_INLINE int32_t AddBytes02(uint32_t pair, uint32_t word) {
  int32_t sum;
  asm("sxtab16 %0, %1, %2" : "=r"(sum) : "r"(pair), "r"(word));
  return sum;
}
TFLM_TRAIN_INLINE int32_t AddBytes13(uint32_t pair, uint32_t word) {
  int32_t sum;
  asm("sxtab16 %0, %1, %2, ror #8" : "=r"(sum) : "r"(pair), "r"(word));
  return sum;
}

// a / 2, rounded down, saturated to int8.
TFLM_TRAIN_INLINE int32_t SaturateHalf(int32_t a) {
  int32_t byte;
  asm("ssat %0, #8, %1, asr #1" : "=r"(byte) : "r"(a) : "cc");
  return byte;
}

// `byte` four times.
TFLM_TRAIN_INLINE uint32_t FourTimes(int32_t byte) {
  return static_cast<uint8_t>(byte) * 0x01010101u;
}

// The larger and the smaller of each of four int8.
TFLM_TRAIN_INLINE uint32_t MaxBytes(uint32_t a, uint32_t b) {
  uint32_t max;
  asm("ssub8 %0, %1, %2\n\tsel %0, %1, %2" : "=&r"(max) : "r"(a), "r"(b) : "cc");
  return max;
}
TFLM_TRAIN_INLINE uint32_t MinBytes(uint32_t a, uint32_t b) {
  uint32_t min;
  asm("ssub8 %0, %1, %2\n\tsel %0, %2, %1" : "=&r"(min) : "r"(a), "r"(b) : "cc");
  return min;
}

// The running extremes of int8, four at a time.
class ByteExtremes {
 public:
  TFLM_TRAIN_INLINE void Add(uint32_t word) {
    max_ = MaxBytes(max_, word);
    min_ = MinBytes(min_, word);
  }

  TFLM_TRAIN_INLINE void Add(uint32_t a, uint32_t b) {
    uint32_t larger, smaller, flags;
    asm("ssub8 %[f], %[a], %[b]\n\t"
        "sel %[l], %[a], %[b]\n\t"
        "sel %[s], %[b], %[a]\n\t"
        "ssub8 %[f], %[max], %[l]\n\t"
        "sel %[max], %[max], %[l]\n\t"
        "ssub8 %[f], %[min], %[s]\n\t"
        "sel %[min], %[s], %[min]"
        :
        [max] "+r"(max_), [min] "+r"(min_), [l] "=&r"(larger), [s] "=&r"(smaller), [f] "=&r"(flags)
        : [a] "r"(a), [b] "r"(b)
        : "cc");
  }

  // Of four words r4, r5, r6, r8: the largest bytes to f, the smallest to r5, and on to those so far.
#define TFLM_TRAIN_FOUR_EXTREMES \
  "ssub8 %[f], r4, r5\n\t"       \
  "sel %[f], r4, r5\n\t"         \
  "sel r5, r5, r4\n\t"           \
  "ssub8 r4, r6, r8\n\t"         \
  "sel r4, r6, r8\n\t"           \
  "sel r6, r8, r6\n\t"           \
  "ssub8 r8, %[f], r4\n\t"       \
  "sel %[f], %[f], r4\n\t"       \
  "ssub8 r8, r5, r6\n\t"         \
  "sel r5, r6, r5\n\t"           \
  "ssub8 r8, %[max], %[f]\n\t"   \
  "sel %[max], %[max], %[f]\n\t" \
  "ssub8 r8, %[min], r5\n\t"     \
  "sel %[min], r5, %[min]\n\t"

  // 16 * count bytes, aligned to 4.
  void AddAligned(const int8_t* bytes, size_t count) {
#define TFLM_TRAIN_FOUR_WORDS "ldmia %[p]!, {r4, r5, r6, r8}\n\t" TFLM_TRAIN_FOUR_EXTREMES
    uint32_t flags;
    for (; count % 4 != 0; --count) {
      asm(TFLM_TRAIN_FOUR_WORDS
          : [max] "+r"(max_), [min] "+r"(min_), [p] "+r"(bytes), [f] "=&r"(flags)
          :
          : "r4", "r5", "r6", "r8", "cc", "memory");
    }
    if (count == 0) return;
    asm("1:\n\t" TFLM_TRAIN_FOUR_WORDS TFLM_TRAIN_FOUR_WORDS TFLM_TRAIN_FOUR_WORDS
            TFLM_TRAIN_FOUR_WORDS
        "subs %[n], #4\n\t"
        "bne 1b"
        : [max] "+r"(max_), [min] "+r"(min_), [p] "+r"(bytes), [n] "+r"(count), [f] "=&r"(flags)
        :
        : "r4", "r5", "r6", "r8", "cc", "memory");
#undef TFLM_TRAIN_FOUR_WORDS
  }

  // The same after bytes whose bit is 0 have become 0.
  void MaskAligned(const uint8_t* bits, int8_t* bytes, size_t count) {
    if (count == 0) return;
      // The flags are bits 16 to 19 of the status register.
#define TFLM_TRAIN_MASK_WORD(WORD, SHIFT) \
  "lsl %[f], %[m], #" SHIFT "\n\tmsr APSR_g, %[f]\n\tsel " WORD ", " WORD ", %[zero]\n\t"
    uint32_t flags, mask;
    asm volatile(
        "1:\n\t"
        "ldrh %[m], [%[bits]], #2\n\t"
        "ldm %[p], {r4, r5, r6, r8}\n\t"
        "subs %[n], #1\n\t" TFLM_TRAIN_MASK_WORD("r4", "16") TFLM_TRAIN_MASK_WORD("r5", "12")
            TFLM_TRAIN_MASK_WORD("r6", "8") TFLM_TRAIN_MASK_WORD(
                "r8", "4") "stm %[p]!, {r4, r5, r6, r8}\n\t" TFLM_TRAIN_FOUR_EXTREMES "bne 1b"
        : [max] "+&r"(max_), [min] "+&r"(min_), [p] "+&r"(bytes), [n] "+&r"(count),
          [bits] "+&r"(bits), [f] "=&r"(flags), [m] "=&r"(mask)
        : [zero] "r"(0)
        : "r4", "r5", "r6", "r8", "cc", "memory");
#undef TFLM_TRAIN_MASK_WORD
  }
#undef TFLM_TRAIN_FOUR_EXTREMES

  // Joins what has been seen to max and min.
  void Reduce(int8_t* max, int8_t* min) const {
    for (int shift = 0; shift < 32; shift += 8) {
      const int8_t up = static_cast<int8_t>(max_ >> shift);
      const int8_t down = static_cast<int8_t>(min_ >> shift);
      *max = up > *max ? up : *max;
      *min = down < *min ? down : *min;
    }
  }

 private:
  uint32_t max_ = 0, min_ = 0;
};

// The low bytes of four words.
TFLM_TRAIN_INLINE uint32_t PackBytes(int32_t b0, int32_t b1, int32_t b2, int32_t b3) {
  asm("bfi %0, %1, #8, #8\n\t"
      "bfi %0, %2, #16, #8\n\t"
      "bfi %0, %3, #24, #8"
      : "+&r"(b0)
      : "r"(b1), "r"(b2), "r"(b3));
  return static_cast<uint32_t>(b0);
}

// Products of the low and of the high halves (SMULBB, SMULTT).
TFLM_TRAIN_INLINE int32_t MultiplyLow(int32_t a, int32_t b) {
  return static_cast<int16_t>(a) * static_cast<int16_t>(b);
}
TFLM_TRAIN_INLINE int32_t MultiplyHigh(int32_t a, int32_t b) { return (a >> 16) * (b >> 16); }

}  // namespace dsp
}  // namespace tflm_train

#endif  // TFLM_KERNELS_ARCH_DSP_H_
