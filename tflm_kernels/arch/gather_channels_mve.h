// Listed channels of all positions with Helium. Only for data_movement.cc.

#ifndef TFLM_KERNELS_ARCH_GATHER_CHANNELS_MVE_H_
#define TFLM_KERNELS_ARCH_GATHER_CHANNELS_MVE_H_

#include <arm_mve.h>

#include <cstdint>

namespace tflm_train {
namespace mve {

// saved[p][j] = values[p][list[j]].
inline void GatherChannels(const int8_t* values, int32_t positions, int32_t channels,
                           const int16_t* list, int32_t kept, int8_t* saved) {
  for (int32_t j = 0; j < kept; j += 8) {
    const mve_pred16_t live = vctp16q(static_cast<uint32_t>(kept - j));
    const uint16x8_t at = vreinterpretq_u16_s16(vldrhq_z_s16(list + j, live));
    const int8_t* from = values;
    int8_t* to = saved + j;
    if (kept - j >= 8) {
#pragma GCC unroll 2
      for (int32_t p = positions; p > 0; --p, from += channels, to += kept) {
        vstrbq_s16(to, vldrbq_gather_offset_s16(from, at));
      }
    } else {
      for (int32_t p = positions; p > 0; --p, from += channels, to += kept) {
        vstrbq_p_s16(to, vldrbq_gather_offset_z_s16(from, at, live), live);
      }
    }
  }
}

}  // namespace mve
}  // namespace tflm_train

#endif  // TFLM_KERNELS_ARCH_GATHER_CHANNELS_MVE_H_
