#ifndef TFLM_STUB_MICRO_MUTABLE_OP_RESOLVER_H_
#define TFLM_STUB_MICRO_MUTABLE_OP_RESOLVER_H_

#if __has_include("tensorflow/lite/micro/micro_common.h")
#include "tensorflow/lite/micro/micro_common.h"
#else
#include "tensorflow/lite/c/common.h"
#endif

TFLM_STUB_CPP

#if !__has_include("tensorflow/lite/micro/micro_common.h") || defined(TFLM_STUB_MAY_2023)
using StubRegistration = TfLiteRegistration;
#else
using StubRegistration = const TFLMRegistration;
#endif

class MicroOpResolver {};

template <unsigned int tOpCount>
class MicroMutableOpResolver : public MicroOpResolver {
 public:
  TfLiteStatus AddCustom(const char* name, StubRegistration* registration) {
    return Add(name != nullptr && registration->custom_name != nullptr &&
               registration->prepare != nullptr && registration->invoke != nullptr);
  }
  TfLiteStatus AddAdd() { return Add(true); }
  TfLiteStatus AddAssignVariable() { return Add(true); }
  TfLiteStatus AddAveragePool2D() { return Add(true); }
  TfLiteStatus AddCallOnce() { return Add(true); }
  TfLiteStatus AddConcatenation() { return Add(true); }
  TfLiteStatus AddConv2D() { return Add(true); }
  TfLiteStatus AddDepthwiseConv2D() { return Add(true); }
  TfLiteStatus AddFullyConnected() { return Add(true); }
  TfLiteStatus AddLogistic() { return Add(true); }
  TfLiteStatus AddMean() { return Add(true); }
  TfLiteStatus AddReadVariable() { return Add(true); }
  TfLiteStatus AddReshape() { return Add(true); }
  TfLiteStatus AddSoftmax() { return Add(true); }
  TfLiteStatus AddStridedSlice() { return Add(true); }
  TfLiteStatus AddVarHandle() { return Add(true); }

 private:
  TfLiteStatus Add(bool valid) { return valid && count_++ < tOpCount ? kTfLiteOk : kTfLiteError; }

  unsigned int count_ = 0;
};

TFLM_STUB_CPP_END

#endif  // TFLM_STUB_MICRO_MUTABLE_OP_RESOLVER_H_
