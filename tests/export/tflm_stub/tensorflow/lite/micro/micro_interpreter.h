#ifndef TFLM_STUB_MICRO_INTERPRETER_H_
#define TFLM_STUB_MICRO_INTERPRETER_H_

#include "tensorflow/lite/micro/micro_allocator.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/micro/micro_profiler_interface.h"
#include "tensorflow/lite/schema/schema_generated.h"

TFLM_STUB_CPP

class MicroResourceVariables;

class MicroInterpreter {
 public:
  MicroInterpreter(const ::tflite::Model* model, const MicroOpResolver& resolver, uint8_t* arena,
                   size_t arena_bytes, MicroResourceVariables* resources = nullptr,
                   MicroProfilerInterface* profiler = nullptr);
  MicroInterpreter(const ::tflite::Model* model, const MicroOpResolver& resolver,
                   MicroAllocator* allocator, MicroResourceVariables* resources = nullptr,
                   MicroProfilerInterface* profiler = nullptr);
  TfLiteStatus AllocateTensors();
  TfLiteStatus Invoke();
  TfLiteStatus Reset();
  TfLiteTensor* input(size_t index);
  size_t inputs_size() const;
  TfLiteTensor* output(size_t index);
  size_t outputs_size() const;
  size_t arena_used_bytes() const;
};

TFLM_STUB_CPP_END

#endif  // TFLM_STUB_MICRO_INTERPRETER_H_
