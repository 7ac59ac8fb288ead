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
    const uint16_t stride = static_cast<uint16_t>(cursor->column_stride());
    const uint16_t skip = static_cast<uint16_t>(cursor->row_skip());
    const uint16x8_t pixel = vidupq_n_u16(0, 1), next = vaddq_n_u16(pixel, 8);
    const uint16x8_t zero = vdupq_n_u16(0);
    low_ = vmulq_n_u16(pixel, stride);
    high_ = vmulq_n_u16(next, stride);
    int32_t farthest = (count - 1) * cursor->column_stride();
    for (int32_t row = cursor->left(); row < count; row += cursor->columns()) {
      const uint16_t from = static_cast<uint16_t>(row);
      low_ = vaddq_m_n_u16(low_, low_, skip, vcmpcsq_n_u16(pixel, from));
      high_ = vaddq_m_n_u16(high_, high_, skip, vcmpcsq_n_u16(next, from));
      farthest += cursor->row_skip();
    }
    // FAST-PATH-BOUND: chunk-reach
    near_ = farthest <= UINT16_MAX;
    base_ = cursor->Skip(count);
    // Bytes of pixels that are not there come from the first one.
    const mve_pred16_t in_low = vctp16q(static_cast<uint32_t>(count));
    const mve_pred16_t in_high = vctp16q(count > 8 ? static_cast<uint32_t>(count - 8) : 0);
    low_ = vpselq_u16(low_, zero, in_low);
    high_ = vpselq_u16(high_, zero, in_high);
    const uint16x8_t all = vdupq_n_u16(0xffff);
    const uint8x16_t low_bytes = vreinterpretq_u8_u16(vpselq_u16(all, zero, in_low));
    mask_ = vreinterpretq_s8_u8(vmovntq_u16(low_bytes, vpselq_u16(all, zero, in_high)));
  }

  // The bytes of two channels, c and c + `next`; zero from pixel `count` on.
  TFLM_TRAIN_INLINE void Pair(int32_t c, int32_t next, int8x16_t* first, int8x16_t* second) const {
    if (__builtin_expect(!near_, 0)) {
      *first = FarChannel(c);
      *second = FarChannel(c + next);
      return;
    }
    const int8_t* const from = base_ + c;
    *first = vandq_s8(Gather(from), mask_);
    *second = vandq_s8(Gather(from + next), mask_);
  }

  // The channel's bytes; any from pixel `count` on.
  TFLM_TRAIN_INLINE int8x16_t Channel(int32_t c) const {
    return __builtin_expect(near_, 1) ? Gather(base_ + c) : FarChannel(c);
  }

 private:
  TFLM_TRAIN_INLINE int8x16_t Gather(const int8_t* from) const {
    const uint8_t* const bytes = reinterpret_cast<const uint8_t*>(from);
    const uint16x8_t low = vldrbq_gather_offset_u16(bytes, low_);
    const uint16x8_t high = vldrbq_gather_offset_u16(bytes, high_);
    return vreinterpretq_s8_u8(vmovntq_u16(vreinterpretq_u8_u16(low), high));
  }

  // Pixels further apart than a gather reaches.
  __attribute__((noinline)) int8x16_t FarChannel(int32_t c) const {
    int8_t bytes[kChunk] = {};
    PixelCursor cursor = start_.Moved(c);
    for (int32_t k = 0; k < count_; ++k) bytes[k % 8 * 2 + k / 8] = *cursor.Next();
    return vld1q_s8(bytes);
  }

  PixelCursor start_;
  int32_t count_;
  bool near_;
  const int8_t* base_;
  uint16x8_t low_, high_;
  int8x16_t mask_;  // of the pixels that are there
};

}  // namespace mve
}  // namespace tflm_train

#endif  // TFLM_KERNELS_ARCH_GATHER_MVE_H_
