#include "tflm_kernels/forward_ops.h"

#include "tflm_kernels/arch/features.h"

#if defined(TFLM_TRAIN_MVE)
#include "tflm_kernels/arch/forward_mve.h"
#elif defined(TFLM_TRAIN_DSP)
#include "tflm_kernels/arch/forward_dsp.h"
#else
#include "tflm_kernels/arch/forward_portable.h"
#endif
