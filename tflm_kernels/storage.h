// Moved: include "tflm_kernels/state/storage.h". This name goes with the next version.

#ifndef TFLM_KERNELS_STORAGE_H_
#define TFLM_KERNELS_STORAGE_H_

#include "tflm_kernels/state/storage.h"

#endif  // TFLM_KERNELS_STORAGE_H_
