#ifndef TFLM_STUB_MICRO_ALLOCATOR_H_
#define TFLM_STUB_MICRO_ALLOCATOR_H_

#include "tensorflow/lite/c/common.h"

TFLM_STUB_CPP

class MicroAllocator {
 public:
  static MicroAllocator* Create(uint8_t* arena, size_t arena_bytes);
};

TFLM_STUB_CPP_END

#endif  // TFLM_STUB_MICRO_ALLOCATOR_H_
