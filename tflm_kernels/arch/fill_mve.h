// memset with Helium, for short buffers: the library's goes byte by byte.

#ifndef TFLM_KERNELS_ARCH_FILL_MVE_H_
#define TFLM_KERNELS_ARCH_FILL_MVE_H_

#include <arm_mve.h>

#include <cstdint>

#include "tflm_kernels/arch/features.h"

namespace tflm_train {
namespace mve {

TFLM_TRAIN_INLINE void Fill(void* memory, int32_t value, int32_t bytes) {
  int8_t* to = static_cast<int8_t*>(memory);
  const int8x16_t values = vdupq_n_s8(static_cast<int8_t>(value));
  for (; bytes >= 16; bytes -= 16, to += 16) {
    vst1q_s8(to, values);
    asm volatile("" : "+r"(to));  // or the compiler would call memset
  }
  if (bytes > 0) vst1q_p_s8(to, values, vctp8q(static_cast<uint32_t>(bytes)));
}

}  // namespace mve
}  // namespace tflm_train

#endif  // TFLM_KERNELS_ARCH_FILL_MVE_H_
