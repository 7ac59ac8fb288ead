// Words in flash that say whether what was written before them counts, so that no
// power cut makes what was decided once be decided otherwise later. The journal
// (journal.h) has them behind the header of a record, the latent store (latent_log.h)
// behind the header of a sector.
//
// They are made for flash where a word whose programming was cut off may not be read
// until it is erased, or reads differently every time, and where no word may be
// programmed twice. Commit programs two marks, one after the other, when all that
// they stand for is whole. Of what is written in order all but the last is whole:
//
// - The second mark is there: so is the first one, for ever. It is committed.
// - It is not: the first one may read differently the next time, as may marks of
//   earlier decisions. The highest mark that is not blank decides; without one it is
//   aborted. Settle programs that decision into each of the other marks that looks
//   blank, before anybody acts on it.
//
// The first of these marks that is programmed whole, at a place where nothing was
// begun before, reads right for ever; all places behind it are blank then, and what
// is begun there later says the same. So it has decided, whatever bits in doubt
// read. A cut spoils one place at most: of kCommitMarks - 2 places one is left after
// kCutsBorne - 1 cuts of Settle in a row, and with the cut of Commit before them that
// makes kCutsBorne. (For any number of cuts, and bits that hold one value for a whole
// power-up and another one in the next, no order of writes to two erase blocks would
// do: a place that was begun in vain looks as it did before, so all places may be used
// up unseen.) What was aborted is erased before it is written again; an erase that is
// cut off may leave it readable, but it does not take all marks away, 16 bits each,
// and leave every bit of what lies before and behind them.
//
// A mark is u32, little endian, 0xFF up to a whole program unit: 0x55555555
// committed, 0xAAAAAAAA aborted; of a part of it the zeros tell which.

#ifndef TFLM_KERNELS_STATE_COMMIT_MARKS_H_
#define TFLM_KERNELS_STATE_COMMIT_MARKS_H_

#include <cstddef>
#include <cstdint>

#include "tflm_kernels/state/storage.h"

namespace tflm_train {

constexpr int kCommitMarks = 7;
constexpr int kCutsBorne = kCommitMarks - 2;  // in a row, whatever bits in doubt read

enum class Verdict : uint8_t { kNone, kCommitted, kAborted, kUnreadable };

class CommitMarks {
 public:
  // The marks at an offset of a storage. `stage` has room for one of them.
  CommitMarks(const Storage& storage, size_t unit, size_t offset, uint8_t* stage)
      : storage_(storage),
        mark_bytes_(Bytes(unit) / kCommitMarks),
        offset_(offset),
        stage_(stage) {}

  // Bytes of all of them together.
  static constexpr size_t Bytes(size_t unit) {
    return kCommitMarks * ((sizeof(uint32_t) + unit - 1) / unit * unit);
  }

  // kCommitted or kAborted. `is_firm`: no other reading can come to another decision, so
  // that there is nothing to settle.
  Verdict Read(bool* is_firm) const;

  // Returns whether it is committed. Where not, nobody knows until one of both is settled.
  bool Commit() const;

  // Makes a decision firm. Returns whether it is, which an abortion always is taken for:
  // what was aborted is erased, and marks that fail are no reason to refuse that.
  bool Settle(Verdict verdict) const;

 private:
  Verdict ReadMark(int mark) const;
  bool Write(int mark, Verdict verdict) const;

  const Storage& storage_;
  size_t mark_bytes_;
  size_t offset_;
  uint8_t* stage_;
};

}  // namespace tflm_train

#endif  // TFLM_KERNELS_STATE_COMMIT_MARKS_H_
