// Finds the records after power-up. What it decides, Settle makes firm.

#include "tflm_kernels/state/crc32.h"
#include "tflm_kernels/state/latent_log.h"
#include "tflm_kernels/state/little_endian.h"

namespace tflm_train {

LatentStatus LatentLog::Open(size_t most_groups) {
  const StorageSize size = storage_.size(storage_.context);
  layout_ = PlanLatentLog(size, record_bytes(), most_groups);
  if (reservoir_->capacity() > layout_.capacity) return LatentStatus::kBadStorage;
  const size_t sizes[] = {
      kLogVersion,         format_.fingerprint_lo,     format_.fingerprint_hi, format_.latent_bytes,
      format_.label_bytes, format_.is_class ? 1u : 0u, reservoir_->capacity(), most_groups,
      size.bytes,          size.erase_block,           size.program_unit};
  uint8_t words[sizeof(sizes) / sizeof(sizes[0]) * 4];
  for (size_t i = 0; i < sizeof(words) / 4; ++i) {
    PutWord(words, 4 * i, static_cast<uint32_t>(sizes[i]));
  }
  key_ = ~UpdateCrc32(kCrc32Start, words, sizeof(words));
  sequence_ = erases_ = 0;
  reservoir_->Reset(seed_);
  // Nothing is there: the first write advances to sector 0.
  head_ = layout_.sectors - 1;
  next_slot_ = layout_.slots;
  is_closed_ = is_settled_ = false;
  has_doubts_ = true;
  pending_ = Verdict::kNone;
  const LatentStatus status = FindHead();
  if (status != LatentStatus::kOk) return status;
  next_slot_ = FirstFree(head_);
  Scan();
  for (size_t i = 0; i < reservoir_->group_count(); ++i) {
    reservoir_->groups()[i].saved = reservoir_->groups()[i].seen;
  }
  reservoir_->MarkFull();
  return LatentStatus::kOk;
}

// The highest number of a record in a sector, with a mark or of any; 0: there is none.
uint32_t LatentLog::NewestEntry(size_t sector, bool marked) const {
  uint32_t newest = 0;
  for (size_t number = 0; number < layout_.slots; ++number) {
    Entry entry;
    if (!ReadEntry(Slot(sector, number), &entry) || (marked && !entry.marked)) continue;
    if (entry.sequence > newest) newest = entry.sequence;
  }
  return newest;
}

// Whether a record that lies behind the head would count there: the head has no copy of it.
bool LatentLog::LacksRecords() const {
  const size_t behind = NextSector(head_);
  for (size_t number = 0; number < layout_.slots; ++number) {
    const uint16_t slot = Slot(behind, number);
    Entry entry;
    Entry other;
    if (!ReadEntry(slot, &entry) || !entry.marked || entry.index == kLogNote) continue;
    const uint16_t elsewhere = FindElsewhere(entry.index, slot, behind);
    if (elsewhere == kNone || !ReadEntry(elsewhere, &other) || !other.marked ||
        other.sequence < entry.sequence) {
      return true;
    }
  }
  return false;
}

// The sector that was committed last: of those that are the one whose header has the highest number
// or, where that cannot be read, one of its records.
LatentStatus LatentLog::FindHead() {
  bool other = false;
  uint32_t newest = 0;  // numbers begin at 1
  for (size_t sector = 0; sector < layout_.sectors; ++sector) {
    Header header = {};
    if (!ReadHeader(sector, &header)) continue;
    if (header.erases > erases_) erases_ = header.erases;
    other |= header.format != key_;
    if (header.format == key_ && header.sequence > newest) {
      newest = header.sequence;
      head_ = sector;
    }
  }
  if (newest > 0) {
    bool is_firm = false;
    pending_sector_ = head_;
    pending_ = Marks(head_).Read(&is_firm);
    const bool has_newer = NewestEntry(head_, true) > newest;
    if (is_firm || (has_newer && pending_ == Verdict::kAborted)) pending_ = Verdict::kNone;
    // Marks that an erase has left are no commit: it would have copied all that lies behind.
    if (pending_ == Verdict::kCommitted && !has_newer && LacksRecords()) {
      pending_ = Verdict::kAborted;
    }
    is_closed_ = pending_ == Verdict::kAborted;
    if (is_closed_) head_ = PreviousSector(head_);
    const uint32_t entry = NewestEntry(head_, false);
    if (entry > newest) newest = entry;
  }
  for (size_t sector = 0; sector < layout_.sectors; ++sector) {
    Header header = {};
    if (ReadHeader(sector, &header) && header.format == key_) continue;
    const uint32_t number = NewestEntry(sector, true);
    if (number > newest) {
      newest = number;
      head_ = sector;
      is_closed_ = false;
      pending_ = Verdict::kNone;
    }
  }
  if (newest > 0) return LatentStatus::kOk;
  return other ? LatentStatus::kOtherModel : LatentStatus::kEmpty;
}

// All sectors in the order in which they were written; of one that is not committed only its
// number.
void LatentLog::Scan() {
  for (size_t i = 0; i < reservoir_->capacity(); ++i) {
    reservoir_->Remove(i);
    reservoir_->records()[i].slot = kNone;
  }
  size_t sector = head_;
  do {
    sector = NextSector(sector);
    const bool counts = pending_ != Verdict::kAborted || sector != pending_sector_;
    ScanHeader(sector, counts);
    if (counts) ScanSector(sector);
  } while (sector != head_);
}

void LatentLog::ScanHeader(size_t sector, bool counts) {
  Header header;
  if (!ReadHeader(sector, &header) || header.format != key_) return;
  reservoir_->random().seed = header.seed;
  if (header.sequence > sequence_) {
    sequence_ = header.sequence;
    reservoir_->random().draws = header.draws;
  }
  if (counts) {
    MergeGroups(SectorOffset(sector) + kLogHeaderBytes, header.groups, header.partial, header.crc);
  }
}

void LatentLog::ScanSector(size_t sector) {
  for (size_t number = 0; number < layout_.slots; ++number) {
    const uint16_t slot = Slot(sector, number);
    Entry entry;
    if (!ReadEntry(slot, &entry)) continue;
    if (entry.sequence > sequence_) {
      sequence_ = entry.sequence;
      reservoir_->random().draws = entry.draws;
    }
    if (entry.index == kLogNote) {
      MergeGroups(SlotOffset(slot) + kLogEntryBytes, entry.domain, EntryChecksum(entry), entry.crc);
    } else {
      Place(slot, entry);
    }
  }
}

void LatentLog::Place(uint16_t slot, const Entry& entry) {
  LatentRecord& record = reservoir_->records()[entry.index];
  Entry other;
  const bool has_other = record.slot != kNone && ReadEntry(record.slot, &other);
  const int32_t label = format_.is_class ? entry.label : 0;
  uint16_t group = reservoir_->Group(label, entry.domain);
  if (group == kNone) {
    // A sample may have been written whole although its writing failed: its group came to nothing,
    // and others took the place.
    reservoir_->DropEmptyGroups();
    group = reservoir_->Group(label, entry.domain);
  }
  if (group == kNone) return;
  reservoir_->groups()[group].Merge(entry.seen);
  if (has_other && CountsBefore(record.slot, other, slot, entry)) return;
  record.slot = slot;
  reservoir_->Restore(entry.index, group);
}

// The record of an index cannot be read any more: another one counts that does not lie in a sector
// (kNone: any), or there is none. Groups keep their numbers: a choice may know one of them.
void LatentLog::FallBack(uint16_t index, size_t not_sector) {
  LatentRecord& record = reservoir_->records()[index];
  const uint16_t slot = FindElsewhere(index, record.slot, not_sector);
  reservoir_->Remove(index);
  record.slot = kNone;
  Entry entry;
  if (slot == kNone || !ReadEntry(slot, &entry)) return;
  const int32_t label = format_.is_class ? entry.label : 0;
  for (size_t i = 0; i < reservoir_->group_count(); ++i) {
    const LatentGroup& group = reservoir_->groups()[i];
    if (group.domain != entry.domain || group.label != label) continue;
    record.slot = slot;
    reservoir_->Restore(index, static_cast<uint16_t>(i));
  }
}

// Takes the counts of groups over if their checksum is right: of what is read now, not before.
void LatentLog::MergeGroups(size_t offset, size_t count, uint32_t crc, uint32_t wanted) {
  for (size_t i = 0; i < reservoir_->group_count(); ++i) reservoir_->groups()[i].saved = 0;
  bool read = true;
  for (size_t i = 0; i < count && read; ++i) {
    uint8_t bytes[kLogGroupBytes] = {};
    read = ReadTwice(storage_, offset + i * sizeof(bytes), bytes, sizeof(bytes));
    crc = UpdateCrc32(crc, bytes, sizeof(bytes));
    const uint16_t number = reservoir_->Group(static_cast<int32_t>(GetWord(bytes, 0)),
                                              static_cast<uint16_t>(GetWord(bytes, 4)));
    if (number != kNone) reservoir_->groups()[number].saved = GetWord(bytes, 8);
  }
  const bool right = read && ~crc == wanted;
  for (size_t i = 0; i < reservoir_->group_count() && right; ++i) {
    reservoir_->groups()[i].Merge(reservoir_->groups()[i].saved);
  }
  reservoir_->DropUnseenGroups();  // what was read wrong may have made some
}

}  // namespace tflm_train
