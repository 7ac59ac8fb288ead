// What the tests over golden cases share: reading the tables of tests/cpp/generated.

#ifndef TFLM_TRAIN_TESTS_CPP_GOLDEN_H_
#define TFLM_TRAIN_TESTS_CPP_GOLDEN_H_

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "tests/cpp/harness.h"
#include "tflm_kernels/spec/op_params.h"

namespace tflm_train_test {

// Slots in `scales` and `ranges` of every case with one or two gradients.
constexpr size_t kSlots = 4;

// The parameters of an op from its custom_options as Python packs them.
template <typename Params>
Params ReadParams(const uint8_t* options) {
  Params params;
  std::memcpy(&params, options, sizeof(params));
  EXPECT_EQ(params.header.kind, Params::kKind);
  EXPECT_EQ(params.header.version, tflm_train::kAbiVersion);
  EXPECT_EQ(params.header.size, sizeof(params));
  return params;
}

// What the cases of an op begin with.
struct OpCase {
  const char* name;
  const uint8_t* options;  // custom_options
};

// Of an op that hands a gradient on.
struct GradientCase : OpCase {
  const int8_t* grad_out;
};

// Floats travel as bit patterns; the copy is guarded.
inline float* Floats(const uint32_t* bits, size_t count) {
  float* values = Guarded<float>(count);
  if (count > 0) std::memcpy(values, bits, count * sizeof(float));
  return values;
}

// A gradient that a kernel writes: what it finds there, and what it must leave.
struct WrittenGradient {
  const uint32_t* scales;
  const uint32_t* ranges;
  size_t size;
  const int8_t* want;
  const uint32_t* want_scales;
  const uint32_t* want_ranges;
};

// run(params, scales, ranges, grad_in) calls the kernel.
template <typename Params, typename Run>
void CheckGradient(const char* suite, const OpCase& golden, const WrittenGradient& written,
                   const Run& run) {
  Case scope(suite, golden.name);
  const Params params = ReadParams<Params>(golden.options);
  float* scales = Floats(written.scales, kSlots);
  float* ranges = Floats(written.ranges, kSlots);
  int8_t* grad_in = Guarded<int8_t>(written.size);
  run(params, scales, ranges, grad_in);
  EXPECT_SAME(grad_in, written.want, written.size);
  EXPECT_SAME(scales, written.want_scales, kSlots);
  EXPECT_SAME(ranges, written.want_ranges, kSlots);
}

inline float Float(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

inline uint32_t Bits(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  return bits;
}

}  // namespace tflm_train_test

#endif  // TFLM_TRAIN_TESTS_CPP_GOLDEN_H_
