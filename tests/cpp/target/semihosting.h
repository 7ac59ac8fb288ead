// The call by which a program on a bare core asks the emulator, or a debugger, for a service.

#ifndef TESTS_CPP_TARGET_SEMIHOSTING_H_
#define TESTS_CPP_TARGET_SEMIHOSTING_H_

#include <cstdint>

namespace tflm_train_test {

#if defined(__riscv)

inline uint32_t Semihost(uint32_t operation, const void* argument) {
  register uint32_t a0 asm("a0") = operation;
  register const void* a1 asm("a1") = argument;
  // The emulator knows the call by these three instructions, none of which may be compressed.
  asm volatile(
      ".option push\n .option norvc\n .balign 16\n"
      "slli zero, zero, 0x1f\n ebreak\n srai zero, zero, 7\n .option pop"
      : "+r"(a0)
      : "r"(a1)
      : "memory");
  return a0;
}

#else

inline uint32_t Semihost(uint32_t operation, const void* argument) {
  register uint32_t r0 asm("r0") = operation;
  register const void* r1 asm("r1") = argument;
  asm volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
  return r0;
}

#endif

}  // namespace tflm_train_test

#endif  // TESTS_CPP_TARGET_SEMIHOSTING_H_
