#include "tflm_kernels/data_movement.h"

#include "tests/cpp/golden.h"

namespace tflm_train_test {
namespace {

struct PoolGradCase : GradientCase {
  const uint8_t* mask;
  WrittenGradient written;
};

struct MoveGradCase : GradientCase {
  const uint8_t* mask;
  const uint32_t* scales;
  size_t size;
  const int8_t* want_grad_in;
  const uint32_t* want_scales;
};

// One slot for each possible input, the output's, and one that must not change.
constexpr size_t kAccumulateSlots = tflm_train::kMaxAccumulateInputs + 2;

struct AccumulateCase : OpCase {
  const int8_t* inputs[tflm_train::kMaxAccumulateInputs];
  const uint8_t* mask;
  const uint32_t* scales;
  size_t size;
  const int8_t* want_grad;
  const uint32_t* want_scales;
};

struct ClampMaskCase : OpCase {
  const int8_t* activation;
  size_t bytes;
  const uint8_t* want_bits;
};

struct ChannelSaveCase : OpCase {
  const int8_t* values;
  const int16_t* channels;
  size_t size;
  const int8_t* want_saved;
};

#include "tests/cpp/generated/accumulate.inc"
#include "tests/cpp/generated/channel_save.inc"
#include "tests/cpp/generated/clamp_mask.inc"
#include "tests/cpp/generated/move_grad.inc"
#include "tests/cpp/generated/pool_grad.inc"

TEST(PoolGrad, Golden) {
  for (const PoolGradCase& golden : kPoolGradCases) {
    CheckGradient<tflm_train::PoolGradParams>(
        "PoolGrad", golden, golden.written,
        [&](const auto& params, float* scales, float* ranges, int8_t* grad_in) {
          tflm_train::PoolGrad(params, golden.grad_out, scales, ranges, golden.mask, grad_in,
                               GuardedBytes(tflm_train::PoolGradScratchBytes(params)));
        });
  }
}

TEST(MoveGrad, Golden) {
  for (const MoveGradCase& golden : kMoveGradCases) {
    Case scope("MoveGrad", golden.name);
    const auto params = ReadParams<tflm_train::MoveGradParams>(golden.options);
    float* scales = Floats(golden.scales, kSlots);
    int8_t* grad_in = Guarded<int8_t>(golden.size);
    tflm_train::MoveGrad(params, golden.grad_out, scales, golden.mask, grad_in);
    EXPECT_SAME(grad_in, golden.want_grad_in, golden.size);
    EXPECT_SAME(scales, golden.want_scales, kSlots);
  }
}

TEST(Accumulate, Golden) {
  for (const AccumulateCase& golden : kAccumulateCases) {
    Case scope("Accumulate", golden.name);
    const auto params = ReadParams<tflm_train::AccumulateParams>(golden.options);
    float* scales = Floats(golden.scales, kAccumulateSlots);
    int8_t* grad = Guarded<int8_t>(golden.size);
    tflm_train::Accumulate(params, scales, golden.mask, golden.inputs, grad);
    EXPECT_SAME(grad, golden.want_grad, golden.size);
    EXPECT_SAME(scales, golden.want_scales, kAccumulateSlots);
  }
}

TEST(ClampMask, Golden) {
  for (const ClampMaskCase& golden : kClampMaskCases) {
    Case scope("ClampMask", golden.name);
    const auto params = ReadParams<tflm_train::ClampMaskParams>(golden.options);
    uint8_t* bits = Guarded<uint8_t>(golden.bytes);
    tflm_train::ClampMask(params, golden.activation, bits);
    EXPECT_SAME(bits, golden.want_bits, golden.bytes);
  }
}

TEST(ChannelSave, Golden) {
  for (const ChannelSaveCase& golden : kChannelSaveCases) {
    Case scope("ChannelSave", golden.name);
    const auto params = ReadParams<tflm_train::ChannelSaveParams>(golden.options);
    int8_t* saved = Guarded<int8_t>(golden.size);
    tflm_train::ChannelSave(params, golden.values, golden.channels, saved);
    EXPECT_SAME(saved, golden.want_saved, golden.size);
  }
}

}  // namespace
}  // namespace tflm_train_test
