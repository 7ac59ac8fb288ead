// The state functions on an interpreter: one with TFLM's interface, and a first op that restores.

#include "tflm_kernels/state/interpreter_state.h"

#include "tests/cpp/harness.h"

namespace tflm_train_test {
namespace {

using tflm_train::StateLoad;
using tflm_train::StateReset;
using tflm_train::StateSave;
using tflm_train::StateSize;
using tflm_train::StateStatus;
using tflm_train::StateStep;

// As TfLiteTensor, with the members that matter.
struct Tensor {
  union {
    void* data;
    char* raw;
  } data;
  int type;
};
constexpr int kFloat32 = 1, kInt32 = 2;  // TfLiteType

// With `has_latent` that of a model that trains from latents.
class Interpreter {
 public:
  explicit Interpreter(bool has_latent = false)
      : has_latent_(has_latent),
        state_(Guarded<tflm_train::TrainState>(1)),
        table_(static_cast<tflm_train::VariableTable*>(
            GuardedBytes(tflm_train::VariableTableBytes(1)))) {
    Reset();
  }

  void Reset() {  // what AllocateTensors does to variables, too
    std::memset(state_, 0, sizeof(*state_));
    learning_rate_ = 0.0f;
  }
  size_t inputs_size() const { return has_latent_ ? 3 : 2; }
  size_t outputs_size() const { return has_latent_ ? 4 : 3; }
  Tensor* input(size_t i) {
    inputs_[i].data.data = i == 1 ? static_cast<void*>(&learning_rate_) : &source_;
    inputs_[i].type = i == 2 ? kInt32 : kFloat32;
    return &inputs_[i];
  }
  Tensor* output(size_t i) {
    outputs_[i].data.data = i == 2 ? state_ : nullptr;
    return &outputs_[i];
  }
  int Invoke() {
    ++invokes;
    if (fails) return 1;
    restores += learning_rate_ == tflm_train::kRestoreOnly;
    table_->state = state_;
    table_->count = 1;
    table_->entries[0] = {weights, sizeof(weights), false};
    std::memset(weights, 7, sizeof(weights));
    tflm_train::StateInitialize(tflm_train::RestoreParams(), table_);
    tflm_train::StateDescribe(tflm_train::RestoreParams(), *table_, state_);
    return learning_rate_ == tflm_train::kRestoreOnly ? tflm_train::kInvokeEnded : 0;
  }

  uint8_t weights[5] = {};
  int invokes = 0;
  int restores = 0;  // of these: those that fill the weights and run nothing
  bool fails = false;

 private:
  const bool has_latent_;
  float learning_rate_ = 0.0f;
  int32_t source_ = 0;
  tflm_train::TrainState* state_;
  tflm_train::VariableTable* table_;
  Tensor inputs_[3];
  Tensor outputs_[4];
};

void LoadRightAfterAllocateTensors(bool has_latent) {
  Interpreter interpreter(has_latent);
  uint8_t blob[37];
  EXPECT_EQ(StateSize(interpreter), 0);
  EXPECT_EQ(StateSave(interpreter, blob, sizeof(blob)), StateStatus::kNotReady);
  EXPECT_EQ(interpreter.Invoke(), 0);
  std::memset(interpreter.weights, 9, sizeof(interpreter.weights));
  EXPECT_EQ(StateSize(interpreter), sizeof(blob));
  EXPECT_EQ(StateSave(interpreter, blob, sizeof(blob)), StateStatus::kOk);
  interpreter.Reset();
  *static_cast<float*>(interpreter.input(1)->data.data) = 0.125f;  // set before the load
  interpreter.invokes = 0;
  EXPECT_EQ(StateLoad(interpreter, blob, sizeof(blob)), StateStatus::kOk);
  EXPECT_EQ(interpreter.invokes, 1);
  EXPECT_EQ(interpreter.restores, 1);
  EXPECT_TRUE(*static_cast<float*>(interpreter.input(1)->data.data) == 0.125f);
  for (uint8_t weight : interpreter.weights) EXPECT_EQ(weight, 9);
  EXPECT_EQ(StateLoad(interpreter, blob, sizeof(blob)), StateStatus::kOk);
  EXPECT_EQ(interpreter.invokes, 1);  // only when there are no weights yet
}

TEST(InterpreterState, LoadsRightAfterAllocateTensors) { LoadRightAfterAllocateTensors(false); }
TEST(InterpreterState, FindsTheStateBesideALatent) { LoadRightAfterAllocateTensors(true); }

TEST(InterpreterState, WorksOnTheOutputToo) {
  Interpreter interpreter;
  uint8_t blob[37];
  const Tensor* output = interpreter.output(2);
  EXPECT_EQ(StateLoad(output, blob, sizeof(blob)), StateStatus::kNotReady);
  EXPECT_EQ(interpreter.Invoke(), 0);
  EXPECT_EQ(StateSize(output), sizeof(blob));
  EXPECT_EQ(StateSave(output, blob, sizeof(blob)), StateStatus::kOk);
  EXPECT_EQ(StateLoad(output, blob, sizeof(blob)), StateStatus::kOk);
  EXPECT_EQ(StateStep(interpreter.output(2)), 0);
  EXPECT_EQ(StateReset(output), StateStatus::kOk);
  EXPECT_EQ(StateSize(interpreter), 0);
}

TEST(InterpreterState, SaysThatTheInvokeFailed) {
  Interpreter interpreter;
  const uint8_t blob[37] = {};
  interpreter.fails = true;
  EXPECT_EQ(StateLoad(interpreter, blob, sizeof(blob)), StateStatus::kInvokeFailed);
}

TEST(InterpreterState, UsesAJournal) {
  Interpreter interpreter;
  constexpr tflm_train::StorageSize kSize = {1024, 512, 4};
  tflm_train::RamStorage ram(Guarded<uint8_t>(kSize.bytes), kSize);
  tflm_train::Journal journal(ram.storage());
  EXPECT_EQ(journal.Open(), tflm_train::JournalStatus::kEmpty);
  EXPECT_EQ(interpreter.Invoke(), 0);
  interpreter.weights[4] = 1;
  EXPECT_EQ(StateSave(interpreter, journal), StateStatus::kOk);
  interpreter.Reset();
  EXPECT_EQ(StateLoad(interpreter, journal), StateStatus::kOk);
  EXPECT_EQ(interpreter.weights[4], 1);
}

}  // namespace
}  // namespace tflm_train_test
