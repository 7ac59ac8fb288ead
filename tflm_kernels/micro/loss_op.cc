// LOSS.

#include "tflm_kernels/loss.h"
#include "tflm_kernels/micro/train_ops.h"
#include "tflm_kernels/micro/training_op.h"

namespace tflm_train {
namespace {

struct LossOp : OpDefaults, LossTensors {
  static size_t ScratchBytes(const Params& params) { return LossScratchBytes(params); }

  static bool Run(const Params& params, const OpNode& node, const OpMemory& memory) {
    return Loss(params, node.Input<int8_t>(In::kLogits), node.Input<void>(In::kTarget),
                node.Input<float>(In::kClassWeights), node.State(), node.Input<float>(In::kScales),
                node.Output<int8_t>(Out::kGradient), &node.State()->loss, memory.scratch) ||
           Refuse(params, node);
  }

 private:
  static bool Refuse(const Params& params, const OpNode& node) {
    if (params.target_kind == kTargetIndex) {
      const int32_t* labels = node.Input<int32_t>(In::kTarget);
      const int32_t wrong = labels[FirstWrongLabel(params, labels)];
      return node.CheckFields({{"label", wrong, 0, params.classes - 1}});
    }
    return node.Fail(params.loss_kind == kMeanSquaredError
                         ? "a target value is not a finite number of ordinary size"
                         : "a target value is no probability from 0 to 1");
  }
};

}  // namespace

TFLMRegistration Register_TRAIN_LOSS() { return TrainingOp<LossOp>::Registration(); }

}  // namespace tflm_train
