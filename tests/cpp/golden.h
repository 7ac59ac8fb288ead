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

// Floats travel as bit patterns; the copy is guarded.
inline float* Floats(const uint32_t* bits, size_t count) {
  float* values = Guarded<float>(count);
  if (count > 0) std::memcpy(values, bits, count * sizeof(float));
  return values;
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
