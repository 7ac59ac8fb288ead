// Where programs with TFLM on an emulated core print, and where TFLM's own messages go. To be
// included once in a program.

#ifndef TFLM_TRAIN_TESTS_TARGET_TFLM_MESSAGES_H_
#define TFLM_TRAIN_TESTS_TARGET_TFLM_MESSAGES_H_

#include <cstdarg>
#include <cstddef>
#include <cstdio>
#include <type_traits>

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

// DebugLog by another name here, because TFLM's header declares it: until June 2023 for a line that
// is whole already.
extern "C" void WriteMessage(const char* format, va_list arguments) __asm__("DebugLog");
extern "C" void WriteMessage(const char* format, va_list arguments) {
  constexpr bool kIsWhole = std::is_same<decltype(&DebugLog), void (*)(const char*)>::value;
  if (tflm_train_test::quiet) return;
  if (kIsWhole) {
    tflm_train_test::Print(format);
    return;
  }
  char line[256];
  std::vsnprintf(line, sizeof(line), format, arguments);
  tflm_train_test::Print(line);
}

extern "C" int DebugVsnprintf(char* buffer, size_t size, const char* format, va_list arguments) {
  return std::vsnprintf(buffer, size, format, arguments);
}

#endif  // TFLM_TRAIN_TESTS_TARGET_TFLM_MESSAGES_H_
