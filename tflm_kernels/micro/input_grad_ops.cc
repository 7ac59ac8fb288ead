// CONV_INPUT_GRAD and DEPTHWISE_INPUT_GRAD.

#include "tflm_kernels/conv_input_grad.h"
#include "tflm_kernels/depthwise_input_grad.h"
#include "tflm_kernels/micro/train_ops.h"
#include "tflm_kernels/micro/training_op.h"
#include "tflm_kernels/update.h"

namespace tflm_train {
namespace {

// Longest sum of int8 * int8 * int8 products that is sure to fit int32.
constexpr int32_t kMaxSumLength = 1048;

// The tensors are the same for both; only weights and multipliers differ in
// kind.
struct InputGradOp : OpDefaults {
  enum {
    kGradOut,
    kWeights,
    kMultipliers,
    kColumns,
    kChannels,
    kMask,
    kAddend,
    // Both or none: the layer's bias, updated in the same op.
    kBiasFactors,
    kBias,
    kScales,
    kRanges,
    kStateInput,
    kInputs
  };
  enum { kGradIn, kOutputs };

  template <typename Params>
  static Marks Reads(const Params& params) {
    return {params.slot_in, params.mask.mark, params.slot_addend};
  }
  template <typename Params>
  static int32_t Writes(const Params& params) {
    return params.slot_out;
  }

  template <typename Params>
  static bool CheckBias(const Params& params, const OpNode& node) {
    const Geometry& g = params.geometry;
    if (!node.HasInput(kBias)) return node.CheckAbsent(kBiasFactors, "bias factors");
    return node.CheckFields(
               {{"output positions", Product({g.out_h, g.out_w}), 1, INT32_MAX / 128}}) &&
           node.CheckInput(kBiasFactors, "bias factors", kTfLiteFloat32, g.out_c) &&
           node.CheckVariable(kBias, "bias", kTfLiteInt32, g.out_c);
  }

  template <typename Params>
  static void UpdateBias(const Params& params, const OpNode& node) {
    if (!node.HasInput(kBias)) return;
    const Geometry& g = params.geometry;
    const BiasUpdateParams update = {{}, g.out_h * g.out_w, g.out_c, params.slot_in, kNoMark};
    BiasUpdate(update, node.Input<int8_t>(kGradOut), *node.State(), node.Input<float>(kScales),
               node.Input<float>(kBiasFactors), node.Input<int32_t>(kBias));
  }

  template <typename Params>
  static bool CheckTensors(const Params& params, const OpNode& node, int32_t weights,
                           int32_t columns, int32_t listed, int32_t channels,
                           TfLiteType multiplier_type) {
    const Geometry& g = params.geometry;
    if (params.kept == 0) {
      if (!node.CheckAbsent(kColumns, "columns") || !node.CheckAbsent(kChannels, "channels")) {
        return false;
      }
    } else if (!node.CheckInput(kColumns, "columns", kTfLiteInt8, columns) ||
               !node.CheckChannels(kChannels, listed, channels)) {
      return false;
    }
    const int32_t size = InputElements(g);
    if (!node.CheckInput(kGradOut, "output gradient", kTfLiteInt8, OutputElements(g)) ||
        !node.CheckInput(kWeights, "weights", kTfLiteInt8, weights) ||
        !node.CheckInput(kMultipliers, "multipliers", multiplier_type, g.out_c) ||
        !node.CheckSlots(kScales, "scales", {params.slot_in, params.slot_out}) ||
        !node.CheckSlots(kRanges, "ranges", {params.slot_out}) ||
        !node.CheckMask(kMask, params.mask, size) ||
        !node.CheckOutput(kGradIn, "input gradient", kTfLiteInt8, size) ||
        !CheckBias(params, node)) {
      return false;
    }
    if (params.slot_addend == -1) return node.CheckAbsent(kAddend, "addend");
    return node.CheckInput(kAddend, "addend", kTfLiteInt8, size) &&
           node.CheckSlots(kScales, "scales", {params.slot_addend});
  }
};

struct ConvInputGradOp : InputGradOp {
  using Params = ConvInputGradParams;
  static constexpr const char* kName = "TFLM_TRAIN_CONV_INPUT_GRAD";

