// What there is to link of the stand-in for TFLM: nothing of it does anything.

#include "tensorflow/lite/micro/micro_context.h"
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/micro_log.h"
#include "tensorflow/lite/micro/micro_resource_variable.h"
#include "tensorflow/lite/schema/schema_generated.h"

void MicroPrintf(const char*, ...) {}

TFLM_STUB_CPP

MicroAllocator* MicroAllocator::Create(uint8_t*, size_t) { return nullptr; }
MicroResourceVariables* MicroResourceVariables::Create(MicroAllocator*, int) { return nullptr; }

TfLiteEvalTensor* MicroContextGetEvalTensor(const TfLiteContext*, int) { return nullptr; }
void* MicroContextAllocatePersistentBuffer(TfLiteContext*, size_t) { return nullptr; }
TfLiteStatus MicroContextRequestScratchBufferInArena(TfLiteContext*, size_t, int*) {
  return kTfLiteError;
}
void* MicroContextGetScratchBuffer(TfLiteContext*, int) { return nullptr; }

MicroInterpreter::MicroInterpreter(const ::tflite::Model*, const MicroOpResolver&, uint8_t*, size_t,
                                   MicroResourceVariables*, MicroProfilerInterface*) {}
MicroInterpreter::MicroInterpreter(const ::tflite::Model*, const MicroOpResolver&, MicroAllocator*,
                                   MicroResourceVariables*, MicroProfilerInterface*) {}
TfLiteStatus MicroInterpreter::AllocateTensors() { return kTfLiteError; }
TfLiteStatus MicroInterpreter::Invoke() { return kTfLiteError; }
TfLiteStatus MicroInterpreter::Reset() { return kTfLiteError; }
TfLiteTensor* MicroInterpreter::input(size_t) { return nullptr; }
size_t MicroInterpreter::inputs_size() const { return 0; }
TfLiteTensor* MicroInterpreter::output(size_t) { return nullptr; }
size_t MicroInterpreter::outputs_size() const { return 0; }
size_t MicroInterpreter::arena_used_bytes() const { return 0; }

TFLM_STUB_CPP_END

namespace tflite {

const Model* GetModel(const void* buffer) { return static_cast<const Model*>(buffer); }

}  // namespace tflite
