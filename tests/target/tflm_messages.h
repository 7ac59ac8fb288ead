// Where programs with TFLM on an emulated core print, and where TFLM's own messages go. To be
// included once in a program.

#ifndef TFLM_TRAIN_TESTS_TARGET_TFLM_MESSAGES_H_
#define TFLM_TRAIN_TESTS_TARGET_TFLM_MESSAGES_H_

#include <cstdarg>
#include <cstddef>
#include <cstdio>

#include "tensorflow/lite/micro/debug_log.h"
#include "tests/cpp/harness.h"

namespace tflm_train_test {

// Whether TFLM's messages are left out.
inline bool quiet = false;

inline void PrintLine(const char* format, ...) {
  char line[160];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(line, sizeof(line), format, arguments);
  va_end(arguments);
  Print(line);
}

}  // namespace tflm_train_test

extern "C" void DebugLog(const char* format, va_list arguments) {
  if (tflm_train_test::quiet) return;
  char line[256];
  std::vsnprintf(line, sizeof(line), format, arguments);
  tflm_train_test::Print(line);
}

extern "C" int DebugVsnprintf(char* buffer, size_t size, const char* format, va_list arguments) {
  return std::vsnprintf(buffer, size, format, arguments);
}

#endif  // TFLM_TRAIN_TESTS_TARGET_TFLM_MESSAGES_H_
