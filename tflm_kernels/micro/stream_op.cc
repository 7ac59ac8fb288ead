// STREAM: a run of layers, or one layer whose requantization constants lie in
// flash.

#include "tflm_kernels/micro/train_ops.h"
#include "tflm_kernels/micro/training_op.h"
#include "tflm_kernels/stream.h"

namespace tflm_train {
namespace {

struct StreamOp : OpDefaults, StreamTensors {
  using Params = StreamProgram;
  static constexpr bool kAlwaysRuns = true;
  static constexpr int32_t kNoBias = -1;
  static constexpr int32_t kMostWeights = 1 << 29;  // so that sums do not overflow
  static constexpr int32_t kMostRows = 1 << 29;     // likewise
  static constexpr int32_t kNoList = -1;
  static constexpr int32_t kMinShift = -31, kMaxShift = 30;

  static bool CheckOptions(const OpTable& table, const OpNode& node, const char* options,
                           uint32_t length) {
    const size_t stages = length < sizeof(OpHeader) + sizeof(StreamStage)
                              ? 1
                              : (length - sizeof(OpHeader)) / sizeof(StreamStage);
    return node.CheckHeader(options, length, table.kind,
                            sizeof(OpHeader) + stages * sizeof(StreamStage)) &&
           node.CheckFields({{"stages", static_cast<int32_t>(stages), 1, kMaxStreamStages}});
  }

  template <typename Program>
  static Program ReadOptions(const char* options, uint32_t length) {
    return {options, length};
  }

  static bool Check(const Params& program, const OpNode& node) {
    Count next = {In::kOwn, Out::kSaved, 0, 0};
    for (int32_t i = 0; i < program.count(); ++i) {
      if (!CheckStage(program, i, node, &next)) return false;
    }
    // ADDs alone have none, but an input that is left out might be lost at the end.
    const int32_t constants = next.constants > 0 ? next.constants : 1;
    if (!node.CheckInput(In::kConstants, "constants", kTfLiteInt8, constants)) return false;
    const TfLiteEvalTensor& own = *node.InputTensor(In::kConstants);
    if (reinterpret_cast<uintptr_t>(own.data.data) % sizeof(int32_t) != 0 ||
        own.data.data == nullptr) {
      return node.FailTensor("input", In::kConstants, "constants", "must be an aligned constant");
    }
    for (int32_t i = 0; i < program.count(); ++i) {
      if (!CheckScaling(program.Stage(i), node) || !CheckKept(program, i, node, &next))
        return false;
    }
    // What trains has the state as its last input; what is frozen may have the source.
    const bool trains = Trains(program);
    const int inputs = next.inputs + trains;
    const bool has_source = !trains && node.input_count() == inputs + 1;
    if (node.input_count() != inputs + has_source || node.output_count() != next.outputs) {
      return node.FailCounts(inputs, next.outputs);
    }
    if (has_source && !CheckSourceInput(node)) return false;
    if (trains && !CheckMarks(program, node)) return false;
    return FindSmallRing(program) < 0 || node.Fail("a ring buffer holds too few rows");
  }

  static size_t ScratchBytes(const Params& program) { return StreamScratchBytes(program); }

  static bool Run(const Params& program, const OpNode& node, const OpMemory& memory) {
    const bool trains = Trains(program);
    if (!trains && IsLeftOut(program, node)) return true;
    const bool is_training = trains && node.State()->training != 0;
    Stream(program, node.Input<int8_t>(In::kX), NodeConstants(node, is_training),
           node.Output<int8_t>(Out::kY), memory.scratch);
    if (is_training) SetMarks(program, StepMarks(node.State()));
    return true;
  }

 private:
  // Tensors that belong to the stages before.
  struct Count {
    int32_t inputs, outputs;
    int32_t constants;  // bytes
    int32_t rows;       // elements of all rings
  };

  // Where parts of a stage's constants begin, in bytes from its first: multipliers and
  // shifts, biases, weights. Each part is aligned.
  struct Layout {
    int32_t bias, weights, end;
  };

  static Layout LayoutOf(const StreamStage& stage) {
    const Geometry& g = stage.geometry;
    const int32_t words = static_cast<int32_t>(sizeof(int32_t)) * g.out_c;
    Layout layout;
    layout.bias = Aligned(2 * words);
    layout.weights = layout.bias + (stage.bias_input == 0 ? Aligned(words) : 0);
    layout.end = layout.weights;
    if (stage.weights_input == 0) layout.end += Aligned(WeightsOf(stage));
    return layout;
  }

