// SPLIT_CONV, SPLIT_DEPTHWISE and CHANNEL_SAVE.

#include "tflm_kernels/data_movement.h"
#include "tflm_kernels/micro/train_ops.h"
#include "tflm_kernels/micro/training_op.h"
#include "tflm_kernels/split_conv.h"

namespace tflm_train {
namespace {

// The tensors are the same for both; only sizes differ.
struct SplitOp : OpDefaults {
  enum { kX, kWeights, kColumns, kChannels, kBias, kMultiplier, kShift, kInputs };
  enum { kY, kOutputs };
  static constexpr bool kAlwaysRuns = true;

  template <typename Params>
  static bool CheckTensors(const Params& params, const OpNode& node, int32_t weights,
                           int32_t columns, int32_t listed, int32_t channels) {
    const Geometry& g = params.geometry;
    const OutputParams& o = params.output;
    return node.CheckFields({{"x_zero_point", o.x_zero_point, -128, 127},
                             {"y_zero_point", o.y_zero_point, -128, 127},
                             {"act_min", o.act_min, -128, 127},
                             {"act_max", o.act_max, o.act_min, 127}}) &&
           node.CheckInput(kX, "input", kTfLiteInt8, InputElements(g)) &&
           node.CheckInput(kWeights, "constant weights", kTfLiteInt8, weights) &&
           node.CheckInput(kColumns, "columns", kTfLiteInt8, columns) &&
           node.CheckChannels(kChannels, listed, channels) &&
           node.CheckInput(kMultiplier, "multipliers", kTfLiteInt32, g.out_c) &&
           node.CheckInput(kShift, "shifts", kTfLiteInt32, g.out_c) &&
           (!node.HasInput(kBias) || node.CheckInput(kBias, "bias", kTfLiteInt32, g.out_c)) &&
           node.CheckOutput(kY, "output", kTfLiteInt8, OutputElements(g));
  }

  // kernel: SplitConv or SplitDepthwise.
  template <typename Params, typename Kernel>
  static bool RunKernel(const Params& params, const OpNode& node, const OpMemory& memory,
                        const Kernel& kernel) {
    kernel(params, node.Input<int8_t>(kX), node.Input<int8_t>(kWeights),
           node.Input<int8_t>(kColumns), node.Input<int16_t>(kChannels),
           node.Input<int32_t>(kMultiplier), node.Input<int32_t>(kShift),
           node.Input<int32_t>(kBias), node.Output<int8_t>(kY), memory.scratch);
    return true;
  }
};

struct SplitConvOp : SplitOp {
  using Params = SplitConvParams;
  static constexpr const char* kName = "TFLM_TRAIN_SPLIT_CONV";

  static bool Check(const Params& params, const OpNode& node) {
    const Geometry& g = params.geometry;
    return node.CheckCounts(kInputs, kOutputs) && node.CheckGeometry(g) &&
           node.CheckFields({{"kept", params.kept, 1, g.in_c - 1}}) &&
           CheckTensors(params, node, Product({g.out_c, g.k_h, g.k_w, g.in_c - params.kept}),
                        Product({g.out_c, g.k_h, g.k_w, params.kept}), g.in_c, g.in_c);
  }

  static size_t ScratchBytes(const Params& params) { return SplitConvScratchBytes(params); }

  static bool Run(const Params& params, const OpNode& node, const OpMemory& memory) {
    return RunKernel(params, node, memory, SplitConv);
  }
};

struct SplitDepthwiseOp : SplitOp {
  using Params = SplitDepthwiseParams;
  static constexpr const char* kName = "TFLM_TRAIN_SPLIT_DEPTHWISE";

  static bool Check(const Params& params, const OpNode& node) {
    const Geometry& g = params.geometry;
    return node.CheckCounts(kInputs, kOutputs) && node.CheckGeometry(g) &&
           node.CheckFields(
               {{"kept", params.kept, 1, g.out_c - 1},
                {"multiplier", params.multiplier, 1, g.out_c},
                {"in_c * multiplier", Product({g.in_c, params.multiplier}), g.out_c, g.out_c}}) &&
           CheckTensors(params, node, Product({g.k_h, g.k_w, g.out_c}),
                        Product({g.k_h, g.k_w, params.kept}), params.kept, g.out_c);
  }

  static size_t ScratchBytes(const Params& params) { return SplitDepthwiseScratchBytes(params); }

  static bool Run(const Params& params, const OpNode& node, const OpMemory& memory) {
    return RunKernel(params, node, memory, SplitDepthwise);
  }
};

struct ChannelSaveOp : OpDefaults {
  using Params = ChannelSaveParams;
  static constexpr const char* kName = "TFLM_TRAIN_CHANNEL_SAVE";
  enum { kValues, kChannels, kStateInput, kInputs };
  enum { kSaved, kOutputs };

  static bool Check(const Params& params, const OpNode& node) {
    return node.CheckCounts(kInputs, kOutputs) &&
           node.CheckFields({{"positions", params.positions, 1, INT32_MAX},
                             {"channels", params.channels, 1, INT32_MAX},
                             {"kept", params.kept, 1, params.channels}}) &&
           node.CheckInput(kValues, "values", kTfLiteInt8,
                           Product({params.positions, params.channels})) &&
           node.CheckChannels(kChannels, params.kept, params.channels) &&
           node.CheckOutput(kSaved, "saved channels", kTfLiteInt8,
                            Product({params.positions, params.kept}));
  }

  static Marks Reads(const Params& params) { return {params.mark_in}; }
  static int32_t Writes(const Params& params) { return params.mark_out; }

  static bool Run(const Params& params, const OpNode& node, const OpMemory&) {
    ChannelSave(params, node.Input<int8_t>(kValues), node.Input<int16_t>(kChannels),
                node.Output<int8_t>(kSaved));
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
