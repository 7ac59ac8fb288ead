#ifndef TFLM_STUB_SCHEMA_GENERATED_H_
#define TFLM_STUB_SCHEMA_GENERATED_H_

namespace tflite {

struct Model;
const Model* GetModel(const void* buffer);

}  // namespace tflite

#endif  // TFLM_STUB_SCHEMA_GENERATED_H_
