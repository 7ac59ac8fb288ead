#include "tflm_kernels/state/storage.h"

#include <cstring>

namespace tflm_train {
namespace {

constexpr size_t kPieceBytes = 64;  // read at a time

bool IsInside(const StorageSize& size, size_t offset, size_t bytes) {
  return offset <= size.bytes && bytes <= size.bytes - offset;
}

}  // namespace

bool ReadTwice(const Storage& storage, size_t offset, void* data, size_t bytes) {
  return bytes == 0 || storage.read(storage.context, offset, data, bytes) ||
         storage.read(storage.context, offset, data, bytes);
}

bool IsBlank(const Storage& storage, size_t offset, size_t bytes) {
  uint8_t piece[kPieceBytes];
  while (bytes > 0) {
    const size_t count = bytes < sizeof(piece) ? bytes : sizeof(piece);
    if (!ReadTwice(storage, offset, piece, count)) return false;
    for (size_t i = 0; i < count; ++i) {
      if (piece[i] != 0xFF) return false;
    }
    offset += count;
    bytes -= count;
  }
  return true;
}

Storage RamStorage::storage() { return {this, Size, Read, Erase, Program}; }

StorageSize RamStorage::Size(void* context) { return static_cast<RamStorage*>(context)->size_; }

bool RamStorage::Read(void* context, size_t offset, void* data, size_t bytes) {
  const RamStorage* self = static_cast<const RamStorage*>(context);
  if (!IsInside(self->size_, offset, bytes)) return false;
  std::memcpy(data, self->memory_ + offset, bytes);
  return true;
}

bool RamStorage::Erase(void* context, size_t offset) {
  const RamStorage* self = static_cast<const RamStorage*>(context);
  const size_t block = self->size_.erase_block;
  if (offset % block != 0 || !IsInside(self->size_, offset, block)) return false;
  std::memset(self->memory_ + offset, 0xFF, block);
  return true;
}

bool RamStorage::Program(void* context, size_t offset, const void* data, size_t bytes) {
  const RamStorage* self = static_cast<const RamStorage*>(context);
  const size_t unit = self->size_.program_unit;
  if (offset % unit != 0 || bytes % unit != 0 || !IsInside(self->size_, offset, bytes)) {
    return false;
  }
  for (size_t i = 0; i < bytes; ++i) {
    if (self->memory_[offset + i] != 0xFF) return false;
  }
  std::memcpy(self->memory_ + offset, data, bytes);
  return true;
}

}  // namespace tflm_train
