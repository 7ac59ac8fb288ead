#ifndef TFLM_STUB_MICRO_PROFILER_INTERFACE_H_
#define TFLM_STUB_MICRO_PROFILER_INTERFACE_H_

#include "tensorflow/lite/c/common.h"

TFLM_STUB_CPP

class MicroProfilerInterface {
 public:
  virtual ~MicroProfilerInterface() {}
  virtual uint32_t BeginEvent(const char* tag) = 0;
  virtual void EndEvent(uint32_t event_handle) = 0;
};

TFLM_STUB_CPP_END

#endif  // TFLM_STUB_MICRO_PROFILER_INTERFACE_H_
