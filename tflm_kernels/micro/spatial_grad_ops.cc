// MAX_POOL_GRAD, RESIZE_GRAD and L2_NORM_GRAD.

#include "tflm_kernels/l2_norm_grad.h"
#include "tflm_kernels/max_pool_grad.h"
#include "tflm_kernels/micro/train_ops.h"
#include "tflm_kernels/micro/training_op.h"
#include "tflm_kernels/resize_grad.h"

namespace tflm_train {
namespace {

struct MaxPoolGradOp : OpDefaults, MaxPoolGradTensors {
  static size_t ScratchBytes(const Params& params) { return MaxPoolGradScratchBytes(params); }

  static bool Run(const Params& params, const OpNode& node, const OpMemory& memory) {
    MaxPoolGrad(params, node.Input<int8_t>(In::kGradient), node.Input<int8_t>(In::kX),
                node.Input<int8_t>(In::kY), node.Input<float>(In::kScales),
                node.Input<float>(In::kRanges), node.Input<void>(In::kMask),
                node.Output<int8_t>(Out::kGradient), memory.scratch);
    return true;
  }
};

struct ResizeGradOp : OpDefaults, ResizeGradTensors {
  // The constant tables name positions of the input, and the sums fit an int32.
  static bool Check(const Params& params, const OpNode& node) {
    const int32_t tallest =
        LargestResizeWeight(node.Input<int16_t>(In::kRows), params.out_h, params.in_h);
    const int32_t widest =
        LargestResizeWeight(node.Input<int16_t>(In::kColumns), params.out_w, params.in_w);
    return node.CheckFields({{"rows", tallest, 1, INT32_MAX},
                             {"columns", widest, 1, INT32_MAX},
                             {"sum of weights", Product({tallest, widest}), 1, INT32_MAX / 127}});
  }

  static size_t ScratchBytes(const Params& params) { return ResizeGradScratchBytes(params); }

  static bool Run(const Params& params, const OpNode& node, const OpMemory& memory) {
    ResizeGrad(params, node.Input<int8_t>(In::kGradient), node.Input<int16_t>(In::kRows),
               node.Input<int16_t>(In::kColumns), node.Input<float>(In::kScales),
               node.Input<float>(In::kRanges), node.Input<void>(In::kMask),
               node.Input<int8_t>(In::kAddend), node.Output<int8_t>(Out::kGradient),
               memory.scratch);
    return true;
  }
};

struct L2NormGradOp : OpDefaults, L2NormGradTensors {
  static size_t ScratchBytes(const Params& params) { return L2NormGradScratchBytes(params); }

  static bool Run(const Params& params, const OpNode& node, const OpMemory& memory) {
    L2NormGrad(params, node.Input<int8_t>(In::kGradient), node.Input<int8_t>(In::kX),
               node.Input<int8_t>(In::kY), node.Input<float>(In::kScales),
               node.Input<float>(In::kRanges), node.Input<void>(In::kMask),
               node.Output<int8_t>(Out::kGradient), memory.scratch);
    return true;
  }
};

}  // namespace

TFLMRegistration Register_TRAIN_MAX_POOL_GRAD() {
  return TrainingOp<MaxPoolGradOp>::Registration();
}
TFLMRegistration Register_TRAIN_RESIZE_GRAD() { return TrainingOp<ResizeGradOp>::Registration(); }
TFLMRegistration Register_TRAIN_L2_NORM_GRAD() { return TrainingOp<L2NormGradOp>::Registration(); }

}  // namespace tflm_train
