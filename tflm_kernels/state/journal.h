// A record in flash that survives a power cut at any moment: the old record or
// the new one is there afterwards, never half of one.
//
// The area is two slots. A write goes to the slot that does not hold the newest
// record: erase what is needed, program the payload, read it back, and last
// program the header, whose checksum covers everything. Slots take turns, so
// both wear alike; of two valid ones the higher sequence number counts.
//
//   tflm_train::Journal journal(storage);   // storage.h: four functions
//   if (journal.Open() == JournalStatus::kOk) StateLoad(state, journal);
//   ... train ...
//   StateSave(state, journal);
//
// No heap, no globals; the object holds one buffer of kMaxProgramUnit bytes.
// Layout of a slot, little endian: u32 magic "TTJN", u16 version 1, u16 header
// bytes 24, u32 sequence, u32 payload bytes, u32 CRC-32 of the payload, u32
// CRC-32 of the 20 bytes before; 0xFF up to a whole program unit; payload.

#ifndef TFLM_KERNELS_STATE_JOURNAL_H_
#define TFLM_KERNELS_STATE_JOURNAL_H_

#include <cstddef>
#include <cstdint>

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
};

// One line for a log, in static memory.
const char* JournalStatusMessage(JournalStatus status);

class Journal {
 public:
  explicit Journal(const Storage& storage) : storage_(storage) {}

  // Finds the newest valid record; reads both slots whole. Needed once, before
  // anything else. kEmpty is no error: the journal can be written.
  JournalStatus Open();

  // Bytes of the newest record, 0 when there is none.
  size_t size() const { return newest_.valid ? newest_.bytes : 0; }

  // Number of the newest record: how often the journal was written.
  uint32_t sequence() const { return newest_.valid ? newest_.sequence : 0; }

  // The largest record.
  size_t capacity() const { return slot_bytes_ - header_bytes_; }

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
  };

  size_t SlotOffset(int slot) const { return static_cast<size_t>(slot) * slot_bytes_; }
  size_t PayloadOffset(int slot) const { return SlotOffset(slot) + header_bytes_; }
  JournalStatus ReadRecord(int slot, Record* record) const;
  JournalStatus ChecksumPayload(const Record& record, uint32_t* crc) const;
  JournalStatus FlushStage();

  Storage storage_;
  size_t slot_bytes_ = 0;  // 0: not open
  size_t header_bytes_ = 0;
  size_t erase_block_ = 0;
  size_t program_unit_ = 0;
  Record newest_ = {};
  Record writing_ = {};     // valid between Begin and Commit
  size_t remaining_ = 0;    // of the record being written
  size_t write_at_ = 0;     // where the stage goes
  size_t stage_bytes_ = 0;  // filled of the stage
  uint8_t stage_[kMaxProgramUnit];
};

// Writes the training state as a new record, straight from the variables: no
// copy of it in RAM.
StateStatus StateSave(const TrainState* state, Journal& journal);

// Loads the newest record; everything is checked before anything changes, as by
// StateLoad.
StateStatus StateLoad(const TrainState* state, const Journal& journal);

}  // namespace tflm_train

#endif  // TFLM_KERNELS_STATE_JOURNAL_H_
