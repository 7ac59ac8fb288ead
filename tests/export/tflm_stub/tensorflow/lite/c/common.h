// A stand-in for TFLM's headers, so that exported projects can be compiled where there is no TFLM:
// just the declarations that our adapter and the generated code use, of our own writing, with the
// layouts that TF_LITE_STATIC_MEMORY gives. This folder alone is a TFLM of September 2022 to May
// 2023, with TfLiteRegistration; with tflm_stub_since_2023 it is a later one, where
// -DTFLM_STUB_MAY_2023 has the resolver of that month and -DTFLM_STUB_NAMESPACED the names of late
// 2026.

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

// How an op was registered until late May 2023.
struct TfLiteRegistration {
  void* (*init)(TfLiteContext* context, const char* buffer, size_t length);
  void (*free)(TfLiteContext* context, void* buffer);
  TfLiteStatus (*prepare)(TfLiteContext* context, TfLiteNode* node);
  TfLiteStatus (*invoke)(TfLiteContext* context, TfLiteNode* node);
  const char* (*profiling_string)(const TfLiteContext* context, const TfLiteNode* node);
  int32_t builtin_code;
  const char* custom_name;
  int version;
};

TFLM_STUB_C_END

#endif  // TFLM_STUB_COMMON_H_
