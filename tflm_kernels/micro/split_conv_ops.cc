// SPLIT_CONV, SPLIT_DEPTHWISE and CHANNEL_SAVE.

#include "tflm_kernels/data_movement.h"
#include "tflm_kernels/micro/train_ops.h"
#include "tflm_kernels/micro/training_op.h"
#include "tflm_kernels/split_conv.h"

namespace tflm_train {
namespace {

// The tensors are the same for both. kernel: SplitConv or SplitDepthwise.
template <typename Params, typename Kernel>
bool RunSplit(const Params& params, const OpNode& node, const OpMemory& memory,
              const Kernel& kernel) {
  using In = SplitConvTensors::In;
  kernel(params, node.Input<int8_t>(In::kX), node.Input<int8_t>(In::kWeights),
         node.Input<int8_t>(In::kColumns), node.Input<int16_t>(In::kChannels),
         node.Input<int32_t>(In::kMultipliers), node.Input<int32_t>(In::kShifts),
         node.Input<int32_t>(In::kBias), node.Output<int8_t>(SplitConvTensors::Out::kY),
         memory.scratch);
  return true;
}

struct SplitConvOp : OpDefaults, SplitConvTensors {
  static constexpr bool kAlwaysRuns = true;

  static size_t ScratchBytes(const Params& params) { return SplitConvScratchBytes(params); }

  static bool Run(const Params& params, const OpNode& node, const OpMemory& memory) {
    return RunSplit(params, node, memory, SplitConv);
  }
};

struct SplitDepthwiseOp : OpDefaults, SplitDepthwiseTensors {
  static constexpr bool kAlwaysRuns = true;

  static size_t ScratchBytes(const Params& params) { return SplitDepthwiseScratchBytes(params); }

  static bool Run(const Params& params, const OpNode& node, const OpMemory& memory) {
    return RunSplit(params, node, memory, SplitDepthwise);
  }
};

struct ChannelSaveOp : OpDefaults, ChannelSaveTensors {
  static bool Run(const Params& params, const OpNode& node, const OpMemory&) {
    ChannelSave(params, node.Input<int8_t>(In::kValues), node.Input<int16_t>(In::kChannels),
                node.Output<int8_t>(Out::kSaved));
    return true;
  }
};

}  // namespace

TFLMRegistration Register_TRAIN_SPLIT_CONV() { return TrainingOp<SplitConvOp>::Registration(); }
TFLMRegistration Register_TRAIN_SPLIT_DEPTHWISE() {
  return TrainingOp<SplitDepthwiseOp>::Registration();
}
TFLMRegistration Register_TRAIN_CHANNEL_SAVE() { return TrainingOp<ChannelSaveOp>::Registration(); }

}  // namespace tflm_train
