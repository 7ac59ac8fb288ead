// Moved: include "tflm_kernels/state/interpreter_state.h". This name goes with the next version.

#ifndef TFLM_KERNELS_MICRO_INTERPRETER_STATE_H_
#define TFLM_KERNELS_MICRO_INTERPRETER_STATE_H_

#include "tflm_kernels/state/interpreter_state.h"

#endif  // TFLM_KERNELS_MICRO_INTERPRETER_STATE_H_
