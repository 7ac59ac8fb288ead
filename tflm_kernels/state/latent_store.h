// Samples to learn again, as latents: the activation where the trained part of a
// model begins (docs/LATENTS.md). A fixed number of records (latent, label,
// domain) in RAM, or in flash, where they survive a power cut at any moment.
//
//   constexpr LatentFormat kFormat = ...;      // an export declares it
//   alignas(4) uint8_t memory[LatentRamBytes(kFormat, 64, 10)];
//   LatentStore store(kFormat, {64, 10}, memory, sizeof(memory));
//   store.Open();
//   ... trainer.Infer(), trainer.Train(label, rate), and then ...
//   store.Add(trainer.latent(), &label, 0);
//
// In flash, over the four functions of storage.h (latent_log.h says how):
//
//   alignas(4) uint8_t memory[LatentFlashBytes(64, 10, kUnit)];
//   LatentStore store(kFormat, {64, 10}, storage, memory, sizeof(memory));
//
// Which samples it keeps when it is full: reservoir.h. What it replays:
// replay.h. No heap, no globals; the memory is the caller's.

#ifndef TFLM_KERNELS_STATE_LATENT_STORE_H_
#define TFLM_KERNELS_STATE_LATENT_STORE_H_

#include <cstddef>
#include <cstdint>

#include "tflm_kernels/state/latent_log.h"
#include "tflm_kernels/state/reservoir.h"
#include "tflm_kernels/state/storage.h"

namespace tflm_train {

// One line for a log, in static memory.
const char* LatentStatusMessage(LatentStatus status);

// What has equal shares of the records, and of what Replay draws.
enum class LatentBalance : uint8_t {
  kClasses,  // each class of each domain: rare classes are kept, and are not rare in the replay
  kDomains,  // each domain: within it classes stay as frequent as they come
};

struct LatentStoreSize {
  uint16_t records;
  uint16_t groups;    // what is balanced, at most: classes times domains, or domains
  uint32_t seed = 0;  // of the sampling; in flash the one of the first time counts
  LatentBalance balance = LatentBalance::kClasses;
};

// How a store reaches the log, so that firmware without flash links none of it.
struct LatentLogCalls {
  LatentStatus (*open)(LatentLog* log, size_t most_groups);
  LatentStatus (*clear)(LatentLog* log);
  LatentStatus (*write)(LatentLog* log, const LatentChoice& choice, const void* latent,
                        const void* label);
  LatentStatus (*read)(LatentLog* log, size_t index, void* latent, void* label, uint16_t* domain);
  LatentStatus (*write_notes)(LatentLog* log, bool all);
};

constexpr size_t LatentIndexBytes(size_t records, size_t groups) {
  return groups * sizeof(LatentGroup) + LogRoundUp(records * sizeof(LatentRecord), 4);
}

// A record in RAM.
constexpr size_t LatentRecordBytes(const LatentFormat& format) {
  return 4 + format.label_bytes + format.latent_bytes;
}

// Memory of a store in RAM.
constexpr size_t LatentRamBytes(const LatentFormat& format, size_t records, size_t groups) {
  return LatentIndexBytes(records, groups) + records * LatentRecordBytes(format);
}

// Memory of a store in flash; unit: StorageSize's program_unit.
constexpr size_t LatentFlashBytes(size_t records, size_t groups, size_t unit) {
  return LatentIndexBytes(records, groups) + LatentStageBytes(unit);
}

// The most records that a storage holds; 0: it is impossible.
constexpr size_t LatentFlashCapacity(const StorageSize& size, const LatentFormat& format,
                                     size_t groups) {
  return PlanLatentLog(size, format.label_bytes + format.latent_bytes, groups).capacity;
}

class LatentStore {
 public:
  // In RAM. `memory` is aligned to 4 and has LatentRamBytes.
  LatentStore(const LatentFormat& format, const LatentStoreSize& size, void* memory, size_t bytes);

  // In flash. `memory` is aligned to 4 and has LatentFlashBytes.
  LatentStore(const LatentFormat& format, const LatentStoreSize& size, const Storage& storage,
              void* memory, size_t bytes);

  // Not to be copied: the log leads into the object.
  LatentStore(const LatentStore&) = delete;
  LatentStore& operator=(const LatentStore&) = delete;

  // Once, before anything else. In flash it reads everything; kOk or kEmpty: the
  // store can be used; kOtherModel: after Clear.
  LatentStatus Open();

  // A new sample; kOk: kept, kNotKept: left out by the sampling. After
  // kStorageFailed the records are those that it had before.
  //
  //   latent   latent_bytes, any alignment
  //   label    label_bytes, any alignment; null where there is no label
  //   domain   where it comes from; 0 for all if there is only one
  LatentStatus Add(const void* latent, const void* label, uint16_t domain);

  // A record. kNoRecord: there is none, or it cannot be read any more.
  //
  //   index    below capacity
  //   latent, label, domain   as in Add; domain may be null
  LatentStatus Read(size_t index, void* latent, void* label, uint16_t* domain);

  // Writes how many samples came, so that a restart goes on with exactly these
  // numbers. Without it a power cut forgets at most an eighth of the samples that
  // were left out. Nothing to do in RAM.
  LatentStatus Checkpoint();

  // Forgets everything, other models' latents too.
  LatentStatus Clear();

  size_t capacity() const { return reservoir_.capacity(); }
  size_t size() const { return reservoir_.size(); }
  bool Has(size_t index) const { return index < capacity() && reservoir_.Has(index); }
  const LatentFormat& format() const { return format_; }
  const Reservoir& reservoir() const { return reservoir_; }
  Reservoir& reservoir() { return reservoir_; }

  // All 0 in RAM.
  LatentWear wear() const { return calls_ != nullptr ? log_.wear() : LatentWear{0, 0, 0}; }

 private:
  uint8_t* RecordAt(size_t index) const { return records_ + index * LatentRecordBytes(format_); }

  LatentStore(const LatentFormat& format, const LatentStoreSize& size, const Storage& storage,
              const LatentLogCalls* calls, size_t needed_bytes, void* memory, size_t bytes);

  LatentFormat format_;
  LatentStoreSize size_;
  const LatentLogCalls* calls_;  // null in RAM
  bool open_ = false;
  bool planned_ = false;  // whether Clear knows where everything lies
  size_t needed_bytes_;
  size_t bytes_;
  uint8_t* records_;  // in RAM; the stage in flash
  Reservoir reservoir_;
  LatentLog log_;
};

}  // namespace tflm_train

#endif  // TFLM_KERNELS_STATE_LATENT_STORE_H_
