// 32-bit words of stored headers, at any address.

#ifndef TFLM_KERNELS_STATE_LITTLE_ENDIAN_H_
#define TFLM_KERNELS_STATE_LITTLE_ENDIAN_H_

#include <cstddef>
#include <cstdint>

namespace tflm_train {

inline void PutWord(uint8_t* header, size_t offset, uint32_t value) {
  for (size_t i = 0; i < 4; ++i) header[offset + i] = static_cast<uint8_t>(value >> (8 * i));
}

inline uint32_t GetWord(const uint8_t* header, size_t offset) {
  uint32_t value = 0;
  for (size_t i = 0; i < 4; ++i) value |= static_cast<uint32_t>(header[offset + i]) << (8 * i);
  return value;
}

}  // namespace tflm_train

#endif  // TFLM_KERNELS_STATE_LITTLE_ENDIAN_H_
