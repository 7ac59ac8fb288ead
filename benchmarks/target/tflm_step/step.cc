// Counts the instructions of whole training steps of a model in TFLM on an emulated core, after some
// others. QEMU's loader puts the model into memory. Prints `0 N`, a step from a sample, and for a
// model that trains from latents `1 N`, the same step from its latent.

#include <cstdint>
#include <cstdio>

#include "benchmarks/target/tflm_program.h"
#include "benchmarks/target/timer.h"

extern "C" const uint8_t model_data[];

namespace {

constexpr size_t kArenaBytes = 640 * 1024;
alignas(16) uint8_t arena[kArenaBytes];

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
  if (interpreter.AllocateTensors() != kTfLiteOk) return 1;
  tflm_train_bench::StartTimer();
  tflm_train_bench::WarmUp warm_up(&interpreter);
  if (!warm_up.Run() || !Count(&interpreter, 0)) return 1;
  if (warm_up.has_latent()) {
    warm_up.TakeLatent();
    if (!Count(&interpreter, 1)) return 1;
  }
  tflm_train_test::Print("done\n");
  return 0;
}
