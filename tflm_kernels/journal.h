// Moved: include "tflm_kernels/state/journal.h". This name goes with the next version.

#ifndef TFLM_KERNELS_JOURNAL_H_
#define TFLM_KERNELS_JOURNAL_H_

#include "tflm_kernels/state/journal.h"

#endif  // TFLM_KERNELS_JOURNAL_H_
