// The parts of panel.h that need no special instructions, for any quantum.

#ifndef TFLM_KERNELS_ARCH_PANEL_GENERIC_H_
#define TFLM_KERNELS_ARCH_PANEL_GENERIC_H_

#include <cstdint>

#include "tflm_kernels/panel.h"

namespace tflm_train {

// Where element k of lane 0 is.
template <int kQuantum>
constexpr int32_t PanelIndex(int32_t k) {
  return k / kQuantum * (kQuantum * kLanes) + k % kQuantum;
}

// Zeroes all lanes from element `depth` to the end of the quantum.
template <int kQuantum>
void PadPanel(int32_t depth, int16_t* panel) {
  for (int32_t k = depth; k % kQuantum != 0; ++k) {
    for (int lane = 0; lane < kLanes; ++lane) panel[PanelIndex<kQuantum>(k) + lane * kQuantum] = 0;
  }
}

// Lane j = pixel[j] - offset of the grid's pixels from `skip` on, `depth` of them; the lanes
// from `lanes` on are zero. Returns whether anything but zeros was read.
template <int kQuantum>
bool PackLanesGeneric(PixelCursor* cursor, int32_t depth, int lanes, int32_t offset,
                      int16_t* panel) {
  int32_t seen = 0;
  for (int32_t k = 0; k < depth; ++k) {
    const int8_t* const pixel = cursor->Next();
    int16_t* const to = panel + PanelIndex<kQuantum>(k);
    for (int lane = 0; lane < kLanes; ++lane) {
      const int32_t value = lane < lanes ? pixel[lane] : offset;
      seen |= value;
      to[lane * kQuantum] = static_cast<int16_t>(value - offset);
    }
  }
  PadPanel<kQuantum>(depth, panel);
  return seen != 0;
}

}  // namespace tflm_train

#endif  // TFLM_KERNELS_ARCH_PANEL_GENERIC_H_
