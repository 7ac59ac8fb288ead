#include "tflm_kernels/state/journal.h"

#include <cstring>

#include "tflm_kernels/state/crc32.h"
#include "tflm_kernels/state/little_endian.h"

namespace tflm_train {
namespace {

constexpr uint32_t kRecordMagic = 0x4E4A5454;  // "TTJN"
constexpr uint32_t kRecordVersion = 3;
constexpr size_t kRecordHeaderBytes = 28;
constexpr size_t kMostHeaderBytes = 32;  // of any version
constexpr uint32_t kVersionWord = kRecordVersion | kRecordHeaderBytes << 16;
constexpr size_t kPieceBytes = 64;

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
      return "the storage needs two erase blocks of one size, and a program unit that divides them";
    case JournalStatus::kTooLarge:
      return "the record is larger than half of the storage";
    case JournalStatus::kStorageFailed:
      return "the storage failed";
    case JournalStatus::kVerifyFailed:
      return "the storage does not hold what was programmed";
    case JournalStatus::kWrongOrder:
      return "call Open, then Begin, Append and Commit, with as many bytes as announced";
    case JournalStatus::kUnreadable:
      return "no record, and a part of the storage that cannot be read";
    case JournalStatus::kOtherVersion:
      return "a record of another version of the journal: read it with that one, or write anew";
  }
  return "unknown status";
}

JournalStatus Journal::Open() {
  slot_bytes_ = 0;
  newest_ = {};
  writing_.valid = false;
  pending_[0] = pending_[1] = Verdict::kNone;
  const StorageSize size = storage_.size(storage_.context);
  if (size.erase_block == 0 || !IsPowerOfTwo(size.program_unit) ||
      size.program_unit > kLargestProgramUnit || size.program_unit > stage_capacity_) {
    return JournalStatus::kBadStorage;
  }
  // Slots begin on an erase block and on a program unit.
  const size_t granule = RoundUp(size.erase_block, size.program_unit);
  if (granule % size.erase_block != 0) return JournalStatus::kBadStorage;
  const size_t slot_bytes = size.bytes / 2 / granule * granule;
  header_bytes_ = RoundUp(kRecordHeaderBytes, size.program_unit);
  payload_offset_ = header_bytes_ + CommitMarks::Bytes(size.program_unit);
  if (slot_bytes <= payload_offset_ || header_bytes_ > stage_capacity_) {
    return JournalStatus::kBadStorage;
  }
  slot_bytes_ = slot_bytes;
  erase_block_ = size.erase_block;
  program_unit_ = size.program_unit;
  const Slot slots[2] = {ReadSlot(0), ReadSlot(1)};
  const bool second_leads =
      slots[1].has_header &&
      (!slots[0].has_header || IsNewer(slots[1].record.sequence, slots[0].record.sequence));
  last_sequence_ = slots[second_leads].record.sequence;
  for (int i = 0; i < 2 && !newest_.valid; ++i) {
    const int number = second_leads ? 1 - i : i;
    const Slot& slot = slots[number];
    if (!slot.record.valid) continue;
    if (!slot.is_firm) pending_[number] = slot.verdict;
    if (slot.verdict == Verdict::kCommitted) newest_ = slot.record;
  }
  // Should the storage fail now, the next write tries again.
  Settle();
  if (newest_.valid) return JournalStatus::kOk;
  if (slots[0].is_other_version || slots[1].is_other_version) return JournalStatus::kOtherVersion;
  return slots[0].is_unreadable || slots[1].is_unreadable ? JournalStatus::kUnreadable
                                                          : JournalStatus::kEmpty;
}

