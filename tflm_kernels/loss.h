// The losses: softmax cross-entropy, sigmoid cross-entropy, mean squared error.

#ifndef TFLM_KERNELS_LOSS_H_
#define TFLM_KERNELS_LOSS_H_

#include <cstddef>
#include <cstdint>

#include "tflm_kernels/spec/op_params.h"
#include "tflm_kernels/state/state.h"

namespace tflm_train {

// Scratch of Loss: float [positions, classes].
size_t LossScratchBytes(const LossParams& params);

// The first position whose label, int32 [positions], is no class; positions where there is none.
int32_t FirstWrongLabel(const LossParams& params, const int32_t* labels);

// Loss and its gradient with respect to the logits; begins the step.
//
//   params         which loss, what the target is, scale of the logits
//   logits         int8 [positions, classes]
//   target         int32 [positions], float [positions, classes] or int8 [classes]:
//                  params.target_kind
//   class_weights  float [classes], or nullptr: all 1
//   state          step is incremented
//   scales         float, all slots; slot written
//   grad           int8 [positions, classes], written
//   loss           float [1], written: the mean over the positions
//   scratch        LossScratchBytes(params) bytes, 4-byte aligned, of the caller
// Returns false, having written nothing, when the target is out of range: a
// class that does not exist, a probability outside [0, 1], a value that is not
// a number or beyond +-2^40.
bool Loss(const LossParams& params, const int8_t* logits, const void* target,
          const float* class_weights, StepState* state, float* scales, int8_t* grad, float* loss,
          void* scratch);

}  // namespace tflm_train

#endif  // TFLM_KERNELS_LOSS_H_
