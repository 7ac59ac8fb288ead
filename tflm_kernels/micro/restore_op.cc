// RESTORE: fills the variables from flash and begins every Invoke.

#include <cstring>

#include "tflm_kernels/micro/train_ops.h"
#include "tflm_kernels/micro/training_op.h"

namespace tflm_train {
namespace {

struct RestoreOp : OpDefaults {
  using Params = RestoreParams;
  static constexpr const char* kName = "TFLM_TRAIN_RESTORE";
  static constexpr int kStateInput = kAlwaysRuns;
  enum { kLearningRate = 0, kFirstFactory = 1 };  // inputs
  enum { kStateOutput = 0, kFirstVariable = 1 };  // outputs

  static bool Check(const Params& params, const OpNode& node) {
    if (!node.CheckFields(
            {{"variable_count", static_cast<int32_t>(params.variable_count), 0, INT16_MAX}}))
      return false;
    const int count = static_cast<int>(params.variable_count);
    const bool is_joint = IsJoint(params, node);
    if (!node.CheckCounts(kFirstFactory + (is_joint ? 1 : count), kFirstVariable + count) ||
        !node.CheckInput(kLearningRate, "learning rate", kTfLiteFloat32, 1) ||
        !node.CheckOutput(kStateOutput, "state", kTfLiteInt32, kStateWords)) {
      return false;
    }
    int64_t bytes = 0;
    for (int i = 0; i < count; ++i) {
      const TfLiteEvalTensor* variable = node.OutputTensor(kFirstVariable + i);
      if (variable == nullptr || ElementBytes(variable->type) == 0) {
        return node.Fail("a variable is missing, or of a type that is not trained");
      }
      if (variable->data.data != nullptr) return node.Fail("a variable is a constant");
      bytes += VariableBytes(*variable);
      if (!is_joint && node.HasInput(kFirstFactory + i) &&
          !node.CheckInput(kFirstFactory + i, "factory values", variable->type,
                           ElementCount(*variable))) {
        return false;
      }
    }
    return !is_joint || CheckJoint(node, bytes);
  }

  static size_t PersistentBytes(const Params& params) {
    return VariableTableBytes(params.variable_count);
  }

  static bool Run(const Params& params, const OpNode& node, const OpMemory& memory) {
    const float learning_rate = *node.Input<float>(kLearningRate);
    if (!IsValidLearningRate(learning_rate)) {
      return node.Fail("the learning rate is negative or not finite");
    }
    TrainState* state = node.Output<TrainState>(kStateOutput);
    if (state->magic != kStateMagic) {
      VariableTable* table = static_cast<VariableTable*>(memory.persistent);
      table->state = state;
      table->count = params.variable_count;
      const bool is_joint = IsJoint(params, node);
      size_t at = 0;
      for (uint32_t i = 0; i < params.variable_count; ++i) {
        const int index = static_cast<int>(i);
        const void* const factory =
            is_joint ? JointValues(node, at) : node.Input<void>(kFirstFactory + index);
        table->entries[i] = RestoreVariable(node, index, factory);
        at += table->entries[i].bytes;
      }
      StateInitialize(params, table);
    }
    state->learning_rate = learning_rate;
    state->training = learning_rate > 0.0f ? 1 : 0;
    return true;
  }

 private:
  // One tensor has the values of all variables that are not zero at first; those come first.
  static bool IsJoint(const Params& params, const OpNode& node) {
    return node.input_count() == kFirstFactory + 1 && params.variable_count > 1;
  }

  static bool CheckJoint(const OpNode& node, int64_t variables) {
    if (!node.HasInput(kFirstFactory)) return true;
    const int32_t bytes = ElementCount(*node.InputTensor(kFirstFactory));
    return node.CheckInput(kFirstFactory, "factory values", kTfLiteInt8, bytes) &&
           (bytes <= variables || node.Fail("more factory values than variables"));
  }

  // Those of the variable that begins `at` bytes after the first; nullptr: zeros.
  static const void* JointValues(const OpNode& node, size_t at) {
    const TfLiteEvalTensor* const joint = node.InputTensor(kFirstFactory);
    if (joint == nullptr || at >= static_cast<size_t>(ElementCount(*joint))) return nullptr;
    return node.Input<char>(kFirstFactory) + at;
  }

  static size_t VariableBytes(const TfLiteEvalTensor& variable) {
    return static_cast<size_t>(ElementCount(variable)) * ElementBytes(variable.type);
  }

  static VariableEntry RestoreVariable(const OpNode& node, int i, const void* factory) {
    const TfLiteEvalTensor* variable = node.OutputTensor(kFirstVariable + i);
    const size_t bytes = VariableBytes(*variable);
    if (factory != nullptr) {
      std::memcpy(variable->data.data, factory, bytes);
    } else {
      std::memset(variable->data.data, 0, bytes);
    }
    return {variable->data.data, static_cast<uint32_t>(bytes)};
  }
};

}  // namespace

TFLMRegistration Register_TRAIN_RESTORE() { return TrainingOp<RestoreOp>::Registration(); }

}  // namespace tflm_train
