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

// Four pairs (byte j of even, byte j of odd) - offsets.
template <bool kWithOffset>
inline void StorePairs(uint32_t even, uint32_t odd, int32_t offsets, dsp::AliasedWord* to) {
  const uint32_t low = dsp::LowHalves(even, odd);
  const uint32_t high = dsp::HighHalves(even, odd);
  int32_t p0 = dsp::Bytes02(low), p1 = dsp::Bytes13(low);
  int32_t p2 = dsp::Bytes02(high), p3 = dsp::Bytes13(high);
  if (kWithOffset) {
    p0 = __ssub16(p0, offsets);
    p1 = __ssub16(p1, offsets);
    p2 = __ssub16(p2, offsets);
    p3 = __ssub16(p3, offsets);
  }
  to[0] = static_cast<uint32_t>(p0);
  to[1] = static_cast<uint32_t>(p1);
  to[2] = static_cast<uint32_t>(p2);
  to[3] = static_cast<uint32_t>(p3);
}

template <bool kWithOffset>
bool PackFourLanes(PixelCursor* cursor, int32_t depth, int32_t offset, dsp::AliasedWord* to) {
  const int32_t offsets = static_cast<int32_t>(dsp::Pack(offset, offset));
  const int32_t stride = cursor->EvenStride(depth);
  uint32_t seen = 0;
  int32_t pairs = depth >> 1;
  if (stride != 0) {
    const int8_t* from = cursor->Skip(depth & ~1);
    for (; pairs > 0; --pairs, from += 2 * stride, to += 4) {
      const uint32_t even = dsp::LoadWord(from);
      const uint32_t odd = dsp::LoadWord(from + stride);
      seen |= even | odd;
      StorePairs<kWithOffset>(even, odd, offsets, to);
    }
  }
  for (; pairs > 0; --pairs, to += 4) {
    const uint32_t even = dsp::LoadWord(cursor->Next());
    const uint32_t odd = dsp::LoadWord(cursor->Next());
    seen |= even | odd;
    StorePairs<kWithOffset>(even, odd, offsets, to);
  }
  if ((depth & 1) != 0) {
    const uint32_t even = dsp::LoadWord(cursor->Next());
    seen |= even;
    // The missing element counts as `offset`: zero in the panel.
    const uint32_t missing = static_cast<uint8_t>(offset) * 0x01010101u;
    StorePairs<kWithOffset>(even, missing, offsets, to);
  }
  return seen != 0;
}

}  // namespace

bool PackLanes(PixelCursor* cursor, int32_t depth, int lanes, int32_t offset, int16_t* panel) {
  if (lanes < kLanes) return PackLanesGeneric(cursor, depth, lanes, offset, panel);
  dsp::AliasedWord* to = reinterpret_cast<dsp::AliasedWord*>(panel);
  return offset == 0 ? PackFourLanes<false>(cursor, depth, 0, to)
                     : PackFourLanes<true>(cursor, depth, offset, to);
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

// One pair of the depth. With the two pointers there are fourteen registers in
// use, all there are: the compiler would spill sums in the loop. The count is in
// memory for the same reason.
#define TFLM_TRAIN_PANEL_STEP            \
  "ldrd %[a0], %[a1], [%[a]], #16\n\t"   \
  "ldrd %[b0], %[b1], [%[b]], #8\n\t"    \
  "smlad %[c0], %[a0], %[b0], %[c0]\n\t" \
  "smlad %[d0], %[a1], %[b0], %[d0]\n\t" \
  "smlad %[c1], %[a0], %[b1], %[c1]\n\t" \
  "smlad %[d1], %[a1], %[b1], %[d1]\n\t" \
  "ldrd %[b0], %[b1], [%[b]], #8\n\t"    \
  "smlad %[c2], %[a0], %[b0], %[c2]\n\t" \
  "smlad %[d2], %[a1], %[b0], %[d2]\n\t" \
  "smlad %[c3], %[a0], %[b1], %[c3]\n\t" \
  "smlad %[d3], %[a1], %[b1], %[d3]\n\t"
#define TFLM_TRAIN_PANEL_LOOP(STEPS)                                                         \
  asm("1:\n\t" STEPS                                                                         \
      "ldr %[a0], %[count]\n\t"                                                              \
      "subs %[a0], #1\n\t"                                                                   \
      "str %[a0], %[count]\n\t"                                                              \
      "bne 1b"                                                                               \
      : [a] "+r"(a), [b] "+r"(b), [c0] "+r"(c0), [c1] "+r"(c1), [c2] "+r"(c2), [c3] "+r"(c3), \
        [d0] "+r"(d0), [d1] "+r"(d1), [d2] "+r"(d2), [d3] "+r"(d3), [count] "+m"(count),     \
        [a0] "=&r"(a0), [a1] "=&r"(a1), [b0] "=&r"(b0), [b1] "=&r"(b1)                       \
      :                                                                                      \
      : "cc", "memory")

void MultiplyPanels(const int16_t* a, const int16_t* b, int32_t depth, int32_t* sums) {
  int32_t c0 = 0, c1 = 0, c2 = 0, c3 = 0;
  int32_t d0 = 0, d1 = 0, d2 = 0, d3 = 0;
  const int32_t steps = (depth + 1) >> 1;
#if defined(__OPTIMIZE__)
  int32_t a0, a1, b0, b1;
  int32_t count = steps >> 3;
  if (count > 0) {
    TFLM_TRAIN_PANEL_LOOP(
        TFLM_TRAIN_PANEL_STEP TFLM_TRAIN_PANEL_STEP TFLM_TRAIN_PANEL_STEP TFLM_TRAIN_PANEL_STEP
            TFLM_TRAIN_PANEL_STEP TFLM_TRAIN_PANEL_STEP TFLM_TRAIN_PANEL_STEP
                TFLM_TRAIN_PANEL_STEP);
  }
  count = steps & 7;
  if (count > 0) TFLM_TRAIN_PANEL_LOOP(TFLM_TRAIN_PANEL_STEP);
#else
  // Without optimisation a frame pointer takes one of the registers.
  for (int32_t k = 0; k < steps; ++k, a += 2 * kLanes, b += 2 * kLanes) {
    int32_t a0, a1, pairs[4];
    std::memcpy(&a0, a, sizeof(a0));
    std::memcpy(&a1, a + 2, sizeof(a1));
    std::memcpy(pairs, b, sizeof(pairs));
    c0 = __smlad(a0, pairs[0], c0);
    c1 = __smlad(a0, pairs[1], c1);
    c2 = __smlad(a0, pairs[2], c2);
    c3 = __smlad(a0, pairs[3], c3);
    d0 = __smlad(a1, pairs[0], d0);
    d1 = __smlad(a1, pairs[1], d1);
    d2 = __smlad(a1, pairs[2], d2);
    d3 = __smlad(a1, pairs[3], d3);
  }
#endif
  sums[0] = c0;
  sums[1] = c1;
  sums[2] = c2;
  sums[3] = c3;
  sums[4] = d0;
  sums[5] = d1;
  sums[6] = d2;
  sums[7] = d3;
}

#undef TFLM_TRAIN_PANEL_STEP
#undef TFLM_TRAIN_PANEL_LOOP

}  // namespace tflm_train

#endif  // TFLM_KERNELS_ARCH_PANEL_DSP_H_
