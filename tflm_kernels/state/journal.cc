#include "tflm_kernels/state/journal.h"

#include <cstring>

#include "tflm_kernels/state/crc32.h"
#include "tflm_kernels/state/little_endian.h"

namespace tflm_train {
namespace {

constexpr uint32_t kRecordMagic = 0x4E4A5454;  // "TTJN"
constexpr uint32_t kRecordVersion = 2;
constexpr size_t kRecordHeaderBytes = 32;
constexpr uint32_t kVersionWord = kRecordVersion | kRecordHeaderBytes << 16;
constexpr size_t kHeaderChecksumOffset = 28;
constexpr uint32_t kClosingWord = 0x454E4F44;  // "DONE"
// How many headers make a decision firm: one that was begun may look blank.
constexpr int kFirmHeaders = 2;
constexpr uint32_t kMostGenerations = 24;
// Of a payload, what tells whether there is one.
constexpr size_t kPieceBytes = 64;

size_t RoundUp(size_t bytes, size_t unit) { return (bytes + unit - 1) / unit * unit; }

bool IsPowerOfTwo(size_t value) { return value != 0 && (value & (value - 1)) == 0; }

bool IsBlank(const uint8_t* bytes, size_t size) {
  for (size_t i = 0; i < size; ++i) {
    if (bytes[i] != 0xFF) return false;
  }
  return true;
}

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
      return "the storage needs two equal erase blocks, and a program unit that divides them";
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
  }
  return "unknown status";
}

JournalStatus Journal::Open() {
  slot_bytes_ = 0;
  newest_ = {};
  writing_.valid = false;
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
  entry_bytes_ = header_bytes_ + RoundUp(sizeof(kClosingWord), size.program_unit);
  payload_offset_ = kJournalHeaders * entry_bytes_;
  if (slot_bytes <= payload_offset_ || header_bytes_ > stage_capacity_) {
    return JournalStatus::kBadStorage;
  }
  slot_bytes_ = slot_bytes;
  erase_block_ = size.erase_block;
  program_unit_ = size.program_unit;
  const Slot slots[2] = {ReadSlot(0), ReadSlot(1)};
  const bool second =
      slots[1].newest.valid &&
      (!slots[0].newest.valid || IsNewer(slots[1].newest.sequence, slots[0].newest.sequence));
  const Slot& winner = slots[second];
  const Slot& loser = slots[!second];
  // Where there is no room left, a number may have been made from doubtful headers since erased.
  const int doubtful =
      winner.doubtful + loser.doubtful + (winner.used == kJournalHeaders ? kJournalHeaders + 2 : 0);
  const uint32_t known =
      winner.generation > loser.generation ? winner.generation : loser.generation;
  generation_ =
      winner.doubtful + loser.doubtful == 0 ? 0 : known + static_cast<uint32_t>(doubtful) + 1;
  if (!winner.newest.valid) {
    return winner.is_read && loser.is_read ? JournalStatus::kEmpty : JournalStatus::kUnreadable;
  }
  newest_ = winner.newest;
  used_entries_ = winner.used;
  is_firm_ = winner.is_closed && loser.doubtful == 0;
  is_clean_ = winner.doubtful == 0;
  // Should the storage fail now, the next write tries again.
  MakeFirm();
  return JournalStatus::kOk;
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
  JournalStatus status = MakeFirm();
  if (status != JournalStatus::kOk) return status;
  // Until Commit has ended the slot might turn out to hold a record.
  is_firm_ = false;
  const int slot = newest_.valid ? 1 - newest_.slot : 0;
  status = EraseSlot(slot, payload_offset_ + bytes);
  if (status != JournalStatus::kOk) return status;
  if (is_clean_) generation_ = 0;
  writing_ = {true, slot, sequence() + Step(), bytes, kCrc32Start, erasures() + 1, generation_};
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
  status = WriteEntry(record, 0);
  if (status != JournalStatus::kOk) return status;
  newest_ = record;
  used_entries_ = 1;
  is_firm_ = is_clean_ = true;
  return JournalStatus::kOk;
}

size_t Journal::EntryOffset(int slot, int entry) const {
  return SlotOffset(slot) + static_cast<size_t>(entry) * entry_bytes_;
}

// Programs a header and its closing word; reads the header back before that.
JournalStatus Journal::WriteEntry(const Record& record, int entry) {
  std::memset(stage_, 0xFF, header_bytes_);
  PutWord(stage_, 0, kRecordMagic);
  PutWord(stage_, 4, kVersionWord);
  PutWord(stage_, 8, record.sequence);
  PutWord(stage_, 12, static_cast<uint32_t>(record.bytes));
  PutWord(stage_, 16, ~record.crc);
  PutWord(stage_, 20, record.erasures);
  PutWord(stage_, 24, record.generation);
  PutWord(stage_, kHeaderChecksumOffset, ~UpdateCrc32(kCrc32Start, stage_, kHeaderChecksumOffset));
  stage_bytes_ = kRecordHeaderBytes;
  write_at_ = EntryOffset(record.slot, entry);
  JournalStatus status = FlushStage();
  if (status != JournalStatus::kOk) return status;
  Record stored = {};
  bool is_blank = false, is_read = true;
  if (!ReadHeader(EntryOffset(record.slot, entry), &stored, &is_blank, &is_read)) {
    return is_read ? JournalStatus::kVerifyFailed : JournalStatus::kStorageFailed;
  }
  if (stored.sequence != record.sequence) return JournalStatus::kVerifyFailed;
  PutWord(stage_, 0, kClosingWord);
  stage_bytes_ = sizeof(kClosingWord);
  return FlushStage();
}

