// The records of a LatentStore (latent_store.h) in flash: a ring of sectors that
// is written from front to back, so that all wear alike, and that a power cut at
// any moment leaves with every record but the one being written.
//
// A sector is a header, commit marks (commit_marks.h) and slots. A record goes to
// the next free slot and makes the older one of its index void, which is only
// erased later. When the newest sector, the head, is full, the sector behind it is
// erased; the valid records of the one behind that move there, and only when all
// are there it is committed, and the head. So there is always a sector that can be
// erased, and in one that is not committed nothing is that is not elsewhere.
// Layout, little endian, each part padded with 0xFF to whole program units:
//
//   sector header   u32 magic "TTLS", u16 version 2, u16 groups, u32 sequence, u32
//                   erases of all sectors together, u32 format, u32 seed, u32
//                   draws, u32 CRC-32 of the 28 bytes before and of the groups;
//                   groups: i32 label, u16 domain, u16 0, u32 seen
//   commit marks
//   slot            u16 index, u16 domain, u32 sequence, u32 draws, u32 seen, u32
//                   CRC-32 of the format, of the 16 bytes before and of the
//                   payload; payload: label, latent. Then the mark, in program
//                   units of its own: u32, the CRC's complement.
//
// `format` is a checksum over the model's fingerprint and all sizes: what was
// written for another model is never taken for a record. Index 0xFFFE is a note:
// its payload is `domain` groups as in the header. Of two records of one index the
// higher sequence counts; copies keep their number.
//
// What a cut leaves behind may read differently every time, or look blank until
// the next power-up. Therefore:
//
// - The first write after power-up leaves a gap: kCutsBorne program units, each
//   programmed by itself, from the first slot on that looks blank; before that as
//   many in the slot before, behind what was begun there, if no record can be read
//   in it. Those that cuts had begun in vain are among them, one for each cut in a
//   row, and one that was not is there for ever. So no slot is touched but behind
//   one that will never look blank, what lies behind the gap is blank indeed, and
//   every record that was written whole reads right for ever.
// - A record's mark is programmed once the record has been read back. Without it
//   a record counts only where there is no other one, and the first write after
//   power-up copies it: whatever counts has a mark before anything is erased.
// - What lies behind the head is void, and counts only where nothing else can be
//   read: an erase that was cut may bring any of it back. A sector that is not
//   committed is aborted, and made anew.
// - A sector whose header or marks cannot be programmed is committed by a note:
//   no record in it is newer than its header, or than all others, unless it was.

#ifndef TFLM_KERNELS_STATE_LATENT_LOG_H_
#define TFLM_KERNELS_STATE_LATENT_LOG_H_

#include <cstddef>
#include <cstdint>

#include "tflm_kernels/state/commit_marks.h"
#include "tflm_kernels/state/reservoir.h"
#include "tflm_kernels/state/storage.h"

