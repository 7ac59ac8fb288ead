#include "tflm_kernels/panel.h"

#if defined(TFLM_TRAIN_MVE)
#include "tflm_kernels/arch/panel_mve.h"
#elif defined(TFLM_TRAIN_DSP)
#include "tflm_kernels/arch/panel_dsp.h"
#else
#include "tflm_kernels/arch/panel_portable.h"
#endif

namespace tflm_train {

#if !defined(TFLM_TRAIN_MVE)
void PackLane(const int8_t* bytes, int32_t stride, int32_t depth, int16_t* lane) {
  PackLaneGeneric(bytes, stride, depth, lane);
}

void ClearLane(int32_t depth, int16_t* lane) {
  for (int32_t k = 0; k < depth; ++k) lane[PanelIndex(k)] = 0;
  PadLane(depth, lane);
}
#endif

}  // namespace tflm_train
