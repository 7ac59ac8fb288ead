// What lies in the log: nothing here changes anything.

#include <cstring>

#include "tflm_kernels/state/crc32.h"
#include "tflm_kernels/state/latent_log.h"
#include "tflm_kernels/state/little_endian.h"

namespace tflm_train {
namespace {

constexpr size_t kPieceBytes = 64;  // read at a time
constexpr int kReadAttempts = 4;    // of a record: two where it lies, two where another one does

}  // namespace

bool LatentLog::Checksum(size_t offset, size_t bytes, uint32_t* crc) const {
  uint8_t piece[kPieceBytes];
  while (bytes > 0) {
    const size_t count = bytes < sizeof(piece) ? bytes : sizeof(piece);
    if (!ReadTwice(storage_, offset, piece, count)) return false;
    *crc = UpdateCrc32(*crc, piece, count);
    offset += count;
    bytes -= count;
  }
  return true;
}

bool LatentLog::ReadHeader(size_t sector, Header* header) const {
  uint8_t bytes[kLogHeaderBytes];
  const size_t offset = SectorOffset(sector);
  if (!ReadTwice(storage_, offset, bytes, sizeof(bytes))) return false;
  // The version is in the format, too: one of another is another model's.
  const uint32_t version = GetWord(bytes, 4);
  if (GetWord(bytes, 0) != kLogMagic) return false;
  const uint32_t partial = UpdateCrc32(kCrc32Start, bytes, kLogHeaderBytes - 4);
  *header = {version >> 16,
             GetWord(bytes, 8),
             GetWord(bytes, 12),
             GetWord(bytes, 16),
             GetWord(bytes, 20),
             GetWord(bytes, 24),
             partial,
             GetWord(bytes, 28)};
  const size_t groups_bytes = header->groups * kLogGroupBytes;
  if (kLogHeaderBytes + groups_bytes > layout_.sector_bytes) return false;
  uint32_t crc = partial;
  return Checksum(offset + kLogHeaderBytes, groups_bytes, &crc) && ~crc == header->crc;
}

size_t LatentLog::PayloadBytes(const Entry& entry) const {
  return entry.index == kLogNote ? entry.domain * kLogGroupBytes : record_bytes();
}

uint32_t LatentLog::EntryChecksum(const Entry& entry) const {
  uint8_t words[kLogEntryBytes];
  PutWord(words, 0, key_);
  PutWord(words, 4, entry.index | static_cast<uint32_t>(entry.domain) << 16);
  PutWord(words, 8, entry.sequence);
  PutWord(words, 12, entry.draws);
  PutWord(words, 16, entry.seen);
  return UpdateCrc32(kCrc32Start, words, sizeof(words));
}

bool LatentLog::ReadEntryHeader(uint16_t slot, Entry* entry) const {
  uint8_t bytes[kLogEntryBytes];
  if (!ReadTwice(storage_, SlotOffset(slot), bytes, sizeof(bytes))) return false;
  const uint32_t first = GetWord(bytes, 0);
  *entry = {static_cast<uint16_t>(first),
            static_cast<uint16_t>(first >> 16),
            GetWord(bytes, 4),
            GetWord(bytes, 8),
            GetWord(bytes, 12),
            GetWord(bytes, 16),
            0,
            false};
  if (entry->index == kLogNote) return PayloadBytes(*entry) + kLogEntryBytes <= layout_.entry_bytes;
  return entry->index < reservoir_->capacity();
}

bool LatentLog::ReadEntry(uint16_t slot, Entry* entry) const {
  if (!ReadEntryHeader(slot, entry)) return false;
  const size_t at = SlotOffset(slot) + kLogEntryBytes;
  const size_t bytes = PayloadBytes(*entry);
  // The label is what the checksum is of: it may read differently the next time.
  uint8_t label[4] = {};
  const size_t first = bytes < sizeof(label) ? bytes : sizeof(label);
  if (!ReadTwice(storage_, at, label, first)) return false;
  entry->label = static_cast<int32_t>(GetWord(label, 0));
  uint32_t crc = UpdateCrc32(EntryChecksum(*entry), label, first);
  if (!Checksum(at + first, bytes - first, &crc) || ~crc != entry->crc) return false;
  uint8_t mark[kLogMarkBytes];
  entry->marked = ReadTwice(storage_, SlotOffset(slot) + layout_.entry_bytes, mark, sizeof(mark)) &&
                  GetWord(mark, 0) == ~entry->crc;
  return true;
}

// Of two records of an index; what lies behind the head comes last.
bool LatentLog::CountsBefore(uint16_t slot_a, const Entry& a, uint16_t slot_b,
                             const Entry& b) const {
  const size_t behind = NextSector(head_);
  const bool is_a_void = SectorOf(slot_a) == behind;
  if (is_a_void != (SectorOf(slot_b) == behind)) return !is_a_void;
  return a.marked != b.marked ? a.marked : a.sequence > b.sequence;
}

// The record of an index that counts among those that do not lie in a slot nor in a sector (kNone:
// any); kNone: there is none.
uint16_t LatentLog::FindElsewhere(uint16_t index, uint16_t not_slot, size_t not_sector) const {
  uint16_t found = kNone;
  Entry best = {};
  for (size_t slot = 0; slot < layout_.sectors * layout_.slots; ++slot) {
    const uint16_t at = static_cast<uint16_t>(slot);
    Entry entry;
    if (at == not_slot || SectorOf(at) == not_sector) continue;
    if (!ReadEntryHeader(at, &entry) || entry.index != index) continue;
    if (ReadEntry(at, &entry) && (found == kNone || CountsBefore(at, entry, found, best))) {
      found = at;
      best = entry;
    }
  }
  return found;
}

// The number of the slot behind the last one that is not blank.
size_t LatentLog::FirstFree(size_t sector) const {
  size_t number = layout_.slots;
  while (number > 0 &&
         IsBlank(storage_, SlotOffset(Slot(sector, number - 1)), layout_.slot_bytes)) {
    --number;
  }
  return number;
}

// Whether a record is read right, of what is read now: a bit may read differently the next time.
bool LatentLog::ReadRecord(size_t index, void* latent, void* label, uint16_t* domain) const {
  const uint16_t slot = reservoir_->records()[index].slot;
  Entry entry;
  const size_t at = SlotOffset(slot) + kLogEntryBytes;
  if (!ReadEntryHeader(slot, &entry) || !ReadTwice(storage_, at, label, format_.label_bytes) ||
      !ReadTwice(storage_, at + format_.label_bytes, latent, format_.latent_bytes)) {
    return false;
  }
  uint32_t crc = UpdateCrc32(EntryChecksum(entry), label, format_.label_bytes);
  crc = UpdateCrc32(crc, latent, format_.latent_bytes);
  *domain = entry.domain;
  return ~crc == entry.crc && entry.index == index;
}

LatentStatus LatentLog::Read(size_t index, void* latent, void* label, uint16_t* domain) {
  for (int attempt = 0; attempt < kReadAttempts && reservoir_->Has(index); ++attempt) {
    if (ReadRecord(index, latent, label, domain)) return LatentStatus::kOk;
    if (attempt % 2 == 1) FallBack(static_cast<uint16_t>(index), layout_.sectors);
  }
  reservoir_->Remove(index);
  return LatentStatus::kNoRecord;
}

}  // namespace tflm_train
