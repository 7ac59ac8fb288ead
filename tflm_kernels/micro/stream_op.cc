// STREAM: a run of frozen layers, or one layer whose requantization constants
// lie in flash.

#include "tflm_kernels/micro/train_ops.h"
#include "tflm_kernels/micro/training_op.h"
#include "tflm_kernels/stream.h"

namespace tflm_train {
namespace {

struct StreamOp : OpDefaults {
  using Params = StreamProgram;
  static constexpr const char* kName = "TFLM_TRAIN_STREAM";
  static constexpr int kStateInput = kAlwaysRuns;
  enum { kX };  // behind it the constants of the stages
  enum { kY, kOutputs };
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
    int32_t constants = 0;
    for (int32_t i = 0; i < program.count(); ++i) {
      if (!CheckStage(program, i, node, &constants)) return false;
    }
    if (!node.CheckCounts(kX + 1 + constants, kOutputs)) return false;
    return FindSmallRing(program) < 0 || node.Fail("a ring buffer holds too few rows");
  }

  static size_t ScratchBytes(const Params& program) { return StreamScratchBytes(program); }

  static bool Run(const Params& program, const OpNode& node, const OpMemory& memory) {
    Stream(program, node.Input<int8_t>(kX), NodeConstants(node), node.Output<int8_t>(kY),
           memory.scratch);
    return true;
  }

 private:
  class NodeConstants final : public StreamConstants {
   public:
    explicit NodeConstants(const OpNode& node) : node_(node) {}
    StageConstants Of(const StreamStage& stage) const override {
      const int first = stage.first_constant;
      const int32_t* const multiplier = node_.Input<int32_t>(first + kRequantization);
      return {node_.Input<int8_t>(first + kWeights), multiplier, multiplier + stage.geometry.out_c,
              node_.Input<int32_t>(first + kBias)};
    }

   private:
    const OpNode& node_;
  };

  // A stage by itself and against those before it; counts its constants.
  static bool CheckStage(const Params& program, int32_t index, const OpNode& node,
                         int32_t* constants) {
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
    const int32_t first = kX + 1 + *constants;
    *constants += kConstants;
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
