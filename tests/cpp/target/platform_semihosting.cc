// What a bare Cortex-M or RISC-V core needs before main() can run, and the way out: semihosting,
// which QEMU (and a debugger, on a real board) answers.

#include <cstddef>
#include <cstdint>

#include "tests/cpp/harness.h"
#include "tests/cpp/target/semihosting.h"

int main();

extern "C" {

// From target.ld.
extern uint32_t data_load[], data_start[], data_end[], bss_start[], bss_end[], stack_top[];
extern void (*init_array_start[])();
extern void (*init_array_end[])();

[[noreturn]] void ResetHandler();
[[noreturn]] __attribute__((aligned(4))) void FaultHandler();

// C++ asks for these where static objects or pure functions exist; nothing here ever exits.
void* __dso_handle = nullptr;
#if defined(__riscv)
int __cxa_atexit(void (*)(void*), void*, void*) { return 0; }
#else
int __aeabi_atexit(void*, void (*)(void*), void*) { return 0; }
#endif
[[noreturn]] void __cxa_pure_virtual() { FaultHandler(); }
}

namespace {

using tflm_train_test::Semihost;

constexpr uint32_t kWrite0 = 0x04;
constexpr uint32_t kExitExtended = 0x20;
constexpr uint32_t kApplicationExit = 0x20026;

[[noreturn]] void Exit(uint32_t status) {
  const uint32_t block[2] = {kApplicationExit, status};
  for (;;) Semihost(kExitExtended, block);
}

#if defined(__riscv)

// The core starts here, without a stack. The trap handler's address has to be a multiple of 4.
__attribute__((section(".vectors"), used, naked)) void Start() {
  asm volatile(".option arch, +zicsr");
#if defined(__riscv_flen)
  asm volatile("li t0, 0x2000\n csrs mstatus, t0");  // The FPU is off after reset.
#endif
  asm volatile(
      "la sp, stack_top\n"
      "la t0, FaultHandler\n"
      "csrw mtvec, t0\n"
      "j ResetHandler");
}

#else

struct VectorTable {
  const void* initial_stack;
  void (*handlers[15])();
};

// Reset, NMI, HardFault, MemManage, BusFault, UsageFault, SecureFault; the rest is never enabled.
__attribute__((section(".vectors"), used)) const VectorTable kVectors = {
    stack_top,
    {ResetHandler, FaultHandler, FaultHandler, FaultHandler, FaultHandler, FaultHandler,
     FaultHandler},
};

#endif

}  // namespace

void tflm_train_test::Print(const char* text) { Semihost(kWrite0, text); }

void ResetHandler() {
#if defined(__ARM_FP)
  // CPACR: full access to CP10 and CP11, the FPU and Helium; off after reset.
  *reinterpret_cast<volatile uint32_t*>(0xE000ED88) |= 0xFu << 20;
  asm volatile("dsb\n isb" ::: "memory");
#endif
  const uint32_t* from = data_load;
  for (uint32_t* to = data_start; to < data_end; ++to) *to = *from++;
  for (uint32_t* to = bss_start; to < bss_end; ++to) *to = 0;
  for (void (**constructor)() = init_array_start; constructor < init_array_end; ++constructor) {
    (*constructor)();
  }
  Exit(static_cast<uint32_t>(main()));
}

void FaultHandler() {
  tflm_train_test::Print("FAULT: the processor took a fault exception\n");
  Exit(1);
}
