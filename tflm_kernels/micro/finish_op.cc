// FINISH: ends every Invoke. It reads the tokens of all updates, so that every op
// of a training step comes before it, and hands loss and state to the outside.

#include <cstring>

#include "tflm_kernels/micro/train_ops.h"
#include "tflm_kernels/micro/training_op.h"

namespace tflm_train {
namespace {

struct FinishOp : OpDefaults {
  using Params = FinishParams;
  static constexpr const char* kName = "TFLM_TRAIN_FINISH";
  static constexpr bool kAlwaysRuns = true;
  // Inputs: a token of each update, then the state.
  enum { kLoss, kState, kOutputs };

  static bool Check(const Params& params, const OpNode& node) {
    const int tokens = node.input_count() - 1;
    if (!node.CheckCounts(tokens > 0 ? tokens + 1 : 2, kOutputs) || !node.CheckState() ||
        !node.CheckMark(params.marks - 1) || !node.CheckOutput(kLoss, "loss", kTfLiteFloat32, 1) ||
        !node.CheckOutput(kState, "state", kTfLiteInt32, kStateWords)) {
      return false;
    }
    for (int i = 0; i < tokens; ++i) {
      if (!node.CheckInput(i, "token", kTfLiteInt8, 1)) return false;
    }
    return true;
  }

  static bool Run(const Params& params, const OpNode& node, const OpMemory&) {
    TrainState* const live = node.State();
    if (live->training != 0 && !StepMarks(live).HasAll(params.marks)) {
      return node.Fail("a part of the step has not run: the operators are in a wrong order");
    }
    *node.Output<float>(kLoss) = live->loss;
    std::memcpy(node.Output<TrainState>(kState), live, sizeof(*live));
    // What runs before RESTORE in the next Invoke finds that it does not train.
    live->training = 0;
    return true;
  }
};

}  // namespace

TFLMRegistration Register_TRAIN_FINISH() { return TrainingOp<FinishOp>::Registration(); }

}  // namespace tflm_train
