#include "tflm_kernels/state/commit_marks.h"

#include <cstring>

#include "tflm_kernels/state/little_endian.h"

namespace tflm_train {
namespace {

constexpr uint32_t kCommittedWord = 0x55555555;
constexpr uint32_t kAbortedWord = 0xAAAAAAAA;
constexpr int kFirstDecision = 2;  // those before are of Commit

}  // namespace

Verdict CommitMarks::Read(bool* is_firm) const {
  *is_firm = ReadMark(1) == Verdict::kCommitted;
  if (*is_firm) return Verdict::kCommitted;
  for (int mark = kCommitMarks - 1; mark >= 0; --mark) {
    const Verdict read = ReadMark(mark);
    if (read == Verdict::kCommitted || read == Verdict::kAborted) return read;
  }
  return Verdict::kAborted;
}

// The second mark only spares the next power-up a decision.
bool CommitMarks::Commit() const {
  if (!Write(0, Verdict::kCommitted)) return false;
  Write(1, Verdict::kCommitted);
  return true;
}

// Which of the marks were begun before is not known: the decision goes to all that look blank.
bool CommitMarks::Settle(Verdict verdict) const {
  bool is_settled = true;
  bool is_there = false;
  for (int mark = kFirstDecision; mark < kCommitMarks; ++mark) {
    const Verdict read = ReadMark(mark);
    const bool is_right = read == Verdict::kNone ? Write(mark, verdict) : read == verdict;
    is_there |= is_right;
    is_settled &= is_right || read != Verdict::kNone;
  }
  return is_there || is_settled || verdict == Verdict::kAborted;
}

Verdict CommitMarks::ReadMark(int mark) const {
  uint8_t bytes[sizeof(uint32_t)];
  const size_t at = offset_ + static_cast<size_t>(mark) * mark_bytes_;
  if (!ReadTwice(storage_, at, bytes, sizeof(bytes))) return Verdict::kUnreadable;
  const uint32_t zeros = ~GetWord(bytes, 0);
  if (zeros == 0) {
    // What an erase that was cut off has left may be anywhere in a program unit: it cannot be
    // programmed then, and says nothing.
    const bool is_blank = IsBlank(storage_, at + sizeof(uint32_t), mark_bytes_ - sizeof(uint32_t));
    return is_blank ? Verdict::kNone : Verdict::kUnreadable;
  }
  return (zeros & ~kAbortedWord) != 0 ? Verdict::kAborted : Verdict::kCommitted;
}

// Programs a mark and reads it back.
bool CommitMarks::Write(int mark, Verdict verdict) const {
  std::memset(stage_, 0xFF, mark_bytes_);
  PutWord(stage_, 0, verdict == Verdict::kCommitted ? kCommittedWord : kAbortedWord);
  const size_t at = offset_ + static_cast<size_t>(mark) * mark_bytes_;
  return storage_.program(storage_.context, at, stage_, mark_bytes_) && ReadMark(mark) == verdict;
}

}  // namespace tflm_train
