// Learns labelled samples on the microcontroller: accuracy before and after, the arena used, the
// trained state as a file on the debugger's side, and a power cut survived.

#include "digits.h"
#include "samples.h"
#include "semihosting.h"
#include "tflm_kernels/state/latent_store.h"
#include "tflm_kernels/state/replay.h"

// TFLM for `cortex_m_generic` logs to nowhere else; other TFLMs do not have it.
extern "C" __attribute__((weak)) void RegisterDebugLogCallback(void (*print)(const char* text));

namespace {

using tflm_train::JournalStatus;
using tflm_train::StateLoad;
using tflm_train::StateSave;
using tflm_train::StateStatus;

alignas(16) uint8_t arena[digits::kArenaBytes];
digits::Trainer trainer(arena, sizeof(arena));

// The journal lies in RAM that a reset leaves alone. For weights that survive a power cut too, give
// it two sectors of flash: the four functions of tflm_kernels/state/storage.h over your flash driver.
constexpr size_t kSlotBytes = (digits::kStateBytes + 160 + 255) / 256 * 256;
constexpr tflm_train::StorageSize kStorage = {2 * kSlotBytes, 256, 8};
__attribute__((section(".noinit"))) uint8_t storage_memory[kStorage.bytes];
tflm_train::RamStorage storage(storage_memory, kStorage);

uint8_t blob[digits::kStateBytes];

void SetInput(const int8_t* inputs, size_t index) {
  std::memcpy(trainer.input(), inputs + index * digits::kInputSize, digits::kInputSize);
}

// How many of the test samples are recognised; -1 when an Invoke failed.
int CountRight() {
  int right = 0;
  for (size_t i = 0; i < kTestCount; ++i) {
    SetInput(kTestInputs, i);
    const int best = trainer.Infer();
    if (best < 0) return -1;
    right += best == kTestLabels[i];
  }
  return right;
}

bool Train(tflm_train::Journal& journal) {
  for (int epoch = 0; epoch < EPOCHS; ++epoch) {
    float total = 0.0f;
    for (size_t i = 0; i < kTrainCount; ++i) {
      SetInput(kTrainInputs, i);
      const float loss = trainer.Train(kTrainLabels[i], LEARNING_RATE);
      if (loss < 0.0f) return false;
      total += loss;
    }
    const float mean = total / static_cast<float>(kTrainCount);
    PrintLine("epoch %d: loss %d / 1000", epoch + 1, static_cast<int>(1000.0f * mean));
    const StateStatus status = StateSave(trainer.interpreter(), journal);
    if (status != StateStatus::kOk) {
      PrintLine("save: %s", tflm_train::StateStatusMessage(status));
      return false;
    }
  }
  return true;
}

// With a model that trains from latents: learns from ten samples, then in epochs over what is stored
// of them, without the frozen layers: what a device does while it is idle.
template <typename Trainer>
auto LearnFromTen(Trainer& trainer, int) -> decltype(trainer.latent(), bool()) {
  constexpr size_t kStored = 10;
  constexpr size_t kClasses = digits::kOutputSize;
  alignas(4) static uint8_t
      memory[tflm_train::LatentRamBytes(Trainer::latent_format(), kStored, kClasses)];
  tflm_train::LatentStore store(Trainer::latent_format(), {kStored, kClasses}, memory,
                                sizeof(memory));
  tflm_train::Replay replay(&store, 1);
  digits::Label label = 0;
  store.Open();
  for (size_t i = 0; i < kStored; ++i) {
    label = kTrainLabels[i];
    SetInput(kTrainInputs, i);
    if (trainer.Train(label, LEARNING_RATE) < 0.0f) return false;
    store.Add(trainer.latent(), &label, 0);
  }
  for (int epoch = 0; epoch < EPOCHS; ++epoch) {
    replay.BeginEpoch();
    while (!replay.AtEnd()) {
      const bool done = replay.LearnNext(trainer.latent(), &label, [&] {
        return trainer.TrainFromLatent(label, LEARNING_RATE) >= 0.0f;
      });
      if (!done) return false;
    }
  }
  PrintLine("after ten: %d of %d", CountRight(), static_cast<int>(kTestCount));
  return true;
}

template <typename Trainer>
bool LearnFromTen(Trainer&, long) {
  return true;
}

bool Run() {
  if (RegisterDebugLogCallback != nullptr) RegisterDebugLogCallback(Print);
  if (trainer.Setup() != 0) return false;
  PrintLine("arena_used_bytes %u of %u",
            static_cast<unsigned int>(trainer.interpreter().arena_used_bytes()),
            static_cast<unsigned int>(sizeof(arena)));
  tflm_train::Journal journal(storage.storage());
  if (journal.Open() == JournalStatus::kOk) {
    const StateStatus status = StateLoad(trainer.interpreter(), journal);
    PrintLine("continues from step %u: %s",
              static_cast<unsigned int>(tflm_train::StateStep(trainer.interpreter())),
              tflm_train::StateStatusMessage(status));
  }
  const int count = static_cast<int>(kTestCount);
  PrintLine("before: %d of %d", CountRight(), count);
  if (!LearnFromTen(trainer, 0) || !Train(journal)) return false;
  const int after = CountRight();
  PrintLine("after: %d of %d", after, count);

  if (StateSave(trainer.interpreter(), blob, sizeof(blob)) != StateStatus::kOk) return false;
  if (!WriteFile("trained.state", blob, sizeof(blob))) Print("trained.state was not written\n");

  // What a reset does: the interpreter's memory is gone, the journal is not.
  tflm_train::StateReset(trainer.interpreter());
  PrintLine("factory: %d of %d", CountRight(), count);
  tflm_train::Journal reopened(storage.storage());
  if (reopened.Open() != JournalStatus::kOk) return false;
  if (StateLoad(trainer.interpreter(), reopened) != StateStatus::kOk) return false;
  const int loaded = CountRight();
  PrintLine("loaded: %d of %d", loaded, count);
  return loaded == after;
}

}  // namespace

int main() {
  const bool done = Run();
  Print(done ? "done\n" : "failed\n");
  return done ? 0 : 1;
}
