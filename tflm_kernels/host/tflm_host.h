// The host side of micro/tflm_adapter.h: TFLM's helpers found in the process
// that loaded this library, the log, and the time each op takes.

#ifndef TFLM_KERNELS_HOST_TFLM_HOST_H_
#define TFLM_KERNELS_HOST_TFLM_HOST_H_

#include <cstdint>

#include "tflm_kernels/spec/op_params.h"

namespace tflm_train {

// Finds the interpreter's helpers. False, with a message logged, when no TFLM
// runtime is visible (it must have been loaded with RTLD_GLOBAL).
bool ResolveTflm();

// The last line given to MicroPrintf by this thread, "" before the first.
const char* LastError();

// Time spent in the ops of one kind since the last ResetOpTimes, of all
// threads.
uint64_t OpNanoseconds(OpKind kind);
void ResetOpTimes();

}  // namespace tflm_train

#endif  // TFLM_KERNELS_HOST_TFLM_HOST_H_