JournalStatus Journal::Read(size_t offset, void* data, size_t bytes) const {
  if (offset > size() || bytes > size() - offset) return JournalStatus::kWrongOrder;
  const size_t at = PayloadOffset(newest_.slot) + offset;
  return ReadTwice(storage_, at, data, bytes) ? JournalStatus::kOk : JournalStatus::kStorageFailed;
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
  JournalStatus status = Settle();
  if (status != JournalStatus::kOk) return status;
  const int slot = newest_.valid ? 1 - newest_.slot : 0;
  status = EraseSlot(slot, payload_offset_ + bytes);
  if (status != JournalStatus::kOk) return status;
  writing_ = {true, slot, last_sequence_ + 1, bytes, kCrc32Start, erasures() + 1};
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
    const size_t room = stage_capacity_ / program_unit_ * program_unit_ - stage_bytes_;
    const size_t piece = bytes < room ? bytes : room;
    std::memcpy(stage_ + stage_bytes_, from, piece);
    stage_bytes_ += piece;
    from += piece;
    bytes -= piece;
    if (room == piece) {
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
  status = WriteHeader(record);
  if (status != JournalStatus::kOk) return status;
  // From here on the record may turn out to count, unless it is aborted.
  last_sequence_ = record.sequence;
  pending_[record.slot] = Verdict::kAborted;
  if (!Marks(record.slot).Commit()) return JournalStatus::kStorageFailed;
  newest_ = record;
  pending_[record.slot] = Verdict::kNone;
  return JournalStatus::kOk;
}

// Programs a header and reads it back.
JournalStatus Journal::WriteHeader(const Record& record) {
  PutWord(stage_, 0, kRecordMagic);
  PutWord(stage_, 4, kVersionWord);
  PutWord(stage_, 8, record.sequence);
  PutWord(stage_, 12, static_cast<uint32_t>(record.bytes));
  PutWord(stage_, 16, ~record.crc);
  PutWord(stage_, 20, record.erasures);
  PutWord(stage_, 24, ~UpdateCrc32(kCrc32Start, stage_, 24));
  stage_bytes_ = kRecordHeaderBytes;
  write_at_ = SlotOffset(record.slot);
  const JournalStatus status = FlushStage();
  if (status != JournalStatus::kOk) return status;
  Slot stored = {};
  ReadHeader(&stored, SlotOffset(record.slot));
  if (stored.is_unreadable) return JournalStatus::kStorageFailed;
  return stored.has_header && stored.record.sequence == record.sequence
             ? JournalStatus::kOk
             : JournalStatus::kVerifyFailed;
}

// Sees to it that a later power-up cannot decide otherwise.
JournalStatus Journal::Settle() {
  for (int slot = 0; slot < 2; ++slot) {
    if (pending_[slot] == Verdict::kNone) continue;
    if (!Marks(slot).Settle(pending_[slot])) return JournalStatus::kStorageFailed;
    pending_[slot] = Verdict::kNone;
  }
  return JournalStatus::kOk;
}

// Erases the blocks of a slot's first bytes. The header's comes first: once it is gone, nothing of
// the old record can be taken for valid.
JournalStatus Journal::EraseSlot(int slot, size_t bytes) {
  const size_t begin = SlotOffset(slot);
  const size_t end = begin + RoundUp(bytes, erase_block_);
  for (size_t block = begin; block < end; block += erase_block_) {
    if (!storage_.erase(storage_.context, block)) return JournalStatus::kStorageFailed;
  }
  return JournalStatus::kOk;
}

Journal::Slot Journal::ReadSlot(int slot) const {
  Slot found = {};
  found.record.slot = slot;
  ReadHeader(&found, SlotOffset(slot));
  if (!found.has_header) return found;
  uint32_t crc = 0;
  found.is_unreadable = ChecksumPayload(found.record, &crc) != JournalStatus::kOk;
  found.record.valid = !found.is_unreadable && crc == found.record.crc;
  found.verdict = Marks(slot).Read(&found.is_firm);
  return found;
}

// The length of a header is in it, so that one of another version is known for what it is.
void Journal::ReadHeader(Slot* slot, size_t at) const {
  uint8_t header[kMostHeaderBytes];
  if (!ReadTwice(storage_, at, header, kRecordHeaderBytes)) {
    slot->is_unreadable = true;
    return;
  }
  if (GetWord(header, 0) != kRecordMagic) return;
  const uint32_t version = GetWord(header, 4);
  const size_t bytes = version >> 16;
  if (bytes < kRecordHeaderBytes || bytes > sizeof(header)) return;
  // What was read already may read differently now.
  const size_t rest = bytes - kRecordHeaderBytes;
  if (rest > 0 && !ReadTwice(storage_, at + kRecordHeaderBytes, header + kRecordHeaderBytes, rest))
    return;
  if (GetWord(header, bytes - 4) != ~UpdateCrc32(kCrc32Start, header, bytes - 4)) return;
  slot->is_other_version = version != kVersionWord;
  if (slot->is_other_version) return;
  slot->record.sequence = GetWord(header, 8);
  slot->record.bytes = GetWord(header, 12);
  slot->record.crc = ~GetWord(header, 16);
  slot->record.erasures = GetWord(header, 20);
  slot->has_header = slot->record.bytes <= capacity();
}

JournalStatus Journal::ChecksumPayload(const Record& record, uint32_t* crc) const {
  uint8_t piece[kPieceBytes];
  *crc = kCrc32Start;
  for (size_t done = 0; done < record.bytes;) {
    const size_t left = record.bytes - done;
    const size_t bytes = left < sizeof(piece) ? left : sizeof(piece);
    if (!ReadTwice(storage_, PayloadOffset(record.slot) + done, piece, bytes)) {
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
