// STREAM: a run of layers, or one layer whose requantization constants lie in
// flash.

#include "tflm_kernels/micro/train_ops.h"
#include "tflm_kernels/micro/training_op.h"
#include "tflm_kernels/stream.h"

namespace tflm_train {
namespace {

struct StreamOp : OpDefaults {
  using Params = StreamProgram;
  static constexpr const char* kName = "TFLM_TRAIN_STREAM";
  static constexpr int kStateInput = kAlwaysRuns;
  enum { kX };  // behind it the constants of the stages, channel lists, the state
  enum { kY };  // behind it masks and kept channels of the stages
  enum { kWeights, kRequantization, kBias, kConstants };

  template <typename Program>
  static bool CheckOptions(const OpNode& node, const char* options, uint32_t length) {
    const size_t stages = length < sizeof(OpHeader) + sizeof(StreamStage)
                              ? 1
                              : (length - sizeof(OpHeader)) / sizeof(StreamStage);
    return node.CheckHeader(options, length, Program::kKind,
                            sizeof(OpHeader) + stages * sizeof(StreamStage)) &&
           node.CheckFields({{"stages", static_cast<int32_t>(stages), 1, kMaxStreamStages}});
  }

  template <typename Program>
  static Program ReadOptions(const char* options, uint32_t length) {
    return {options, length};
  }

  static bool Check(const Params& program, const OpNode& node) {
    Count next = {kX + 1, kY + 1};
    for (int32_t i = 0; i < program.count(); ++i) {
      if (!CheckStage(program, i, node, &next)) return false;
    }
    for (int32_t i = 0; i < program.count(); ++i) {
      if (!CheckKept(program, i, node, &next)) return false;
    }
    const int32_t state = StateInput(program, node);
    if (state >= 0 && !node.CheckState(next.inputs++)) return false;
    if (!node.CheckCounts(next.inputs, next.outputs)) return false;
    return FindSmallRing(program) < 0 || node.Fail("a ring buffer holds too few rows");
  }

  static size_t ScratchBytes(const Params& program) { return StreamScratchBytes(program); }

  static bool Run(const Params& program, const OpNode& node, const OpMemory& memory) {
    const int32_t state = StateInput(program, node);
    const bool is_training = state >= 0 && node.State(state)->training != 0;
    Stream(program, node.Input<int8_t>(kX), NodeConstants(node, is_training),
           node.Output<int8_t>(kY), memory.scratch);
    return true;
  }

 private:
  // Tensors that belong to the stages before.
  struct Count {
    int32_t inputs, outputs;
  };

  class NodeConstants final : public StreamConstants {
   public:
    NodeConstants(const OpNode& node, bool is_training) : node_(node), is_training_(is_training) {}
    StageConstants Of(const StreamStage& stage) const override {
      const int first = stage.first_constant;
      const int32_t* const multiplier = node_.Input<int32_t>(first + kRequantization);
      return {node_.Input<int8_t>(first + kWeights), multiplier, multiplier + stage.geometry.out_c,
              node_.Input<int32_t>(first + kBias)};
    }

    StageOutputs OutputsOf(const StreamStage& stage) const override {
      StageOutputs outputs = {};
      if (stage.mask_output != 0 && is_training_) {
        outputs.mask = node_.Output<uint8_t>(stage.mask_output);
      }
      if (stage.kept_output != 0 && (is_training_ || stage.kept_list == 0)) {
        outputs.kept = node_.Output<int8_t>(stage.kept_output);
      }
      if (stage.kept_list != 0) outputs.channels = node_.Input<int16_t>(stage.kept_list);
      return outputs;
    }

   private:
    const OpNode& node_;
    const bool is_training_;
  };

  // The last input where a stage writes something for training only; -1: none does.
  static int32_t StateInput(const Params& program, const OpNode& node) {
    for (int32_t i = 0; i < program.count(); ++i) {
      const StreamStage stage = program.Stage(i);
      if (stage.mask_output != 0 || stage.kept_list != 0) return node.input_count() - 1;
    }
    return -1;
  }

