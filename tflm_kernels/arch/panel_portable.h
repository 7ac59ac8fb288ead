// Panels in plain C++. Only for panel.cc.

#ifndef TFLM_KERNELS_ARCH_PANEL_PORTABLE_H_
#define TFLM_KERNELS_ARCH_PANEL_PORTABLE_H_

#include <cstdint>

#include "tflm_kernels/arch/panel_generic.h"

namespace tflm_train {

void PackLanes(PixelCursor* cursor, int32_t depth, int lanes, int32_t offset, int16_t* panel) {
  PackLanesGeneric(cursor, depth, lanes, offset, panel);
}

void PackProducts(const int8_t* q, const int8_t* m, int32_t depth, int16_t* panel) {
  PackProductsGeneric(q, m, depth, panel);
}

}  // namespace tflm_train

#endif  // TFLM_KERNELS_ARCH_PANEL_PORTABLE_H_
