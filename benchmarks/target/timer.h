// A counter of executed instructions. The emulator runs one instruction in 2^6 ns
// (-icount shift=6), so that a board's timers count instructions.

#ifndef BENCHMARKS_TARGET_TIMER_H_
#define BENCHMARKS_TARGET_TIMER_H_

#include <cstdint>

namespace tflm_train_bench {

inline volatile uint32_t& Register(uint32_t address) {
  return *reinterpret_cast<volatile uint32_t*>(address);
}

#if defined(__ARM_FEATURE_MVE)
// The SSE-300's system counter, 32 MHz.
constexpr uint32_t kCounterControl = 0x58100000, kCounterValue = 0x58000000;
inline void StartTimer() { Register(kCounterControl) = 1; }
inline uint32_t Ticks() { return Register(kCounterValue); }
inline uint32_t Instructions(uint32_t ticks) {
  return static_cast<uint32_t>((static_cast<uint64_t>(ticks) * 1000 + 1024) / 2048);
}
#else
// CMSDK timer 0, 25 MHz, counts down.
constexpr uint32_t kControl = 0x40000000, kValue = 0x40000004, kReload = 0x40000008;
inline void StartTimer() {
  Register(kReload) = UINT32_MAX;
  Register(kValue) = UINT32_MAX;
  Register(kControl) = 1;
}
inline uint32_t Ticks() { return UINT32_MAX - Register(kValue); }
inline uint32_t Instructions(uint32_t ticks) {
  return static_cast<uint32_t>((static_cast<uint64_t>(ticks) * 40 + 32) / 64);
}
#endif

}  // namespace tflm_train_bench

#endif  // BENCHMARKS_TARGET_TIMER_H_
