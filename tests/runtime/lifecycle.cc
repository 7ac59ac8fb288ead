// Interpreters of the tflite-micro wheel as firmware has them: one in each of two threads, one that
// two threads share, one that is allocated again, one with a profiler. Called through ctypes, which
// lets go of Python's lock meanwhile, so that the threads really run at once.
//
// No header comes with the wheel: what is used of TFLM is declared here.

#include <atomic>
#include <cstdint>
#include <cstring>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "tflm_kernels/state/interpreter_state.h"

namespace tflite {

struct Model;
constexpr size_t kRoom = 1 << 16;  // more than an object of TFLM's takes

class PythonOpsResolver {
 public:
  PythonOpsResolver();
  virtual ~PythonOpsResolver();

 private:
  alignas(16) char memory_[kRoom];
};

namespace micro {

class MicroOpResolver;
class MicroResourceVariables;
struct TfLiteTensor {  // as it is with TF_LITE_STATIC_MEMORY
  void* quantization[2];
  float scale;
  int32_t zero_point;
  union {
    void* data;
  } data;
  void* dims;
  size_t bytes;
  int type;
};

class MicroProfilerInterface {
 public:
  virtual ~MicroProfilerInterface() {}
  virtual uint32_t BeginEvent(const char* tag) = 0;
  virtual void EndEvent(uint32_t event_handle) = 0;
};

class MicroInterpreter {
 public:
  MicroInterpreter(const Model* model, const MicroOpResolver& resolver, uint8_t* arena,
                   size_t arena_bytes, MicroResourceVariables* resources,
                   MicroProfilerInterface* profiler, bool preserve_all_tensors);
  ~MicroInterpreter();
  int AllocateTensors();
  int Invoke();
  int Reset();
  TfLiteTensor* input(size_t index);
  TfLiteTensor* output(size_t index);

 private:
  alignas(16) char memory_[kRoom];
};

}  // namespace micro
}  // namespace tflite

extern "C" bool TflmTrainRegister(void* resolver);

namespace {

// With what TFLM's header defines in place, of the model's flatbuffer.
struct MicroInterpreter : tflite::micro::MicroInterpreter {
  using tflite::micro::MicroInterpreter::MicroInterpreter;
  size_t inputs_size() const { return inputs; }
  size_t outputs_size() const { return outputs; }

  size_t inputs = 0, outputs = 0;
};

// Feeds a watchdog between ops: the pattern of docs/TRAIN_ON_YOUR_BOARD.md.
class Feeder : public tflite::micro::MicroProfilerInterface {
 public:
  uint32_t BeginEvent(const char*) override { return ++begun; }
  void EndEvent(uint32_t event) override { in_order &= event == ++ended; }

  uint32_t begun = 0, ended = 0;
  bool in_order = true;
};

struct Session {
  Session(const uint8_t* model, size_t arena_bytes)
      : arena(arena_bytes + 16),
        interpreter(RootOf(model), Registered(), Aligned(), arena_bytes, nullptr, &feeder, false) {}

  // As flatbuffers find the root of a file.
  static const tflite::Model* RootOf(const uint8_t* file) {
    uint32_t offset;
    std::memcpy(&offset, file, sizeof(offset));
    return reinterpret_cast<const tflite::Model*>(file + offset);
  }
  const tflite::micro::MicroOpResolver& Registered() {
    TflmTrainRegister(&resolver);
    return *reinterpret_cast<const tflite::micro::MicroOpResolver*>(&resolver);
  }
  uint8_t* Aligned() {
    return arena.data() + (16 - reinterpret_cast<uintptr_t>(arena.data()) % 16);
  }

