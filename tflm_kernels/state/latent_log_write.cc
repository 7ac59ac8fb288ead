// Writes the log. Whatever a storage function answers, no record but the one being written is lost.

#include <cstring>

#include "tflm_kernels/state/crc32.h"
#include "tflm_kernels/state/latent_log.h"
#include "tflm_kernels/state/little_endian.h"

namespace tflm_train {
namespace {

constexpr int kTries = 3;            // slots that a record is tried in
constexpr int kSureReadings = 16;    // of a bit in doubt some differ
constexpr size_t kGroupsOfNote = 8;  // at most

void PutGroup(uint8_t* bytes, const LatentGroup& group) {
  PutWord(bytes, 0, static_cast<uint32_t>(group.label));
  PutWord(bytes, 4, group.domain);
  PutWord(bytes, 8, group.seen);
}

// Whether a power cut would forget too much of a group: that it is full, or more than an eighth of
// its samples. So the notes of a group are as many as its count has octaves, times a constant.
bool NeedsNote(const LatentGroup& group) {
  if (((group.seen ^ group.saved) & kGroupFull) != 0) return true;
  const uint32_t saved = group.saved & kMostSeen;
  return group.count() > saved && group.count() - saved > 8 + saved / 8;
}

}  // namespace

// Gathers whole program units; what goes wrong is known after FlushStage.
void LatentLog::Stage(const void* data, size_t bytes) {
  const size_t capacity = LatentStageBytes(layout_.unit);
  const uint8_t* from = static_cast<const uint8_t*>(data);
  while (bytes > 0) {
    const size_t room = capacity - stage_used_;
    const size_t piece = bytes < room ? bytes : room;
    std::memcpy(stage_ + stage_used_, from, piece);
    stage_used_ += piece;
    from += piece;
    bytes -= piece;
    if (stage_used_ == capacity) FlushStage();
  }
}

void LatentLog::FlushStage() {
  if (stage_used_ == 0) return;
  const size_t bytes = LogRoundUp(stage_used_, layout_.unit);
  std::memset(stage_ + stage_used_, 0xFF, bytes - stage_used_);
  stage_ok_ = stage_ok_ && storage_.program(storage_.context, stage_at_, stage_, bytes);
  stage_at_ += bytes;
  stage_used_ = 0;
}

void LatentLog::StagePayload(const Payload& payload, size_t bytes) {
  if (payload.slot == kNone) {
    Stage(payload.first, payload.first_bytes);
    Stage(payload.second, payload.second_bytes);
    return;
  }
  uint8_t piece[64];
  size_t offset = SlotOffset(payload.slot) + kLogEntryBytes;
  while (bytes > 0) {
    const size_t count = bytes < sizeof(piece) ? bytes : sizeof(piece);
    stage_ok_ = stage_ok_ && ReadTwice(storage_, offset, piece, count);
    Stage(piece, count);
    offset += count;
    bytes -= count;
  }
}

bool LatentLog::ProgramEntry(uint16_t slot, const Entry& entry, const Payload& payload) {
  uint8_t bytes[kLogEntryBytes];
  PutWord(bytes, 0, entry.index | static_cast<uint32_t>(entry.domain) << 16);
  PutWord(bytes, 4, entry.sequence);
  PutWord(bytes, 8, entry.draws);
  PutWord(bytes, 12, entry.seen);
  PutWord(bytes, 16, entry.crc);
  stage_at_ = SlotOffset(slot);
  stage_used_ = 0;
  stage_ok_ = true;
  Stage(bytes, sizeof(bytes));
  StagePayload(payload, PayloadBytes(entry));
  FlushStage();
  Entry stored;
  if (!stage_ok_ || !ReadEntry(slot, &stored) || stored.crc != entry.crc) return false;
  PutWord(bytes, 0, ~entry.crc);
  stage_at_ = SlotOffset(slot) + layout_.entry_bytes;
  Stage(bytes, kLogMarkBytes);
  FlushStage();
  return stage_ok_ && ReadEntry(slot, &stored) && stored.marked;
}

// Into the next slots of the head, up to a number. What fails is left behind: it is not blank any
// more, or never will be right.
LatentLog::Outcome LatentLog::WriteEntry(Entry* entry, const Payload& payload, size_t limit,
                                         uint16_t* slot) {
  if (payload.slot == kNone) {  // a copy keeps its checksum: it is as right as the original
    uint32_t crc = EntryChecksum(*entry);
    crc = UpdateCrc32(crc, payload.first, payload.first_bytes);
    entry->crc = ~UpdateCrc32(crc, payload.second, payload.second_bytes);
  }
  for (int attempt = 0; attempt < kTries; ++attempt) {
    if (next_slot_ >= limit) return Outcome::kNoRoom;
    *slot = Slot(head_, next_slot_++);
    if (ProgramEntry(*slot, *entry, payload)) return Outcome::kDone;
  }
  return Outcome::kFailed;
}

LatentStatus LatentLog::WriteNew(Entry* entry, const Payload& payload, uint16_t* slot) {
  LatentStatus status = is_settled_ ? LatentStatus::kOk : Settle();
  if (status != LatentStatus::kOk) return status;
  entry->sequence = ++sequence_;
  for (size_t advances = 0; advances <= layout_.sectors; ++advances) {
    const size_t limit = is_closed_ ? 0 : layout_.slots - kLogSpareSlots;
    const Outcome outcome = WriteEntry(entry, payload, limit, slot);
    if (outcome == Outcome::kDone) return LatentStatus::kOk;
    if (outcome == Outcome::kFailed) return LatentStatus::kStorageFailed;
    status = Advance();
    if (status != LatentStatus::kOk) return status;
    entry->sequence = ++sequence_;  // a record is newer than its sector's header
  }
  return LatentStatus::kWornOut;
}

LatentStatus LatentLog::Write(const LatentChoice& choice, const void* latent, const void* label) {
  LatentGroup& group = reservoir_->groups()[choice.group];
  Entry entry = {choice.index, group.domain, 0, reservoir_->random().draws, choice.seen, 0, 0,
                 false};
  const Payload payload = {label, format_.label_bytes, latent, format_.latent_bytes, kNone};
  uint16_t slot = kNone;
  const LatentStatus status = WriteNew(&entry, payload, &slot);
  if (status == LatentStatus::kOk) {
    reservoir_->Count(choice);
    reservoir_->Put(choice.index, choice.group);
    reservoir_->records()[choice.index].slot = slot;
    group.saved = entry.seen;
  }
  return status;
}

LatentStatus LatentLog::WriteNotes(bool all) {
  uint8_t groups[kGroupsOfNote * kLogGroupBytes];
  size_t most = (layout_.entry_bytes - kLogEntryBytes) / kLogGroupBytes;
  if (most > kGroupsOfNote) most = kGroupsOfNote;
  for (;;) {
    bool needed = false;
    uint16_t count = 0;
    uint16_t numbers[kGroupsOfNote];
    for (size_t i = 0; i < reservoir_->group_count() && count < most; ++i) {
      const LatentGroup& group = reservoir_->groups()[i];
      if (group.seen == group.saved || (!all && !NeedsNote(group))) continue;
      needed = true;
      PutGroup(groups + count * kLogGroupBytes, group);
      numbers[count++] = static_cast<uint16_t>(i);
    }
    if (!needed) return LatentStatus::kOk;
    Entry entry = {kLogNote, count, 0, reservoir_->random().draws, 0, 0, 0, false};
    const Payload payload = {groups, count * kLogGroupBytes, nullptr, 0, kNone};
    uint16_t slot = kNone;
    const LatentStatus status = WriteNew(&entry, payload, &slot);
    if (status != LatentStatus::kOk) return status;
    for (uint16_t i = 0; i < count; ++i) {
      LatentGroup& group = reservoir_->groups()[numbers[i]];
      group.saved = group.seen;
    }
  }
}

bool LatentLog::EraseSector(size_t sector) {
  const size_t begin = SectorOffset(sector);
  ++erases_;
  for (size_t at = begin; at < begin + layout_.sector_bytes; at += layout_.erase_block) {
    if (!storage_.erase(storage_.context, at) && !storage_.erase(storage_.context, at)) {
      return false;
    }
  }
  return true;
}

// Returns whether it is there.
bool LatentLog::WriteHeader() {
  uint8_t bytes[kLogHeaderBytes];
  uint8_t group[kLogGroupBytes];
  const size_t count = reservoir_->group_count();
  const uint32_t words[] = {kLogMagic,
                            kLogVersion | static_cast<uint32_t>(count) << 16,
                            ++sequence_,
                            erases_,
                            key_,
                            reservoir_->random().seed,
                            reservoir_->random().draws};
  for (size_t i = 0; i < 7; ++i) PutWord(bytes, 4 * i, words[i]);
  uint32_t crc = UpdateCrc32(kCrc32Start, bytes, kLogHeaderBytes - 4);
  for (size_t i = 0; i < count; ++i) {
    PutGroup(group, reservoir_->groups()[i]);
    crc = UpdateCrc32(crc, group, sizeof(group));
  }
  PutWord(bytes, kLogHeaderBytes - 4, ~crc);
  stage_at_ = SectorOffset(head_);
  stage_used_ = 0;
  stage_ok_ = true;
  Stage(bytes, sizeof(bytes));
  for (size_t i = 0; i < count; ++i) {
    PutGroup(group, reservoir_->groups()[i]);
    Stage(group, sizeof(group));
  }
  FlushStage();
  Header stored;
  if (!stage_ok_ || !ReadHeader(head_, &stored)) return false;
  for (size_t i = 0; i < count; ++i) {
    reservoir_->groups()[i].saved = reservoir_->groups()[i].seen;
  }
  return true;
}

// A note without groups.
bool LatentLog::WriteNote() {
  Entry note = {kLogNote, 0, ++sequence_, reservoir_->random().draws, 0, 0, 0, false};
  const Payload nothing = {nullptr, 0, nullptr, 0, kNone};
  uint16_t slot = kNone;
  return WriteEntry(&note, nothing, layout_.slots, &slot) == Outcome::kDone;
}

// Before the first write after power-up: sees to it that no later power-up can find anything else.
LatentStatus LatentLog::Settle() {
  if (pending_ == Verdict::kCommitted) {
    if (!Marks(pending_sector_).Settle(pending_)) return LatentStatus::kStorageFailed;
    pending_ = Verdict::kNone;
  }
  const size_t needed = next_slot_ + layout_.gap + kLogSpareSlots;
  is_closed_ = is_closed_ || needed >= layout_.slots;
  if (!is_closed_) {
    if (!LeaveGap()) return LatentStatus::kStorageFailed;
    const size_t first = next_slot_;
    const Outcome outcome = MoveRecords(layout_.sectors, has_doubts_, false);
    if (outcome == Outcome::kFailed) return LatentStatus::kStorageFailed;
    if (outcome == Outcome::kDone) {
      AdoptCopies(first);
      has_doubts_ = false;
    } else {
      is_closed_ = true;
    }
  }
  is_settled_ = true;
  return LatentStatus::kOk;
}

// Returns whether something of it is there.
bool LatentLog::LeaveGap() {
  std::memset(stage_, 0, layout_.unit);
  Entry entry;
  const uint16_t first = Slot(head_, next_slot_);
  if (next_slot_ > 0 && !ReadEntry(first - 1, &entry)) {
    // What was begun there may look blank the next time. Before anything is begun behind it, the slot
    // gets something that never will.
    const size_t begin = SlotOffset(first - 1);
    const size_t end = begin + layout_.slot_bytes;
    size_t at = end;
    while (at > begin && IsBlank(storage_, at - layout_.unit, layout_.unit)) at -= layout_.unit;
    const size_t most = at + kCutsBorne * layout_.unit;
    FillUnits(at, most < end ? most : end);
  }
  next_slot_ += layout_.gap;
  return FillUnits(SlotOffset(first), SlotOffset(first) + kCutsBorne * layout_.unit);
}

// Programs units one by one. Returns whether any is not blank.
bool LatentLog::FillUnits(size_t begin, size_t end) {
  bool is_there = false;
  for (size_t at = begin; at < end; at += layout_.unit) {
    storage_.program(storage_.context, at, stage_, layout_.unit);
    is_there |= !IsBlank(storage_, at, layout_.unit);
  }
  return is_there;
}

// The next sector becomes the head, and the one behind it void.
LatentStatus LatentLog::Advance() {
  const size_t old_head = head_;
  const size_t old_next = next_slot_;
  const size_t next = NextSector(head_);
  // Nothing that counts should lie there, but for what a bad program unit has brought back.
  const Outcome moved = MoveRecords(next, false, true);
  if (moved == Outcome::kFailed) return LatentStatus::kStorageFailed;
  AdoptCopies(old_next);
  for (int attempt = 0; attempt < 2; ++attempt) {
    Outcome outcome = Outcome::kFailed;
    const LatentStatus status = MakeHead(next, attempt == 1, &outcome);
    if (status == LatentStatus::kOk && outcome == Outcome::kDone) return status;
    // All records still are where they were.
    head_ = old_head;
    next_slot_ = layout_.slots;
    if (status != LatentStatus::kOk || outcome == Outcome::kFailed) {
      return LatentStatus::kStorageFailed;
    }
  }
  return LatentStatus::kWornOut;
}

// `outcome`: whether all that has to be there is.
LatentStatus LatentLog::MakeHead(size_t sector, bool drop, Outcome* outcome) {
  // What was aborted stays so however its erase ends.
  if (pending_ == Verdict::kAborted) Marks(pending_sector_).Settle(pending_);
  if (!EraseSector(sector)) return LatentStatus::kStorageFailed;
  pending_ = Verdict::kNone;
  head_ = sector;
  next_slot_ = 0;
  const bool has_header = WriteHeader();
  pending_ = Verdict::kAborted;
  pending_sector_ = sector;
  *outcome = MoveRecords(NextSector(sector), has_doubts_, drop);
  if (*outcome != Outcome::kDone) return LatentStatus::kOk;
  const bool has_marks = Marks(sector).Commit();
  if (!(has_header && has_marks) && !WriteNote()) return LatentStatus::kStorageFailed;
  pending_ = Verdict::kNone;
  AdoptCopies(0);
  is_closed_ = has_doubts_ = false;
  return LatentStatus::kOk;
}

bool LatentLog::MustMove(uint16_t index, size_t from, bool doubts) const {
  if (!reservoir_->Has(index)) return false;
  const uint16_t slot = reservoir_->records()[index].slot;
  if (SectorOf(slot) == from) return true;
  Entry entry;
  return doubts && (!ReadEntry(slot, &entry) || !entry.marked);
}

// Copies what counts in a sector to the head; only when all is there the copies count. `doubts`: what
// has no mark as well. `drop`: what finds no room goes, because program units are worn out.
LatentLog::Outcome LatentLog::MoveRecords(size_t from, bool doubts, bool drop) {
  for (size_t i = 0; i < reservoir_->capacity(); ++i) {
    const uint16_t index = static_cast<uint16_t>(i);
    if (!MustMove(index, from, doubts)) continue;
    const Outcome outcome = MoveRecord(index, from, doubts);
    if (outcome == Outcome::kFailed || (outcome == Outcome::kNoRoom && !drop)) return outcome;
    const bool is_there = SectorOf(reservoir_->records()[i].slot) == from;
    if (outcome == Outcome::kNoRoom && is_there) FallBack(index, from);
  }
  return Outcome::kDone;
}

// Whether a slot is read right whenever it is: then no bit of it that is in doubt spoils the copies.
bool LatentLog::ReadsRight(uint16_t slot) const {
  Entry entry;
  int readings = 0;
  while (readings < kSureReadings && ReadEntry(slot, &entry)) ++readings;
  return readings == kSureReadings;
}

LatentLog::Outcome LatentLog::MoveRecord(uint16_t index, size_t from, bool doubts) {
  const LatentRecord& record = reservoir_->records()[index];
  for (int attempt = 0; attempt < 2; ++attempt) {
    if (!MustMove(index, from, doubts)) return Outcome::kDone;
    Entry entry;
    if (ReadEntry(record.slot, &entry)) {
      uint16_t slot = kNone;
      const Payload payload = {nullptr, 0, nullptr, 0, record.slot};
      const Outcome outcome = WriteEntry(&entry, payload, layout_.slots, &slot);
      if (outcome != Outcome::kFailed || ReadsRight(record.slot)) return outcome;
    }
    FallBack(index, attempt == 0 ? layout_.sectors : from);
  }
  return Outcome::kDone;
}

// The copies in the head from a slot on take the place of what they are of.
void LatentLog::AdoptCopies(size_t first) {
  for (size_t number = first; number < next_slot_; ++number) {
    const uint16_t slot = Slot(head_, number);
    Entry entry;
    if (!ReadEntry(slot, &entry) || entry.index == kLogNote) continue;
    LatentRecord& record = reservoir_->records()[entry.index];
    Entry other;
    if (record.slot == kNone || !reservoir_->Has(entry.index)) continue;
    if (entry.marked && (!ReadEntry(record.slot, &other) || other.crc == entry.crc)) {
      record.slot = slot;
    }
  }
}

LatentStatus LatentLog::Clear() {
  for (size_t i = 0; i < layout_.sectors; ++i) {
    head_ = NextSector(head_);  // the newest one last
    if (!EraseSector(head_)) return LatentStatus::kStorageFailed;
  }
  reservoir_->Reset(seed_);
  head_ = layout_.sectors - 1;
  next_slot_ = layout_.slots;
  is_closed_ = has_doubts_ = false;
  pending_ = Verdict::kNone;
  is_settled_ = true;
  return LatentStatus::kOk;
}

}  // namespace tflm_train
