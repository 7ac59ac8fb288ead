#include "tflm_kernels/host/file_storage.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>

namespace tflm_train {
namespace {

constexpr size_t kPieceBytes = 256;

bool ReadAll(int file, size_t offset, void* data, size_t bytes) {
  uint8_t* to = static_cast<uint8_t*>(data);
  while (bytes > 0) {
    const ssize_t done = pread(file, to, bytes, static_cast<off_t>(offset));
    if (done <= 0) return false;
    to += done;
    offset += static_cast<size_t>(done);
    bytes -= static_cast<size_t>(done);
  }
  return true;
}

bool WriteAll(int file, size_t offset, const void* data, size_t bytes) {
  const uint8_t* from = static_cast<const uint8_t*>(data);
  while (bytes > 0) {
    const ssize_t done = pwrite(file, from, bytes, static_cast<off_t>(offset));
    if (done <= 0) return false;
    from += done;
    offset += static_cast<size_t>(done);
    bytes -= static_cast<size_t>(done);
  }
  return true;
}

}  // namespace

FileStorage::FileStorage(const char* path, const StorageSize& size)
    : size_(size), file_(open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666)) {
  struct stat status;
  // A file cut short when it was made is made whole here.
  if (file_ >= 0 &&
      (fstat(file_, &status) != 0 || !Fill(static_cast<size_t>(status.st_size), size_.bytes))) {
    close(file_);
    file_ = -1;
  }
}

FileStorage::~FileStorage() {
  if (file_ >= 0) close(file_);
}

Storage FileStorage::storage() { return {this, Size, Read, Erase, Program}; }

StorageSize FileStorage::Size(void* context) { return static_cast<FileStorage*>(context)->size_; }

bool FileStorage::Read(void* context, size_t offset, void* data, size_t bytes) {
  const FileStorage* self = static_cast<const FileStorage*>(context);
  return self->IsInside(offset, bytes) && ReadAll(self->file_, offset, data, bytes);
}

bool FileStorage::Erase(void* context, size_t offset) {
  FileStorage* self = static_cast<FileStorage*>(context);
  const size_t block = self->size_.erase_block;
  if (offset % block != 0 || !self->IsInside(offset, block)) return false;
  return self->Fill(offset, offset + block);
}

bool FileStorage::Program(void* context, size_t offset, const void* data, size_t bytes) {
  const FileStorage* self = static_cast<const FileStorage*>(context);
  const size_t unit = self->size_.program_unit;
  if (offset % unit != 0 || bytes % unit != 0 || !self->IsInside(offset, bytes)) return false;
  uint8_t piece[kPieceBytes];
  for (size_t done = 0; done < bytes;) {
    const size_t left = bytes - done;
    const size_t count = left < sizeof(piece) ? left : sizeof(piece);
    if (!ReadAll(self->file_, offset + done, piece, count)) return false;
    for (size_t i = 0; i < count; ++i) {
      if (piece[i] != 0xFF) return false;
    }
    done += count;
  }
  return WriteAll(self->file_, offset, data, bytes) && fdatasync(self->file_) == 0;
}

// Sets bytes [from, to) to 0xFF, on the disk.
bool FileStorage::Fill(size_t from, size_t to) {
  if (from >= to) return true;
  uint8_t piece[kPieceBytes];
  std::memset(piece, 0xFF, sizeof(piece));
  while (from < to) {
    const size_t left = to - from;
    const size_t count = left < sizeof(piece) ? left : sizeof(piece);
    if (!WriteAll(file_, from, piece, count)) return false;
    from += count;
  }
  return fdatasync(file_) == 0;
}

bool FileStorage::IsInside(size_t offset, size_t bytes) const {
  return file_ >= 0 && offset <= size_.bytes && bytes <= size_.bytes - offset;
}

}  // namespace tflm_train
