#ifndef TFLM_STUB_MICRO_INTERPRETER_H_
#define TFLM_STUB_MICRO_INTERPRETER_H_

#include "tensorflow/lite/micro/micro_allocator.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/schema/schema_generated.h"

TFLM_STUB_CPP

class MicroResourceVariables;

class MicroInterpreter {
 public:
  MicroInterpreter(const ::tflite::Model* model, const MicroOpResolver& resolver, uint8_t* arena,
                   size_t arena_bytes);
  MicroInterpreter(const ::tflite::Model* model, const MicroOpResolver& resolver,
                   MicroAllocator* allocator, MicroResourceVariables* resources);
  TfLiteStatus AllocateTensors();
  TfLiteStatus Invoke();
  TfLiteTensor* input(size_t index);
  size_t inputs_size() const;
  TfLiteTensor* output(size_t index);
  size_t outputs_size() const;
  size_t arena_used_bytes() const;
};

TFLM_STUB_CPP_END

#endif  // TFLM_STUB_MICRO_INTERPRETER_H_
