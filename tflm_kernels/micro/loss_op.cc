// LOSS.

#include "tflm_kernels/loss.h"
#include "tflm_kernels/micro/train_ops.h"
#include "tflm_kernels/micro/training_op.h"

namespace tflm_train {
namespace {

struct LossOp : OpDefaults {
  using Params = LossParams;
  static constexpr const char* kName = "TFLM_TRAIN_LOSS";
  enum { kLogits, kLabel, kStateInput, kScales, kInputs };
  enum { kGrad, kLoss, kOutputs };

  static bool Check(const Params& params, const OpNode& node) {
    return node.CheckCounts(kInputs, kOutputs) &&
           node.CheckFields({{"classes", params.classes, 1, INT32_MAX},
                             {"zero_point", params.zero_point, -128, 127},
                             {"scale > 0", params.scale > 0.0f, 1, 1}}) &&
           node.CheckInput(kLogits, "logits", kTfLiteInt8, params.classes) &&
           node.CheckInput(kLabel, "label", kTfLiteInt32, 1) && node.CheckState(kStateInput) &&
           node.CheckSlots(kScales, "scales", {params.slot}) &&
           node.CheckOutput(kGrad, "gradient", kTfLiteInt8, params.classes) &&
           node.CheckOutput(kLoss, "loss", kTfLiteFloat32, 1);
  }

  static size_t ScratchBytes(const Params& params) { return LossScratchBytes(params); }

  static void Idle(const OpNode& node) { *node.Output<float>(kLoss) = 0.0f; }

  static bool Run(const Params& params, const OpNode& node, const OpMemory& memory) {
    const int32_t label = *node.Input<int32_t>(kLabel);
    return Loss(params, node.Input<int8_t>(kLogits), label, node.State(kStateInput),
                node.Input<float>(kScales), node.Output<int8_t>(kGrad), node.Output<float>(kLoss),
                memory.scratch) ||
           node.CheckFields({{"label", label, 0, params.classes - 1}});
  }
};

}  // namespace

TFLMRegistration Register_TRAIN_LOSS() { return TrainingOp<LossOp>::Registration(); }

}  // namespace tflm_train
