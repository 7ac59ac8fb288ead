#include "semihosting.h"

#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstring>

namespace {

constexpr uint32_t kOpen = 0x01;
constexpr uint32_t kClose = 0x02;
constexpr uint32_t kWrite0 = 0x04;
constexpr uint32_t kWrite = 0x05;
constexpr uint32_t kExitExtended = 0x20;
constexpr uint32_t kApplicationExit = 0x20026;
constexpr uint32_t kModeWriteBinary = 5;

uint32_t Call(uint32_t operation, const void* argument) {
#if defined(SEMIHOSTING)
  register uint32_t r0 asm("r0") = operation;
  register const void* r1 asm("r1") = argument;
  asm volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
  return r0;
#else
  (void)operation;
  (void)argument;
  return ~uint32_t{0};
#endif
}

uint32_t Address(const void* pointer) {
  return static_cast<uint32_t>(reinterpret_cast<uintptr_t>(pointer));
}

}  // namespace

void Print(const char* text) { Call(kWrite0, text); }

void PrintLine(const char* format, ...) {
  char line[162];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(line, sizeof(line) - 1, format, arguments);
  va_end(arguments);
  std::strcat(line, "\n");
  Print(line);
}

bool WriteFile(const char* name, const void* data, size_t bytes) {
  const uint32_t open[] = {Address(name), kModeWriteBinary,
                           static_cast<uint32_t>(std::strlen(name))};
  const uint32_t file = Call(kOpen, open);
  if (file == ~uint32_t{0}) return false;
  const uint32_t write[] = {file, Address(data), static_cast<uint32_t>(bytes)};
  const uint32_t left = Call(kWrite, write);
  return Call(kClose, &file) == 0 && left == 0;
}

void Exit(int status) {
  const uint32_t block[] = {kApplicationExit, static_cast<uint32_t>(status)};
  for (;;) Call(kExitExtended, block);
}

// What TFLM prints through.
extern "C" void DebugLog(const char* format, va_list arguments) {
  char line[256];
  std::vsnprintf(line, sizeof(line), format, arguments);
  Print(line);
}
extern "C" int DebugVsnprintf(char* buffer, size_t bytes, const char* format, va_list arguments) {
  return std::vsnprintf(buffer, bytes, format, arguments);
}
