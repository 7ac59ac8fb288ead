#ifndef TFLM_STUB_MICRO_CONTEXT_H_
#define TFLM_STUB_MICRO_CONTEXT_H_

#include "tensorflow/lite/c/common.h"

TFLM_STUB_CPP

TfLiteEvalTensor* MicroContextGetEvalTensor(const TfLiteContext* context, int tensor_index);
void* MicroContextAllocatePersistentBuffer(TfLiteContext* context, size_t bytes);
TfLiteStatus MicroContextRequestScratchBufferInArena(TfLiteContext* context, size_t bytes,
                                                     int* buffer_index);
void* MicroContextGetScratchBuffer(TfLiteContext* context, int buffer_index);

TFLM_STUB_CPP_END

#endif  // TFLM_STUB_MICRO_CONTEXT_H_
