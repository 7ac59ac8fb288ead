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

// A resolver that takes ops as TFLM did until May 2023, and one as since: each op has what it
// does, and the one that is told of AllocateTensors() and Reset() is, by what there is for it.
struct OldRegistration {
  void (*free)(TfLiteContext* context, void* buffer);
  TfLiteStatus (*prepare)(TfLiteContext* context, TfLiteNode* node);
  TfLiteStatus (*invoke)(TfLiteContext* context, TfLiteNode* node);
  int32_t builtin_code;
  const char* custom_name;
};
struct NewRegistration : OldRegistration {
  void (*reset)(TfLiteContext* context, void* buffer);
};

template <typename Registration>
class Recorder {
 public:
  TfLiteStatus AddCustom(const char*, Registration* op) {
    if (op->prepare == nullptr || op->invoke == nullptr || op->builtin_code != 32) {
      return kTfLiteError;
    }
    Count(*op);
    return kTfLiteOk;
  }
  bool Knows(int frees, int resets) const { return frees_ == frees && resets_ == resets; }

 private:
  void Count(const NewRegistration& op) {
    frees_ += op.free != nullptr ? 1 : 0;
    resets_ += op.reset != nullptr ? 1 : 0;
  }
  void Count(const OldRegistration& op) { frees_ += op.free != nullptr ? 1 : 0; }

  int frees_ = 0;
  int resets_ = 0;
};

bool RegisterAll() {
  MicroMutableOpResolver<kTrainOpCount> resolver;
  Recorder<OldRegistration> until_2023;
  Recorder<const NewRegistration> since_2023;
  return AddTrainOps(resolver) == kTfLiteOk && AddTrainOps(until_2023) == kTfLiteOk &&
         AddTrainOps(since_2023) == kTfLiteOk && until_2023.Knows(1, 0) && since_2023.Knows(0, 1);
}

}  // namespace
}  // namespace tflm_train

int main() { return tflm_train::RegisterAll() && tflm_train::keep != nullptr ? 0 : 1; }