  std::vector<uint8_t> arena;
  tflite::PythonOpsResolver resolver;
  Feeder feeder;
  MicroInterpreter interpreter;
  size_t input_bytes = 0;
  int32_t classes = 0;
};

// The sample of a number: bytes that its hash begins.
void Fill(Session& session, uint32_t sample) {
  uint32_t x = sample * 2654435761u + 1;
  char* const input = static_cast<char*>(session.interpreter.input(0)->data.data);
  for (size_t i = 0; i < session.input_bytes; ++i) {
    x ^= x << 13, x ^= x >> 17, x ^= x << 5;
    input[i] = static_cast<char>(x);
  }
}

bool Run(Session& session, uint32_t sample, float rate) {
  MicroInterpreter& interpreter = session.interpreter;
  const int32_t label = static_cast<int32_t>(sample) % session.classes;
  Fill(session, sample);
  std::memcpy(interpreter.input(1)->data.data, &label, sizeof(label));
  std::memcpy(interpreter.input(2)->data.data, &rate, sizeof(rate));
  return interpreter.Invoke() == 0;
}

bool Train(Session& session, int32_t steps, float rate) {
  bool done = true;
  for (int32_t step = 0; step < steps; ++step) {
    done = Run(session, static_cast<uint32_t>(step), rate) && done;
  }
  return done;
}

}  // namespace

extern "C" {

Session* Open(const uint8_t* model, size_t arena_bytes, const int32_t* sizes) {
  std::unique_ptr<Session> session(new Session(model, arena_bytes));
  session->interpreter.inputs = static_cast<size_t>(sizes[0]);
  session->interpreter.outputs = static_cast<size_t>(sizes[1]);
  session->input_bytes = static_cast<size_t>(sizes[2]);
  session->classes = sizes[3];
  return session->interpreter.AllocateTensors() == 0 ? session.release() : nullptr;
}

void Close(Session* session) { delete session; }

int32_t Allocate(Session* session) { return session->interpreter.AllocateTensors(); }
int32_t Reset(Session* session) { return session->interpreter.Reset(); }

int32_t Save(Session* session, void* blob, size_t bytes) {
  const auto ready = tflm_train::EnsureWeights(session->interpreter);
  if (ready != tflm_train::StateStatus::kOk) return static_cast<int32_t>(ready);
  return static_cast<int32_t>(tflm_train::StateSave(session->interpreter, blob, bytes));
}

int32_t Load(Session* session, const void* blob, size_t bytes) {
  return static_cast<int32_t>(tflm_train::StateLoad(session->interpreter, blob, bytes));
}

// Each session in a thread of its own, all at once. Returns how many did all steps.
int32_t TrainAtOnce(Session** sessions, int32_t count, int32_t steps, float rate) {
  std::atomic<int32_t> waiting(count), done(0);
  std::vector<std::thread> threads;
  for (int32_t i = 0; i < count; ++i) {
    threads.emplace_back([&, i] {
      --waiting;
      while (waiting > 0) {
      }
      done += Train(*sessions[i], steps, rate);
    });
  }
  for (std::thread& thread : threads) thread.join();
  return done;
}

// Steps in this thread while another one infers with the same interpreter: one lock is held from
// the writing of the inputs to the reading of the outputs. Returns how many times that one inferred;
// -1 when anything failed.
int32_t TrainWhileInferring(Session* session, int32_t steps, float rate) {
  std::mutex in_use;
  std::atomic<bool> ends(false), failed(false);
  std::atomic<int32_t> inferences(0);
  std::thread other([&] {
    for (uint32_t sample = 1000; !ends; ++sample) {
      const std::lock_guard<std::mutex> lock(in_use);
      if (!Run(*session, sample, 0.0f)) failed = true;
      ++inferences;
    }
  });
  for (int32_t step = 0; step < steps; ++step) {
    const int32_t before = inferences;
    {
      const std::lock_guard<std::mutex> lock(in_use);
      if (!Run(*session, static_cast<uint32_t>(step), rate)) failed = true;
    }
    while (inferences == before && !failed) std::this_thread::yield();
  }
  ends = true;
  other.join();
  return failed ? -1 : inferences.load();
}

// What the profiler was told since the last call: events begun; -1 where they did not end in turn.
int32_t TakeEvents(Session* session) {
  Feeder& feeder = session->feeder;
  const bool fits = feeder.in_order && feeder.begun == feeder.ended;
  const int32_t events = fits ? static_cast<int32_t>(feeder.begun) : -1;
  feeder.begun = feeder.ended = 0;
  return events;
}

}  // extern "C"
