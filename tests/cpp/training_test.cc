// Whole training steps with the kernels alone: the ops of rewritten models in order, several steps,
// each op's result against the numpy reference. See golden_training.py.

#include "tests/cpp/golden.h"
#include "tflm_kernels/conv_input_grad.h"
#include "tflm_kernels/data_movement.h"
#include "tflm_kernels/depthwise_input_grad.h"
#include "tflm_kernels/forward_rows.h"
#include "tflm_kernels/loss.h"
#include "tflm_kernels/split_conv.h"
#include "tflm_kernels/state/crc32.h"
#include "tflm_kernels/state/state.h"
#include "tflm_kernels/stream.h"
#include "tflm_kernels/update.h"

namespace tflm_train_test {
namespace {

using tflm_train::OpHeader;
using tflm_train::OpKind;
using tflm_train::StepState;

constexpr int kInputs = 9, kOperands = kInputs + 3;
constexpr int kMaxTensors = 160;

struct TrainingCase {
  const char* name;
  int32_t variables;  // the first of the tensors
  int32_t tensors;
  const int32_t* bytes;    // of each tensor
  const int32_t* offsets;  // in `data`; -1: zeros, -2: not set at first
  const uint8_t* data;
  int32_t ops;
  const uint8_t* options;                       // custom_options of one op after another
  const int16_t* operands;                      // [ops][kOperands] tensors; -1: none
  int32_t state, scales, ranges, label, input;  // tensors
  uint32_t seed;
  int32_t steps;
  const int8_t* samples;  // [steps]
  const int32_t* labels;  // [steps]
  const uint32_t* rates;  // [steps]
  const uint32_t* want;   // [steps][ops + 1]
};

#include "tests/cpp/generated/training.inc"

// A rewritten model's tensors, and its ops.
class Trainer {
 public:
  explicit Trainer(const TrainingCase& golden) : golden_(golden) {
    EXPECT_TRUE(golden.tensors <= kMaxTensors);
    for (int32_t i = 0; i < golden.tensors; ++i) {
      tensors_[i] = Guarded<uint8_t>(golden.bytes[i]);
      if (golden.offsets[i] >= 0) {
        std::memcpy(tensors_[i], golden.data + golden.offsets[i], golden.bytes[i]);
      } else if (golden.offsets[i] == -1) {
        std::memset(tensors_[i], 0, golden.bytes[i]);
      }
    }
    ForEachOp([this](const uint8_t* options, const int16_t*) {
      const size_t needed = ScratchBytes(options);
      scratch_bytes_ = needed > scratch_bytes_ ? needed : scratch_bytes_;
      return true;
    });
    scratch_ = Guarded<uint8_t>(scratch_bytes_);
    StepState* state = State();
    *state = {};
    state->training = 1;
    state->seed = golden.seed;
  }

  // False where an op leaves behind something else than the reference does.
  bool Step(int32_t step) {
    const int32_t bytes = golden_.bytes[golden_.input];
    std::memcpy(tensors_[golden_.input], golden_.samples + step * bytes, bytes);
    std::memcpy(tensors_[golden_.label], golden_.labels + step, sizeof(int32_t));
    State()->learning_rate = Float(golden_.rates[step]);
    const uint32_t* want = golden_.want + step * (golden_.ops + 1);
    const int32_t wrong = ForEachOp([&](const uint8_t* options, const int16_t* operands) {
      std::memset(scratch_, 0x5A, scratch_bytes_);
      Run(options, operands);
      return Checksum(operands + kInputs) == *want++;
    });
    // Enough to find it: the step, and the op's place in the model behind RESTORE.
    if (wrong >= 0) EXPECT_EQ(step * 1000 + wrong, -1);
    if (wrong < 0) EXPECT_EQ(VariablesChecksum(), *want);
    return wrong < 0;
  }

 private:
  // Stops at the first op for which `visit` is false and returns its index, else -1.
  template <typename Visit>
  int32_t ForEachOp(const Visit& visit) {
    const uint8_t* options = golden_.options;
    for (int32_t i = 0; i < golden_.ops; ++i) {
      if (!visit(options, golden_.operands + i * kOperands)) return i;
      options += Header(options).size;
    }
    return -1;
  }

  static OpHeader Header(const uint8_t* options) {
    OpHeader header;
    std::memcpy(&header, options, sizeof(header));
    return header;
  }