  // A stage by itself and against those before it; counts its constants.
  static bool CheckStage(const Params& program, int32_t index, const OpNode& node, Count* next) {
    const StreamStage stage = program.Stage(index);
    const Geometry& g = stage.geometry;
    const OutputParams& o = stage.output;
    const bool is_last = index == program.count() - 1;
    if (!node.CheckGeometry(g) ||
        !node.CheckFields({{"stage_kind", stage.stage_kind, kStageConv, kStageAdd},
                           {"x_zero_point", o.x_zero_point, -128, 127},
                           {"y_zero_point", o.y_zero_point, -128, 127},
                           {"act_min", o.act_min, -128, 127},
                           {"act_max", o.act_max, o.act_min, 127},
                           {"ring_rows", stage.ring_rows, is_last ? g.out_h : 1, g.out_h}}) ||
        !CheckSource(program, "source", stage.source, index, g, node)) {
      return false;
    }
    if (is_last && !node.CheckOutput(kY, "output", kTfLiteInt8, OutputElements(g))) return false;
    if (stage.stage_kind == kStageAdd) return CheckAdd(program, stage, index, node);
    const int32_t first = next->inputs;
    next->inputs += kConstants;
    const bool is_conv = stage.stage_kind == kStageConv;
    const int32_t weights = Product({g.out_c, g.k_h, g.k_w, is_conv ? g.in_c : 1});
    return node.CheckFields({{"first_constant", stage.first_constant, first, first},
                             {"multiplier", stage.multiplier, 1, is_conv ? 1 : g.out_c},
                             {"in_c * multiplier", Product({g.in_c, stage.multiplier}),
                              is_conv ? 1 : g.out_c, is_conv ? INT32_MAX : g.out_c}}) &&
           node.CheckInput(first + kWeights, "weights", kTfLiteInt8, weights) &&
           node.CheckInput(first + kRequantization, "multipliers and shifts", kTfLiteInt32,
                           Product({2, g.out_c})) &&
           (!node.HasInput(first + kBias) ||
            node.CheckInput(first + kBias, "bias", kTfLiteInt32, g.out_c));
  }

  // The further outputs of a stage, in the order of the stages; counts them and the lists.
  static bool CheckKept(const Params& program, int32_t index, const OpNode& node, Count* next) {
    const StreamStage stage = program.Stage(index);
    const Geometry& g = stage.geometry;
    if (stage.mask_output != 0) {
      if (!node.CheckFields({{"mask_output", stage.mask_output, next->outputs, next->outputs}}) ||
          !node.CheckOutput(next->outputs++, "mask", kTfLiteUInt8, (OutputElements(g) + 7) / 8)) {
        return false;
      }
    }
    if (stage.kept_output == 0) {
      return node.CheckFields(
          {{"kept_channels", stage.kept_channels, 0, 0}, {"kept_list", stage.kept_list, 0, 0}});
    }
    const bool is_last = index == program.count() - 1;
    if (!node.CheckFields({{"kept_output", stage.kept_output, next->outputs, next->outputs},
                           {"kept_channels", stage.kept_channels, 1, g.out_c - is_last}}) ||
        !node.CheckOutput(next->outputs++, "kept channels", kTfLiteInt8,
                          Product({g.out_h, g.out_w, stage.kept_channels}))) {
      return false;
    }
    if (IsKeptWhole(stage)) {
      return node.CheckFields(
          {{"ring_rows", stage.ring_rows, g.out_h, g.out_h}, {"kept_list", stage.kept_list, 0, 0}});
    }
    const int32_t list = next->inputs++;
    return node.CheckFields({{"kept_list", stage.kept_list, list, list}}) &&
           node.CheckChannels(list, stage.kept_channels, g.out_c);
  }

  static bool CheckAdd(const Params& program, const StreamStage& stage, int32_t index,
                       const OpNode& node) {
    const Geometry& g = stage.geometry;
    const AddParams& add = stage.add;
    return node.CheckFields({{"out_h", g.out_h, g.in_h, g.in_h},
                             {"out_w", g.out_w, g.in_w, g.in_w},
                             {"out_c", g.out_c, g.in_c, g.in_c},
                             {"k_h", g.k_h, 1, 1},
                             {"stride_h", g.stride_h, 1, 1},
                             {"pad_t", g.pad_t, 0, 0},
                             {"addend_zero_point", add.addend_zero_point, -128, 127},
                             {"x_multiplier", add.x_multiplier, 0, INT32_MAX},
                             {"x_shift", add.x_shift, -31, 0},
                             {"addend_multiplier", add.addend_multiplier, 0, INT32_MAX},
                             {"addend_shift", add.addend_shift, -31, 0},
                             {"y_multiplier", add.y_multiplier, 0, INT32_MAX},
                             {"y_shift", add.y_shift, -31, 0}}) &&
           CheckSource(program, "addend", stage.addend, index, g, node);
  }

  // `source` is the op's input or an earlier stage, of the size that `g` reads.
  static bool CheckSource(const Params& program, const char* role, int32_t source, int32_t index,
                          const Geometry& g, const OpNode& node) {
    if (!node.CheckFields({{role, source, kStreamInput, index - 1}})) return false;
    if (source == kStreamInput) {
      return node.CheckInput(kX, "input", kTfLiteInt8, InputElements(g));
    }
    const Geometry& from = program.Stage(source).geometry;
    return node.CheckFields({{"in_h", g.in_h, from.out_h, from.out_h},
                             {"in_w", g.in_w, from.out_w, from.out_w},
                             {"in_c", g.in_c, from.out_c, from.out_c}});
  }
};

}  // namespace

TFLMRegistration Register_TRAIN_STREAM() { return TrainingOp<StreamOp>::Registration(); }

}  // namespace tflm_train
