// CONV_UPDATE, DEPTHWISE_UPDATE and BIAS_UPDATE.

#include "tflm_kernels/micro/train_ops.h"
#include "tflm_kernels/micro/training_op.h"
#include "tflm_kernels/update.h"

namespace tflm_train {
namespace {

// The tensors are the same for both kinds of layer. update: ConvUpdate or DepthwiseUpdate.
template <typename Params, typename Update>
bool RunUpdate(const Params& params, const OpNode& node, const OpMemory& memory,
               const Update& update) {
  using In = ConvUpdateTensors::In;
  const float* const kw = node.Input<float>(In::kFactors);
  const float* const kb = kw + params.geometry.out_c;
  update(params, node.Input<int8_t>(In::kX), node.Input<int8_t>(In::kGradient), *node.State(),
         node.Input<float>(In::kScales), kw, kb,
         {node.Input<int8_t>(In::kWeights), node.Input<int32_t>(In::kBias),
          node.Input<int8_t>(In::kResidual), node.Input<int8_t>(In::kGathered),
          node.Input<int32_t>(In::kBiasGathered)},
         node.Input<int16_t>(In::kChannels), memory.scratch);
  *node.Output<int8_t>(ConvUpdateTensors::Out::kToken) = 1;
  return true;
}

struct ConvUpdateOp : OpDefaults, ConvUpdateTensors {
  static size_t ScratchBytes(const Params& params) { return ConvUpdateScratchBytes(params); }

  static bool Run(const Params& params, const OpNode& node, const OpMemory& memory) {
    return RunUpdate(params, node, memory, ConvUpdate);
  }
};

struct DepthwiseUpdateOp : OpDefaults, DepthwiseUpdateTensors {
  static size_t ScratchBytes(const Params& params) { return DepthwiseUpdateScratchBytes(params); }

  static bool Run(const Params& params, const OpNode& node, const OpMemory& memory) {
    return RunUpdate(params, node, memory, DepthwiseUpdate);
  }
};

struct BiasUpdateOp : OpDefaults, BiasUpdateTensors {
  static bool Run(const Params& params, const OpNode& node, const OpMemory&) {
    BiasUpdate(params, node.Input<int8_t>(In::kGradient), *node.State(),
               node.Input<float>(In::kScales), node.Input<float>(In::kFactors),
               node.Input<int32_t>(In::kBias), node.Input<int32_t>(In::kBiasGathered));
    *node.Output<int8_t>(Out::kToken) = 1;
    return true;
  }
};

}  // namespace

TFLMRegistration Register_TRAIN_CONV_UPDATE() { return TrainingOp<ConvUpdateOp>::Registration(); }
TFLMRegistration Register_TRAIN_DEPTHWISE_UPDATE() {
  return TrainingOp<DepthwiseUpdateOp>::Registration();
}
TFLMRegistration Register_TRAIN_BIAS_UPDATE() { return TrainingOp<BiasUpdateOp>::Registration(); }

}  // namespace tflm_train
