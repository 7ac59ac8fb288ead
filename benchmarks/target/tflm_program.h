// What the programs with TFLM on an emulated core share: the ops, and where messages go. To be
// included once in a program.

#ifndef BENCHMARKS_TARGET_TFLM_PROGRAM_H_
#define BENCHMARKS_TARGET_TFLM_PROGRAM_H_

#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/schema/schema_generated.h"
#include "tests/cpp/harness.h"
#include "tests/target/tflm_messages.h"
#include "tflm_kernels/micro/train_ops.h"

namespace tflm_train_bench {

using Resolver = tflite::MicroMutableOpResolver<16 + tflm_train::kTrainOpCount>;

inline bool AddOps(Resolver& r) {
  for (const TfLiteStatus status :
       {r.AddAdd(), r.AddAveragePool2D(), r.AddConv2D(), r.AddDepthwiseConv2D(),
        r.AddFullyConnected(), r.AddMean(), r.AddPad(), r.AddReshape(), r.AddSoftmax(),
        tflm_train::AddTrainOps(r)}) {
    if (status != kTfLiteOk) return false;
  }
  return true;
}

}  // namespace tflm_train_bench

#endif  // BENCHMARKS_TARGET_TFLM_PROGRAM_H_