  // How many there are without the columns of a convolution; a depthwise layer has all.
  static int32_t WeightsOf(const StreamStage& stage) {
    const Geometry& g = stage.geometry;
    const bool is_conv = stage.stage_kind == kStageConv;
    return Product({g.out_c, g.k_h, g.k_w, is_conv ? g.in_c - stage.columns : 1});
  }

  static int32_t Aligned(int32_t bytes) { return (bytes + 15) & ~15; }

  class NodeConstants final : public StreamConstants {
   public:
    NodeConstants(const OpNode& node, bool is_training) : node_(node), is_training_(is_training) {}
    StageConstants Of(const StreamStage& stage) const override {
      const Layout layout = LayoutOf(stage);
      const int8_t* const own = node_.Input<int8_t>(In::kConstants) + stage.constants;
      const int32_t* const multiplier = reinterpret_cast<const int32_t*>(own);
      StageConstants found = {own + layout.weights, multiplier, multiplier + stage.geometry.out_c,
                              reinterpret_cast<const int32_t*>(own + layout.bias)};
      if (stage.weights_input != 0) found.weights = node_.Input<int8_t>(stage.weights_input);
      if (stage.bias_input == kNoBias) found.bias = nullptr;
      if (stage.bias_input > 0) found.bias = node_.Input<int32_t>(stage.bias_input);
      if (stage.columns > 0) {
        found.columns = node_.Input<int8_t>(stage.columns_input);
        found.channels = node_.Input<int16_t>(stage.channels_input);
      }
      return found;
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

  // Whether a stage writes something for training only; then the state is the last input.
  static bool Trains(const Params& program) {
    for (int32_t i = 0; i < program.count(); ++i) {
      const StreamStage stage = program.Stage(i);
      if (stage.mask_output != 0 || stage.kept_list != 0) return true;
    }
    return false;
  }

  static bool CheckSourceInput(const OpNode& node) {
    const int last = node.input_count() - 1;
    return node.CheckInput(last, "source", kTfLiteInt32, 1) &&
           (node.Input<int32_t>(last) == nullptr ||
            node.FailTensor("input", last, "source", "is a constant, it must be a variable"));
  }

  // Whether a frozen op's output stays as it is: the step is from the latent.
  static bool IsLeftOut(const Params& program, const OpNode& node) {
    int inputs = In::kOwn;
    for (int32_t i = 0; i < program.count(); ++i) {
      const StreamStage stage = program.Stage(i);
      inputs += (stage.weights_input != 0) + (stage.bias_input > 0) + 2 * (stage.columns > 0);
    }
    return node.input_count() > inputs && *node.Input<int32_t>(-1) != 0;
  }

  static bool CheckMarks(const Params& program, const OpNode& node) {
    const int32_t words = node.HasInput(-1) ? ElementCount(*node.InputTensor(-1)) : 0;
    if (!node.CheckInput(node.input_count() - 1, "state", kTfLiteInt32,
                         words > kLiveWords ? words : kLiveWords + 1)) {
      return false;
    }
    for (int32_t i = 0; i < program.count(); ++i) {
      const StreamStage stage = program.Stage(i);
      if (!node.CheckMark(stage.mask_mark) || !node.CheckMark(stage.kept_mark)) return false;
    }
    return true;
  }

  static void SetMarks(const Params& program, const StepMarks& marks) {
    for (int32_t i = 0; i < program.count(); ++i) {
      const StreamStage stage = program.Stage(i);
      marks.Set(stage.mask_mark);
      marks.Set(stage.kept_mark);
    }
  }

  // The multipliers and shifts among the constants.
  static bool CheckScaling(const StreamStage& stage, const OpNode& node) {
    if (stage.stage_kind == kStageAdd) return true;
    const int32_t channels = stage.geometry.out_c;
    const int8_t* const own = node.Input<int8_t>(In::kConstants) + stage.constants;
    return node.CheckIntegers(In::kConstants, "multipliers",
                              {own, kTfLiteInt32, channels, 0, INT32_MAX, kNoList}) &&
           node.CheckIntegers(In::kConstants, "shifts",
                              {own + sizeof(int32_t) * channels, kTfLiteInt32, channels, kMinShift,
                               kMaxShift, kNoList});
  }

  // A stage by itself and against those before it; counts its constants.
  static bool CheckStage(const Params& program, int32_t index, const OpNode& node, Count* next) {
    const StreamStage stage = program.Stage(index);
    const Geometry& g = stage.geometry;
    const bool is_last = index == program.count() - 1;
    if (!CheckPart(kGeometryPart, Words(g), node) ||
        !CheckPart(kOutputPart, Words(stage.output), node) ||
        !CheckFields(kAddParamsTable, Words(stage.add), node) ||
        !CheckFields(kStreamStageTable, Words(stage), node) ||
        (is_last && !node.CheckFields({{"ring_rows", stage.ring_rows, g.out_h, g.out_h}})) ||
        !CheckSource(program, "source", stage.source, index, g, node)) {
      return false;
    }
    next->rows += Product({stage.ring_rows, g.out_w, g.out_c});
    if (!node.CheckFields({{"rows of all stages", next->rows, 1, kMostRows}})) return false;
    if (is_last && !node.CheckOutput(Out::kY, "output", kTfLiteInt8, OutputElements(g))) {
      return false;
    }
    if (stage.stage_kind == kStageAdd) {
      return CheckSource(program, "addend", stage.addend, index, g, node);
    }
    if (!node.CheckFields({{"constants", stage.constants, next->constants, next->constants}})) {
      return false;
    }
    next->constants += LayoutOf(stage).end;
    return node.CheckFields({{"constants", next->constants, 1, kMostWeights}}) &&
           (stage.bias_input == kNoBias ||
            CheckOwn(node, "bias_input", stage.bias_input, kTfLiteInt32, g.out_c, next)) &&
           CheckOwn(node, "weights_input", stage.weights_input, kTfLiteInt8, WeightsOf(stage),
                    next) &&
           CheckColumns(stage, node, next);
  }

  // A tensor of a stage's own, the next of the op's; 0: it has none.
  static bool CheckOwn(const OpNode& node, const char* role, int32_t input, TfLiteType type,
                       int32_t elements, Count* next) {
    if (input == 0) return true;
    return node.CheckFields({{role, input, next->inputs, next->inputs}}) &&
           node.CheckInput(next->inputs++, role, type, elements);
  }

  static bool CheckColumns(const StreamStage& stage, const OpNode& node, Count* next) {
    const Geometry& g = stage.geometry;
    const bool is_conv = stage.stage_kind == kStageConv;
    if (stage.columns == 0) {
      return node.CheckFields({{"columns_input", stage.columns_input, 0, 0},
                               {"channels_input", stage.channels_input, 0, 0}});
    }
    const int32_t size = Product({is_conv ? g.out_c : 1, g.k_h, g.k_w, stage.columns});
    const int32_t columns = next->inputs++, channels = next->inputs++;
    return node.CheckFields({{"columns_input", stage.columns_input, columns, columns},
                             {"channels_input", stage.channels_input, channels, channels}}) &&
           node.CheckInput(columns, "columns", kTfLiteInt8, size) &&
           CheckChannels(node, channels, is_conv ? g.in_c : stage.columns,
                         is_conv ? g.in_c : g.out_c,
                         is_conv ? g.in_c - stage.columns : stage.columns);
  }

  // A constant list of `elements` channels, each of them below `channels`; both the first
  // `first_run` and the others ascend.
  static bool CheckChannels(const OpNode& node, int input, int32_t elements, int32_t channels,
                            int32_t first_run) {
    if (!node.CheckInput(input, "channels", kTfLiteInt16, elements)) return false;
    const int16_t* const listed = node.Input<int16_t>(input);
    return listed == nullptr
               ? node.FailTensor("input", input, "channels", "must be a constant")
               : node.CheckIntegers(input, "channels",
                                    {listed, kTfLiteInt16, elements, 0, channels - 1, first_run});
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
           CheckChannels(node, list, stage.kept_channels, g.out_c, stage.kept_channels);
  }

  template <typename Struct>
  static const char* Words(const Struct& part) {
    return reinterpret_cast<const char*>(&part);
  }

  // `source` is the op's input or an earlier stage, of the size that `g` reads.
  static bool CheckSource(const Params& program, const char* role, int32_t source, int32_t index,
                          const Geometry& g, const OpNode& node) {
    if (!node.CheckFields({{role, source, kStreamInput, index - 1}})) return false;
    if (source == kStreamInput) {
      return node.CheckInput(In::kX, "input", kTfLiteInt8, InputElements(g));
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
