// Fuzzes LatentStore::Open on flash with any contents: it may not crash, read outside of the
// storage, or offer a record whose checksum is wrong; and the store takes samples afterwards.
// See state_fuzz.cc for how to run it.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "tflm_kernels/state/crc32.h"
#include "tflm_kernels/state/latent_store.h"
#include "tflm_kernels/state/little_endian.h"
#include "tflm_kernels/state/replay.h"

#ifndef LATENT_BYTES
#define LATENT_BYTES 8
#endif

namespace {

using tflm_train::GetWord;
using tflm_train::LatentStatus;
using tflm_train::LatentStore;
using tflm_train::PutWord;
using tflm_train::UpdateCrc32;

constexpr size_t kLatentBytes = LATENT_BYTES;
constexpr size_t kSectorBytes = kLatentBytes > 8 ? 512 : 256;
constexpr tflm_train::StorageSize kSize = {2 * kSectorBytes, kSectorBytes, 4};
constexpr tflm_train::LatentFormat kFormat = {1, 2, kLatentBytes, 4, true};
constexpr size_t kRecords = 2;
constexpr size_t kGroups = 2;
constexpr size_t kPayloadBytes = 4 + kLatentBytes;
constexpr size_t kAllBytes = kPayloadBytes + 4;  // of what is read of a record
constexpr tflm_train::LogLayout kLayout = tflm_train::PlanLatentLog(kSize, kPayloadBytes, kGroups);
static_assert(kLayout.capacity >= kRecords, "a store fits");

void Require(bool condition) {
  if (!condition) std::abort();
}

// A store on the heap, so that AddressSanitizer guards its memory.
class Store {
 public:
  explicit Store(uint8_t* flash)
      : memory_(static_cast<uint8_t*>(std::malloc(kBytes))),
        ram_(flash, kSize),
        store(kFormat, {kRecords, kGroups, 5}, ram_.storage(), memory_, kBytes) {}
  ~Store() { std::free(memory_); }
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

 private:
  static constexpr size_t kBytes = tflm_train::LatentFlashBytes(kRecords, kGroups, 4);
  uint8_t* memory_;
  tflm_train::RamStorage ram_;

 public:
  LatentStore store;
};

void AddSamples(LatentStore& store, int32_t count) {
  for (int32_t number = 0; number < count; ++number) {
    uint8_t latent[kLatentBytes] = {static_cast<uint8_t>(number), 7};
    const int32_t label = number % 2;
    const LatentStatus status = store.Add(latent, &label, 0);
    Require(status == LatentStatus::kOk || status == LatentStatus::kNotKept ||
            status == LatentStatus::kTooManyGroups);
  }
}

// Everything that is there, by index.
void ReadAll(LatentStore& store, uint8_t (*all)[kAllBytes]) {
  std::memset(all, 0, kRecords * kAllBytes);
  for (size_t i = 0; i < kRecords; ++i) {
    const bool has = store.Has(i);
    uint16_t domain = 0;
    const LatentStatus status = store.Read(i, all[i], all[i] + kLatentBytes, &domain);
    Require(status == (has ? LatentStatus::kOk : LatentStatus::kNoRecord));
    all[i][kAllBytes - 1] = store.Has(i);
  }
}

// `genuine`: what has a right checksum was written by a store, so that a restart finds all of it.
void Check(const uint8_t* data, size_t size, bool genuine) {
  uint8_t* flash = static_cast<uint8_t*>(std::malloc(kSize.bytes));
  std::memset(flash, 0xFF, kSize.bytes);
  if (size > 0) std::memcpy(flash, data, size < kSize.bytes ? size : kSize.bytes);
  {
    Store at(flash);
    const LatentStatus status = at.store.Open();
    Require(status == LatentStatus::kOk || status == LatentStatus::kEmpty ||
            status == LatentStatus::kOtherModel);
    if (status == LatentStatus::kOtherModel) Require(at.store.Clear() == LatentStatus::kOk);
    uint8_t before[kRecords][kAllBytes];
    ReadAll(at.store, before);
    tflm_train::Replay replay(&at.store, 1);
    Require((replay.Draw() == tflm_train::kNone) == (at.store.size() == 0));
    AddSamples(at.store, 12);
    uint8_t now[kRecords][kAllBytes];
    ReadAll(at.store, now);
    Store again(flash);
    again.store.Open();
    uint8_t reopened[kRecords][kAllBytes];
    ReadAll(again.store, reopened);
    Require(!genuine || std::memcmp(now, reopened, sizeof(now)) == 0);
  }
  std::free(flash);
}

// Chance finds no checksum: the same contents with their own reach what lies behind them.
void Sign(uint8_t* flash) {
  const uint32_t key = GetWord(flash, 16);
  for (size_t sector = 0; sector < 2; ++sector) {
    uint8_t* header = flash + sector * kLayout.sector_bytes;
    const size_t groups = GetWord(header, 4) >> 16;
    if (groups <= kGroups) {
      uint32_t crc = UpdateCrc32(tflm_train::kCrc32Start, header, 28);
      PutWord(header, 28, ~UpdateCrc32(crc, header + 32, groups * 12));
    }
    for (size_t slot = 0; slot < kLayout.slots; ++slot) {
      uint8_t* entry = header + kLayout.header_bytes + slot * kLayout.slot_bytes;
      uint8_t word[4];
      PutWord(word, 0, key);
      uint32_t crc = UpdateCrc32(tflm_train::kCrc32Start, word, 4);
      crc = UpdateCrc32(crc, entry, 16);
      crc = ~UpdateCrc32(crc, entry + 20, kPayloadBytes);
      PutWord(entry, 16, crc);
      PutWord(entry, kLayout.entry_bytes, ~crc);
    }
  }
}

}  // namespace

extern "C" size_t SeedInput(uint8_t* data, size_t capacity) {
  Require(capacity >= kSize.bytes);
  std::memset(data, 0xFF, kSize.bytes);
  Store at(data);
  Require(at.store.Open() == LatentStatus::kEmpty);
  AddSamples(at.store, 9);
  return kSize.bytes;
}

// Damaged, or, of which the input decides, all of it signed.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (UpdateCrc32(tflm_train::kCrc32Start, data, size) % 2 == 0) {
    Check(data, size, true);
    return 0;
  }
  uint8_t* copy = static_cast<uint8_t*>(std::malloc(kSize.bytes));
  std::memset(copy, 0xFF, kSize.bytes);
  if (size > 0) std::memcpy(copy, data, size < kSize.bytes ? size : kSize.bytes);
  Sign(copy);
  Check(copy, kSize.bytes, false);
  std::free(copy);
  return 0;
}
