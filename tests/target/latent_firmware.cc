// Trains a model on samples, then from its factory weights again on the latents of these, on an
// emulated Cortex-M.
//
// Built by firmware.py, which links the model in (`model_data`). Sample i is `kSize` bytes of a
// linear congruential generator that goes on from sample to sample, its label i mod 10. Prints
// `samples N` and `latents N`, the CRC-32 of the saved states as a signed number.

#include <cstdint>
#include <cstdio>
#include <cstring>

#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/schema/schema_generated.h"
#include "tests/cpp/harness.h"
#include "tests/target/tflm_messages.h"
#include "tflm_kernels/micro/train_ops.h"
#include "tflm_kernels/state/crc32.h"
#include "tflm_kernels/state/interpreter_state.h"

extern "C" const uint8_t model_data[];

namespace {

constexpr int kSteps = 8;
constexpr float kRate = 0.01f;
alignas(16) uint8_t arena[4 << 20];
int8_t latents[kSteps][64 << 10];
uint8_t blob[1 << 20];
using Resolver = tflite::MicroMutableOpResolver<10 + tflm_train::kTrainOpCount>;

bool AddOps(Resolver& r) {
  return r.AddAdd() == kTfLiteOk && r.AddAveragePool2D() == kTfLiteOk &&
         r.AddConv2D() == kTfLiteOk && r.AddDepthwiseConv2D() == kTfLiteOk &&
         r.AddFullyConnected() == kTfLiteOk && r.AddMean() == kTfLiteOk &&
         r.AddReshape() == kTfLiteOk && r.AddSoftmax() == kTfLiteOk &&
         tflm_train::AddTrainOps(r) == kTfLiteOk;
}

bool PrintState(tflite::MicroInterpreter& interpreter, const char* name) {
  if (tflm_train::StateSave(interpreter, blob, sizeof(blob)) != tflm_train::StateStatus::kOk) {
    return false;
  }
  const size_t size = tflm_train::StateSize(interpreter);
  const uint32_t crc = ~tflm_train::UpdateCrc32(tflm_train::kCrc32Start, blob, size);
  char line[64];
  std::snprintf(line, sizeof(line), "%s %ld\n", name, static_cast<long>(static_cast<int32_t>(crc)));
  tflm_train_test::Print(line);
  return true;
}

bool Run() {
  static Resolver resolver;
  if (!AddOps(resolver)) return false;
  tflite::MicroInterpreter interpreter(tflite::GetModel(model_data), resolver, arena,
                                       sizeof(arena));
  if (interpreter.AllocateTensors() != kTfLiteOk) return false;
  TfLiteTensor* const input = interpreter.input(0);
  const size_t rate = interpreter.inputs_size() - 2;
  TfLiteTensor* const latent = interpreter.output(interpreter.outputs_size() - 1);
  uint32_t random = 1;
  for (int step = 0; step < kSteps; ++step) {
    for (size_t i = 0; i < input->bytes; ++i) {
      random = random * 1664525 + 1013904223;
      input->data.int8[i] = static_cast<int8_t>(random >> 24);
    }
    *interpreter.input(rate - 1)->data.i32 = step % 10;
    *interpreter.input(rate)->data.f = kRate;
    if (interpreter.Invoke() != kTfLiteOk) return false;
    std::memcpy(latents[step], latent->data.int8, latent->bytes);
  }
  if (!PrintState(interpreter, "samples")) return false;
  tflm_train::StateReset(interpreter);
  *interpreter.input(rate + 1)->data.i32 = 1;
  for (int step = 0; step < kSteps; ++step) {
    std::memcpy(latent->data.int8, latents[step], latent->bytes);
    std::memset(input->data.int8, step, input->bytes);
    *interpreter.input(rate - 1)->data.i32 = step % 10;
    if (interpreter.Invoke() != kTfLiteOk) return false;
  }
  return PrintState(interpreter, "latents");
}

}  // namespace

int main() { return Run() ? 0 : 1; }
