// From reset to main() on a Cortex-M4 or M7 with its clock as it is after reset (16 MHz on an
// STM32; set up the PLL here for more). Interrupts are not used.

#include <cstdint>

#include "semihosting.h"

int main();

extern "C" {

// From stm32.ld.
extern uint32_t data_load[], data_start[], data_end[], bss_start[], bss_end[], stack_top[];
extern void (*init_array_start[])();
extern void (*init_array_end[])();

[[noreturn]] void ResetHandler();
[[noreturn]] void FaultHandler();

// Static objects register their destructors; nothing here ever exits.
void* __dso_handle = nullptr;
int __aeabi_atexit(void*, void (*)(void*), void*) { return 0; }
[[noreturn]] void __cxa_pure_virtual() { FaultHandler(); }
}

namespace {

struct VectorTable {
  const void* initial_stack;
  void (*handlers[15])();
};

// Reset, NMI, HardFault, MemManage, BusFault, UsageFault.
__attribute__((section(".vectors"), used)) const VectorTable kVectors = {
    stack_top,
    {ResetHandler, FaultHandler, FaultHandler, FaultHandler, FaultHandler, FaultHandler},
};

}  // namespace

void ResetHandler() {
  // CPACR: full access to the FPU, which is off after reset.
  *reinterpret_cast<volatile uint32_t*>(0xE000ED88) |= 0xFu << 20;
  asm volatile("dsb\n isb" ::: "memory");
  const uint32_t* from = data_load;
  for (uint32_t* to = data_start; to < data_end; ++to) *to = *from++;
  for (uint32_t* to = bss_start; to < bss_end; ++to) *to = 0;
  for (void (**constructor)() = init_array_start; constructor < init_array_end; ++constructor) {
    (*constructor)();
  }
  Exit(main());
}

void FaultHandler() {
  Print("fault\n");
  Exit(1);
}
