// Bounds of fast paths that only large layers come to, whose inputs are drawn here: flash has no
// room for them, and small targets none in RAM.

#if !defined(TFLM_TRAIN_SMALL_TARGET) && !defined(TFLM_TRAIN_MEDIUM_TARGET)

#include "tests/cpp/golden.h"
#include "tflm_kernels/conv_input_grad.h"
#include "tflm_kernels/depthwise_input_grad.h"
#include "tflm_kernels/spec/numerics.h"
#include "tflm_kernels/state/crc32.h"
#include "tflm_kernels/update.h"

namespace tflm_train_test {
namespace {

using tflm_train::Geometry;
using tflm_train::OpKind;
using tflm_train::TrainState;

constexpr uint32_t kGradient = 0, kWeights = 1u << 28, kInput = 2u << 28, kResidual = 3u << 28;

// int8 [count] in +-most, as `drawn` of bounds_reach.py makes them.
int8_t* Draw(uint32_t seed, size_t count, int32_t most) {
  int8_t* const values = Guarded<int8_t>(count);
  const uint32_t span = static_cast<uint32_t>(2 * most + 1);
  for (size_t i = 0; i < count; ++i) {
    const uint32_t word = tflm_train::Hash(seed + static_cast<uint32_t>(i));
    values[i] = static_cast<int8_t>(static_cast<int32_t>(word % span) - most);
  }
  return values;
}

template <typename T>
T* Equal(size_t count, T value) {
  T* const values = Guarded<T>(count);
  for (size_t i = 0; i < count; ++i) values[i] = value;
  return values;
}

struct ReachCase : OpCase {
  int32_t most;     // of the gradient
  uint32_t number;  // the range of what is written, or the factor of an update
  uint32_t want;
};

#include "tests/cpp/generated/reach.inc"

class Reach {
 public:
  explicit Reach(const ReachCase& golden) : golden_(golden) {}

  void Run() {
    tflm_train::OpHeader header;
    std::memcpy(&header, golden_.options, sizeof(header));
    switch (static_cast<OpKind>(header.kind)) {
      case OpKind::kConvInputGrad:
        return RunInputGrad<tflm_train::ConvInputGradParams>(
            tflm_train::ConvInputGrad, tflm_train::ConvInputGradScratchBytes, int8_t{127});
      case OpKind::kDepthwiseInputGrad:
        return RunInputGrad<tflm_train::DepthwiseInputGradParams>(
            tflm_train::DepthwiseInputGrad, tflm_train::DepthwiseInputGradScratchBytes,
            int32_t{1 << 16});
      case OpKind::kConvUpdate:
        return RunUpdate<tflm_train::ConvUpdateParams>(tflm_train::ConvUpdate,
                                                       tflm_train::ConvUpdateScratchBytes);
      case OpKind::kDepthwiseUpdate:
        return RunUpdate<tflm_train::DepthwiseUpdateParams>(
            tflm_train::DepthwiseUpdate, tflm_train::DepthwiseUpdateScratchBytes);
      default:
        Fail(__FILE__, __LINE__, "a kind of op that bounds_reach.py does not make");
    }
  }

 private:
  static size_t InputSize(const Geometry& g) {
    return static_cast<size_t>(g.in_h) * g.in_w * g.in_c;
  }
  static size_t OutputSize(const Geometry& g) {
    return static_cast<size_t>(g.out_h) * g.out_w * g.out_c;
  }
  static size_t WeightCount(const tflm_train::ConvInputGradParams& p) { return OfConv(p.geometry); }
  static size_t WeightCount(const tflm_train::ConvUpdateParams& p) { return OfConv(p.geometry); }
  static size_t WeightCount(const tflm_train::DepthwiseInputGradParams& p) {
    return OfDepthwise(p.geometry);
  }
  static size_t WeightCount(const tflm_train::DepthwiseUpdateParams& p) {
    return OfDepthwise(p.geometry);
  }
  static size_t OfConv(const Geometry& g) {
    return static_cast<size_t>(g.out_c) * g.k_h * g.k_w * g.in_c;
  }
  static size_t OfDepthwise(const Geometry& g) {
    return static_cast<size_t>(g.k_h) * g.k_w * g.out_c;
  }

  template <typename Params, typename Multiplier, typename Kernel, typename ScratchBytes>
  void RunInputGrad(Kernel kernel, ScratchBytes scratch_bytes, Multiplier m) {
    const Params params = ReadParams<Params>(golden_.options);
    const Geometry& g = params.geometry;
    float scales[kSlots] = {0.125f, 1.0f, 0.5f, 0.75f};
    float ranges[kSlots] = {0.125f, 0.25f, Float(golden_.number), 0.75f};
    const int8_t* const grad = Draw(kGradient, OutputSize(g), golden_.most);
    const int8_t* const weights = Draw(kWeights, WeightCount(params), 127);
    int8_t* const grad_in = Guarded<int8_t>(InputSize(g));
    kernel(params, grad, weights, nullptr, nullptr, Equal(static_cast<size_t>(g.out_c), m), scales,
           ranges, nullptr, nullptr, grad_in, GuardedBytes(scratch_bytes(params)));
    Add(grad_in, InputSize(g));
    Add(scales, sizeof(scales));
    Add(ranges, sizeof(ranges));
    ExpectChecksum();
  }

  template <typename Params, typename Kernel, typename ScratchBytes>
  void RunUpdate(Kernel kernel, ScratchBytes scratch_bytes) {
    const Params params = ReadParams<Params>(golden_.options);
    const Geometry& g = params.geometry;
    const size_t count = WeightCount(params);
    TrainState state = {};
    state.step = state.seed = 1;
    state.learning_rate = 1.0f;
    const float scales[kSlots] = {0.125f, 1.0f, 0.5f, 0.75f};
    const int8_t* const x = Draw(kInput, InputSize(g), 127);
    const int8_t* const grad = Draw(kGradient, OutputSize(g), golden_.most);
    int8_t* const weights = Draw(kWeights, count, 127);
    int8_t* const residual = Draw(kResidual, count, 127);
    kernel(params, x, grad, state, scales,
           Equal(static_cast<size_t>(g.out_c), Float(golden_.number)), nullptr,
           {weights, nullptr, residual, nullptr, nullptr}, nullptr,
           GuardedBytes(scratch_bytes(params)));
    Add(weights, count);
    Add(residual, count);
    ExpectChecksum();
  }

  void Add(const void* bytes, size_t count) { crc_ = tflm_train::UpdateCrc32(crc_, bytes, count); }
  void ExpectChecksum() const { EXPECT_EQ(~crc_, golden_.want); }

  const ReachCase& golden_;
  uint32_t crc_ = tflm_train::kCrc32Start;
};

TEST(Reach, Golden) {
  for (const ReachCase& golden : kReachCases) {
    Case scope("Reach", golden.name);
    Reach(golden).Run();
  }
}

}  // namespace
}  // namespace tflm_train_test

#endif
