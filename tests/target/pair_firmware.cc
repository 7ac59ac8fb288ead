// Trains the exported trainer of a split pair on samples, then from its factory weights again on the
// latents of these, on an emulated Cortex-M. Samples, labels and output: see latent_firmware.cc.

#include <cstdio>

#include "pair.h"
#include "tests/cpp/harness.h"
#include "tests/target/tflm_messages.h"
#include "tflm_kernels/state/crc32.h"
#include "tflm_kernels/state/interpreter_state.h"

namespace {

constexpr int kSteps = 8;
constexpr float kRate = 0.01f;
alignas(16) uint8_t arena[pair::kArenaBytes];
int8_t latents[kSteps][pair::kLatentSize];
uint8_t blob[pair::kStateBytes];

bool PrintState(pair::Trainer& trainer, const char* name) {
  const auto status = tflm_train::StateSave(trainer.interpreter(), blob, sizeof(blob));
  if (status != tflm_train::StateStatus::kOk) return false;
  const uint32_t crc = ~tflm_train::UpdateCrc32(tflm_train::kCrc32Start, blob, sizeof(blob));
  char line[64];
  std::snprintf(line, sizeof(line), "%s %ld\n", name, static_cast<long>(static_cast<int32_t>(crc)));
  tflm_train_test::Print(line);
  return true;
}

bool Run() {
  static pair::Trainer trainer(arena, sizeof(arena));
  if (trainer.Setup() != 0) return false;
  uint32_t random = 1;
  for (int step = 0; step < kSteps; ++step) {
    for (size_t i = 0; i < pair::kInputSize; ++i) {
      random = random * 1664525 + 1013904223;
      trainer.input()[i] = static_cast<pair::Input>(random >> 24);
    }
    if (trainer.Train(step % 10, kRate) < 0.0f) return false;
    std::memcpy(latents[step], trainer.latent(), pair::kLatentSize);
  }
  if (!PrintState(trainer, "samples")) return false;
  tflm_train::StateReset(trainer.interpreter());
  for (int step = 0; step < kSteps; ++step) {
    std::memcpy(trainer.latent(), latents[step], pair::kLatentSize);
    if (trainer.InferFromLatent() < 0) return false;
    if (trainer.TrainFromLatent(step % 10, kRate) < 0.0f) return false;
  }
  return PrintState(trainer, "latents");
}

}  // namespace

int main() { return Run() ? 0 : 1; }
