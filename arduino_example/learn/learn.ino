// Classifies, and learns from labels that come over the serial port or from a button.
// README.md has the protocol and how to make the library `digits`.

#include <Chirale_TensorFlowLite.h>  // the header by which the IDE finds your TFLM library
#include <digits.h>
#include <tflm_kernels/state/latent_store.h>
#include <tflm_kernels/state/replay.h>

static const int kButtonPin = 2;
static const digits::Label kButtonLabel = 0;
static const float kButtonRate = 0.01f;
static const unsigned long kFrameTimeout = 1000;  // milliseconds

alignas(16) static uint8_t arena[digits::kArenaBytes];
static digits::Trainer trainer(arena, sizeof(arena));

// Two slots in RAM: replace by two erase blocks of flash, see README.md.
static constexpr size_t kSlotBytes = (digits::kStateBytes + 160 + 255) / 256 * 256;
static constexpr tflm_train::StorageSize kStorage = {2 * kSlotBytes, 256, 8};
static uint8_t storage_memory[kStorage.bytes];
static tflm_train::RamStorage storage(storage_memory, kStorage);
static tflm_train::Journal journal(storage.storage());

static uint8_t blob[digits::kStateBytes];
// The last sample: the arena's memory is shared, so inputs do not outlive an Invoke.
static digits::Input sample[digits::kInputSize];

// What is learnt again while nothing comes: nothing, but for a model that trains from latents.
template <typename Trainer, typename = void>
struct Idle {
  static void keep(digits::Label) {}
  static void learn() {}
};

// There, ten samples or more are kept as latents, and learnt from in epochs, without the frozen
// layers. In RAM: see tflm_kernels/state/latent_store.h for flash.
template <typename Trainer>
struct Idle<Trainer, decltype(void(&Trainer::latent))> {
  static constexpr size_t kStored = 32;
  static constexpr size_t kClasses = digits::kOutputSize;
  static constexpr float kRate = 0.001f;

  static tflm_train::LatentStore& store() {
    alignas(4) static uint8_t
        memory[tflm_train::LatentRamBytes(Trainer::latent_format(), kStored, kClasses)];
    static tflm_train::LatentStore latents(Trainer::latent_format(), {kStored, kClasses}, memory,
                                           sizeof(memory));
    static const tflm_train::LatentStatus opened = latents.Open();
    static_cast<void>(opened);
    return latents;
  }

  static void keep(digits::Label label) { store().Add(trainerOf().latent(), &label, 0); }

  static void learn() {
    static tflm_train::Replay replay(&store(), 1);
    if (store().size() < 10) return;
    digits::Label label = 0;
    if (replay.AtEnd()) replay.BeginEpoch();
    replay.LearnNext(trainerOf().latent(), &label,
                     [&] { return trainerOf().TrainFromLatent(label, kRate) >= 0.0f; });
  }

  static Trainer& trainerOf() { return trainer; }
};

static void answer(tflm_train::StateStatus status, const char* done) {
  if (status == tflm_train::StateStatus::kOk) {
    Serial.println(done);
  } else {
    Serial.print("error ");
    Serial.println(tflm_train::StateStatusMessage(status));
  }
}

// Fills `data`, or says that the frame stopped.
static bool receive(void* data, size_t bytes) {
  if (Serial.readBytes(static_cast<char*>(data), bytes) == bytes) return true;
  Serial.println("error the frame stopped");
  return false;
}

static void classify() {
  memcpy(trainer.input(), sample, sizeof(sample));
  const int best = trainer.Infer();
  if (best < 0) {
    Serial.println("error Invoke failed");
    return;
  }
  Serial.print("class ");
  Serial.print(best);
  for (size_t i = 0; i < digits::kOutputSize; ++i) {
    Serial.print(' ');
    Serial.print(static_cast<int>(trainer.output()[i]));
  }
  Serial.println();
}

static void learn(digits::Label label, float rate) {
  digitalWrite(LED_BUILTIN, HIGH);
  memcpy(trainer.input(), sample, sizeof(sample));
  const float loss = trainer.Train(label, rate);
  digitalWrite(LED_BUILTIN, LOW);
  if (loss < 0.0f) {
    Serial.println("error label or rate out of range");
    return;
  }
  Idle<digits::Trainer>::keep(label);
  Serial.print("loss ");
  Serial.println(loss, 6);
}

static void introduce() {
  Serial.print("model digits input ");
  Serial.print(static_cast<unsigned long>(sizeof(sample)));
  Serial.print(" classes ");
  Serial.print(static_cast<unsigned long>(digits::kOutputSize));
  Serial.print(" state ");
  Serial.print(static_cast<unsigned long>(digits::kStateBytes));
  Serial.print(" step ");
  Serial.println(static_cast<unsigned long>(tflm_train::StateStep(trainer.interpreter())));
}

static void help() {
  Serial.println("learns from a serial port: ? the model, i classify, t train, s save, r reset,");
  Serial.println("g get the state, p put one; tools/feed.py sends samples, README.md has the frames");
}

static void sendState() {
  const tflm_train::StateStatus status =
      tflm_train::StateSave(trainer.interpreter(), blob, sizeof(blob));
  if (status != tflm_train::StateStatus::kOk) {
    answer(status, "");
    return;
  }
  Serial.print("state ");
  Serial.println(static_cast<unsigned long>(sizeof(blob)));
  Serial.write(blob, sizeof(blob));
}

static void handle(char command) {
  uint8_t label = 0;
  float rate = 0.0f;
  switch (command) {
    case 'h':
      help();
      return;
    case '\r':  // what the Serial Monitor ends a line with
    case '\n':
      return;
    case '?':
      introduce();
      return;
    case 'i':
      if (receive(sample, sizeof(sample))) classify();
      return;
    case 't':
      if (receive(&label, sizeof(label)) && receive(&rate, sizeof(rate)) &&
          receive(sample, sizeof(sample))) {
        learn(static_cast<digits::Label>(label), rate);
      }
      return;
    case 's':
      answer(tflm_train::StateSave(trainer.interpreter(), journal), "saved");
      return;
    case 'r':
      tflm_train::StateReset(trainer.interpreter());
      answer(tflm_train::EnsureWeights(trainer.interpreter()), "reset");
      return;
    case 'g':
      sendState();
      return;
    case 'p':
      if (receive(blob, sizeof(blob))) {
        answer(tflm_train::StateLoad(trainer.interpreter(), blob, sizeof(blob)), "loaded");
      }
      return;
    default:
      Serial.println("error unknown command, h for help");
  }
}

void setup() {
  Serial.begin(115200);
  Serial.setTimeout(kFrameTimeout);
  pinMode(LED_BUILTIN, OUTPUT);
  pinMode(kButtonPin, INPUT_PULLUP);
  if (trainer.Setup() != 0) {
    for (;;) {
      Serial.println("error setup failed: see TFLM's log");
      delay(1000);
    }
  }
  // Continue with what was learnt before; at the first start there is nothing yet.
  tflm_train::EnsureWeights(trainer.interpreter());
  if (journal.Open() == tflm_train::JournalStatus::kOk) {
    tflm_train::StateLoad(trainer.interpreter(), journal);
  }
}

void loop() {
  if (Serial.available() > 0) {
    handle(static_cast<char>(Serial.read()));
  } else {
    Idle<digits::Trainer>::learn();
  }
  static bool was_down = false;
  const bool down = digitalRead(kButtonPin) == LOW;
  if (down && !was_down) learn(kButtonLabel, kButtonRate);
  was_down = down;
}
