// C interface of the Python package's shared library: registers the ops with
// the interpreter of the tflite-micro wheel and reaches the training state.
// Status codes are StateStatus; 0 is success.

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "tflm_kernels/host/tflm_host.h"
#include "tflm_kernels/micro/train_ops.h"
#include "tflm_kernels/spec/op_params.h"
#include "tflm_kernels/state/state.h"
#include "tflm_kernels/weight_stepper.h"

namespace tflm_train {

namespace {

constexpr uint32_t kResolverCapacity = 200;

// Memory layout of the wheel's MicroMutableOpResolver<200> up to the last
// member that matters here. Its class exists in two namespaces and no header
// comes with the wheel, so it is known by its layout alone.
struct WheelResolver {
  void* vtable;
  TFLMRegistration registrations[kResolverCapacity];
  uint32_t length;

  // Whether this looks like a resolver of that layout: the entries in use have
  // an invoke function, and custom ones a name.
  bool IsPlausible() const {
    if (length > kResolverCapacity) return false;
    for (uint32_t i = 0; i < length; ++i) {
      const TFLMRegistration& entry = registrations[i];
      if (entry.invoke == nullptr || entry.builtin_code < 0 || entry.builtin_code > 1000) {
        return false;
      }
      if (entry.builtin_code == kBuiltinOperatorCustom && entry.custom_name == nullptr) {
        return false;
      }
    }
    return true;
  }

  TfLiteStatus AddCustom(const char* name, const TFLMRegistration* registration) {
    for (uint32_t i = 0; i < length; ++i) {
      const TFLMRegistration& entry = registrations[i];
      if (entry.builtin_code == kBuiltinOperatorCustom &&
          std::strcmp(entry.custom_name, name) == 0) {
        return kTfLiteOk;  // registered twice: the same function either way
      }
    }
    if (length >= kResolverCapacity) {
      MicroPrintf("tflm_train: no room in the interpreter's op resolver for %s", name);
      return kTfLiteError;
    }
    registrations[length++] = *registration;
    return kTfLiteOk;
  }
};

int32_t Report(StateStatus status) {
  if (status != StateStatus::kOk) {
    MicroPrintf("tflm_train state: %s", StateStatusMessage(status));
  }
  return static_cast<int32_t>(status);
}

}  // namespace
}  // namespace tflm_train

extern "C" {

// Name this in the interpreter's custom_op_registerers. resolver: the wheel's
// MicroMutableOpResolver<200>. False: see TflmTrainLastError.
bool TflmTrainRegister(void* resolver) {
  using namespace tflm_train;
  if (!ResolveTflm()) return false;
  WheelResolver* wheel_resolver = static_cast<WheelResolver*>(resolver);
  if (!wheel_resolver->IsPlausible()) {
    MicroPrintf(
        "tflm_train: the op resolver of this tflite-micro has an unknown "
        "layout");
    return false;
  }
  return AddTrainOps(*wheel_resolver) == kTfLiteOk;
}

// state: the 64 bytes of `train/state`, as read from the interpreter's output.
size_t TflmTrainStateSize(const tflm_train::TrainState* state) {
  return tflm_train::StateSize(state);
}

int32_t TflmTrainStateSave(const tflm_train::TrainState* state, void* blob, size_t capacity) {
  return tflm_train::Report(tflm_train::StateSave(state, blob, capacity));
}

int32_t TflmTrainStateLoad(const tflm_train::TrainState* state, const void* blob, size_t size) {
  return tflm_train::Report(tflm_train::StateLoad(state, blob, size));
}

int32_t TflmTrainStateReset(const tflm_train::TrainState* state) {
  return tflm_train::Report(tflm_train::StateReset(state));
}

uint32_t TflmTrainStateStep(const tflm_train::TrainState* state) {
  return tflm_train::StateStep(state);
}

// Puts a latent in the place of the model's, `size` bytes.
int32_t TflmTrainLatentSet(const tflm_train::TrainState* state, const void* latent, size_t size) {
  const tflm_train::Latent own = tflm_train::StateLatent(state);
  if (own.data == nullptr) return tflm_train::Report(tflm_train::StateStatus::kNotReady);
  if (own.bytes != size) return tflm_train::Report(tflm_train::StateStatus::kWrongSize);
  std::memcpy(own.data, latent, size);
  return 0;
}

// The last message of an op or of a function above, in this thread.
const char* TflmTrainLastError() { return tflm_train::LastError(); }

// Time spent in the ops of one kind (OpKind) since TflmTrainOpReset.
uint64_t TflmTrainOpNanoseconds(int32_t kind) {
  if (kind < 1 || kind > tflm_train::kLastOpKind) return 0;
  return tflm_train::OpNanoseconds(static_cast<tflm_train::OpKind>(kind));
}

// Steps of weights in this thread since the last call: all, those limited, those rounded to nothing.
void TflmTrainTakeStepCounts(uint64_t* counts) {
  counts[0] = tflm_train::step_counts.steps;
  counts[1] = tflm_train::step_counts.limited;
  counts[2] = tflm_train::step_counts.vanished;
  tflm_train::step_counts = {};
}

void TflmTrainOpReset() { tflm_train::ResetOpTimes(); }

}  // extern "C"
