// Allocates a model in an arena on an emulated Cortex-M and prints what TFLM used of it.
//
// Built by firmware.py, which links the model in (`model_data`) and gives the predicted smallest
// arena as the value of the symbol `minimum_bytes`. Prints `used N` (arena_used_bytes), `fits 0|1` and `fits_less 0|1` (whether that
// arena, and one 16 bytes smaller, is enough for AllocateTensors) and, for a model that trains,
// `loss N` (in millionths) of a first step on an all-zero input.

#include <cstdint>
#include <new>

#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/schema/schema_generated.h"
#include "tests/cpp/harness.h"
#include "tests/target/tflm_messages.h"
#include "tflm_kernels/micro/train_ops.h"
#include "tflm_kernels/state/interpreter_state.h"

extern "C" const uint8_t model_data[];
extern "C" const uint8_t minimum_bytes[];

namespace {

using tflm_train_test::PrintLine;

alignas(16) uint8_t arena[8 << 20];
alignas(8) uint8_t interpreter_memory[sizeof(tflite::MicroInterpreter)];
using Resolver = tflite::MicroMutableOpResolver<28 + tflm_train::kTrainOpCount>;

TfLiteStatus AddOps(Resolver& r) {
  const TfLiteStatus results[] = {
      r.AddAdd(),           r.AddAveragePool2D(), r.AddConcatenation(), r.AddConv2D(),
      r.AddDepthwiseConv2D(), r.AddDequantize(),  r.AddFullyConnected(), r.AddHardSwish(),
      r.AddLeakyRelu(),     r.AddLogistic(),      r.AddMaxPool2D(),     r.AddMean(),
      r.AddMul(),           r.AddPad(),           r.AddQuantize(),      r.AddRelu(),
      r.AddRelu6(),         r.AddReshape(),       r.AddSoftmax(),       r.AddStridedSlice(),
      r.AddSub(),           r.AddSvdf(),          r.AddTanh(),          r.AddTranspose(),
      r.AddTransposeConv(), r.AddUnidirectionalSequenceLSTM(),
      tflm_train::AddTrainOps(r)};
  for (const TfLiteStatus result : results) {
    if (result != kTfLiteOk) return result;
  }
  return kTfLiteOk;
}

// A fresh interpreter in `bytes` of the arena. It has no heap to give back.
tflite::MicroInterpreter* Make(const Resolver& resolver, size_t bytes) {
  return new (interpreter_memory)
      tflite::MicroInterpreter(tflite::GetModel(model_data), resolver, arena, bytes);
}

bool Fits(const Resolver& resolver, size_t bytes) {
  return Make(resolver, bytes)->AllocateTensors() == kTfLiteOk;
}

}  // namespace

int main() {
  static Resolver resolver;
  if (AddOps(resolver) != kTfLiteOk) return 1;
  tflite::MicroInterpreter* interpreter = Make(resolver, sizeof(arena));
  if (interpreter->AllocateTensors() != kTfLiteOk) return 1;
  PrintLine("used %lu\n", static_cast<unsigned long>(interpreter->arena_used_bytes()));
  if (interpreter->inputs_size() >= 3) {
    const size_t added = tflm_train::HasLatent(*interpreter) ? 1 : 0;
    *interpreter->input(interpreter->inputs_size() - 1 - added)->data.f = 1e-3f;
    if (interpreter->Invoke() != kTfLiteOk) return 1;
    const float loss = *interpreter->output(interpreter->outputs_size() - 2 - added)->data.f;
    PrintLine("loss %d\n", static_cast<int>(loss * 1e6f));
  }
  tflm_train_test::quiet = true;
  const size_t minimum = reinterpret_cast<uintptr_t>(minimum_bytes);
  PrintLine("fits %d\n", Fits(resolver, minimum));
  PrintLine("fits_less %d\n", Fits(resolver, minimum - 16));
  return 0;
}
