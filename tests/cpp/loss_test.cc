#include "tflm_kernels/loss.h"

#include "tests/cpp/golden.h"

namespace tflm_train_test {
namespace {

using tflm_train::LossParams;
using tflm_train::TrainState;

struct LossCase {
  const char* name;
  const uint8_t* options;
  const int8_t* logits;
  int32_t label;
  const uint32_t* scales;
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
    int8_t* grad = Guarded<int8_t>(golden.classes);
    float* loss = Guarded<float>(1);
    EXPECT_TRUE(tflm_train::Loss(params, golden.logits, golden.label, &state, scales, grad, loss,
                                 GuardedBytes(tflm_train::LossScratchBytes(params))));
    EXPECT_SAME(grad, golden.want_grad, golden.classes);
    EXPECT_SAME(scales, golden.want_scales, kSlots);
    EXPECT_SAME(loss, golden.want_loss, 1);
    EXPECT_EQ(state.step, 42);
  }
}

TEST(Loss, RefusesALabelOutOfRangeAndWritesNothing) {
  const LossCase& golden = kLossCases[0];
  const LossParams params = ReadParams<LossParams>(golden.options);
  const int32_t labels[] = {params.classes, -1, INT32_MAX, INT32_MIN};
  for (const int32_t label : labels) {
    TrainState state = {};
    state.step = 41;
    float* scales = Floats(golden.scales, kSlots);
    int8_t* grad = Guarded<int8_t>(golden.classes);
    const int8_t* untouched = GuardedCopy(grad, golden.classes);
    float* loss = Floats(golden.scales, 1);
    EXPECT_TRUE(!tflm_train::Loss(params, golden.logits, label, &state, scales, grad, loss,
                                  GuardedBytes(tflm_train::LossScratchBytes(params))));
    EXPECT_SAME(grad, untouched, golden.classes);
    EXPECT_SAME(scales, golden.scales, kSlots);
    EXPECT_SAME(loss, golden.scales, 1);
    EXPECT_EQ(state.step, 41);
  }
}

}  // namespace
}  // namespace tflm_train_test
