// Moved: include "tflm_kernels/state/state.h". This name goes with the next version.

#ifndef TFLM_KERNELS_STATE_H_
#define TFLM_KERNELS_STATE_H_

#include "tflm_kernels/state/state.h"

#endif  // TFLM_KERNELS_STATE_H_