  static size_t ScratchBytes(const uint8_t* options) {
    switch (static_cast<OpKind>(Header(options).kind)) {
      case OpKind::kLoss:
        return LossScratchBytes(ReadParams<tflm_train::LossParams>(options));
      case OpKind::kConvInputGrad:
        return ConvInputGradScratchBytes(ReadParams<tflm_train::ConvInputGradParams>(options));
      case OpKind::kDepthwiseInputGrad:
        return DepthwiseInputGradScratchBytes(
            ReadParams<tflm_train::DepthwiseInputGradParams>(options));
      case OpKind::kConvUpdate:
        return ConvUpdateScratchBytes(ReadParams<tflm_train::ConvUpdateParams>(options));
      case OpKind::kDepthwiseUpdate:
        return DepthwiseUpdateScratchBytes(ReadParams<tflm_train::DepthwiseUpdateParams>(options));
      case OpKind::kSplitConv:
        return SplitConvScratchBytes(ReadParams<tflm_train::SplitConvParams>(options));
      case OpKind::kSplitDepthwise:
        return SplitDepthwiseScratchBytes(ReadParams<tflm_train::SplitDepthwiseParams>(options));
      default:
        return 0;
    }
  }

  template <typename T>
  T* Tensor(int16_t index) {
    return index < 0 ? nullptr : reinterpret_cast<T*>(tensors_[index]);
  }
  StepState* State() { return Tensor<StepState>(static_cast<int16_t>(golden_.state)); }
  float* Scales() { return Tensor<float>(static_cast<int16_t>(golden_.scales)); }
  float* Ranges() { return Tensor<float>(static_cast<int16_t>(golden_.ranges)); }

  uint32_t Add(uint32_t crc, int32_t tensor) const {
    return tflm_train::UpdateCrc32(crc, tensors_[tensor], golden_.bytes[tensor]);
  }

  uint32_t Checksum(const int16_t* outputs) const {
    uint32_t crc = tflm_train::kCrc32Start;
    for (int i = 0; i < kOperands - kInputs; ++i) {
      if (outputs[i] >= 0) crc = Add(crc, outputs[i]);
    }
    return ~Add(Add(crc, golden_.scales), golden_.ranges);
  }

  uint32_t VariablesChecksum() const {
    uint32_t crc = tflm_train::kCrc32Start;
    for (int32_t i = 0; i < golden_.variables; ++i) crc = Add(crc, i);
    return ~crc;
  }

  template <typename Params, typename Multiplier, typename Kernel>
  void RunInputGrad(const uint8_t* options, const int16_t* t, Kernel kernel) {
    kernel(ReadParams<Params>(options), Tensor<int8_t>(t[0]), Tensor<int8_t>(t[1]),
           Tensor<int8_t>(t[3]), Tensor<int16_t>(t[4]), Tensor<Multiplier>(t[2]), Scales(),
           Ranges(), Tensor<uint8_t>(t[5]), Tensor<int8_t>(t[6]), Tensor<int8_t>(t[kInputs]),
           scratch_);
  }

  template <typename Params, typename Kernel>
  void RunUpdate(const uint8_t* options, const int16_t* t, Kernel kernel) {
    const Params params = ReadParams<Params>(options);
    const float* kw = Tensor<float>(t[2]);
    kernel(params, Tensor<int8_t>(t[0]), Tensor<int8_t>(t[1]), *State(), Scales(), kw,
           kw + params.geometry.out_c,
           {Tensor<int8_t>(t[3]), Tensor<int32_t>(t[4]), Tensor<int8_t>(t[5]), Tensor<int8_t>(t[6]),
            Tensor<int32_t>(t[7])},
           Tensor<int16_t>(t[8]), scratch_);
  }

  template <typename Params, typename Kernel>
  void RunSplit(const uint8_t* options, const int16_t* t, Kernel kernel) {
    kernel(ReadParams<Params>(options), Tensor<int8_t>(t[0]), Tensor<int8_t>(t[1]),
           Tensor<int8_t>(t[2]), Tensor<int16_t>(t[3]), Tensor<int32_t>(t[5]),
           Tensor<int32_t>(t[6]), Tensor<int32_t>(t[4]), Tensor<int8_t>(t[kInputs]), scratch_);
  }

