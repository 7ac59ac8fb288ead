// Records of a journal that tell what they are, for tests.

#ifndef TFLM_TRAIN_TESTS_CPP_JOURNAL_RECORDS_H_
#define TFLM_TRAIN_TESTS_CPP_JOURNAL_RECORDS_H_

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "tflm_kernels/state/journal.h"

namespace tflm_train_test {

using tflm_train::Journal;
using tflm_train::JournalStatus;

// Records are a run of bytes that depends on their number.
inline void Fill(uint8_t* record, size_t bytes, uint32_t number) {
  for (size_t i = 0; i < bytes; ++i) {
    record[i] = static_cast<uint8_t>(i * 31 + number * 7 + (number >> 3));
  }
}

inline size_t BytesOf(uint32_t number) { return 70 + number % 3 * 9; }

inline JournalStatus WriteRecord(Journal& journal, uint32_t number) {
  uint8_t record[96];
  Fill(record, BytesOf(number), number);
  return journal.Write(record, BytesOf(number));
}

inline bool Holds(const Journal& journal, uint32_t number) {
  uint8_t expected[96];
  uint8_t got[96];
  if (journal.size() != BytesOf(number)) return false;
  Fill(expected, journal.size(), number);
  return journal.Read(0, got, journal.size()) == JournalStatus::kOk &&
         std::memcmp(got, expected, journal.size()) == 0;
}

}  // namespace tflm_train_test

#endif  // TFLM_TRAIN_TESTS_CPP_JOURNAL_RECORDS_H_
