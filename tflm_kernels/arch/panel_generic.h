// The packing of panel.h without special instructions. Only for panel.cc.

#ifndef TFLM_KERNELS_ARCH_PANEL_GENERIC_H_
#define TFLM_KERNELS_ARCH_PANEL_GENERIC_H_

#include <cstdint>

#include "tflm_kernels/panel.h"

namespace tflm_train {

// Where element k of lane 0 is.
constexpr int32_t PanelIndex(int32_t k) {
  return k / kQuantum * (kQuantum * kInterleaved) + k % kQuantum;
}

// Zeroes one lane from element `depth` to the end of the unit.
inline void PadLane(int32_t depth, int16_t* lane) {
  for (int32_t k = depth; k % kUnit != 0; ++k) lane[PanelIndex(k)] = 0;
}

inline void PackLaneGeneric(const int8_t* bytes, int32_t stride, int32_t depth, int16_t* lane) {
  // The test at the end: compilers for size leave it at the begin, and jump there from the end.
  int32_t k = 0;
  if (k < depth) {
    do {
      lane[PanelIndex(k)] = *bytes;
      bytes += stride;
    } while (++k < depth);
  }
  PadLane(depth, lane);
}

#if defined(TFLM_TRAIN_MVE) || !defined(TFLM_TRAIN_DSP)
inline void PackLanesGeneric(PixelCursor* cursor, int32_t depth, int lanes, int32_t offset,
                             int16_t* panel) {
#if !defined(TFLM_TRAIN_MVE)
  if (lanes == kLanes && depth > 0) {
    // The usual case.
    int32_t k = 0;
    do {
      const int8_t* const pixel = cursor->Next();
      int16_t* const to = panel + PanelIndex(k);
      const int32_t v0 = pixel[0] - offset, v1 = pixel[1] - offset;
      const int32_t v2 = pixel[2] - offset, v3 = pixel[3] - offset;
      to[0] = static_cast<int16_t>(v0);
      to[kQuantum] = static_cast<int16_t>(v1);
      to[2 * kQuantum] = static_cast<int16_t>(v2);
      to[3 * kQuantum] = static_cast<int16_t>(v3);
    } while (++k < depth);
    for (int lane = 0; lane < kLanes; ++lane) PadLane(depth, panel + lane * kQuantum);
    return;
  }
#endif
  for (int32_t k = 0; k < depth; ++k) {
    const int8_t* const pixel = cursor->Next();
    int16_t* const to = panel + PanelIndex(k);
    for (int lane = 0; lane < kLanes; ++lane) {
      to[lane * kQuantum] = lane < lanes ? static_cast<int16_t>(pixel[lane] - offset) : int16_t{0};
    }
  }
  for (int lane = 0; lane < kLanes; ++lane) PadLane(depth, panel + lane * kQuantum);
}
#endif

inline void PackProductsGeneric(const int8_t* q, const int8_t* m, int32_t depth, int16_t* panel) {
  int32_t k = 0;
  if (k < depth) {
    do {
      panel[PanelIndex(k)] = static_cast<int16_t>(q[k] * m[k]);
    } while (++k < depth);
  }
  PadLane(depth, panel);
}

}  // namespace tflm_train

#endif  // TFLM_KERNELS_ARCH_PANEL_GENERIC_H_
