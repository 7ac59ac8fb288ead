// Panels of a convolution's update with the DSP extension. Only for arch/update_dsp.h.
//
// A panel has four lanes in two halves: of gradients lanes 0 and 1, 2 and 3, of inputs lanes 0 and
// 2, 1 and 3. In a half, pairs of the depth of either lane follow each other, up to a whole number
// of steps of two pairs.

#ifndef TFLM_KERNELS_ARCH_UPDATE_PANEL_DSP_H_
#define TFLM_KERNELS_ARCH_UPDATE_PANEL_DSP_H_

#include <arm_acle.h>

#include <cstdint>

#include "tflm_kernels/arch/dsp.h"
#include "tflm_kernels/arch/features.h"
#include "tflm_kernels/panel.h"

namespace tflm_train {
namespace dsp {

constexpr int32_t kStepElements = 8;  // of half a panel

constexpr int32_t StepsOf(int32_t depth) { return (depth + 3) / 4; }

// Where the next pairs go in either half.
struct HalfPanels {
  TFLM_TRAIN_INLINE void Add(int32_t a0, int32_t a1, int32_t b0, int32_t b1) {
    asm volatile(
        "strd %2, %3, [%0], #8\n\t"
        "strd %4, %5, [%1], #8"
        : "+&r"(first), "+&r"(second)
        : "r"(a0), "r"(a1), "r"(b0), "r"(b1)
        : "memory");
  }

  int16_t *first, *second;
};

// Packs bytes of the input less its zero point, as far up in 16 bits as they fit: times
// 2^kInputShift.
constexpr int kInputShift = 7;

class InputPacker {
 public:
  explicit InputPacker(int32_t zero_point)
      : zero_point_(zero_point),
        offsets_(static_cast<int32_t>(Pack(zero_point << 8, zero_point << 8))) {}

  // What stands for no input, four times.
  uint32_t missing() const { return FourTimes(zero_point_); }

  TFLM_TRAIN_INLINE void Add(uint32_t even, uint32_t odd, HalfPanels* to) const {
    const uint32_t low = LowHalves(even, odd);
    const uint32_t high = HighHalves(even, odd);
    // The input times 2^8 loses a bit again.
    const auto less = [&](uint32_t pair) {
      return __shsub16(static_cast<int32_t>(pair & 0xff00ff00), offsets_);
    };
    to->Add(less(low << 8), less(high << 8), less(low), less(high));
  }

 private:
  int32_t zero_point_;
  int32_t offsets_;
};

// Packs gradients and sums them up.
class GradientPacker {
 public:
  static uint32_t missing() { return 0; }

  TFLM_TRAIN_INLINE void Add(uint32_t even, uint32_t odd, HalfPanels* to) {
    const uint32_t low = LowHalves(even, odd);
    const uint32_t high = HighHalves(even, odd);
    to->Add(Bytes02(low), Bytes13(low), Bytes02(high), Bytes13(high));
    sums02_ = AddBytes02(AddBytes02(sums02_, even), odd);
    sums13_ = AddBytes13(AddBytes13(sums13_, even), odd);
  }

  // Those of the lanes, of a depth up to kMaxSummed.
  void Sums(int32_t* sums) const {
    sums[0] = static_cast<int16_t>(sums02_);
    sums[1] = static_cast<int16_t>(sums13_);
    sums[2] = sums02_ >> 16;
    sums[3] = sums13_ >> 16;
  }
  static constexpr int32_t kMaxSummed = 256;  // that fit int16

 private:
  int32_t sums02_ = 0, sums13_ = 0;
};

// Packs the next `depth` pixels, of which load(pixel) gives the lanes.
template <typename Load, typename Packer>
TFLM_TRAIN_INLINE void PackLanesOf(const Load& load, PixelCursor* cursor, int32_t depth,
                                   Packer* packer, HalfPanels to) {
  const int32_t stride = cursor->EvenStride(depth);
  int32_t left = depth;
  if (stride != 0) {
    const int8_t* from = cursor->Skip(depth & ~1);
    // Twice the stride would take another register.
    const auto add_pair = [&] {
      const uint32_t even = load(from);
      const uint32_t odd = load(from + stride);
      asm("add %0, %0, %1, lsl #1" : "+r"(from) : "r"(stride));
      packer->Add(even, odd, &to);
    };
    for (; left >= 4; left -= 4) {
      add_pair();
      add_pair();
    }
    if (left >= 2) add_pair();
    left &= 1;
  }
  for (; left >= 2; left -= 2) {
    const uint32_t even = load(cursor->Next());
    const uint32_t odd = load(cursor->Next());
    packer->Add(even, odd, &to);
  }
  if (left != 0) packer->Add(load(cursor->Next()), packer->missing(), &to);
  if (((depth + 1) & 2) != 0) to.Add(0, 0, 0, 0);
}

template <typename Packer>
TFLM_TRAIN_INLINE void PackFourLanes(PixelCursor* cursor, int32_t depth, Packer* packer,
                                     const HalfPanels& to) {
  PackLanesOf([](const int8_t* pixel) { return LoadWord(pixel); }, cursor, depth, packer, to);
}

// The same of less than four lanes; what the others hold means nothing.
template <typename Packer>
__attribute__((noinline)) void PackFewLanes(PixelCursor* cursor, int32_t depth, int lanes,
                                            Packer* packer, const HalfPanels& to) {
  const auto load = [lanes](const int8_t* pixel) {
    uint32_t word = 0;
    for (int j = 0; j < lanes; ++j) word |= static_cast<uint32_t>(uint8_t(pixel[j])) << (8 * j);
    return word;
  };
  PackLanesOf(load, cursor, depth, packer, to);
}

}  // namespace dsp
}  // namespace tflm_train

#endif  // TFLM_KERNELS_ARCH_UPDATE_PANEL_DSP_H_
