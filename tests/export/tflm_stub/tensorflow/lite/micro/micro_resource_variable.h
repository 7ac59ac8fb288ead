#ifndef TFLM_STUB_MICRO_RESOURCE_VARIABLE_H_
#define TFLM_STUB_MICRO_RESOURCE_VARIABLE_H_

#include "tensorflow/lite/micro/micro_allocator.h"

TFLM_STUB_CPP

class MicroResourceVariables {
 public:
  static MicroResourceVariables* Create(MicroAllocator* allocator, int max_num_variables);
};

TFLM_STUB_CPP_END

#endif  // TFLM_STUB_MICRO_RESOURCE_VARIABLE_H_
