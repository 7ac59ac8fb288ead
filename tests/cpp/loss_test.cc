#include "tflm_kernels/loss.h"

#include "tests/cpp/golden.h"

namespace tflm_train_test {
namespace {

using tflm_train::LossParams;
using tflm_train::TrainState;

struct LossCase : OpCase {
  const int8_t* logits;
  const uint8_t* target;
  const uint32_t* class_weights;
  const uint32_t* scales;
  size_t size;
  size_t classes;
  const int8_t* want_grad;
  const uint32_t* want_scales;
  const uint32_t* want_loss;
};

#include "tests/cpp/generated/loss.inc"

TEST(Loss, Golden) {
  for (const LossCase& golden : kLossCases) {
    Case scope("Loss", golden.name);
    const LossParams params = ReadParams<LossParams>(golden.options);
    TrainState state = {};
    state.step = 41;
    float* scales = Floats(golden.scales, kSlots);
    int8_t* grad = Guarded<int8_t>(golden.size);
    float* loss = Guarded<float>(1);
    const float* weights =
        golden.class_weights == nullptr ? nullptr : Floats(golden.class_weights, golden.classes);
    EXPECT_TRUE(tflm_train::Loss(params, golden.logits, golden.target, weights, &state, scales,
                                 grad, loss, GuardedBytes(tflm_train::LossScratchBytes(params))));
    EXPECT_SAME(grad, golden.want_grad, golden.size);
    EXPECT_SAME(scales, golden.want_scales, kSlots);
    EXPECT_SAME(loss, golden.want_loss, 1);
    EXPECT_EQ(state.step, 42);
  }
}

void ExpectRefused(const LossParams& params, const void* target) {
  const LossCase& golden = kLossCases[0];
  TrainState state = {};
  state.step = 41;
  float* scales = Floats(golden.scales, kSlots);
  int8_t* grad = Guarded<int8_t>(golden.size);
  const int8_t* untouched = GuardedCopy(grad, golden.size);
  float* loss = Floats(golden.scales, 1);
  EXPECT_TRUE(!tflm_train::Loss(params, golden.logits, target, nullptr, &state, scales, grad, loss,
                                GuardedBytes(tflm_train::LossScratchBytes(params))));
  EXPECT_SAME(grad, untouched, golden.size);
  EXPECT_SAME(scales, golden.scales, kSlots);
  EXPECT_SAME(loss, golden.scales, 1);
  EXPECT_EQ(state.step, 41);
}

TEST(Loss, RefusesALabelOutOfRangeAndWritesNothing) {
  const LossParams params = ReadParams<LossParams>(kLossCases[0].options);
  const int32_t labels[] = {params.classes, -1, INT32_MAX, INT32_MIN};
  for (const int32_t label : labels) ExpectRefused(params, &label);
}

TEST(Loss, RefusesALabelOfAnyPosition) {
  LossParams params = ReadParams<LossParams>(kLossCases[0].options);
  params.positions = 2;
  params.classes /= 2;
  const int32_t first[] = {params.classes, 0}, second[] = {0, -1};
  ExpectRefused(params, first);
  ExpectRefused(params, second);
}

TEST(Loss, RefusesValuesOutOfRangeAndWritesNothing) {
  LossParams params = ReadParams<LossParams>(kLossCases[0].options);
  params.target_kind = tflm_train::kTargetValues;
  const size_t classes = kLossCases[0].classes;
  const uint32_t kNan = 0x7fc00000, kInfinity = 0x7f800000;
  const float probabilities[] = {-1e-6f, 1.000001f, Float(kNan), -Float(kInfinity)};
  const float values[] = {Float(kNan), Float(kInfinity), -Float(kInfinity), 1.2e12f, -1.2e12f};
  float* target = Guarded<float>(classes);
  for (size_t i = 0; i < classes; ++i) target[i] = 0.5f;
  for (const float wrong : probabilities) {
    target[classes - 1] = wrong;
    params.loss_kind = tflm_train::kSoftmaxCrossEntropy;
    ExpectRefused(params, target);
    params.loss_kind = tflm_train::kSigmoidCrossEntropy;
    ExpectRefused(params, target);
  }
  params.loss_kind = tflm_train::kMeanSquaredError;
  for (const float wrong : values) {
    target[classes - 1] = wrong;
    ExpectRefused(params, target);
  }
}

}  // namespace
}  // namespace tflm_train_test
