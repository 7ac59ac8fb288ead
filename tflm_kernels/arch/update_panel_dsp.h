// Panels of a convolution's update with the DSP extension. Only for arch/update_dsp.h.
//
// A panel has four lanes in two halves: of gradients lanes 0 and 1, 2 and 3, of inputs lanes 0 and
// 2, 1 and 3. In a half, pairs of the depth of either lane follow each other, up to a whole number
// of steps of two pairs.

#ifndef TFLM_KERNELS_ARCH_UPDATE_PANEL_DSP_H_
#define TFLM_KERNELS_ARCH_UPDATE_PANEL_DSP_H_

#include <cstdint>
#include <cstring>

#include "tflm_kernels/arch/dsp.h"
#include "tflm_kernels/arch/features.h"
#include "tflm_kernels/panel.h"

namespace tflm_train {
namespace dsp {

// Where the next pairs go in either half.
struct HalfPanels {
  int16_t *first, *second;
};

// Packs bytes of the input less its zero point, as far up in 16 bits as they fit: times
// 2^kInputShift.
constexpr int kInputShift = 7;

class InputPacker {
 public:
  explicit InputPacker(int32_t zero_point)
      : zero_point_(zero_point), offsets_(dsp::Pack(zero_point << 8, zero_point << 8)) {}

  // What stands for no input, four times.
  uint32_t missing() const { return FourTimes(zero_point_); }

  // Packs pixels `stride` apart; pairs > 0.
  TFLM_TRAIN_INLINE void Pack(const void* pixels, int32_t stride, int32_t pairs,
                              HalfPanels* to) const {
    uint32_t a, b, c, d;
    // The input times 2^8 loses a bit again.
    asm volatile(
        "1:\n\t"
        "ldr %[a], [%[x]]\n\t"
        "ldr %[b], [%[x], %[stride]]\n\t"
        "add %[x], %[x], %[stride], lsl #1\n\t"
        "subs %[n], #1\n\t"
        "pkhbt %[c], %[a], %[b], lsl #16\n\t"
        "pkhtb %[d], %[b], %[a], asr #16\n\t"
        "and %[a], %[mask], %[c], lsl #8\n\t"
        "and %[b], %[mask], %[d], lsl #8\n\t"
        "and %[c], %[mask], %[c]\n\t"
        "and %[d], %[mask], %[d]\n\t"
        "shsub16 %[a], %[a], %[z]\n\t"
        "shsub16 %[b], %[b], %[z]\n\t"
        "shsub16 %[c], %[c], %[z]\n\t"
        "shsub16 %[d], %[d], %[z]\n\t"
        "strd %[a], %[b], [%[first]], #8\n\t"
        "strd %[c], %[d], [%[second]], #8\n\t"
        "bne 1b"
        : [x] "+&r"(pixels), [n] "+&r"(pairs), [first] "+&r"(to->first), [second] "+&r"(to->second),
          [a] "=&r"(a), [b] "=&r"(b), [c] "=&r"(c), [d] "=&r"(d)
        : [stride] "r"(stride), [mask] "r"(0xff00ff00), [z] "r"(offsets_)
        : "cc", "memory");
  }

 private:
  int32_t zero_point_;
  uint32_t offsets_;
};

// Packs gradients and sums them up.
class GradientPacker {
 public:
  static uint32_t missing() { return 0; }

  // As InputPacker::Pack.
  TFLM_TRAIN_INLINE void Pack(const void* pixels, int32_t stride, int32_t pairs, HalfPanels* to) {
    uint32_t a, b, c, d;
    asm volatile(
        "1:\n\t"
        "ldr %[a], [%[q]]\n\t"
        "ldr %[b], [%[q], %[stride]]\n\t"
        "add %[q], %[q], %[stride], lsl #1\n\t"
        "subs %[n], #1\n\t"
        "sxtab16 %[s02], %[s02], %[a]\n\t"
        "sxtab16 %[s13], %[s13], %[a], ror #8\n\t"
        "sxtab16 %[s02], %[s02], %[b]\n\t"
        "sxtab16 %[s13], %[s13], %[b], ror #8\n\t"
        "pkhbt %[c], %[a], %[b], lsl #16\n\t"
        "pkhtb %[d], %[b], %[a], asr #16\n\t"
        "sxtb16 %[a], %[c]\n\t"
        "sxtb16 %[b], %[c], ror #8\n\t"
        "sxtb16 %[c], %[d]\n\t"
        "sxtb16 %[d], %[d], ror #8\n\t"
        "strd %[a], %[b], [%[first]], #8\n\t"
        "strd %[c], %[d], [%[second]], #8\n\t"
        "bne 1b"
        : [q] "+&r"(pixels), [n] "+&r"(pairs), [first] "+&r"(to->first), [second] "+&r"(to->second),
          [s02] "+&r"(sums02_), [s13] "+&r"(sums13_), [a] "=&r"(a), [b] "=&r"(b), [c] "=&r"(c),
          [d] "=&r"(d)
        : [stride] "r"(stride)
        : "cc", "memory");
  }

