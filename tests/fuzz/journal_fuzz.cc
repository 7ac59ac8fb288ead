// Fuzzes Journal::Open on flash with any contents: it may not crash, read outside of the storage,
// or offer a record whose checksum is wrong; and the journal can be written afterwards.
// See state_fuzz.cc for how to run it.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "tflm_kernels/state/crc32.h"
#include "tflm_kernels/state/journal.h"
#include "tflm_kernels/state/little_endian.h"

namespace {

using tflm_train::Journal;
using tflm_train::JournalStatus;

constexpr tflm_train::StorageSize kSize = {512, 64, 8};
constexpr size_t kHeaderBytes = 28;
constexpr size_t kChecksum = kHeaderBytes - 4;

void Require(bool condition) {
  if (!condition) std::abort();
}

void Check(const uint8_t* data, size_t size) {
  uint8_t* memory = static_cast<uint8_t*>(std::malloc(kSize.bytes));
  std::memset(memory, 0xFF, kSize.bytes);
  if (size > 0) std::memcpy(memory, data, size < kSize.bytes ? size : kSize.bytes);
  tflm_train::RamStorage ram(memory, kSize);
  Journal journal(ram.storage());
  const JournalStatus status = journal.Open();
  Require(status == JournalStatus::kOk || status == JournalStatus::kEmpty ||
          status == JournalStatus::kOtherVersion);
  Require(journal.size() <= journal.capacity());
  uint8_t record[128];
  Require(journal.Read(0, record, journal.size()) == JournalStatus::kOk);
  Require(journal.Read(journal.size(), record, 1) == JournalStatus::kWrongOrder);
  const uint8_t fresh[20] = {1, 2, 3};
  const bool is_empty = journal.size() == 0;  // then the number of a record may be 0, too
  const uint32_t sequence = journal.sequence();
  Require(journal.Write(fresh, sizeof(fresh)) == JournalStatus::kOk);
  Journal reopened(ram.storage());
  Require(reopened.Open() == JournalStatus::kOk);
  Require(reopened.size() == sizeof(fresh));
  Require(reopened.sequence() != sequence || is_empty);
  Require(reopened.Read(0, record, sizeof(fresh)) == JournalStatus::kOk);
  Require(std::memcmp(record, fresh, sizeof(fresh)) == 0);
  std::free(memory);
}

}  // namespace

extern "C" size_t SeedInput(uint8_t* data, size_t capacity) {
  Require(capacity >= kSize.bytes);
  std::memset(data, 0xFF, kSize.bytes);
  tflm_train::RamStorage ram(data, kSize);
  Journal journal(ram.storage());
  Require(journal.Open() == JournalStatus::kEmpty);
  const uint8_t record[50] = {9, 8, 7};
  for (int i = 0; i < 2; ++i) Require(journal.Write(record, sizeof(record)) == JournalStatus::kOk);
  return kSize.bytes;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Check(data, size);
  if (size >= kHeaderBytes) {
    uint8_t* signed_copy = static_cast<uint8_t*>(std::malloc(size));
    std::memcpy(signed_copy, data, size);
    tflm_train::PutWord(signed_copy, kChecksum,
                        ~tflm_train::UpdateCrc32(tflm_train::kCrc32Start, signed_copy, kChecksum));
    Check(signed_copy, size);
    std::free(signed_copy);
  }
  return 0;
}
