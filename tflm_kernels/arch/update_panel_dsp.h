// Panels of a convolution's update with the DSP extension. Only for arch/update_dsp.h.

#ifndef TFLM_KERNELS_ARCH_UPDATE_PANEL_DSP_H_
#define TFLM_KERNELS_ARCH_UPDATE_PANEL_DSP_H_

#include <arm_acle.h>

#include <cstdint>

#include "tflm_kernels/arch/dsp.h"
#include "tflm_kernels/arch/panel_generic.h"
#include "tflm_kernels/panel.h"

namespace tflm_train {
namespace dsp {

// The input less its zero point lies in the panels times 2^kInputShift, as far up as it fits.
constexpr int kInputShift = 7;

// Packs lanes of bytes less `offset`, times 2^kInputShift.
class InputPacker {
 public:
  explicit InputPacker(int32_t offset)
      : offset_(offset), offsets_(static_cast<int32_t>(Pack(offset << 8, offset << 8))) {}

  // What stands for no input, four times.
  uint32_t missing() const { return FourTimes(offset_); }

  TFLM_TRAIN_INLINE void Add(uint32_t even, uint32_t odd, int16_t** to) {
    constexpr uint32_t kMask = 0xff00ff00;
    const uint32_t low = LowHalves(even, odd);
    const uint32_t high = HighHalves(even, odd);
    // The input times 2^8 loses a bit again.
    const auto less = [&](uint32_t pair) {
      return __shsub16(static_cast<int32_t>(pair & kMask), offsets_);
    };
    StoreFour(less(low << 8), less(low), less(high << 8), less(high), to);
  }

  void AddGeneric(PixelCursor* cursor, int32_t depth, int lanes, int16_t* panel) const {
    PackLanesGeneric(cursor, depth, lanes, offset_, panel);
    const int32_t packed = PackedElements(depth);
    for (int32_t k = 0; k < packed; ++k) {
      panel[k] = static_cast<int16_t>(panel[k] * (1 << kInputShift));
    }
  }

  static TFLM_TRAIN_INLINE void StoreFour(int32_t p0, int32_t p1, int32_t p2, int32_t p3,
                                          int16_t** to) {
    asm volatile(
        "strd %1, %2, [%0], #8\n\t"
        "strd %3, %4, [%0], #8"
        : "+&r"(*to)
        : "r"(p0), "r"(p1), "r"(p2), "r"(p3)
        : "memory");
  }

 private:
  int32_t offset_;
  int32_t offsets_;
};

// Packs lanes of gradients and sums them up to a depth of kMaxSummed.
class GradientPacker {
 public:
  static constexpr int32_t kMaxSummed = 256;  // that fit int16

  static uint32_t missing() { return 0; }

  TFLM_TRAIN_INLINE void Add(uint32_t even, uint32_t odd, int16_t** to) {
    const uint32_t low = LowHalves(even, odd);
    const uint32_t high = HighHalves(even, odd);
    InputPacker::StoreFour(Bytes02(low), Bytes13(low), Bytes02(high), Bytes13(high), to);
    sums02_ = AddBytes02(AddBytes02(sums02_, even), odd);
    sums13_ = AddBytes13(AddBytes13(sums13_, even), odd);
  }

  void AddGeneric(PixelCursor* cursor, int32_t depth, int lanes, int16_t* panel) {
    PackLanesGeneric(cursor, depth, lanes, 0, panel);
    int16_t sums[kLanes] = {};
    for (int32_t k = 0; k < depth; ++k) {
      for (int j = 0; j < kLanes; ++j) {
        sums[j] = static_cast<int16_t>(sums[j] + panel[PanelIndex(k) + j * kQuantum]);
      }
    }
    sums02_ = static_cast<int32_t>(Pack(sums[0], sums[2]));
    sums13_ = static_cast<int32_t>(Pack(sums[1], sums[3]));
  }

  // Of a lane.
  int32_t Sum(int lane) const {
    const int32_t sums = (lane & 1) != 0 ? sums13_ : sums02_;
    return lane < 2 ? static_cast<int16_t>(sums) : sums >> 16;
  }

 private:
  int32_t sums02_ = 0, sums13_ = 0;
};

// Packs the next `depth` pixels; the end of the last pair is zero.
template <typename Packer>
TFLM_TRAIN_INLINE void PackFourLanes(PixelCursor* cursor, int32_t depth, Packer* packer,
                                     int16_t* panel) {
  const int32_t stride = cursor->EvenStride(depth);
  int32_t pairs = depth >> 1;
  if (stride != 0 && pairs > 0) {
    const int8_t* from = cursor->Skip(depth & ~1);
    do {
      const uint32_t even = LoadWord(from);
      const uint32_t odd = LoadWord(from + stride);
      from += 2 * stride;
      packer->Add(even, odd, &panel);
    } while (--pairs > 0);
  }
  for (; pairs > 0; --pairs) {
    const uint32_t even = LoadWord(cursor->Next());
    const uint32_t odd = LoadWord(cursor->Next());
    packer->Add(even, odd, &panel);
  }
  if ((depth & 1) != 0) packer->Add(LoadWord(cursor->Next()), packer->missing(), &panel);
}

// The same; lanes from `lanes` on are zero.
template <typename Packer>
inline void PackPanel(PixelCursor* cursor, int32_t depth, int lanes, Packer* packer,
                      int16_t* panel) {
  if (lanes < kLanes) return packer->AddGeneric(cursor, depth, lanes, panel);
  PackFourLanes(cursor, depth, packer, panel);
}

}  // namespace dsp
}  // namespace tflm_train

#endif  // TFLM_KERNELS_ARCH_UPDATE_PANEL_DSP_H_
