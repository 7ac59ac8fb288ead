// Clamp masks with Helium: a predicate holds one bit for each of 16 bytes, as the mask of bits
// does.

#ifndef TFLM_KERNELS_ARCH_MASK_MVE_H_
#define TFLM_KERNELS_ARCH_MASK_MVE_H_

#include <arm_mve.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "tflm_kernels/arch/features.h"
#include "tflm_kernels/spec/op_params.h"

namespace tflm_train {
namespace mve {

// Which of 16 activations are inside the clamp range.
TFLM_TRAIN_INLINE mve_pred16_t Inside(int8x16_t y, const MaskParams& params) {
  const mve_pred16_t above = vcmpgtq_n_s8(y, static_cast<int8_t>(params.act_min));
  return vcmpltq_m_n_s8(y, static_cast<int8_t>(params.act_max), above);
}

// Calls visit(i, passing, n) for each 16 of n elements and for the rest, with n less than 16;
// `passing`: which of them the mask lets through.
template <typename Visit>
TFLM_TRAIN_INLINE void ForEachPassing(const MaskParams& params, const void* mask, size_t n,
                                      const Visit& visit) {
  const uint8_t* bits = static_cast<const uint8_t*>(mask);
  const int8_t* y = static_cast<const int8_t*>(mask);
  const MaskParams range = params;
  const size_t rest = n % 16;
  size_t i = 0;
  if (params.mask_kind == kMaskBits) {
    for (; i + 16 <= n; i += 16, bits += 2) {
      uint16_t passing;
      std::memcpy(&passing, bits, sizeof(passing));
      visit(i, passing, 16u);
    }
    if (rest > 0) {
      const uint32_t passing = bits[0] | (rest > 8 ? bits[1] << 8 : 0);
      visit(i, static_cast<mve_pred16_t>(passing & vctp8q(rest)), rest);
    }
  } else {
    for (; i + 16 <= n; i += 16) visit(i, Inside(vld1q_s8(y + i), range), 16u);
    if (rest > 0) {
      const mve_pred16_t live = vctp8q(rest);
      const mve_pred16_t passing = Inside(vldrbq_z_s8(y + i, live), range);
      visit(i, static_cast<mve_pred16_t>(passing & live), rest);
    }
  }
}

// Zeroes the values that the mask stops; calls see(vector) for all, as they are then and 0 past
// the end.
template <typename See>
TFLM_TRAIN_INLINE void Mask(const MaskParams& params, const void* mask, int8_t* values, size_t n,
                            const See& see) {
  ForEachPassing(params, mask, n, [&](size_t, mve_pred16_t passing, size_t count) {
    const int8x16_t v = vldrbq_z_s8(values, passing);
    if (count == 16) {
      vst1q_s8(values, v);
    } else {
      vst1q_p_s8(values, v, vctp8q(count));
    }
    values += 16;
    see(v);
  });
}

inline Extremes<int8_t> MaskAndFindExtremes(const MaskParams& params, const void* mask,
                                            int8_t* values, size_t n) {
  int8x16_t max = vdupq_n_s8(0), min = max;
  Mask(params, mask, values, n, [&](int8x16_t v) {
    max = vmaxq_s8(max, v);
    min = vminq_s8(min, v);
  });
  return {vmaxvq_s8(0, max), vminvq_s8(0, min)};
}

inline uint32_t MaskAndFindMaxAbs(const MaskParams& params, const void* mask, int8_t* values,
                                  size_t n) {
  uint8x16_t max = vdupq_n_u8(0);
  Mask(params, mask, values, n, [&](int8x16_t v) { max = vmaxaq_s8(max, v); });
  return vmaxvq_u8(0, max);
}

// One bit for each activation: whether it is inside; bits past the end are 0.
inline void ClampBits(const MaskParams& params, const int8_t* activation, size_t n, uint8_t* bits) {
  ForEachPassing(params, activation, n, [&](size_t i, mve_pred16_t passing, size_t count) {
    std::memcpy(bits + i / 8, &passing, (count + 7) / 8);
  });
}

}  // namespace mve
}  // namespace tflm_train

#endif  // TFLM_KERNELS_ARCH_MASK_MVE_H_
