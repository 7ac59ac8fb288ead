// Counts the instructions of whole training steps of a model in TFLM on an emulated core. Some steps
// come before: a fresh head passes no gradient on, and the first ranges of gradients are wrong, so
// that these are written again and again. QEMU's loader puts the model into memory. Prints `0 N`, a
// step from a sample, and for a model that trains from latents `1 N`, the same step from its latent.

#include <cstdint>
#include <cstdio>

#include "benchmarks/target/tflm_program.h"
#include "benchmarks/target/timer.h"
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tflm_kernels/state/interpreter_state.h"

extern "C" const uint8_t model_data[];

namespace {

constexpr int kStepsBefore = 5;
constexpr size_t kArenaBytes = 640 * 1024;
alignas(16) uint8_t arena[kArenaBytes];

void FillInput(TfLiteTensor* input) {
  uint32_t random = 1;
  for (size_t i = 0; i < input->bytes; ++i) {
    random = random * 1664525 + 1013904223;
    input->data.int8[i] = static_cast<int8_t>(random >> 24);
  }
}

// Counts one Invoke.
bool Count(tflite::MicroInterpreter* interpreter, int index) {
  const uint32_t begin = tflm_train_bench::Ticks();
  if (interpreter->Invoke() != kTfLiteOk) return false;
  const uint32_t count = tflm_train_bench::Instructions(tflm_train_bench::Ticks() - begin);
  char line[32];
  std::snprintf(line, sizeof(line), "%d %lu\n", index, static_cast<unsigned long>(count));
  tflm_train_test::Print(line);
  return true;
}

}  // namespace

int main() {
  static tflm_train_bench::Resolver resolver;
  if (!tflm_train_bench::AddOps(resolver)) return 1;
  tflite::MicroInterpreter interpreter(tflite::GetModel(model_data), resolver, arena, kArenaBytes);
  if (interpreter.AllocateTensors() != kTfLiteOk ||
      tflm_train::EnsureWeights(interpreter) != tflm_train::StateStatus::kOk) {
    return 1;
  }
  const bool has_latent = tflm_train::HasLatent(interpreter);
  const size_t rate = interpreter.inputs_size() - (has_latent ? 2 : 1);
  *interpreter.input(rate)->data.f = 1e-3f;
  tflm_train_bench::StartTimer();
  for (int step = 0; step <= kStepsBefore; ++step) {
    FillInput(interpreter.input(0));
    *interpreter.input(rate - 1)->data.i32 = 1;  // the label
    if (step == kStepsBefore) break;
    if (interpreter.Invoke() != kTfLiteOk) return 1;
  }
  if (!Count(&interpreter, 0)) return 1;
  if (has_latent) {
    *interpreter.input(rate - 1)->data.i32 = 1;
    *interpreter.input(rate + 1)->data.i32 = 1;  // the source
    if (!Count(&interpreter, 1)) return 1;
  }
  tflm_train_test::Print("done\n");
  return 0;
}
