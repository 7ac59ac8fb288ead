#include "tflm_kernels/update.h"

#include "tests/cpp/golden.h"

namespace tflm_train_test {
namespace {

using tflm_train::TrainState;

struct UpdateCase : OpCase {
  const uint32_t* state;
  const uint32_t* scales;
  const int8_t* x;
  const int8_t* grad;
  const uint32_t* kw;
  const uint32_t* kb;
  size_t weight_count;
  size_t channel_count;
  const int8_t* weights;
  const int32_t* bias;  // nullptr: not trained
  size_t residual_bytes;
  const int8_t* residual;   // nullptr: none is kept
  const int16_t* channels;  // nullptr: the weights are the whole layer
  const int8_t* want_weights;
  const int32_t* want_bias;
  const int8_t* want_residual;
};
using ConvUpdateCase = UpdateCase;
using DepthwiseUpdateCase = UpdateCase;

struct BiasUpdateCase : OpCase {
  uint32_t learning_rate;
  const uint32_t* scales;
  const int8_t* grad;
  const uint32_t* kb;
  size_t channels;
  const int32_t* bias;
  const int32_t* want_bias;
};

#include "tests/cpp/generated/bias_update.inc"
#include "tests/cpp/generated/conv_update.inc"
#include "tests/cpp/generated/depthwise_update.inc"

template <typename Params, size_t kCount, typename ScratchBytes, typename Kernel>
void RunCases(const char* suite, const UpdateCase (&cases)[kCount], ScratchBytes scratch_bytes,
              Kernel kernel) {
  for (const UpdateCase& golden : cases) {
    Case scope(suite, golden.name);
    const Params params = ReadParams<Params>(golden.options);
    TrainState state;
    std::memcpy(&state, golden.state, sizeof(state));
    const bool has_bias = golden.bias != nullptr;
    const bool has_residual = golden.residual != nullptr;
    int8_t* weights = GuardedCopy(golden.weights, golden.weight_count);
    int32_t* bias = has_bias ? GuardedCopy(golden.bias, golden.channel_count) : nullptr;
    int8_t* residual = has_residual ? GuardedCopy(golden.residual, golden.residual_bytes) : nullptr;
    kernel(params, golden.x, golden.grad, state, Floats(golden.scales, kSlots),
           Floats(golden.kw, golden.channel_count),
           has_bias ? Floats(golden.kb, golden.channel_count) : nullptr,
           {weights, bias, residual, nullptr, nullptr}, golden.channels,
           GuardedBytes(scratch_bytes(params)));
    EXPECT_SAME(weights, golden.want_weights, golden.weight_count);
    if (has_bias) EXPECT_SAME(bias, golden.want_bias, golden.channel_count);
    if (has_residual) EXPECT_SAME(residual, golden.want_residual, golden.residual_bytes);
  }
}

TEST(ConvUpdate, Golden) {
  RunCases<tflm_train::ConvUpdateParams>(
      "ConvUpdate", kConvUpdateCases, tflm_train::ConvUpdateScratchBytes, tflm_train::ConvUpdate);
}

TEST(DepthwiseUpdate, Golden) {
  RunCases<tflm_train::DepthwiseUpdateParams>("DepthwiseUpdate", kDepthwiseUpdateCases,
                                              tflm_train::DepthwiseUpdateScratchBytes,
                                              tflm_train::DepthwiseUpdate);
}

TEST(BiasUpdate, Golden) {
  for (const BiasUpdateCase& golden : kBiasUpdateCases) {
    Case scope("BiasUpdate", golden.name);
    const auto params = ReadParams<tflm_train::BiasUpdateParams>(golden.options);
    TrainState state = {};
    state.learning_rate = Float(golden.learning_rate);
    int32_t* bias = GuardedCopy(golden.bias, golden.channels);
    tflm_train::BiasUpdate(params, golden.grad, state, Floats(golden.scales, kSlots),
                           Floats(golden.kb, golden.channels), bias, nullptr);
    EXPECT_SAME(bias, golden.want_bias, golden.channels);
  }
}

// What no training reaches, but a foreign state may hold: 4-bit residuals beyond those of 127 and
// -127. A step by nothing brings them back.
constexpr int32_t kRow = 20;

template <typename Params>
Params UnreachableParams(const tflm_train::Geometry& geometry) {
  Params params = {};
  params.geometry = geometry;
  params.update.residual_bits = 4;
  params.update.gain_shift = 12;
  params.update.tap_y1 = geometry.k_h;
  params.update.tap_x1 = geometry.k_w;
  params.update.row_channels = kRow;
  params.rule.steps = 1;
  return params;
}

template <typename Params, typename Kernel>
void ExpectToComeBack(const Params& params, int32_t weights, Kernel kernel) {
  const float kw[kRow] = {}, scales[kSlots] = {};
  const int8_t zeros[kRow] = {};
  TrainState state = {};
  state.learning_rate = 0.5f;
  const int8_t limits[] = {127, -127};
  for (const int8_t limit : limits) {
    int8_t* const w = Guarded<int8_t>(weights);
    int8_t* const residual = Guarded<int8_t>(weights / 2);
    std::memset(w, limit, weights);
    std::memset(residual, limit > 0 ? 0x77 : 0x88, weights / 2);
    kernel(params, zeros, zeros, state, scales, kw, nullptr,
           tflm_train::TrainedTensors{w, nullptr, residual, nullptr, nullptr}, nullptr);
    for (int32_t i = 0; i < weights; ++i) EXPECT_EQ(w[i], limit);
    for (int32_t i = 0; i < weights / 2; ++i) EXPECT_EQ(residual[i], 0);
  }
}

TEST(ConvUpdate, UnreachableResidualsComeBack) {
  constexpr int32_t kRows = 5;
  const auto params = UnreachableParams<tflm_train::ConvUpdateParams>(
      {1, 1, kRow, 1, 1, kRows, 1, 1, 1, 1, 1, 1, 0, 0});
  ExpectToComeBack(params, kRows * kRow, [&](auto... arguments) {
    tflm_train::ConvUpdate(arguments..., GuardedBytes(tflm_train::ConvUpdateScratchBytes(params)));
  });
}

TEST(DepthwiseUpdate, UnreachableResidualsComeBack) {
  // All but one of the taps are in the padding.
  auto params = UnreachableParams<tflm_train::DepthwiseUpdateParams>(
      {1, 1, kRow, 1, 1, kRow, 3, 3, 1, 1, 1, 1, 1, 1});
  params.multiplier = 1;
  ExpectToComeBack(params, 9 * kRow, [&](auto... arguments) {
    tflm_train::DepthwiseUpdate(arguments...,
                                GuardedBytes(tflm_train::DepthwiseUpdateScratchBytes(params)));
  });
}

}  // namespace
}  // namespace tflm_train_test
