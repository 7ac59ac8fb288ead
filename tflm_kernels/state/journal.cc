#include "tflm_kernels/state/journal.h"

#include <cstring>

#include "tflm_kernels/state/crc32.h"
#include "tflm_kernels/state/little_endian.h"

namespace tflm_train {
namespace {

constexpr uint32_t kRecordMagic = 0x4E4A5454;  // "TTJN"
constexpr uint32_t kRecordVersion = 1;
constexpr size_t kRecordHeaderBytes = 24;
constexpr uint32_t kVersionWord = kRecordVersion | kRecordHeaderBytes << 16;
constexpr size_t kHeaderChecksumOffset = 20;

size_t RoundUp(size_t bytes, size_t unit) { return (bytes + unit - 1) / unit * unit; }

bool IsPowerOfTwo(size_t value) { return value != 0 && (value & (value - 1)) == 0; }

// Sequence numbers may wrap around: only their distance counts.
bool IsNewer(uint32_t a, uint32_t b) { return static_cast<int32_t>(a - b) > 0; }

bool AppendToJournal(void* context, const void* data, size_t size) {
  return static_cast<Journal*>(context)->Append(data, size) == JournalStatus::kOk;
}

bool ReadFromJournal(void* context, size_t offset, void* data, size_t size) {
  return static_cast<const Journal*>(context)->Read(offset, data, size) == JournalStatus::kOk;
}

}  // namespace

const char* JournalStatusMessage(JournalStatus status) {
  switch (status) {
    case JournalStatus::kOk:
      return "ok";
    case JournalStatus::kEmpty:
      return "no record yet";
    case JournalStatus::kBadStorage:
      return "the storage needs two erase blocks, and a program unit that divides them";
    case JournalStatus::kTooLarge:
      return "the record is larger than half of the storage";
    case JournalStatus::kStorageFailed:
      return "the storage failed";
    case JournalStatus::kVerifyFailed:
      return "the storage does not hold what was programmed";
    case JournalStatus::kWrongOrder:
      return "call Open, then Begin, Append and Commit, with as many bytes as announced";
  }
  return "unknown status";
}

JournalStatus Journal::Open() {
  slot_bytes_ = 0;
  newest_.valid = writing_.valid = false;
  const StorageSize size = storage_.size(storage_.context);
  if (size.erase_block == 0 || !IsPowerOfTwo(size.program_unit) ||
      size.program_unit > kMaxProgramUnit) {
    return JournalStatus::kBadStorage;
  }
  // Slots begin on an erase block and on a program unit.
  const size_t granule = RoundUp(size.erase_block, size.program_unit);
  if (granule % size.erase_block != 0) return JournalStatus::kBadStorage;
  const size_t slot_bytes = size.bytes / 2 / granule * granule;
  const size_t header_bytes = RoundUp(kRecordHeaderBytes, size.program_unit);
  if (slot_bytes <= header_bytes) return JournalStatus::kBadStorage;
  slot_bytes_ = slot_bytes;
  header_bytes_ = header_bytes;
  erase_block_ = size.erase_block;
  program_unit_ = size.program_unit;
  for (int slot = 0; slot < 2; ++slot) {
    Record record = {};
    const JournalStatus status = ReadRecord(slot, &record);
    if (status != JournalStatus::kOk) {
      slot_bytes_ = 0;
      return status;
    }
    if (record.valid && (!newest_.valid || IsNewer(record.sequence, newest_.sequence))) {
      newest_ = record;
    }
  }
  return newest_.valid ? JournalStatus::kOk : JournalStatus::kEmpty;
}

JournalStatus Journal::Read(size_t offset, void* data, size_t bytes) const {
  if (offset > size() || bytes > size() - offset) return JournalStatus::kWrongOrder;
  const size_t at = PayloadOffset(newest_.slot) + offset;
  return storage_.read(storage_.context, at, data, bytes) ? JournalStatus::kOk
                                                          : JournalStatus::kStorageFailed;
}

JournalStatus Journal::Write(const void* data, size_t bytes) {
  JournalStatus status = Begin(bytes);
  if (status == JournalStatus::kOk) status = Append(data, bytes);
  if (status == JournalStatus::kOk) status = Commit();
  return status;
}

JournalStatus Journal::Begin(size_t bytes) {
  writing_.valid = false;
  if (slot_bytes_ == 0) return JournalStatus::kWrongOrder;
  if (bytes > capacity()) return JournalStatus::kTooLarge;
  const int slot = newest_.valid ? 1 - newest_.slot : 0;
  const size_t begin = SlotOffset(slot);
  const size_t end = begin + RoundUp(header_bytes_ + bytes, erase_block_);
  // The header's block comes first: once it is gone, nothing of the old record
  // can be taken for valid.
  for (size_t block = begin; block < end; block += erase_block_) {
    if (!storage_.erase(storage_.context, block)) return JournalStatus::kStorageFailed;
  }
  writing_ = {true, slot, sequence() + 1, bytes, kCrc32Start};
  remaining_ = bytes;
  write_at_ = PayloadOffset(slot);
  stage_bytes_ = 0;
  return JournalStatus::kOk;
}

JournalStatus Journal::Append(const void* data, size_t bytes) {
  if (!writing_.valid || bytes > remaining_) return JournalStatus::kWrongOrder;
  writing_.crc = UpdateCrc32(writing_.crc, data, bytes);
  remaining_ -= bytes;
  const uint8_t* from = static_cast<const uint8_t*>(data);
  while (bytes > 0) {
    const size_t room = sizeof(stage_) - stage_bytes_;
    const size_t piece = bytes < room ? bytes : room;
    std::memcpy(stage_ + stage_bytes_, from, piece);
    stage_bytes_ += piece;
    from += piece;
    bytes -= piece;
    if (stage_bytes_ == sizeof(stage_)) {
      const JournalStatus status = FlushStage();
      if (status != JournalStatus::kOk) return status;
    }
  }
  return JournalStatus::kOk;
}

JournalStatus Journal::Commit() {
  if (!writing_.valid || remaining_ != 0) return JournalStatus::kWrongOrder;
  JournalStatus status = FlushStage();
  uint32_t stored = 0;
  if (status == JournalStatus::kOk) status = ChecksumPayload(writing_, &stored);
  const Record record = writing_;
  writing_.valid = false;
  if (status != JournalStatus::kOk) return status;
  if (stored != record.crc) return JournalStatus::kVerifyFailed;
  PutWord(stage_, 0, kRecordMagic);
  PutWord(stage_, 4, kVersionWord);
  PutWord(stage_, 8, record.sequence);
  PutWord(stage_, 12, static_cast<uint32_t>(record.bytes));
  PutWord(stage_, 16, ~record.crc);
  PutWord(stage_, kHeaderChecksumOffset, ~UpdateCrc32(kCrc32Start, stage_, kHeaderChecksumOffset));
  stage_bytes_ = kRecordHeaderBytes;
  write_at_ = SlotOffset(record.slot);
  status = FlushStage();
  if (status != JournalStatus::kOk) return status;
  Record committed = {};
  status = ReadRecord(record.slot, &committed);
  if (status != JournalStatus::kOk) return status;
  if (!committed.valid || committed.sequence != record.sequence) {
    return JournalStatus::kVerifyFailed;
  }
  newest_ = committed;
  return JournalStatus::kOk;
}

// Leaves `record` invalid where the slot holds none.
JournalStatus Journal::ReadRecord(int slot, Record* record) const {
  uint8_t header[kRecordHeaderBytes];
  if (!storage_.read(storage_.context, SlotOffset(slot), header, sizeof(header))) {
    return JournalStatus::kStorageFailed;
  }
  record->valid = false;
  if (GetWord(header, 0) != kRecordMagic || GetWord(header, 4) != kVersionWord ||
      GetWord(header, kHeaderChecksumOffset) !=
          ~UpdateCrc32(kCrc32Start, header, kHeaderChecksumOffset)) {
    return JournalStatus::kOk;
  }
  record->slot = slot;
  record->sequence = GetWord(header, 8);
  record->bytes = GetWord(header, 12);
  record->crc = ~GetWord(header, 16);
  if (record->bytes > capacity()) return JournalStatus::kOk;
  uint32_t crc = 0;
  const JournalStatus status = ChecksumPayload(*record, &crc);
  record->valid = status == JournalStatus::kOk && crc == record->crc;
  return status;
}

JournalStatus Journal::ChecksumPayload(const Record& record, uint32_t* crc) const {
  uint8_t piece[64];
  *crc = kCrc32Start;
  for (size_t done = 0; done < record.bytes;) {
    const size_t left = record.bytes - done;
    const size_t bytes = left < sizeof(piece) ? left : sizeof(piece);
    if (!storage_.read(storage_.context, PayloadOffset(record.slot) + done, piece, bytes)) {
      return JournalStatus::kStorageFailed;
    }
    *crc = UpdateCrc32(*crc, piece, bytes);
    done += bytes;
  }
  return JournalStatus::kOk;
}

// Programs what is staged, padded to whole program units.
JournalStatus Journal::FlushStage() {
  if (stage_bytes_ == 0) return JournalStatus::kOk;
  const size_t bytes = RoundUp(stage_bytes_, program_unit_);
  std::memset(stage_ + stage_bytes_, 0xFF, bytes - stage_bytes_);
  stage_bytes_ = 0;
  if (!storage_.program(storage_.context, write_at_, stage_, bytes)) {
    writing_.valid = false;
    return JournalStatus::kStorageFailed;
  }
  write_at_ += bytes;
  return JournalStatus::kOk;
}

StateStatus StateSave(const TrainState* state, Journal& journal) {
  const size_t size = StateSize(state);
  if (size == 0) return StateStatus::kNotReady;
  const JournalStatus begun = journal.Begin(size);
  if (begun == JournalStatus::kTooLarge) return StateStatus::kTooSmall;
  if (begun != JournalStatus::kOk) return StateStatus::kStorageFailed;
  const StateStatus status = StateSaveTo(state, {AppendToJournal, &journal});
  if (status != StateStatus::kOk) return status;
  return journal.Commit() == JournalStatus::kOk ? StateStatus::kOk : StateStatus::kStorageFailed;
}

StateStatus StateLoad(const TrainState* state, const Journal& journal) {
  return StateLoadFrom(state, {ReadFromJournal, const_cast<Journal*>(&journal), journal.size()});
}

}  // namespace tflm_train