namespace tflm_train {

enum class LatentStatus : int32_t {
  kOk = 0,
  kNotKept = 1,        // no error: the sampling leaves the sample out
  kEmpty = 2,          // no error: nothing is stored yet
  kOtherModel = 3,     // the flash holds latents of another model or size: Clear
  kBadStorage = 4,     // the storage cannot hold so many records
  kTooSmall = 5,       // the memory is too small
  kTooManyGroups = 6,  // a class or domain more than the store has room for
  kStorageFailed = 7,  // a storage function failed; what was stored is still there
  kWornOut = 8,        // too many program units fail
  kNoRecord = 9,       // there is none at this index, or it cannot be read any more
  kNotOpen = 10,       // Open comes first
};

constexpr size_t kMostLatentUnit = 4096;    // the largest program unit of the storage
constexpr uint32_t kLogMagic = 0x534C5454;  // "TTLS"
constexpr uint32_t kLogVersion = 2;
constexpr uint16_t kLogNote = 0xFFFE;  // the index of a note
constexpr size_t kLogHeaderBytes = 32;
constexpr size_t kLogGroupBytes = 12;
constexpr size_t kLogEntryBytes = 20;
constexpr size_t kLogMarkBytes = 4;
constexpr size_t kLogSpareSlots = 1;  // of each sector: for copies where units fail

// Where everything lies.
struct LogLayout {
  size_t erase_block;
  size_t unit;
  size_t sector_bytes;
  size_t sectors;
  size_t marks_at;      // of a sector: its commit marks
  size_t header_bytes;  // of a sector, with these
  size_t entry_bytes;   // of a slot before its mark
  size_t slot_bytes;
  size_t slots;     // of a sector
  size_t gap;       // slots of the gap after power-up
  size_t capacity;  // the most records; 0: the storage is impossible
};

constexpr size_t LogRoundUp(size_t bytes, size_t unit) { return (bytes + unit - 1) / unit * unit; }

// The sector size that holds the most records; of equal ones the smallest.
//
//   payload_bytes   label and latent
//   groups          the most groups
constexpr LogLayout PlanLatentLog(const StorageSize& size, size_t payload_bytes, size_t groups) {
  LogLayout best = {};
  const size_t unit = size.program_unit;
  if (size.erase_block == 0 || unit == 0 || (unit & (unit - 1)) != 0 || unit > kMostLatentUnit) {
    return best;
  }
  const size_t granule = LogRoundUp(size.erase_block, unit);
  if (granule % size.erase_block != 0) return best;
  const size_t marks_at = LogRoundUp(kLogHeaderBytes + groups * kLogGroupBytes, unit);
  const size_t header = marks_at + CommitMarks::Bytes(unit);
  const size_t largest = payload_bytes < kLogGroupBytes ? kLogGroupBytes : payload_bytes;
  const size_t entry = LogRoundUp(kLogEntryBytes + largest, unit);
  const size_t slot = entry + LogRoundUp(kLogMarkBytes, unit);
  const size_t gap = (kCutsBorne * unit + slot - 1) / slot;
  for (size_t sectors = 2; sectors <= 1024; ++sectors) {
    const size_t bytes = size.bytes / sectors / granule * granule;
    if (bytes < header + 4 * slot) break;
    const size_t slots = (bytes - header) / slot;
    // An eighth of the slots stays free: moving records pays.
    const size_t capacity = (sectors - 1) * (slots - kLogSpareSlots) * 7 / 8;
    if (capacity >= best.capacity && sectors * slots < kNone - 1) {
      best = {size.erase_block, unit, bytes, sectors, marks_at, header, entry, slot, slots, gap,
              capacity};
    }
  }
  return best;
}

// What the label and the latent of a record are.
struct LatentFormat {
  uint32_t fingerprint_lo, fingerprint_hi;  // of the model, as in its state
  uint32_t latent_bytes;
  uint32_t label_bytes;  // 0: the model learns without one
  bool is_class;         // the label is an int32 class, which is balanced too
};

// What firmware may want to know of the wear.
struct LatentWear {
  uint32_t written;  // records, notes and sector headers so far; copies are not counted
  uint32_t erases;   // of all sectors together: each has its share, give or take one
  uint32_t sectors;
};

class LatentLog {
 public:
  // The stage is LatentStageBytes of memory. See LatentStore for the rest.
  LatentLog(const Storage& storage, const LatentFormat& format, uint32_t seed, Reservoir* reservoir,
            uint8_t* stage)
      : storage_(storage), format_(format), seed_(seed), reservoir_(reservoir), stage_(stage) {}

  LatentStatus Open(size_t most_groups);

  // All records go, and what another model left.
  LatentStatus Clear();

  // The record of a choice whose index is not kNone, in its place at once.
  LatentStatus Write(const LatentChoice& choice, const void* latent, const void* label);

  // A record as it was written; one that cannot be read is removed.
  LatentStatus Read(size_t index, void* latent, void* label, uint16_t* domain);

  // The counts of groups that have changed: all, or what a cut should not lose.
  LatentStatus WriteNotes(bool all);

  LatentWear wear() const { return {sequence_, erases_, static_cast<uint32_t>(layout_.sectors)}; }

 private:
  struct Entry {
    uint16_t index, domain;
    uint32_t sequence, draws, seen, crc;
    int32_t label;  // the first word of the payload
    bool marked;
  };
  // Two pieces of memory, or what lies in another slot.
  struct Payload {
    const void* first;
    size_t first_bytes;
    const void* second;
    size_t second_bytes;
    uint16_t slot;  // kNone: memory
  };
  struct Header {
    uint32_t groups, sequence, erases, format, seed, draws;
    uint32_t partial;  // checksum of what is before the groups
    uint32_t crc;
  };
  enum class Outcome { kDone, kNoRoom, kFailed };

