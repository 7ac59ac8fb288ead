// A stand-in for the exported library on the host, where there is no TFLM to link: a trainer with
// the exported one's interface and one weight, whose state is a real one (tflm_kernels/state/state.h).

#ifndef TFLM_TRAIN_TESTS_DIGITS_STUB_H_
#define TFLM_TRAIN_TESTS_DIGITS_STUB_H_

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "tflm_kernels/state/interpreter_state.h"

namespace digits {

using Input = int8_t;
using Output = int8_t;
using Label = int32_t;
constexpr size_t kInputSize = 8;
constexpr size_t kOutputSize = 4;
constexpr size_t kStateBytes = 36;
constexpr size_t kArenaBytes = 16;

struct Tensor {
  struct {
    void* data;
  } data;
  int type;  // TfLiteType
};

class Interpreter {
 public:
  size_t inputs_size() const { return 1; }
  size_t outputs_size() const { return 1; }
  Tensor* input(size_t) { return &rate_tensor_; }
  Tensor* output(size_t) { return &state_tensor_; }
  int Invoke() {
    if (state.magic != tflm_train::kStateMagic) {
      weight = 0;
      table_.state = &state;
      table_.count = 1;
      table_.entries[0] = {&weight, sizeof(weight), false};
      tflm_train::StateInitialize(tflm_train::RestoreParams(), &table_);
      tflm_train::StateDescribe(tflm_train::RestoreParams(), table_, &state);
    }
    return rate_ == tflm_train::kRestoreOnly ? tflm_train::kInvokeEnded : 0;
  }

  int32_t weight = 0;
  tflm_train::TrainState state = {};

 private:
  float rate_ = 0.0f;
  Tensor rate_tensor_ = {{&rate_}, 1};
  Tensor state_tensor_ = {{&state}, 2};
  tflm_train::VariableTable table_ = {};
};

// "Learns" by counting: the class is the input's first element plus the weight, modulo 4.
class Trainer {
 public:
  Trainer(uint8_t*, size_t) {}
  int Setup() { return 0; }
  Input* input() { return input_; }
  const Output* output() { return output_; }
  int Infer() {
    interpreter_.Invoke();
    const int best = (input_[0] + interpreter_.weight) & 3;
    for (int i = 0; i < 4; ++i) output_[i] = i == best ? 100 : -100;
    return best;
  }
  float Train(Label label, float rate) {
    if (label >= 4 || !(rate > 0.0f)) return -1.0f;
    interpreter_.Invoke();
    interpreter_.weight += 1;
    interpreter_.state.step += 1;
    return static_cast<float>(label) + rate;
  }
  Interpreter& interpreter() { return interpreter_; }

 private:
  Input input_[kInputSize] = {};
  Output output_[kOutputSize] = {};
  Interpreter interpreter_;
};

}  // namespace digits

#endif  // TFLM_TRAIN_TESTS_DIGITS_STUB_H_
