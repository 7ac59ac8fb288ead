// Pixels of a grid turned into vectors of one channel with Helium.

#ifndef TFLM_KERNELS_ARCH_GATHER_MVE_H_
#define TFLM_KERNELS_ARCH_GATHER_MVE_H_

#include <arm_mve.h>

#include <cstdint>

#include "tflm_kernels/arch/features.h"
#include "tflm_kernels/panel.h"

namespace tflm_train {
namespace mve {

constexpr int kChunk = 16;

// Up to 16 pixels of a grid. A vector of one of their channels holds pixel l in byte 2 * l and
// pixel 8 + l in byte 2 * l + 1, as two gathers of eight leave them.
class PixelChunk {
 public:
  // The next `count` pixels, 1 <= count <= 16.
  PixelChunk(PixelCursor* cursor, int32_t count) : start_(*cursor), count_(count) {
    const int32_t stride = cursor->EvenStride(count);
    if (stride > 0 && stride <= UINT16_MAX / kChunk) {
      base_ = cursor->Skip(count);
      low_ = vmulq_n_u16(vidupq_n_u16(0, 1), static_cast<uint16_t>(stride));
      high_ = vaddq_n_u16(low_, static_cast<uint16_t>(8 * stride));
      return;
    }
    uint16_t offsets[kChunk] = {};
    base_ = start_.at();
    for (int32_t k = 0; k < count; ++k) {
      const int32_t offset = static_cast<int32_t>(cursor->Next() - base_);
      near_ = near_ && offset <= UINT16_MAX;
      offsets[k] = static_cast<uint16_t>(offset);
    }
    low_ = vld1q_u16(offsets);
    high_ = vld1q_u16(offsets + 8);
  }

  // The channel's bytes; zero from pixel `count` on.
  TFLM_TRAIN_INLINE int8x16_t Channel(int32_t c) const {
    if (__builtin_expect(!near_, 0)) return FarChannel(c);
    const uint8_t* const from = reinterpret_cast<const uint8_t*>(base_ + c);
    uint16x8_t low, high;
    if (count_ == kChunk) {
      low = vldrbq_gather_offset_u16(from, low_);
      high = vldrbq_gather_offset_u16(from, high_);
    } else {
      low = vldrbq_gather_offset_z_u16(from, low_, vctp16q(static_cast<uint32_t>(count_)));
      const uint32_t rest = count_ > 8 ? static_cast<uint32_t>(count_ - 8) : 0;
      high = vldrbq_gather_offset_z_u16(from, high_, vctp16q(rest));
    }
    return vreinterpretq_s8_u8(vmovntq_u16(vreinterpretq_u8_u16(low), high));
  }

 private:
  // Pixels further apart than a gather reaches.
  __attribute__((noinline)) int8x16_t FarChannel(int32_t c) const {
    int8_t bytes[kChunk] = {};
    PixelCursor cursor = start_.Moved(c);
    for (int32_t k = 0; k < count_; ++k) bytes[k % 8 * 2 + k / 8] = *cursor.Next();
    return vld1q_s8(bytes);
  }

  PixelCursor start_;
  int32_t count_;
  bool near_ = true;
  const int8_t* base_;
  uint16x8_t low_, high_;
};

}  // namespace mve
}  // namespace tflm_train

#endif  // TFLM_KERNELS_ARCH_GATHER_MVE_H_
