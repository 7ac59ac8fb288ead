// Everything the ops use of TFLM, and nothing else in this library names it.
//
// TFLM's headers must be on the include path, of any of these generations:
//
//   September 2022               an op is registered as TfLiteRegistration,
//   late May 2023                as TFLMRegistration, from micro_common.h,
//   October 2026                 everything is in the namespace tflite::micro.
//
// The shared library of the Python package has no headers (TFLM_TRAIN_HOST):
// the few structs are declared here and the helpers are found in the running
// process by their symbols, see host/tflm_host.cc.

#ifndef TFLM_KERNELS_MICRO_TFLM_ADAPTER_H_
#define TFLM_KERNELS_MICRO_TFLM_ADAPTER_H_

#include <cstddef>
#include <cstdint>

#include "tflm_kernels/spec/op_params.h"

#if !defined(TFLM_TRAIN_HOST)

#if __has_include("tensorflow/lite/micro/micro_common.h")
#include "tensorflow/lite/micro/micro_common.h"
#elif __has_include("tensorflow/lite/micro/micro_log.h")
#define TFLM_TRAIN_OLD_REGISTRATION
#elif __has_include("tensorflow/lite/micro/micro_interpreter.h")
#error "This TFLM is from before September 2022; the training ops need a newer one."
#else
#error "TFLM's headers are not on the include path: add the folder that holds tensorflow/."
#endif

#include "tensorflow/lite/c/common.h"
#include "tensorflow/lite/micro/micro_context.h"
#include "tensorflow/lite/micro/micro_log.h"

namespace tflite {
namespace micro {}
}  // namespace tflite
namespace tflm_train {
using namespace ::tflite;         // NOLINT: either generation, see above
using namespace ::tflite::micro;  // NOLINT
#if defined(TFLM_TRAIN_OLD_REGISTRATION)
using TFLMRegistration = ::TfLiteRegistration;
#endif
}  // namespace tflm_train

#else  // TFLM_TRAIN_HOST

namespace tflm_train {

// The layouts that every TFLM built with TF_LITE_STATIC_MEMORY has had; the
// build macro is part of the interpreter's ABI and the wheels are built with
// it.
enum TfLiteStatus { kTfLiteOk = 0, kTfLiteError = 1 };
enum TfLiteType {
  kTfLiteNoType = 0,
  kTfLiteFloat32 = 1,
  kTfLiteInt32 = 2,
  kTfLiteUInt8 = 3,
  kTfLiteInt16 = 7,
  kTfLiteInt8 = 9,
};
constexpr int kTfLiteOptionalTensor = -1;

struct TfLiteContext;  // its layout differs between generations: never looked
                       // into

struct TfLiteIntArray {
  int size;
  int data[1];  // [size]
};

union TfLitePtrUnion {
  void* data;
};

struct TfLiteEvalTensor {
  TfLitePtrUnion data;
  TfLiteIntArray* dims;
  TfLiteType type;
};

struct TfLiteNode {
  TfLiteIntArray* inputs;
  TfLiteIntArray* outputs;
  TfLiteIntArray* intermediates;
  void* user_data;
  void* builtin_data;
  const void* custom_initial_data;
  int custom_initial_data_size;
};

struct TFLMRegistration {
  void* (*init)(TfLiteContext* context, const char* buffer, size_t length);
  void (*free)(TfLiteContext* context, void* buffer);
  TfLiteStatus (*prepare)(TfLiteContext* context, TfLiteNode* node);
  TfLiteStatus (*invoke)(TfLiteContext* context, TfLiteNode* node);
  void (*reset)(TfLiteContext* context, void* buffer);
  int32_t builtin_code;
  const char* custom_name;
};

TfLiteEvalTensor* MicroContextGetEvalTensor(const TfLiteContext* context, int tensor_index);
void* MicroContextAllocatePersistentBuffer(TfLiteContext* context, size_t bytes);
TfLiteStatus MicroContextRequestScratchBufferInArena(TfLiteContext* context, size_t bytes,
                                                     int* buffer_index);
void* MicroContextGetScratchBuffer(TfLiteContext* context, int buffer_index);

// Goes to the interpreter's log, and is kept for TflmTrainLastError().
void MicroPrintf(const char* format, ...) __attribute__((format(printf, 1, 2)));

}  // namespace tflm_train

#endif  // TFLM_TRAIN_HOST

namespace tflm_train {

// Adds the time until its end of scope to the op's counter, in the host
// library.
#if defined(TFLM_TRAIN_HOST)
class OpTimer {
 public:
  explicit OpTimer(OpKind kind);
  ~OpTimer();

 private:
  OpKind kind_;
  uint64_t start_;
};
#else
class OpTimer {
 public:
  explicit OpTimer(OpKind) {}
};
#endif

// BuiltinOperator_CUSTOM of the schema.
constexpr int32_t kBuiltinOperatorCustom = 32;

// What an op tells TFLM, as the type that the resolver takes: until late May
// 2023 one without `reset`. There TFLM calls `free` at the end of
// AllocateTensors(), in Reset() and in the interpreter's destructor.
template <typename Registration>
auto SetReset(Registration& registration, void (*reset)(TfLiteContext*, void*), int)
    -> decltype(registration.reset, void()) {
  registration.reset = reset;
}
template <typename Registration>
void SetReset(Registration& registration, void (*reset)(TfLiteContext*, void*), long) {
  registration.free = reset;
}
template <typename Registration>
auto ResetOf(const Registration& registration, int) -> decltype(registration.reset) {
  return registration.reset;
}
template <typename Registration>
auto ResetOf(const Registration& registration, long) -> decltype(registration.free) {
  return registration.free;
}

}  // namespace tflm_train

#endif  // TFLM_KERNELS_MICRO_TFLM_ADAPTER_H_
