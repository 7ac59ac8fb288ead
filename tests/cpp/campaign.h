// TFLM_TRAIN_HISTORIES times as many random histories make a campaign on the host, which says how
// many there were.

#ifndef TFLM_TRAIN_TESTS_CPP_CAMPAIGN_H_
#define TFLM_TRAIN_TESTS_CPP_CAMPAIGN_H_

#include <cstdint>
#include <cstdlib>

#include "tests/cpp/harness.h"

namespace tflm_train_test {

inline uint32_t Campaign() {
#if defined(__arm__)
  return 1;
#else
  const char* const times = std::getenv("TFLM_TRAIN_HISTORIES");
  return times == nullptr ? 1 : static_cast<uint32_t>(std::atoi(times));
#endif
}

inline void PrintNumber(const char* what, uint64_t value) {
  char digits[24] = {};
  char* at = digits + sizeof(digits) - 2;
  *at = '\n';
  do {
    *--at = static_cast<char>('0' + value % 10);
  } while ((value /= 10) != 0);
  Print(what);
  Print(at);
}

}  // namespace tflm_train_test

#endif  // TFLM_TRAIN_TESTS_CPP_CAMPAIGN_H_
