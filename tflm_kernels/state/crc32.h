// CRC-32 as in zlib (polynomial 0xEDB88320), without its 1 KB table.

#ifndef TFLM_KERNELS_STATE_CRC32_H_
#define TFLM_KERNELS_STATE_CRC32_H_

#include <cstddef>
#include <cstdint>

namespace tflm_train {

// What a running checksum starts with; its complement is the result.
constexpr uint32_t kCrc32Start = 0xFFFFFFFF;

// The running checksum after `size` more bytes.
uint32_t UpdateCrc32(uint32_t crc, const void* data, size_t size);

}  // namespace tflm_train

#endif  // TFLM_KERNELS_STATE_CRC32_H_
