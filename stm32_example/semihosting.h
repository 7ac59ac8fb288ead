// The way out of the chip: Arm semihosting, which a debugger answers (OpenOCD: `monitor arm
// semihosting enable`), and QEMU. Without -DSEMIHOSTING all of it does nothing.

#ifndef STM32_EXAMPLE_SEMIHOSTING_H_
#define STM32_EXAMPLE_SEMIHOSTING_H_

#include <cstddef>

void Print(const char* text);

// As printf, for lines of up to 160 characters; no floats.
void PrintLine(const char* format, ...) __attribute__((format(printf, 1, 2)));

// A file in the debugger's working directory. False: it could not be written.
bool WriteFile(const char* name, const void* data, size_t bytes);

[[noreturn]] void Exit(int status);

#endif  // STM32_EXAMPLE_SEMIHOSTING_H_
