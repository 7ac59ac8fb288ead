#include "tflm_kernels/state/latent_store.h"

#include <cstring>

#include "tflm_kernels/state/little_endian.h"

namespace tflm_train {
namespace {

LatentGroup* Groups(void* memory) { return static_cast<LatentGroup*>(memory); }

LatentRecord* Records(void* memory, const LatentStoreSize& size) {
  return reinterpret_cast<LatentRecord*>(Groups(memory) + size.groups);
}

// A class that is not balanced is a label like any other.
LatentFormat Balanced(const LatentFormat& format, LatentBalance balance) {
  LatentFormat balanced = format;
  balanced.is_class = format.is_class && balance == LatentBalance::kClasses;
  return balanced;
}

uint8_t* Rest(void* memory, const LatentStoreSize& size) {
  return static_cast<uint8_t*>(memory) + LatentIndexBytes(size.records, size.groups);
}

}  // namespace

const char* LatentStatusMessage(LatentStatus status) {
  switch (status) {
    case LatentStatus::kOk:
      return "ok";
    case LatentStatus::kNotKept:
      return "not kept: the sampling leaves this sample out";
    case LatentStatus::kEmpty:
      return "no latents yet";
    case LatentStatus::kOtherModel:
      return "the storage holds latents of another model or size; Clear empties it";
    case LatentStatus::kBadStorage:
      return "the storage cannot hold so many records: see LatentFlashCapacity";
    case LatentStatus::kTooSmall:
      return "the memory is smaller than LatentRamBytes or LatentFlashBytes, or no record fits";
    case LatentStatus::kTooManyGroups:
      return "more classes and domains than the store has groups";
    case LatentStatus::kStorageFailed:
      return "the storage failed";
    case LatentStatus::kWornOut:
      return "too many program units of the storage fail";
    case LatentStatus::kNoRecord:
      return "there is no such record, or it cannot be read any more";
    case LatentStatus::kNotOpen:
      return "call Open first, and Clear where it finds another model's latents";
  }
  return "unknown status";
}

LatentStore::LatentStore(const LatentFormat& format, const LatentStoreSize& size, void* memory,
                         size_t bytes)
    : LatentStore(format, size, {}, nullptr, LatentRamBytes(format, size.records, size.groups),
                  memory, bytes) {}

LatentStore::LatentStore(const LatentFormat& format, const LatentStoreSize& size,
                         const Storage& storage, const LatentLogCalls* calls, size_t needed_bytes,
                         void* memory, size_t bytes)
    : format_(Balanced(format, size.balance)),
      size_(size),
      calls_(calls),
      needed_bytes_(needed_bytes),
      bytes_(bytes),
      records_(Rest(memory, size)),
      reservoir_(Records(memory, size), size.records, Groups(memory), size.groups),
      log_(storage, format_, size.seed, &reservoir_, records_) {}

LatentStatus LatentStore::Open() {
  open_ = planned_ = false;
  const bool is_class = format_.is_class;
  if (bytes_ < needed_bytes_ || size_.records == 0 || size_.records >= kNone - 1 ||
      size_.groups == 0 || size_.groups >= kNone || format_.latent_bytes == 0 ||
      (is_class && format_.label_bytes != sizeof(int32_t))) {
    return LatentStatus::kTooSmall;
  }
  if (calls_ == nullptr) {
    reservoir_.Reset(size_.seed);
    open_ = planned_ = true;
    return LatentStatus::kEmpty;
  }
  const LatentStatus status = calls_->open(&log_, size_.groups);
  open_ = status == LatentStatus::kOk || status == LatentStatus::kEmpty;
  planned_ = open_ || status == LatentStatus::kOtherModel;
  return status;
}

LatentStatus LatentStore::Add(const void* latent, const void* label, uint16_t domain) {
  if (!open_) return LatentStatus::kNotOpen;
  int32_t value = 0;
  if (format_.is_class) std::memcpy(&value, label, sizeof(value));
  LatentChoice choice;
  if (!reservoir_.Choose(value, domain, &choice)) return LatentStatus::kTooManyGroups;
  LatentStatus status = LatentStatus::kNotKept;
  if (choice.index == kNone) {
    reservoir_.Count(choice);
  } else if (calls_ != nullptr) {
    status = calls_->write(&log_, choice, latent, label);
    if (status != LatentStatus::kOk) {
      reservoir_.Undo(choice);
      return status;
    }
  } else {
    uint8_t* record = RecordAt(choice.index);
    PutWord(record, 0, domain);
    if (format_.label_bytes > 0) std::memcpy(record + 4, label, format_.label_bytes);
    std::memcpy(record + 4 + format_.label_bytes, latent, format_.latent_bytes);
    reservoir_.Count(choice);
    reservoir_.Put(choice.index, choice.group);
    status = LatentStatus::kOk;
  }
  // A note that fails is tried again at the next sample: the record is there.
  if (calls_ != nullptr) calls_->write_notes(&log_, false);
  return status;
}

LatentStatus LatentStore::Read(size_t index, void* latent, void* label, uint16_t* domain) {
  if (!open_) return LatentStatus::kNotOpen;
  if (!Has(index)) return LatentStatus::kNoRecord;
  uint16_t from = 0;
  if (calls_ != nullptr) {
    const LatentStatus status = calls_->read(&log_, index, latent, label, &from);
    if (status != LatentStatus::kOk) return status;
  } else {
    const uint8_t* record = RecordAt(index);
    from = static_cast<uint16_t>(GetWord(record, 0));
    if (format_.label_bytes > 0) std::memcpy(label, record + 4, format_.label_bytes);
    std::memcpy(latent, record + 4 + format_.label_bytes, format_.latent_bytes);
  }
  if (domain != nullptr) *domain = from;
  return LatentStatus::kOk;
}

LatentStatus LatentStore::Checkpoint() {
  if (!open_) return LatentStatus::kNotOpen;
  return calls_ != nullptr ? calls_->write_notes(&log_, true) : LatentStatus::kOk;
}

LatentStatus LatentStore::Clear() {
  if (!planned_) return LatentStatus::kNotOpen;
  open_ = false;
  if (calls_ != nullptr) {
    const LatentStatus status = calls_->clear(&log_);
    if (status != LatentStatus::kOk) return status;
  } else {
    reservoir_.Reset(size_.seed);
  }
  open_ = true;
  return LatentStatus::kOk;
}

}  // namespace tflm_train