  size_t record_bytes() const { return format_.label_bytes + format_.latent_bytes; }
  size_t SectorOffset(size_t sector) const { return sector * layout_.sector_bytes; }
  size_t SlotOffset(uint16_t slot) const {
    return SectorOffset(slot / layout_.slots) + layout_.header_bytes +
           slot % layout_.slots * layout_.slot_bytes;
  }
  size_t SectorOf(uint16_t slot) const { return slot / layout_.slots; }
  size_t NextSector(size_t sector) const { return sector + 1 == layout_.sectors ? 0 : sector + 1; }
  size_t PreviousSector(size_t sector) const {
    return (sector == 0 ? layout_.sectors : sector) - 1;
  }
  uint16_t Slot(size_t sector, size_t number) const {
    return static_cast<uint16_t>(sector * layout_.slots + number);
  }

  // latent_log_read.cc
  bool Checksum(size_t offset, size_t bytes, uint32_t* crc) const;
  bool ReadHeader(size_t sector, Header* header) const;
  size_t PayloadBytes(const Entry& entry) const;
  uint32_t EntryChecksum(const Entry& entry) const;
  bool ReadEntryHeader(uint16_t slot, Entry* entry) const;
  bool ReadEntry(uint16_t slot, Entry* entry) const;
  bool CountsBefore(uint16_t slot_a, const Entry& a, uint16_t slot_b, const Entry& b) const;
  uint16_t FindElsewhere(uint16_t index, uint16_t not_slot, size_t not_sector) const;
  size_t FirstFree(size_t sector) const;
  bool ReadRecord(size_t index, void* latent, void* label, uint16_t* domain) const;

  // latent_log_open.cc
  uint32_t NewestEntry(size_t sector, bool marked) const;
  bool LacksRecords() const;
  LatentStatus FindHead();
  void Scan();
  void ScanHeader(size_t sector, bool counts);
  void ScanSector(size_t sector);
  void Place(uint16_t slot, const Entry& entry);
  void FallBack(uint16_t index, size_t not_sector);
  void MergeGroups(size_t offset, size_t count, uint32_t crc, uint32_t wanted);

  // latent_log_write.cc
  void Stage(const void* data, size_t bytes);
  void FlushStage();
  void StagePayload(const Payload& payload, size_t bytes);
  bool ProgramEntry(uint16_t slot, const Entry& entry, const Payload& payload);
  Outcome WriteEntry(Entry* entry, const Payload& payload, size_t limit, uint16_t* slot);
  LatentStatus WriteNew(Entry* entry, const Payload& payload, uint16_t* slot);
  LatentStatus Settle();
  bool LeaveGap();
  bool FillUnits(size_t begin, size_t end);
  LatentStatus Advance();
  LatentStatus MakeHead(size_t sector, bool drop, Outcome* outcome);
  bool EraseSector(size_t sector);
  bool WriteHeader();
  bool WriteNote();
  bool ReadsRight(uint16_t slot) const;
  bool MustMove(uint16_t index, size_t from, bool doubts) const;
  Outcome MoveRecords(size_t from, bool doubts, bool drop);
  Outcome MoveRecord(uint16_t index, size_t from, bool doubts);
  void AdoptCopies(size_t first);
  CommitMarks Marks(size_t sector) const {
    return CommitMarks(storage_, layout_.unit, SectorOffset(sector) + layout_.marks_at, stage_);
  }

  Storage storage_;
  LatentFormat format_;
  uint32_t seed_;
  Reservoir* reservoir_;
  uint8_t* stage_;
  LogLayout layout_ = {};
  uint32_t key_ = 0;       // the format's checksum
  uint32_t sequence_ = 0;  // the highest number in use
  uint32_t erases_ = 0;
  size_t head_ = 0;
  size_t next_slot_ = 0;              // of the head
  bool is_closed_ = false;            // the head takes no new record
  bool is_settled_ = false;           // whether anything was written since power-up
  bool has_doubts_ = false;           // whether a record that counts may lack its mark
  Verdict pending_ = Verdict::kNone;  // what is to be settled of the marks of a sector
  size_t pending_sector_ = 0;
  size_t stage_at_ = 0;
  size_t stage_used_ = 0;
  bool stage_ok_ = true;
};

// Bytes of the stage: whole program units, at least 64.
constexpr size_t LatentStageBytes(size_t unit) { return unit < 64 ? 64 : unit; }

}  // namespace tflm_train

#endif  // TFLM_KERNELS_STATE_LATENT_LOG_H_
