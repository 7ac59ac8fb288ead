// A latent store in simulated flash, for tests that cut its power.

#ifndef TFLM_TRAIN_TESTS_CPP_LATENT_DEVICE_H_
#define TFLM_TRAIN_TESTS_CPP_LATENT_DEVICE_H_

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "tests/cpp/flash_simulator.h"
#include "tests/cpp/harness.h"
#include "tflm_kernels/state/latent_store.h"

namespace tflm_train_test {

using tflm_train::LatentFlashBytes;
using tflm_train::LatentFormat;
using tflm_train::LatentStatus;
using tflm_train::LatentStore;
using tflm_train::LatentStoreSize;
using tflm_train::StorageSize;

constexpr LatentFormat kFormat = {0x11223344, 0x55667788, 24, 4, true};
// Its records go to flash in several pieces.
constexpr LatentFormat kLong = {0x11223344, 0x55667788, 200, 4, true};
constexpr size_t kMostLatent = 200;
constexpr uint16_t kRecords = 6;
constexpr uint16_t kGroups = 8;  // more than there are records: most samples are kept
constexpr LatentStoreSize kSize = {kRecords, kGroups, 77};

// Latents are a run of bytes that depends on their number, which comes first.
inline void Fill(uint8_t* latent, uint32_t number) {
  std::memcpy(latent, &number, sizeof(number));
  for (uint32_t i = 4; i < kMostLatent; ++i) {
    latent[i] = static_cast<uint8_t>(i * 31 + number * 7 + (number >> 3));
  }
}

inline LatentStatus AddNumber(LatentStore& store, uint32_t number) {
  uint8_t latent[kMostLatent];
  Fill(latent, number);
  const int32_t label = static_cast<int32_t>(number % kGroups);
  return store.Add(latent, &label, 3);
}

// What is in the store: numbers, 0 where there is no record.
struct Contents {
  uint32_t numbers[kRecords];
};

inline Contents ContentsOf(LatentStore& store) {
  Contents contents = {};
  for (size_t i = 0; i < kRecords; ++i) {
    uint8_t latent[kMostLatent];
    uint8_t expected[kMostLatent];
    int32_t label = -1;
    uint16_t domain = 0;
    if (store.Read(i, latent, &label, &domain) != LatentStatus::kOk) continue;
    std::memcpy(&contents.numbers[i], latent, sizeof(uint32_t));
    Fill(expected, contents.numbers[i]);
    EXPECT_SAME(latent, expected, store.format().latent_bytes);
    EXPECT_EQ(label, contents.numbers[i] % kGroups);
    EXPECT_EQ(domain, 3);
  }
  return contents;
}

// How many records differ.
inline int Changes(const Contents& a, const Contents& b) {
  int changes = 0;
  for (size_t i = 0; i < kRecords; ++i) changes += a.numbers[i] != b.numbers[i];
  return changes;
}

// Whether nothing is lost: all is as before, but for the place that `number` may have taken.
inline bool IsBeforeOrAfter(const Contents& now, const Contents& before, uint32_t number) {
  for (size_t i = 0; i < kRecords; ++i) {
    if (now.numbers[i] != before.numbers[i] && now.numbers[i] != number) return false;
  }
  return Changes(now, before) <= 1;
}

// Flash and the memory of a store in it; the store is made anew at each power-up.
class Device {
 public:
  Device(const StorageSize& size, Cut cut, const LatentFormat& format = kFormat)
      : size_(size),
        format_(format),
        flash_bytes_(2 * size.bytes + size.bytes / size.program_unit),
        memory_bytes_(LatentFlashBytes(kRecords, kGroups, size.program_unit)),
        flash_memory_(Guarded<uint8_t>(flash_bytes_)),
        snapshot_(Guarded<uint8_t>(flash_bytes_)),
        memory_(Guarded<uint8_t>(memory_bytes_)),
        flash(size, cut, flash_memory_, flash_memory_ + size.bytes,
              flash_memory_ + 2 * size.bytes) {
    const tflm_train::LogLayout layout =
        tflm_train::PlanLatentLog(size, format.label_bytes + format.latent_bytes, kGroups);
    flash.BearInterruptedMarks(layout.sector_bytes, layout.marks_at);
  }

  const StorageSize& size() const { return size_; }
  void Snapshot() { std::memcpy(snapshot_, flash_memory_, flash_bytes_); }
  void Restore() { std::memcpy(flash_memory_, snapshot_, flash_bytes_); }
  LatentStore Store() {
    return LatentStore(format_, kSize, flash.storage(), memory_, memory_bytes_);
  }

  // What a power-up finds.
  Contents Reopened() {
    flash.Power(kNoCut);
    LatentStore store = Store();
    const LatentStatus status = store.Open();
    EXPECT_TRUE(status == LatentStatus::kOk || status == LatentStatus::kEmpty);
    return ContentsOf(store);
  }

 private:
  StorageSize size_;
  LatentFormat format_;
  size_t flash_bytes_;
  size_t memory_bytes_;
  uint8_t* flash_memory_;
  uint8_t* snapshot_;
  uint8_t* memory_;

 public:
  FlashSimulator flash;
};

}  // namespace tflm_train_test

#endif  // TFLM_TRAIN_TESTS_CPP_LATENT_DEVICE_H_
