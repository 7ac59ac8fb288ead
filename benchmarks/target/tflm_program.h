// What the programs with TFLM on an emulated core share: the ops, and where messages go. To be
// included once in a program.

#ifndef BENCHMARKS_TARGET_TFLM_PROGRAM_H_
#define BENCHMARKS_TARGET_TFLM_PROGRAM_H_

#include <cstddef>
#include <cstdint>

#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/schema/schema_generated.h"
#include "tests/cpp/harness.h"
#include "tests/target/tflm_messages.h"
#include "tflm_kernels/micro/train_ops.h"
#include "tflm_kernels/state/interpreter_state.h"

namespace tflm_train_bench {

using Resolver = tflite::MicroMutableOpResolver<32 + tflm_train::kTrainOpCount>;

inline bool AddOps(Resolver& r) {
  for (const TfLiteStatus status : {r.AddAdd(),
                                    r.AddAveragePool2D(),
                                    r.AddConv2D(),
                                    r.AddDepthwiseConv2D(),
                                    r.AddFullyConnected(),
                                    r.AddMean(),
                                    r.AddPad(),
                                    r.AddReshape(),
                                    r.AddSoftmax(),
                                    r.AddConcatenation(),
                                    r.AddDequantize(),
                                    r.AddHardSwish(),
                                    r.AddLeakyRelu(),
                                    r.AddLogistic(),
                                    r.AddMaxPool2D(),
                                    r.AddMaximum(),
                                    r.AddMinimum(),
                                    r.AddMul(),
                                    r.AddQuantize(),
                                    r.AddRelu(),
                                    r.AddRelu6(),
                                    r.AddResizeBilinear(),
                                    r.AddResizeNearestNeighbor(),
                                    r.AddStridedSlice(),
                                    r.AddSub(),
                                    r.AddTanh(),
                                    r.AddTranspose(),
                                    tflm_train::AddTrainOps(r)}) {
    if (status != kTfLiteOk) return false;
  }
  return true;
}

// Runs some training steps, on a random sample with label 1, and makes the next one ready: a fresh
// head passes no gradient on, and the first ranges of gradients are wrong, so that these are written
// again and again. After the first step the rate is so small that the weights stay: on random samples
// a model diverges, and steps that do not fit the fast paths are none of a real training. Of a model
// that does not train only its inputs are filled.
class WarmUp {
 public:
  explicit WarmUp(tflite::MicroInterpreter* interpreter) : interpreter_(interpreter) {}

  bool Run() {
    trains_ = tflm_train::EnsureWeights(*interpreter_) == tflm_train::StateStatus::kOk;
    constexpr int kSteps = 5;
    for (int step = 0; trains_ && step < kSteps; ++step) {
      Fill();
      *interpreter_->input(Rate())->data.f = step == 0 ? 1e-3f : 1e-4f;
      if (interpreter_->Invoke() != kTfLiteOk) return false;
    }
    Fill();
    return true;
  }

  bool has_latent() const { return tflm_train::HasLatent(*interpreter_); }

  // The next step is one from the latent of the last sample.
  void TakeLatent() {
    SetLabel();
    *interpreter_->input(Rate() + 1)->data.i32 = 1;
  }

 private:
  size_t Rate() const { return interpreter_->inputs_size() - (has_latent() ? 2 : 1); }
  void SetLabel() { *interpreter_->input(Rate() - 1)->data.i32 = 1; }

  void Fill() {
    const size_t samples = trains_ ? 1 : interpreter_->inputs_size();
    for (size_t i = 0; i < samples; ++i) FillInput(interpreter_->input(i));
    if (trains_) SetLabel();
  }

  static void FillInput(TfLiteTensor* input) {
    uint32_t random = 1;
    const bool is_float = input->type == kTfLiteFloat32;
    for (size_t i = 0; i < input->bytes / (is_float ? sizeof(float) : 1); ++i) {
      random = random * 1664525 + 1013904223;
      const int8_t value = static_cast<int8_t>(random >> 24);
      if (is_float) {
        input->data.f[i] = static_cast<float>(value) / 64;
      } else {
        input->data.int8[i] = value;
      }
    }
  }

  tflite::MicroInterpreter* interpreter_;
  bool trains_ = false;
};

}  // namespace tflm_train_bench

#endif  // BENCHMARKS_TARGET_TFLM_PROGRAM_H_
