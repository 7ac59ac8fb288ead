// Counts the instructions of every op of a model in TFLM on an emulated core. QEMU's
// loader puts the model into memory; a line `<index> <instructions>` is printed for
// each op of one Invoke; of a model that trains, of a step after some others.

#include <cstdint>
#include <cstdio>

#include "benchmarks/target/tflm_program.h"
#include "benchmarks/target/timer.h"
#include "tensorflow/lite/micro/micro_profiler_interface.h"

extern "C" const uint8_t model_data[];

namespace {

constexpr size_t kArenaBytes = 640 * 1024;
constexpr uint32_t kMaxOps = 512;
alignas(16) uint8_t arena[kArenaBytes];

class Profiler final : public tflite::MicroProfilerInterface {
 public:
  uint32_t BeginEvent(const char*) override {
    begin_ = tflm_train_bench::Ticks();
    return 0;
  }
  void EndEvent(uint32_t) override {
    const uint32_t ticks = tflm_train_bench::Ticks() - begin_;
    if (count_ < kMaxOps) counts_[count_++] = tflm_train_bench::Instructions(ticks);
  }
  void Clear() { count_ = 0; }
  void Show() const {
    for (uint32_t i = 0; i < count_; ++i) {
      char line[32];
      std::snprintf(line, sizeof(line), "%lu %lu\n", static_cast<unsigned long>(i),
                    static_cast<unsigned long>(counts_[i]));
      tflm_train_test::Print(line);
    }
  }

 private:
  uint32_t begin_ = 0, count_ = 0;
  uint32_t counts_[kMaxOps] = {};
};

}  // namespace

int main() {
  static tflm_train_bench::Resolver resolver;
  static Profiler profiler;
  if (!tflm_train_bench::AddOps(resolver)) return 1;
  tflite::MicroInterpreter interpreter(tflite::GetModel(model_data), resolver, arena, kArenaBytes,
                                       nullptr, &profiler);
  if (interpreter.AllocateTensors() != kTfLiteOk) return 1;
  tflm_train_bench::StartTimer();
  if (!tflm_train_bench::WarmUp(&interpreter).Run()) return 1;
  profiler.Clear();
  if (interpreter.Invoke() != kTfLiteOk) return 1;
  profiler.Show();
  tflm_train_test::Print("done\n");
  return 0;
}