// How much higher the next number is. Where headers are in doubt, each has a generation of its own,
// and from any number that was known for sure the next is higher than all of theirs together.
uint32_t Journal::Step() const {
  return uint32_t{1} << (generation_ < kMostGenerations ? generation_ : kMostGenerations);
}

// Sees to it that no other record can turn out to be the newest.
JournalStatus Journal::MakeFirm() {
  if (is_firm_ || !newest_.valid) return JournalStatus::kOk;
  if (generation_ == 0) generation_ = 1;
  Record again = newest_;
  again.sequence += Step();
  again.generation = generation_++;
  int written = 0;
  while (written < kFirmHeaders && used_entries_ < kJournalHeaders) {
    const bool is_written = WriteEntry(again, used_entries_++) == JournalStatus::kOk;
    written += is_written;
    is_clean_ = is_clean_ && is_written;
    newest_.sequence = again.sequence;  // it may be there even where the storage reports an error
  }
  // Where there is room for no other, the journal is not given up for that.
  if (written == 0 && used_entries_ < kJournalHeaders) return JournalStatus::kStorageFailed;
  const size_t seen = payload_offset_ + kPieceBytes;
  const JournalStatus status = EraseSlot(1 - newest_.slot, seen < slot_bytes_ ? seen : slot_bytes_);
  is_firm_ = status == JournalStatus::kOk;
  return status;
}

// Erases the blocks of a slot's first bytes. The headers' come first: once they are gone, nothing
// of the old record can be taken for valid.
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
  found.is_read = true;
  for (int entry = 0; entry < kJournalHeaders; ++entry) {
    const size_t at = EntryOffset(slot, entry);
    Record record = {};
    bool is_blank = false;
    const bool has_header = ReadHeader(at, &record, &is_blank, &found.is_read);
    const bool is_closed = IsClosed(at);
    if (!is_blank || is_closed) found.used = entry + 1;
    found.doubtful += has_header ? !is_closed : !is_blank || is_closed;
    if (has_header && is_closed && record.generation > found.generation) {
      found.generation = record.generation;
    }
    if (!has_header || (found.newest.valid && !IsNewer(record.sequence, found.newest.sequence))) {
      continue;
    }
    record.slot = slot;
    found.newest = record;
    found.is_closed = is_closed;
  }
  // A payload without a header: one may have been begun that only looks blank.
  if (found.used == 0) {
    uint8_t piece[kPieceBytes];
    const size_t bytes = capacity() < sizeof(piece) ? capacity() : sizeof(piece);
    found.doubtful = !storage_.read(storage_.context, PayloadOffset(slot), piece, bytes) ||
                     !IsBlank(piece, bytes);
  }
  uint32_t crc = 0;
  if (found.newest.valid &&
      (ChecksumPayload(found.newest, &crc) != JournalStatus::kOk || crc != found.newest.crc)) {
    found.newest.valid = false;
    ++found.doubtful;
  }
  return found;
}

bool Journal::ReadHeader(size_t at, Record* record, bool* is_blank, bool* is_read) const {
  uint8_t header[kRecordHeaderBytes];
  *is_blank = false;
  if (!storage_.read(storage_.context, at, header, sizeof(header))) {
    *is_read = false;
    return false;
  }
  *is_blank = IsBlank(header, sizeof(header));
  if (GetWord(header, 0) != kRecordMagic || GetWord(header, 4) != kVersionWord ||
      GetWord(header, kHeaderChecksumOffset) !=
          ~UpdateCrc32(kCrc32Start, header, kHeaderChecksumOffset)) {
    return false;
  }
  record->sequence = GetWord(header, 8);
  record->bytes = GetWord(header, 12);
  record->crc = ~GetWord(header, 16);
  record->erasures = GetWord(header, 20);
  record->generation = GetWord(header, 24);
  record->valid = record->bytes <= capacity();
  return record->valid;
}

// Whether something is in the closing word of an entry: its header was whole before.
bool Journal::IsClosed(size_t at) const {
  uint8_t word[sizeof(kClosingWord)];
  if (!storage_.read(storage_.context, at + header_bytes_, word, sizeof(word))) return true;
  return GetWord(word, 0) != 0xFFFFFFFF;
}

JournalStatus Journal::ChecksumPayload(const Record& record, uint32_t* crc) const {
  uint8_t piece[kPieceBytes];
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