  static bool Check(const Params& params, const OpNode& node) {
    const Geometry& g = params.geometry;
    if (!node.CheckCounts(kInputs, kOutputs) || !node.CheckGeometry(g) ||
        !node.CheckFields({{"group", params.group, 1, INT32_MAX},
                           {"group_shift", params.group_shift, 0, 30},
                           {"transposed", params.transposed, 0, 1}})) {
      return false;
    }
    const int32_t group = params.group < g.out_c ? params.group : g.out_c;
    const int32_t groups = (g.out_c + group - 1) / group;
    return node.CheckFields(
               {{"group * k_h * k_w", Product({group, g.k_h, g.k_w}), 1, kMaxSumLength},
                {"number of groups", groups, 1, 1 << params.group_shift}}) &&
           node.CheckFields({{"kept", params.kept, 0, g.in_c - 1}}) &&
           CheckTensors(params, node, Product({g.out_c, g.k_h, g.k_w, g.in_c - params.kept}),
                        Product({g.out_c, g.k_h, g.k_w, params.kept}), g.in_c, g.in_c, kTfLiteInt8);
  }

  static size_t ScratchBytes(const Params& params) { return ConvInputGradScratchBytes(params); }

  static bool Run(const Params& params, const OpNode& node, const OpMemory& memory) {
    UpdateBias(params, node);
    ConvInputGrad(params, node.Input<int8_t>(kGradOut), node.Input<int8_t>(kWeights),
                  node.Input<int8_t>(kColumns), node.Input<int16_t>(kChannels),
                  node.Input<int8_t>(kMultipliers), node.Input<float>(kScales),
                  node.Input<float>(kRanges), node.Input<void>(kMask), node.Input<int8_t>(kAddend),
                  node.Output<int8_t>(kGradIn), memory.scratch);
    return true;
  }
};

struct DepthwiseInputGradOp : InputGradOp {
  using Params = DepthwiseInputGradParams;
  static constexpr const char* kName = "TFLM_TRAIN_DEPTHWISE_INPUT_GRAD";

  static bool Check(const Params& params, const OpNode& node) {
    const Geometry& g = params.geometry;
    if (!node.CheckCounts(kInputs, kOutputs) || !node.CheckGeometry(g) ||
        !node.CheckFields(
            {{"multiplier", params.multiplier, 1, g.out_c},
             {"in_c * multiplier", Product({g.in_c, params.multiplier}), g.out_c, g.out_c}})) {
      return false;
    }
    const int32_t sum_length = Product({g.k_h, g.k_w, params.multiplier});
    return node.CheckFields({{"k_h * k_w * multiplier", sum_length, 1, INT32_MAX / (127 * 128)}}) &&
           node.CheckFields({{"kept", params.kept, 0, g.out_c - 1}}) &&
           CheckTensors(params, node, Product({g.k_h, g.k_w, g.out_c}),
                        Product({g.k_h, g.k_w, params.kept}), params.kept, g.out_c, kTfLiteInt32);
  }

  static size_t ScratchBytes(const Params& params) {
    return DepthwiseInputGradScratchBytes(params);
  }

  static bool Run(const Params& params, const OpNode& node, const OpMemory& memory) {
    UpdateBias(params, node);
    DepthwiseInputGrad(params, node.Input<int8_t>(kGradOut), node.Input<int8_t>(kWeights),
                       node.Input<int8_t>(kColumns), node.Input<int16_t>(kChannels),
                       node.Input<int32_t>(kMultipliers), node.Input<float>(kScales),
                       node.Input<float>(kRanges), node.Input<void>(kMask),
                       node.Input<int8_t>(kAddend), node.Output<int8_t>(kGradIn), memory.scratch);
    return true;
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