  void RunAdd(const uint8_t* options, const int16_t* t) {
    const tflm_train::StreamProgram program(options, Header(options).size);
    const tflm_train::StreamStage stage = program.Stage(0);
    EXPECT_EQ(stage.stage_kind, tflm_train::kStageAdd);
    const tflm_train::Geometry& g = stage.geometry;
    AddRow(stage.output, stage.add, Tensor<int8_t>(t[0]), Tensor<int8_t>(t[1]),
           Tensor<int8_t>(t[kInputs]), g.out_h * g.out_w * g.out_c);
  }

  void RunAccumulate(const uint8_t* options, const int16_t* t) {
    const auto params = ReadParams<tflm_train::AccumulateParams>(options);
    const int8_t* inputs[tflm_train::kMaxAccumulateInputs] = {};
    for (int32_t i = 0; i < params.count; ++i) inputs[i] = Tensor<int8_t>(t[i]);
    Accumulate(params, Scales(), Tensor<uint8_t>(t[params.count]), inputs,
               Tensor<int8_t>(t[kInputs]));
  }

  // The operands of each kind are those of docs/NUMERICS.md, section 4.
  void Run(const uint8_t* options, const int16_t* t) {
    int8_t* y = Tensor<int8_t>(t[kInputs]);
    switch (static_cast<OpKind>(Header(options).kind)) {
      case OpKind::kLoss:
        EXPECT_TRUE(tflm_train::Loss(ReadParams<tflm_train::LossParams>(options),
                                     Tensor<int8_t>(t[0]), Tensor<int32_t>(t[1]),
                                     Tensor<float>(t[2]), State(), Scales(), y,
                                     Tensor<float>(t[kInputs + 1]), scratch_));
        return;
      case OpKind::kClampMask:
        return ClampMask(ReadParams<tflm_train::ClampMaskParams>(options), Tensor<int8_t>(t[0]),
                         Tensor<uint8_t>(t[kInputs]));
      case OpKind::kChannelSave:
        return ChannelSave(ReadParams<tflm_train::ChannelSaveParams>(options), Tensor<int8_t>(t[0]),
                           Tensor<int16_t>(t[1]), y);
      case OpKind::kAccumulate:
        return RunAccumulate(options, t);
      case OpKind::kConvInputGrad:
        return RunInputGrad<tflm_train::ConvInputGradParams, int8_t>(options, t,
                                                                     tflm_train::ConvInputGrad);
      case OpKind::kDepthwiseInputGrad:
        return RunInputGrad<tflm_train::DepthwiseInputGradParams, int32_t>(
            options, t, tflm_train::DepthwiseInputGrad);
      case OpKind::kConvUpdate:
        return RunUpdate<tflm_train::ConvUpdateParams>(options, t, tflm_train::ConvUpdate);
      case OpKind::kDepthwiseUpdate:
        return RunUpdate<tflm_train::DepthwiseUpdateParams>(options, t,
                                                            tflm_train::DepthwiseUpdate);
      case OpKind::kBiasUpdate:
        return BiasUpdate(ReadParams<tflm_train::BiasUpdateParams>(options), Tensor<int8_t>(t[0]),
                          *State(), Scales(), Tensor<float>(t[1]), Tensor<int32_t>(t[2]),
                          Tensor<int32_t>(t[3]));
      case OpKind::kSplitConv:
        return RunSplit<tflm_train::SplitConvParams>(options, t, tflm_train::SplitConv);
      case OpKind::kSplitDepthwise:
        return RunSplit<tflm_train::SplitDepthwiseParams>(options, t, tflm_train::SplitDepthwise);
      case OpKind::kStream:
        return RunAdd(options, t);
      default:
        Fail(__FILE__, __LINE__, "a kind of op that golden_training.py does not make");
    }
  }

  const TrainingCase& golden_;
  uint8_t* tensors_[kMaxTensors];
  uint8_t* scratch_ = nullptr;
  size_t scratch_bytes_ = 0;
};

TEST(Training, Golden) {
  for (const TrainingCase& golden : kTrainingCases) {
    Case scope("Training", golden.name);
    Trainer trainer(golden);
    for (int32_t step = 0; step < golden.steps && trainer.Step(step); ++step) {
    }
  }
}

}  // namespace
}  // namespace tflm_train_test
