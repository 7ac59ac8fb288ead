// CONV_INPUT_GRAD and DEPTHWISE_INPUT_GRAD.

#include "tflm_kernels/conv_input_grad.h"
#include "tflm_kernels/depthwise_input_grad.h"
#include "tflm_kernels/micro/train_ops.h"
#include "tflm_kernels/micro/training_op.h"
#include "tflm_kernels/update.h"

namespace tflm_train {
namespace {

// The tensors are the same for both; only weights and multipliers differ in kind.
template <typename Multiplier, typename Params, typename Kernel>
bool RunInputGrad(const Params& params, const OpNode& node, const OpMemory& memory,
                  const Kernel& kernel) {
  using In = ConvInputGradTensors::In;
  const Geometry& g = params.geometry;
  if (node.HasInput(In::kBias)) {
    const BiasUpdateParams update = {{},      g.out_h * g.out_w, g.out_c, params.slot_in,
                                     kNoMark, {1, 0, 0, 0, 0}};  // a step for each sample
    BiasUpdate(update, node.Input<int8_t>(In::kGradient), *node.State(),
               node.Input<float>(In::kScales), node.Input<float>(In::kBiasFactors),
               node.Input<int32_t>(In::kBias), nullptr);
  }
  kernel(params, node.Input<int8_t>(In::kGradient), node.Input<int8_t>(In::kWeights),
         node.Input<int8_t>(In::kColumns), node.Input<int16_t>(In::kChannels),
         node.Input<Multiplier>(In::kMultipliers), node.Input<float>(In::kScales),
         node.Input<float>(In::kRanges), node.Input<void>(In::kMask),
         node.Input<int8_t>(In::kAddend), node.Output<int8_t>(ConvInputGradTensors::Out::kGradient),
         memory.scratch);
  return true;
}

struct ConvInputGradOp : OpDefaults, ConvInputGradTensors {
  static size_t ScratchBytes(const Params& params) { return ConvInputGradScratchBytes(params); }

  static bool Run(const Params& params, const OpNode& node, const OpMemory& memory) {
    return RunInputGrad<int8_t>(params, node, memory, ConvInputGrad);
  }
};

struct DepthwiseInputGradOp : OpDefaults, DepthwiseInputGradTensors {
  static size_t ScratchBytes(const Params& params) {
    return DepthwiseInputGradScratchBytes(params);
  }

  static bool Run(const Params& params, const OpNode& node, const OpMemory& memory) {
    return RunInputGrad<int32_t>(params, node, memory, DepthwiseInputGrad);
  }
};

}  // namespace

TFLMRegistration Register_TRAIN_CONV_INPUT_GRAD() {
  return TrainingOp<ConvInputGradOp>::Registration();
}

TFLMRegistration Register_TRAIN_DEPTHWISE_INPUT_GRAD() {
  return TrainingOp<DepthwiseInputGradOp>::Registration();
}

}  // namespace tflm_train
