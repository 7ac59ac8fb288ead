// A stand-in for TFLM's headers, so that exported projects can be compiled where there is no TFLM:
// just the declarations that our adapter and the generated code use, of our own writing, with the
// layouts that TF_LITE_STATIC_MEMORY gives. -DTFLM_STUB_NAMESPACED has the names of late 2026.

#ifndef TFLM_STUB_COMMON_H_
#define TFLM_STUB_COMMON_H_

#include <cstddef>
#include <cstdint>

#if defined(TFLM_STUB_NAMESPACED)
#define TFLM_STUB_C  \
  namespace tflite { \
  namespace micro {
#define TFLM_STUB_C_END \
  }                     \
  }
#define TFLM_STUB_CPP TFLM_STUB_C
#define TFLM_STUB_CPP_END TFLM_STUB_C_END
#else
#define TFLM_STUB_C
#define TFLM_STUB_C_END
#define TFLM_STUB_CPP namespace tflite {
#define TFLM_STUB_CPP_END }
#endif

#ifndef TF_LITE_STATIC_MEMORY
#error "TF_LITE_STATIC_MEMORY is part of TFLM's ABI"
#endif

TFLM_STUB_C

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

struct TfLiteContext;
struct TfLiteIntArray {
  int size;
  int data[];
};
union TfLitePtrUnion {
  void* data;
  int8_t* int8;
  float* f;
};
struct TfLiteEvalTensor {
  TfLitePtrUnion data;
  TfLiteIntArray* dims;
  TfLiteType type;
};
struct TfLiteTensor {
  TfLitePtrUnion data;
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

TFLM_STUB_C_END

#endif  // TFLM_STUB_COMMON_H_
