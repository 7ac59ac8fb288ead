// Random inputs of the operators to count, and how one of them is counted.

#ifndef BENCHMARKS_TARGET_INPUTS_H_
#define BENCHMARKS_TARGET_INPUTS_H_

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "benchmarks/target/measure.h"
#include "tests/cpp/harness.h"
#include "tflm_kernels/requantize.h"
#include "tflm_kernels/spec/op_params.h"

namespace tflm_train_bench {

inline constexpr size_t kArenaBytes = 1536 * 1024;
alignas(16) inline uint8_t arena[kArenaBytes];
inline size_t arena_used = 0;
inline uint32_t random_state = 1;

inline uint32_t Random() {
  random_state ^= random_state << 13;
  random_state ^= random_state >> 17;
  random_state ^= random_state << 5;
  return random_state;
}

template <typename T>
T* Allocate(size_t count) {
  T* memory = reinterpret_cast<T*>(arena + arena_used);
  arena_used += (count * sizeof(T) + 15) & ~static_cast<size_t>(15);
  if (arena_used > kArenaBytes) {
    tflm_train_test::Print("error: the benchmark's arena is too small\n");
    __builtin_trap();
  }
  return memory;
}

// Never -128.
inline int8_t* RandomInt8(size_t count) {
  int8_t* values = Allocate<int8_t>(count);
  for (size_t i = 0; i < count; ++i) values[i] = static_cast<int8_t>(Random() % 255) - 127;
  return values;
}

template <typename T>
T* Filled(size_t count, T value) {
  T* values = Allocate<T>(count);
  for (size_t i = 0; i < count; ++i) values[i] = value;
  return values;
}

// Bits that stop about a third of the gradient, or an activation.
inline const void* RandomMask(const tflm_train::MaskParams& params, size_t size) {
  if (params.mask_kind == tflm_train::kMaskNone) return nullptr;
  return RandomInt8(tflm_train::MaskBytes(params, size));
}

// Every n-th channel from the first, `kept` of them.
inline int16_t* KeptChannels(int32_t channels, int32_t kept) {
  if (kept == 0) return nullptr;
  int16_t* list = Allocate<int16_t>(kept);
  for (int32_t j = 0; j < kept; ++j) list[j] = static_cast<int16_t>(j * channels / kept);
  return list;
}

// The other channels ascending, then the kept.
inline int16_t* ChannelOrder(int32_t channels, int32_t kept) {
  if (kept == 0) return nullptr;
  const int16_t* list = KeptChannels(channels, kept);
  int16_t* order = Allocate<int16_t>(channels);
  int32_t others = 0, next = 0;
  for (int32_t i = 0; i < channels; ++i) {
    if (next < kept && list[next] == i) {
      order[channels - kept + next++] = static_cast<int16_t>(i);
    } else {
      order[others++] = static_cast<int16_t>(i);
    }
  }
  return order;
}

inline int32_t InputSize(const tflm_train::Geometry& g) { return g.in_h * g.in_w * g.in_c; }
inline int32_t OutputSize(const tflm_train::Geometry& g) { return g.out_h * g.out_w * g.out_c; }

// Runs once before, to bring running ranges to where they stay.
template <typename Kernel, typename Naive>
Measured Count(const Kernel& kernel, const Naive& naive) {
  kernel();
  return Measure(kernel, naive);
}

template <typename Kernel>
Measured Count(const Kernel& kernel) {
  return {Count(kernel, [] {}).kernel, 0};
}

template <typename Params>
Params Read(const uint8_t* options) {
  Params params;
  std::memcpy(&params, options, sizeof(params));
  return params;
}

inline constexpr size_t kSlots = 256;

// Forgets the inputs of the operator before.
inline void ClearInputs() {
  arena_used = 0;
  random_state = 1;
}

}  // namespace tflm_train_bench

#endif  // BENCHMARKS_TARGET_INPUTS_H_
