// RESTORE: fills the variables from flash and begins every Invoke.

#include <cstdint>
#include <cstring>

#include "tflm_kernels/micro/train_ops.h"
#include "tflm_kernels/micro/training_op.h"

namespace tflm_train {
namespace {

// What lies in the op's persistent memory.
struct RestoreMemory {
  const TfLiteEvalTensor* handle;
  VariableTable table;
};

struct RestoreOp : OpDefaults, RestoreTensors {
  static constexpr bool kAlwaysRuns = true;
  static constexpr bool kIsPersistent = true;

  // The variables are of types that train, and the factory values end where one of them does.
  static bool Check(const Params& params, const OpNode& node) {
    const int32_t factory = FactoryBytes(node);
    if (node.input_count() > In::kFactory + 1 ||
        (factory != 0 && !node.CheckInput(In::kFactory, "factory values", kTfLiteInt8, factory))) {
      return false;
    }
    int64_t bytes = 0;
    bool ends = factory == 0;
    for (int i = 0; i < static_cast<int>(params.variable_count); ++i) {
      const TfLiteEvalTensor* variable = node.OutputTensor(Out::kVariables + i);
      if (variable == nullptr || ElementBytes(variable->type) == 0 ||
          ElementCount(*variable) > kMostElements) {
        return node.Fail("a variable is missing, too large, or of a type that is not trained");
      }
      if (AreWeights(*variable) && bytes < factory && !FactoryIsReachable(node, bytes, *variable)) {
        return node.Fail("a factory weight is -128, where no step goes, or not constant");
      }
      bytes += VariableBytes(*variable);
      ends = ends || bytes == factory;
    }
    return ends || node.Fail("the factory values do not end with a variable");
  }

  static size_t PersistentBytes(const Params& params) {
    return offsetof(RestoreMemory, table) + VariableTableBytes(params.variable_count);
  }

  static void InitPersistent(const OpNode& node, void* persistent) {
    static_cast<RestoreMemory*>(persistent)->handle = node.OutputTensor(Out::kHandle);
  }

  // The handle is no variable, which TFLM would set to zero: compilers drop
  // variables from the outputs. What an earlier program has left there must not
  // be taken for a state.
  static void Reset(void* persistent) {
    void* const handle = static_cast<RestoreMemory*>(persistent)->handle->data.data;
    if (handle != nullptr) std::memset(handle, 0, sizeof(TrainState));  // null: no room for a plan
  }

  static bool EndsInvoke(const OpNode& node) {
    return *node.Input<float>(In::kLearningRate) == kRestoreOnly;
  }

  static bool Run(const Params& params, const OpNode& node, const OpMemory& memory) {
    const float learning_rate = EndsInvoke(node) ? 0.0f : *node.Input<float>(In::kLearningRate);
    if (!IsValidLearningRate(learning_rate)) {
      return node.Fail("the learning rate is negative or not finite");
    }
    LiveState* state = node.Output<LiveState>(Out::kControl);
    VariableTable* table = &static_cast<RestoreMemory*>(memory.persistent)->table;
    if (state->magic != kStateMagic) {
      table->state = state;
      table->count = params.variable_count;
      size_t at = 0;
      for (uint32_t i = 0; i < params.variable_count; ++i) {
        table->entries[i] = RestoreVariable(node, static_cast<int>(i), at);
        at += table->entries[i].bytes;
      }
      StateInitialize(params, table);
    }
    state->learning_rate = learning_rate;
    state->training = learning_rate > 0.0f ? 1 : 0;
    state->loss = 0.0f;
    std::memset(static_cast<void*>(state + 1), 0,
                ControlBytes(node) - sizeof(*state));  // the marks
    // Here already, so that the handle is whole when a later op fails.
    StateDescribe(params, *table, node.Output<TrainState>(Out::kHandle));
    return true;
  }

 private:
  static size_t ControlBytes(const OpNode& node) {
    return VariableBytes(*node.OutputTensor(Out::kControl));
  }

  // The factory values of the first variables, one after another; the others are zeros.
  static int32_t FactoryBytes(const OpNode& node) {
    return node.HasInput(In::kFactory) ? ElementCount(*node.InputTensor(In::kFactory)) : 0;
  }

  // Those that steps move: what lies below their resolution is of another type.
  static bool AreWeights(const TfLiteEvalTensor& variable) { return variable.type == kTfLiteInt8; }

  // at: where the variable's values begin among the factory's.
  static bool FactoryIsReachable(const OpNode& node, int64_t at, const TfLiteEvalTensor& variable) {
    const int8_t* const factory = node.Input<int8_t>(In::kFactory);
    if (factory == nullptr) return false;
    const int64_t bytes = static_cast<int64_t>(VariableBytes(variable));
    const int64_t left = FactoryBytes(node) - at;
    return AreReachable(factory + at, static_cast<size_t>(left < bytes ? left : bytes));
  }

  static size_t VariableBytes(const TfLiteEvalTensor& variable) {
    return static_cast<size_t>(ElementCount(variable)) * ElementBytes(variable.type);
  }

  // `at`: where the variable's values begin among the factory's.
  static VariableEntry RestoreVariable(const OpNode& node, int i, size_t at) {
    const TfLiteEvalTensor* variable = node.OutputTensor(Out::kVariables + i);
    const size_t bytes = VariableBytes(*variable);
    const size_t end = static_cast<size_t>(FactoryBytes(node));
    const size_t left = at < end ? end - at : 0;
    const size_t copied = left < bytes ? left : bytes;
    char* const data = static_cast<char*>(variable->data.data);
    if (copied > 0) std::memcpy(data, node.Input<char>(In::kFactory) + at, copied);
    std::memset(data + copied, 0, bytes - copied);
    return {data, static_cast<uint32_t>(bytes), AreWeights(*variable)};
  }
};

}  // namespace

TFLMRegistration Register_TRAIN_RESTORE() { return TrainingOp<RestoreOp>::Registration(); }

}  // namespace tflm_train
