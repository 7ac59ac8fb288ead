// FINISH: ends every Invoke. It reads the tokens of all updates, so that every op
// of a training step comes before it, and hands loss and state to the outside.
// It names all variables, so that their memory is theirs to the end; in a model
// that trains from latents also the latent and, behind it, the source.

#include "tflm_kernels/micro/train_ops.h"
#include "tflm_kernels/micro/training_op.h"

namespace tflm_train {
namespace {

struct FinishOp : OpDefaults, FinishTensors {
  static constexpr bool kAlwaysRuns = true;

  static bool Check(const Params& params, const OpNode& node) {
    if (node.InputTensor(In::kHandle)->data.data != nullptr) {
      return node.Fail("the handle is a constant");
    }
    return node.CheckMark(params.marks - 1) &&
           (!HasLatent(node) || node.InputTensor(kLatent) != nullptr ||
            node.Fail("it has a source, but no latent"));
  }

  static bool Run(const Params& params, const OpNode& node, const OpMemory&) {
    LiveState* const live = node.State();
    if (live->training != 0 && !StepMarks(live).HasAll(params.marks)) {
      return node.Fail("a part of the step has not run: the operators are in a wrong order");
    }
    *node.Output<float>(Out::kLoss) = live->loss;
    TrainState* const handle = node.Input<TrainState>(In::kHandle);
    handle->step = live->step;
    handle->loss = live->loss;
    DescribeLatent(node, handle);
    // What runs before RESTORE in the next Invoke finds that it does not train.
    live->training = 0;
    return true;
  }

 private:
  static constexpr int kSource = In::kHandle - 1;
  static constexpr int kLatent = In::kHandle - 2;

  // Before the handle is the learning rate, or in a model with a latent its source.
  static bool HasLatent(const OpNode& node) {
    const TfLiteEvalTensor* const source = node.InputTensor(kSource);
    return source != nullptr && source->type == kTfLiteInt32;
  }

  static void DescribeLatent(const OpNode& node, TrainState* handle) {
    if (!HasLatent(node)) return;
    const TfLiteEvalTensor* const latent = node.InputTensor(kLatent);
    const uint64_t address = reinterpret_cast<uintptr_t>(latent->data.data);
    handle->latent_lo = static_cast<uint32_t>(address);
    handle->latent_hi = static_cast<uint32_t>(address >> 32);
    handle->latent_bytes = static_cast<uint32_t>(ElementCount(*latent));
  }
};

}  // namespace

TFLMRegistration Register_TRAIN_FINISH() { return TrainingOp<FinishOp>::Registration(); }

}  // namespace tflm_train