  // Those of the lanes, of a depth up to kMaxSummed.
  void Sums(int32_t* sums) const {
    sums[0] = static_cast<int16_t>(sums02_);
    sums[1] = static_cast<int16_t>(sums13_);
    sums[2] = sums02_ >> 16;
    sums[3] = sums13_ >> 16;
  }
  // FAST-PATH-BOUND: packed-sums
  static constexpr int32_t kMaxSummed = 256;  // that fit int16

 private:
  int32_t sums02_ = 0, sums13_ = 0;
};

// Fills up the last step after `depth` positions.
inline void PadStep(int32_t depth, const HalfPanels& to) {
  if (((depth + 1) & 2) == 0) return;
  std::memset(to.first, 0, 2 * sizeof(uint32_t));
  std::memset(to.second, 0, 2 * sizeof(uint32_t));
}

// Packer::Pack where it is not worth its code.
template <typename Packer>
__attribute__((noinline)) void PackSome(Packer* packer, const void* pixels, int32_t stride,
                                        int32_t pairs, HalfPanels* to) {
  packer->Pack(pixels, stride, pairs, to);
}

// Packs the next `depth` pixels.
template <typename Packer>
__attribute__((noinline)) void PackRows(PixelCursor cursor, int32_t depth, Packer* packer,
                                        HalfPanels to) {
  const uint32_t missing = packer->missing();
  const auto distance = [](const void* a, const void* b) {
    return static_cast<int32_t>(reinterpret_cast<intptr_t>(b) - reinterpret_cast<intptr_t>(a));
  };
  for (int32_t left = depth; left > 0;) {
    const int32_t run = left < cursor.left() ? left : cursor.left();
    left -= run;
    const int32_t stride = cursor.column_stride();
    if (run > 1) PackSome(packer, cursor.Skip(run & ~1), stride, run >> 1, &to);
    if ((run & 1) == 0) continue;
    const void* const pixel = cursor.Next();
    const void* const next = left > 0 ? static_cast<const void*>(cursor.Next()) : &missing;
    PackSome(packer, pixel, distance(pixel, next), 1, &to);
    if (left > 0) --left;
  }
  PadStep(depth, to);
}

// The same of less than four lanes. What the others hold means nothing.
template <typename Packer>
__attribute__((noinline)) void PackFewLanes(PixelCursor cursor, int32_t depth, int lanes,
                                            Packer* packer, HalfPanels to) {
  const auto load = [&] {
    const int8_t* const pixel = cursor.Next();
    uint32_t word = 0;
    for (int j = 0; j < lanes; ++j) word |= static_cast<uint32_t>(uint8_t(pixel[j])) << (8 * j);
    return word;
  };
  for (int32_t k = 0; k < depth; k += 2) {
    const uint32_t first = load();
    const uint32_t words[] = {first, k + 1 < depth ? load() : packer->missing()};
    PackSome(packer, words, sizeof(words[0]), 1, &to);
  }
  PadStep(depth, to);
}

// The same of up to four lanes.
template <typename Packer>
inline void PackLanes(const PixelCursor& cursor, int32_t depth, int lanes, Packer* packer,
                      const HalfPanels& to) {
  if (lanes < kLanes) return PackFewLanes(cursor, depth, lanes, packer, to);
  PackRows(cursor, depth, packer, to);
}

// The same of all pixels of a grid.
template <typename Packer>
TFLM_TRAIN_INLINE void PackGrid(const PixelGrid& grid, int lanes, Packer* packer, HalfPanels to) {
  const int32_t depth = grid.size();
  if (grid.rows > 1 || (depth & 1) != 0 || lanes < kLanes) {
    return PackLanes(PixelCursor(grid), depth, lanes, packer, to);
  }
  packer->Pack(grid.first, grid.column_stride, depth / 2, &to);
  PadStep(depth, to);
}

}  // namespace dsp
}  // namespace tflm_train

#endif  // TFLM_KERNELS_ARCH_UPDATE_PANEL_DSP_H_
