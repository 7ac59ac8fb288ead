// Softmax cross-entropy.

#ifndef TFLM_KERNELS_LOSS_H_
#define TFLM_KERNELS_LOSS_H_

#include <cstddef>
#include <cstdint>

#include "tflm_kernels/op_params.h"
#include "tflm_kernels/state.h"

namespace tflm_train {

// Scratch of Loss: float [classes].
size_t LossScratchBytes(const LossParams& params);

// Loss and its gradient with respect to the logits; begins the step.
//
//   params      scale of the logits (the zero point cancels)
//   logits      int8 [classes]
//   label       0 .. classes - 1
//   state       step is incremented
//   scales      float, all slots; slot written
//   grad        int8 [classes], written
//   loss        float [1], written
//   scratch     LossScratchBytes(params) bytes, 4-byte aligned, of the caller
// Returns false, having written nothing, when the label is out of range.
bool Loss(const LossParams& params, const int8_t* logits, int32_t label, TrainState* state,
          float* scales, int8_t* grad, float* loss, void* scratch);

}  // namespace tflm_train

#endif  // TFLM_KERNELS_LOSS_H_
