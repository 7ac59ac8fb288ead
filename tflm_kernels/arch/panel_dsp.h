// Panels with the DSP extension: pairs of elements, multiplied two at a time. Only for panel.cc.

#ifndef TFLM_KERNELS_ARCH_PANEL_DSP_H_
#define TFLM_KERNELS_ARCH_PANEL_DSP_H_

#include <arm_acle.h>

#include <cstdint>
#include <cstring>

#include "tflm_kernels/arch/dsp.h"
#include "tflm_kernels/arch/panel_generic.h"

namespace tflm_train {

namespace {

// Stores four pairs (byte j of even, byte j of odd), and moves on.
inline void StorePairs(uint32_t even, uint32_t odd, int16_t** to) {
  const uint32_t low = dsp::LowHalves(even, odd);
  const uint32_t high = dsp::HighHalves(even, odd);
  asm volatile(
      "strd %1, %2, [%0], #8\n\t"
      "strd %3, %4, [%0], #8"
      : "+&r"(*to)
      : "r"(dsp::Bytes02(low)), "r"(dsp::Bytes13(low)), "r"(dsp::Bytes02(high)),
        "r"(dsp::Bytes13(high))
      : "memory");
}

void PackFourLanes(PixelCursor* cursor, int32_t depth, int16_t* panel) {
  const int32_t stride = cursor->EvenStride(depth);
  int32_t pairs = depth >> 1;
  if (stride != 0 && pairs > 0) {
    const int8_t* from = cursor->Skip(depth & ~1);
    do {
      const uint32_t even = dsp::LoadWord(from);
      const uint32_t odd = dsp::LoadWord(from + stride);
      from += 2 * stride;
      StorePairs(even, odd, &panel);
    } while (--pairs > 0);
  }
  for (; pairs > 0; --pairs) {
    const uint32_t even = dsp::LoadWord(cursor->Next());
    const uint32_t odd = dsp::LoadWord(cursor->Next());
    StorePairs(even, odd, &panel);
  }
  if ((depth & 1) != 0) StorePairs(dsp::LoadWord(cursor->Next()), 0, &panel);
}

}  // namespace

void PackLanes(PixelCursor* cursor, int32_t depth, int lanes, int32_t offset, int16_t* panel) {
  // Updates, where there is an offset, have panels of their own.
  if (lanes < kLanes || offset != 0) {
    return PackLanesGeneric(cursor, depth, lanes, offset, panel);
  }
  PackFourLanes(cursor, depth, panel);
}

void PackProducts(const int8_t* q, const int8_t* m, int32_t depth, int16_t* panel) {
  int32_t k = 0;
  for (; k + 4 <= depth; k += 4, panel += 4 * kLanes) {
    const uint32_t q4 = dsp::LoadWord(q + k);
    const uint32_t m4 = dsp::LoadWord(m + k);
    const int32_t q02 = dsp::Bytes02(q4), q13 = dsp::Bytes13(q4);
    const int32_t m02 = dsp::Bytes02(m4), m13 = dsp::Bytes13(m4);
    const uint32_t t01 = dsp::Pack(dsp::MultiplyLow(q02, m02), dsp::MultiplyLow(q13, m13));
    const uint32_t t23 = dsp::Pack(dsp::MultiplyHigh(q02, m02), dsp::MultiplyHigh(q13, m13));
    dsp::StoreWord(panel, t01);
    dsp::StoreWord(panel + 2 * kLanes, t23);
  }
  PackProductsGeneric(q + k, m + k, depth - k, panel);
}

}  // namespace tflm_train

#endif  // TFLM_KERNELS_ARCH_PANEL_DSP_H_
