#include "tflm_kernels/host/tflm_host.h"

#include <dlfcn.h>
#include <time.h>

#include <atomic>
#include <cstdarg>
#include <cstdio>

#include "tflm_kernels/micro/tflm_adapter.h"

namespace tflm_train {
namespace {

// One pointer per helper; all set or none used.
struct TflmHelpers {
  TfLiteEvalTensor* (*get_eval_tensor)(const TfLiteContext*, int);
  void* (*allocate_persistent_buffer)(TfLiteContext*, size_t);
  TfLiteStatus (*request_scratch_buffer)(TfLiteContext*, size_t, int*);
  void* (*get_scratch_buffer)(TfLiteContext*, int);
};
TflmHelpers helpers = {};

using LogFunction = void (*)(const char* format, ...);
LogFunction tflm_log = nullptr;

thread_local char last_error[512] = "";
std::atomic<uint64_t> op_nanoseconds[kLastOpKind + 1];

// `namespaced` is the symbol since October 2026, `classic` the one before.
template <typename Function>
bool Resolve(const char* namespaced, const char* classic, Function* function) {
  void* symbol = dlsym(RTLD_DEFAULT, namespaced);
  if (symbol == nullptr) symbol = dlsym(RTLD_DEFAULT, classic);
  *function = reinterpret_cast<Function>(symbol);
  return symbol != nullptr;
}

uint64_t Now() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1000000000u + static_cast<uint64_t>(now.tv_nsec);
}

}  // namespace

bool ResolveTflm() {
  tflm_log = reinterpret_cast<LogFunction>(dlsym(RTLD_DEFAULT, "_Z11MicroPrintfPKcz"));
  const bool found = Resolve("_ZN6tflite5micro25MicroContextGetEvalTensorEPKNS0_13TfLiteContextEi",
                             "_ZN6tflite25MicroContextGetEvalTensorEPK13TfLiteContexti",
                             &helpers.get_eval_tensor) &&
                     Resolve(
                         "_ZN6tflite5micro36MicroContextAllocatePersistentBufferEPNS0_"
                         "13TfLiteContextEm",
                         "_ZN6tflite36MicroContextAllocatePersistentBufferEP13TfLiteContextm",
                         &helpers.allocate_persistent_buffer) &&
                     Resolve(
                         "_ZN6tflite5micro39MicroContextRequestScratchBufferInArenaEPNS0_"
                         "13TfLiteContextEmPi",
                         "_ZN6tflite39MicroContextRequestScratchBufferInArenaEP13TfLiteContext"
                         "mPi",
                         &helpers.request_scratch_buffer) &&
                     Resolve(
                         "_ZN6tflite5micro28MicroContextGetScratchBufferEPNS0_"
                         "13TfLiteContextEi",
                         "_ZN6tflite28MicroContextGetScratchBufferEP13TfLiteContexti",
                         &helpers.get_scratch_buffer);
  if (!found) {
    MicroPrintf(
        "tflm_train: this tflite-micro does not export the MicroContext "
        "helpers, or its "
        "_runtime.so was not loaded with RTLD_GLOBAL");
  }
  return found;
}

const char* LastError() { return last_error; }

uint64_t OpNanoseconds(OpKind kind) { return op_nanoseconds[static_cast<int>(kind)]; }

void ResetOpTimes() {
  for (std::atomic<uint64_t>& time : op_nanoseconds) time = 0;
}

OpTimer::OpTimer(OpKind kind) : kind_(kind), start_(Now()) {}

OpTimer::~OpTimer() { op_nanoseconds[static_cast<int>(kind_)] += Now() - start_; }

TfLiteEvalTensor* MicroContextGetEvalTensor(const TfLiteContext* context, int tensor_index) {
  return helpers.get_eval_tensor(context, tensor_index);
}

void* MicroContextAllocatePersistentBuffer(TfLiteContext* context, size_t bytes) {
  return helpers.allocate_persistent_buffer(context, bytes);
}

TfLiteStatus MicroContextRequestScratchBufferInArena(TfLiteContext* context, size_t bytes,
                                                     int* buffer_index) {
  return helpers.request_scratch_buffer(context, bytes, buffer_index);
}

void* MicroContextGetScratchBuffer(TfLiteContext* context, int buffer_index) {
  return helpers.get_scratch_buffer(context, buffer_index);
}

void MicroPrintf(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(last_error, sizeof(last_error), format, arguments);
  va_end(arguments);
  if (tflm_log != nullptr) {
    tflm_log("%s", last_error);
  } else {
    std::fprintf(stderr, "%s\n", last_error);
  }
}

}  // namespace tflm_train
