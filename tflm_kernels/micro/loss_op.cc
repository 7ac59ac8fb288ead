// LOSS.

#include "tflm_kernels/loss.h"
#include "tflm_kernels/micro/train_ops.h"
#include "tflm_kernels/micro/training_op.h"

namespace tflm_train {
namespace {

struct LossOp : OpDefaults {
  using Params = LossParams;
  static constexpr const char* kName = "TFLM_TRAIN_LOSS";
  enum { kLogits, kTarget, kClassWeights, kScales, kStateInput, kInputs };
  enum { kGrad, kOutputs };

  static bool Check(const Params& params, const OpNode& node) {
    return node.CheckCounts(kInputs, kOutputs) &&
           node.CheckFields({{"classes", params.classes, 1, INT32_MAX},
                             {"zero_point", params.zero_point, -128, 127},
                             {"scale > 0", params.scale > 0.0f, 1, 1},
                             {"loss_kind", params.loss_kind, 0, kMeanSquaredError},
                             {"target_kind", params.target_kind, 0, kTargetInput}}) &&
           node.CheckInput(kLogits, "logits", kTfLiteInt8, params.classes) &&
           CheckTarget(params, node) && node.CheckSlots(kScales, "scales", {params.slot}) &&
           CheckClassWeights(params, node) &&
           node.CheckOutput(kGrad, "gradient", kTfLiteInt8, params.classes);
  }

  static size_t ScratchBytes(const Params& params) { return LossScratchBytes(params); }

  static int32_t Writes(const Params& params) { return params.slot; }

  static bool Run(const Params& params, const OpNode& node, const OpMemory& memory) {
    return Loss(params, node.Input<int8_t>(kLogits), node.Input<void>(kTarget),
                node.Input<float>(kClassWeights), node.State(), node.Input<float>(kScales),
                node.Output<int8_t>(kGrad), &node.State()->loss, memory.scratch) ||
           Refuse(params, node);
  }

 private:
  static bool CheckTarget(const Params& params, const OpNode& node) {
    switch (params.target_kind) {
      case kTargetIndex:
        return node.CheckInput(kTarget, "label", kTfLiteInt32, 1);
      case kTargetValues:
        return node.CheckInput(kTarget, "target", kTfLiteFloat32, params.classes);
      default:
        return node.CheckInput(kTarget, "target", kTfLiteInt8, params.classes);
    }
  }

  static bool CheckClassWeights(const Params& params, const OpNode& node) {
    if (params.loss_kind == kMeanSquaredError) {
      return node.CheckAbsent(kClassWeights, "class weights");
    }
    return !node.HasInput(kClassWeights) ||
           node.CheckInput(kClassWeights, "class weights", kTfLiteFloat32, params.classes);
  }

  static bool Refuse(const Params& params, const OpNode& node) {
    if (params.target_kind == kTargetIndex) {
      return node.CheckFields({{"label", *node.Input<int32_t>(kTarget), 0, params.classes - 1}});
    }
    return node.Fail(params.loss_kind == kMeanSquaredError
                         ? "a target value is not a finite number of ordinary size"
                         : "a target value is no probability from 0 to 1");
  }
};

}  // namespace

TFLMRegistration Register_TRAIN_LOSS() { return TrainingOp<LossOp>::Registration(); }

}  // namespace tflm_train
