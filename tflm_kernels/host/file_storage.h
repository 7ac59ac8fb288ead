// The journal's storage in a file, for gateways and for tests on the host: with
// the rules of flash, and what was programmed has reached the disk.

#ifndef TFLM_KERNELS_HOST_FILE_STORAGE_H_
#define TFLM_KERNELS_HOST_FILE_STORAGE_H_

#include <cstddef>

#include "tflm_kernels/state/storage.h"

namespace tflm_train {

class FileStorage {
 public:
  // Opens the file, or makes it, erased (0xFF) up to size.bytes.
  FileStorage(const char* path, const StorageSize& size);
  ~FileStorage();
  FileStorage(const FileStorage&) = delete;
  FileStorage& operator=(const FileStorage&) = delete;

  // Whether the file could be opened and has its size.
  bool ok() const { return file_ >= 0; }

  // Valid as long as this object.
  Storage storage();

 private:
  static StorageSize Size(void* context);
  static bool Read(void* context, size_t offset, void* data, size_t bytes);
  static bool Erase(void* context, size_t offset);
  static bool Program(void* context, size_t offset, const void* data, size_t bytes);

  bool Fill(size_t from, size_t to);
  bool IsInside(size_t offset, size_t bytes) const;

  StorageSize size_;
  int file_;
};

}  // namespace tflm_train

#endif  // TFLM_KERNELS_HOST_FILE_STORAGE_H_
