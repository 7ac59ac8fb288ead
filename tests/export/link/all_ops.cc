// Firmware that knows every training op and keeps what was learnt: it does not link where a build
// lacks a source. On the host it also runs.

#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tflm_kernels/micro/interpreter_state.h"
#include "tflm_kernels/micro/train_ops.h"

namespace tflm_train {
namespace {

constexpr StorageSize kStorage = {2048, 256, 8};
uint8_t storage_memory[kStorage.bytes];
uint8_t blob[16];

// Never called: there is no model here. The linker must find all of it the same.
bool Keep(MicroInterpreter& interpreter) {
  RamStorage storage(storage_memory, kStorage);
  Journal journal(storage.storage());
  return journal.Open() == JournalStatus::kOk &&
         StateSave(interpreter, journal) == StateStatus::kOk &&
         StateLoad(interpreter, journal) == StateStatus::kOk &&
         StateSave(interpreter, blob, sizeof(blob)) == StateStatus::kOk &&
         StateLoad(interpreter, blob, sizeof(blob)) == StateStatus::kOk;
}
bool (*volatile keep)(MicroInterpreter&) = Keep;

bool RegisterAll() {
  MicroMutableOpResolver<kTrainOpCount> resolver;
  return AddTrainOps(resolver) == kTfLiteOk;
}

}  // namespace
}  // namespace tflm_train

int main() { return tflm_train::RegisterAll() && tflm_train::keep != nullptr ? 0 : 1; }
