// The one header that firmware includes: registers the training ops of a
// rewritten model, and saves, loads and resets what it has learnt.
//
//   tflite::MicroMutableOpResolver<kModelOps + tflm_train::kTrainOpCount> resolver;
//   ... the model's own ops ...
//   tflm_train::AddTrainOps(resolver);
//   tflite::MicroInterpreter interpreter(model, resolver, arena, kArenaBytes);
//   interpreter.AllocateTensors();
//   tflm_train::StateLoad(interpreter, blob, size);  // interpreter_state.h, journal.h

#ifndef TFLM_KERNELS_MICRO_TRAIN_OPS_H_
#define TFLM_KERNELS_MICRO_TRAIN_OPS_H_

#include <type_traits>

#include "tflm_kernels/micro/tflm_adapter.h"
#include "tflm_kernels/spec/op_params.h"
#include "tflm_kernels/state/interpreter_state.h"
#include "tflm_kernels/state/journal.h"
#include "tflm_kernels/state/state.h"

namespace tflm_train {

TFLMRegistration Register_TRAIN_RESTORE();
TFLMRegistration Register_TRAIN_LOSS();
TFLMRegistration Register_TRAIN_CLAMP_MASK();
TFLMRegistration Register_TRAIN_CONV_INPUT_GRAD();
TFLMRegistration Register_TRAIN_DEPTHWISE_INPUT_GRAD();
TFLMRegistration Register_TRAIN_POOL_GRAD();
TFLMRegistration Register_TRAIN_ACCUMULATE();
TFLMRegistration Register_TRAIN_CONV_UPDATE();
TFLMRegistration Register_TRAIN_DEPTHWISE_UPDATE();
TFLMRegistration Register_TRAIN_BIAS_UPDATE();
TFLMRegistration Register_TRAIN_CHANNEL_SAVE();
TFLMRegistration Register_TRAIN_SPLIT_CONV();
TFLMRegistration Register_TRAIN_SPLIT_DEPTHWISE();
TFLMRegistration Register_TRAIN_FINISH();
TFLMRegistration Register_TRAIN_STREAM();
TFLMRegistration Register_TRAIN_PRODUCT_GRAD();
TFLMRegistration Register_TRAIN_MOVE_GRAD();
TFLMRegistration Register_TRAIN_MAX_POOL_GRAD();
TFLMRegistration Register_TRAIN_RESIZE_GRAD();
TFLMRegistration Register_TRAIN_L2_NORM_GRAD();

// All of them. A template, so that only firmware that asks for the list refers
// to every op: an exported project holds those of its model.
template <typename Unused = void>
struct TrainOpList {
  static constexpr TFLMRegistration (*kAll[])() = {
      Register_TRAIN_RESTORE,
      Register_TRAIN_LOSS,
      Register_TRAIN_CLAMP_MASK,
      Register_TRAIN_CONV_INPUT_GRAD,
      Register_TRAIN_DEPTHWISE_INPUT_GRAD,
      Register_TRAIN_POOL_GRAD,
      Register_TRAIN_ACCUMULATE,
      Register_TRAIN_CONV_UPDATE,
      Register_TRAIN_DEPTHWISE_UPDATE,
      Register_TRAIN_BIAS_UPDATE,
      Register_TRAIN_CHANNEL_SAVE,
      Register_TRAIN_SPLIT_CONV,
      Register_TRAIN_SPLIT_DEPTHWISE,
      Register_TRAIN_FINISH,
      Register_TRAIN_STREAM,
      Register_TRAIN_PRODUCT_GRAD,
      Register_TRAIN_MOVE_GRAD,
      Register_TRAIN_MAX_POOL_GRAD,
      Register_TRAIN_RESIZE_GRAD,
      Register_TRAIN_L2_NORM_GRAD,
  };
};
template <typename Unused>
constexpr TFLMRegistration (*TrainOpList<Unused>::kAll[])();

// Resolver entries that AddTrainOps takes.
constexpr int kTrainOpCount = sizeof(TrainOpList<>::kAll) / sizeof(TrainOpList<>::kAll[0]);

// For a few days of May 2023 a resolver took another type than TFLM declared for
// ops: it is that of AddCustom.
template <typename Resolver, typename Base, typename Registration>
TfLiteStatus AddTrainOpAs(Resolver& resolver,
                          TfLiteStatus (Base::*)(const char* name, Registration* registration),
                          const TFLMRegistration& ours) {
  typename std::remove_const<Registration>::type registration = {};
  registration.prepare = ours.prepare;
  registration.invoke = ours.invoke;
  registration.builtin_code = ours.builtin_code;
  registration.custom_name = ours.custom_name;
  SetReset(registration, ResetOf(ours, 0), 0);
  return resolver.AddCustom(ours.custom_name, &registration);
}

// Registers one op. Resolver: any type with AddCustom(name, registration) that
// copies the registration, as MicroMutableOpResolver does.
template <typename Resolver>
TfLiteStatus AddTrainOp(Resolver& resolver, const TFLMRegistration& registration) {
  return AddTrainOpAs(resolver, &Resolver::AddCustom, registration);
}

// Registers all ops. Firmware short of flash may call AddTrainOp with just
// those that its model uses.
template <typename Resolver>
TfLiteStatus AddTrainOps(Resolver& resolver) {
  for (const auto& registration : TrainOpList<>::kAll) {
    const TfLiteStatus status = AddTrainOp(resolver, registration());
    if (status != kTfLiteOk) return status;
  }
  return kTfLiteOk;
}

}  // namespace tflm_train

#endif  // TFLM_KERNELS_MICRO_TRAIN_OPS_H_
