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

// Zeroes one lane from element `depth` to the end of the quantum.
template <int kQuantum>
void PadLane(int32_t depth, int16_t* lane) {
  for (int32_t k = depth; k % kQuantum != 0; ++k) lane[PanelIndex<kQuantum>(k)] = 0;
}

// Zeroes elements [0, depth) of one lane and the rest of the quantum.
template <int kQuantum>
void ClearLane(int32_t depth, int16_t* lane) {
  for (int32_t k = 0; k < depth; ++k) lane[PanelIndex<kQuantum>(k)] = 0;
  PadLane<kQuantum>(depth, lane);
}

template <int kQuantum>
bool PackLanesGeneric(PixelCursor* cursor, int32_t depth, int lanes, int32_t offset,
                      int16_t* panel) {
  int32_t seen = 0;
  for (int32_t k = 0; k < depth; ++k) {
    const int8_t* const pixel = cursor->Next();
    int16_t* const to = panel + PanelIndex<kQuantum>(k);
    for (int lane = 0; lane < kLanes; ++lane) {
      int32_t value = 0;
      if (lane < lanes) {
        value = pixel[lane] - offset;
        seen |= pixel[lane];
      }
      to[lane * kQuantum] = static_cast<int16_t>(value);
    }
  }
  for (int lane = 0; lane < kLanes; ++lane) PadLane<kQuantum>(depth, panel + lane * kQuantum);
  return seen != 0;
}

template <int kQuantum>
void PackProductsGeneric(const int8_t* q, const int8_t* m, int32_t depth, int16_t* panel) {
  for (int32_t k = 0; k < depth; ++k) {
    panel[PanelIndex<kQuantum>(k)] = static_cast<int16_t>(q[k] * m[k]);
  }
  PadLane<kQuantum>(depth, panel);
}

}  // namespace tflm_train

#endif  // TFLM_KERNELS_ARCH_PANEL_GENERIC_H_
