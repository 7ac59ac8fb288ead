// A record in flash that survives a power cut at any moment: the old record or
// the new one is there afterwards, never half of one.
//
// The area is two slots. A write goes to the slot that does not hold the newest
// record: erase what is needed, program the payload, read it back, program the
// header, read it back, and last commit (commit_marks.h). Slots take turns, so both
// wear alike; of two committed records the higher sequence number counts.
//
// Flash with ECC is taken into account: a word or block that was cut off may not
// be read until it is erased, or bits of it may read differently every time; no
// word is programmed twice. A slot that cannot be read holds no record. Whether a
// record counts whose commit was cut off Open decides and makes firm before it shows
// a record, so that kCutsBorne cuts in a row lose nothing. The other slot is erased
// only when a newer record is firm, this one only when it is aborted.
//
//   tflm_train::Journal journal(storage);   // storage.h: four functions
//   if (journal.Open() == JournalStatus::kOk) StateLoad(state, journal);
//   ... train ...
//   StateSave(state, journal);
//
// No heap, no globals; the object holds one buffer of kMaxProgramUnit bytes.
// Layout of a slot, little endian, each part with 0xFF up to a whole program unit:
// header, commit marks, payload. The header is u32 magic "TTJN", u16 version 3, u16
// header bytes 28, u32 sequence, u32 payload bytes, u32 CRC-32 of the payload, u32
// erasures, u32 CRC-32 of the 24 bytes before.

#ifndef TFLM_KERNELS_STATE_JOURNAL_H_
#define TFLM_KERNELS_STATE_JOURNAL_H_

#include <cstddef>
#include <cstdint>

#include "tflm_kernels/state/commit_marks.h"
#include "tflm_kernels/state/state.h"
#include "tflm_kernels/state/storage.h"

namespace tflm_train {

enum class JournalStatus : int32_t {
  kOk = 0,
  kEmpty = 1,          // no valid record: a new part, or another use before
  kBadStorage = 2,     // less than two erase blocks, or an impossible program unit
  kTooLarge = 3,       // the record does not fit a slot
  kStorageFailed = 4,  // a storage function returned false
  kVerifyFailed = 5,   // read back different from what was programmed: worn out?
  kWrongOrder = 6,     // Begin, Append up to the size, Commit; or Read beyond the end
  kUnreadable = 7,     // no valid record, and a part that cannot be read
  kOtherVersion = 8,   // only a record of another version of the journal; a write replaces it
};

// One line for a log, in static memory.
const char* JournalStatusMessage(JournalStatus status);

class Journal {
 public:
  explicit Journal(const Storage& storage)
      : storage_(storage), stage_(own_stage_), stage_capacity_(sizeof(own_stage_)) {}

  // For program units above kMaxProgramUnit, up to kLargestProgramUnit: `stage` has
  // room for one, and outlives the journal.
  Journal(const Storage& storage, void* stage, size_t stage_bytes)
      : storage_(storage), stage_(static_cast<uint8_t*>(stage)), stage_capacity_(stage_bytes) {}

  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;

  // Finds the newest valid record; reads both slots whole. Needed once, before
  // anything else. kEmpty, kUnreadable and kOtherVersion are no errors: the journal can
  // be written.
  JournalStatus Open();

  // Bytes of the newest record, 0 when there is none.
  size_t size() const { return newest_.valid ? newest_.bytes : 0; }

  // Number of the newest record: higher with each.
  uint32_t sequence() const { return newest_.valid ? newest_.sequence : 0; }

  // How often slots were erased before the newest record was written, cut ones left
  // out; each slot's blocks half as often.
  uint32_t erasures() const { return newest_.valid ? newest_.erasures : 0; }

  // The largest record.
  size_t capacity() const { return slot_bytes_ - payload_offset_; }

  // A part of the newest record.
  JournalStatus Read(size_t offset, void* data, size_t bytes) const;

  // A new record in one piece.
  JournalStatus Write(const void* data, size_t bytes);

  // A new record in pieces: Begin, any number of Append, Commit. The old record
  // stays the newest until Commit has returned kOk, and can be read meanwhile.
  JournalStatus Begin(size_t bytes);
  JournalStatus Append(const void* data, size_t bytes);
  JournalStatus Commit();

 private:
  struct Record {
    bool valid;
    int slot;
    uint32_t sequence;
    size_t bytes;
    uint32_t crc;  // of the payload
    uint32_t erasures;
  };

  // What Open sees of a slot.
  struct Slot {
    Record record;          // valid: header and payload are right
    bool has_header;        // it is right, whatever the payload is
    bool is_unreadable;     // a read failed
    bool is_other_version;  // it holds a header of another version
    bool is_firm;           // so is what its marks say
    Verdict verdict;
  };

  size_t SlotOffset(int slot) const { return static_cast<size_t>(slot) * slot_bytes_; }
  size_t PayloadOffset(int slot) const { return SlotOffset(slot) + payload_offset_; }
  CommitMarks Marks(int slot) const {
    return CommitMarks(storage_, program_unit_, SlotOffset(slot) + header_bytes_, stage_);
  }
  Slot ReadSlot(int slot) const;
  void ReadHeader(Slot* slot, size_t at) const;
  JournalStatus WriteHeader(const Record& record);
  JournalStatus Settle();
  JournalStatus EraseSlot(int slot, size_t bytes);
  JournalStatus ChecksumPayload(const Record& record, uint32_t* crc) const;
  JournalStatus FlushStage();

  Storage storage_;
  size_t slot_bytes_ = 0;  // 0: not open
  size_t header_bytes_ = 0;
  size_t payload_offset_ = 0;
  size_t erase_block_ = 0;
  size_t program_unit_ = 0;
  Record newest_ = {};
  uint32_t last_sequence_ = 0;  // the highest of any header
  Verdict pending_[2] = {};     // of each slot, the decision that has yet to be made firm
  Record writing_ = {};         // valid between Begin and Commit
  size_t remaining_ = 0;        // of the record being written
  size_t write_at_ = 0;         // where the stage goes
  size_t stage_bytes_ = 0;      // filled of the stage
  uint8_t* stage_;
  size_t stage_capacity_;
  uint8_t own_stage_[kMaxProgramUnit];
};

// Writes the training state as a new record, straight from the variables: no
// copy of it in RAM.
StateStatus StateSave(const TrainState* state, Journal& journal);

// Loads the newest record; everything is checked before anything changes, as by
// StateLoad.
StateStatus StateLoad(const TrainState* state, const Journal& journal);

}  // namespace tflm_train

#endif  // TFLM_KERNELS_STATE_JOURNAL_H_
