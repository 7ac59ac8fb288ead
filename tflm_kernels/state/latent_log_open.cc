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
  firm_ = settled_ = false;
  bool only_copies = false;
  const LatentStatus status = FindHead(&only_copies);
  if (status != LatentStatus::kOk) return status;
  next_slot_ = FirstFree(head_);
  const size_t head = head_;
  Scan(only_copies ? head : layout_.sectors);
  if (only_copies && !IsCovered(head)) {
    Scan(layout_.sectors);
  } else if (only_copies) {
    // Everything in it is elsewhere too: it is given up, and made anew. What Settle writes next to
    // the sector before it makes that firm: its number is higher than any in the head.
    sequence_ += static_cast<uint32_t>(layout_.slots);
    head_ = PreviousSector(head);
    next_slot_ = FirstFree(head_);
  }
  for (size_t i = 0; i < reservoir_->group_count(); ++i) {
    reservoir_->groups()[i].saved = reservoir_->groups()[i].seen;
  }
  reservoir_->MarkFull();
  return LatentStatus::kOk;
}

// The highest number of a record in a sector; 0: there is none.
uint32_t LatentLog::NewestEntry(size_t sector) const {
  uint32_t newest = 0;
  for (size_t number = 0; number < layout_.slots; ++number) {
    Entry entry;
    if (!ReadEntry(Slot(sector, number), &entry) || !entry.marked) continue;
    if (entry.sequence > newest) newest = entry.sequence;
  }
  return newest;
}

// The sector that was written last: its header has the highest number or, where that cannot be
// read, one of its records. `only_copies`: nothing new has been written to it.
LatentStatus LatentLog::FindHead(bool* only_copies) {
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
  const uint32_t entry = newest == 0 ? 0 : NewestEntry(head_);
  const uint32_t before = newest == 0 ? 0 : NewestEntry(PreviousSector(head_));
  *only_copies = entry <= newest;
  if (entry > newest) newest = entry;
  if (before > newest) {  // it was given up, whatever it seems to hold
    newest = before;
    head_ = PreviousSector(head_);
    *only_copies = false;
  }
  for (size_t sector = 0; sector < layout_.sectors; ++sector) {
    Header header = {};
    if (ReadHeader(sector, &header) && header.format == key_) continue;
    const uint32_t number = NewestEntry(sector);
    if (number > newest) {
      newest = number;
      head_ = sector;
      *only_copies = false;
    }
  }
  if (newest > 0) return LatentStatus::kOk;
  return other ? LatentStatus::kOtherModel : LatentStatus::kEmpty;
}

// All sectors in the order in which they were written; of the one left out only its number.
void LatentLog::Scan(size_t left_out) {
  for (size_t i = 0; i < reservoir_->capacity(); ++i) {
    reservoir_->Remove(i);
    reservoir_->records()[i].slot = kNone;
  }
  size_t sector = head_;
  do {
    sector = NextSector(sector);
    ScanHeader(sector, sector != left_out);
    if (sector != left_out) ScanSector(sector);
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
  if (has_other && CountsBefore(other, entry)) return;
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

// Whether every record in a sector that was left out has been found elsewhere: itself, or a newer
// one. Its own number is enough: a copy may have a mark where the original's is in doubt, or lost.
bool LatentLog::IsCovered(size_t sector) const {
  for (size_t number = 0; number < layout_.slots; ++number) {
    Entry entry;
    if (!ReadEntry(Slot(sector, number), &entry) || entry.index == kLogNote) continue;
    const uint16_t slot = reservoir_->records()[entry.index].slot;
    Entry other;
    if (slot != kNone && ReadEntry(slot, &other) && !CountsBefore(entry, other)) continue;
    if (!IsElsewhere(entry, sector)) return false;
  }
  return true;
}

}  // namespace tflm_train
