// Panels with the DSP extension: pairs of elements, multiplied two at a time. Only for panel.cc.

#ifndef TFLM_KERNELS_ARCH_PANEL_DSP_H_
#define TFLM_KERNELS_ARCH_PANEL_DSP_H_

#include <cstdint>

#include "tflm_kernels/arch/dsp.h"
#include "tflm_kernels/arch/panel_generic.h"

namespace tflm_train {

// clang-format off

void PackFourLanes(const int8_t* pixels, int32_t stride, int32_t depth, int16_t* first,
                   int16_t* second) {
  int32_t steps = depth >> 2;
  if (steps > 0) {
    // r4, r6, r8, r9: lanes 0 and 1 of two pairs; r2 to r5: lanes 2 and 3.
    asm volatile(
        "1:\n\t"
        "ldr r2, [%[x]]\n\t"
        "ldr r3, [%[x], %[s]]\n\t"
        "ldr r4, [%[x], %[s], lsl #1]\n\t"
        "ldr r5, [%[x], %[s3]]\n\t"
        "add %[x], %[x], %[s], lsl #2\n\t"
        "subs %[n], #1\n\t"
        "pkhbt r6, r2, r3, lsl #16\n\tpkhtb r3, r3, r2, asr #16\n\t"
        "pkhbt r8, r4, r5, lsl #16\n\tpkhtb r5, r5, r4, asr #16\n\t"
        "sxtb16 r4, r6\n\tsxtb16 r6, r6, ror #8\n\t"
        "sxtb16 r9, r8, ror #8\n\tsxtb16 r8, r8\n\t"
        "stm %[first]!, {r4, r6, r8, r9}\n\t"
        "sxtb16 r2, r3\n\tsxtb16 r3, r3, ror #8\n\t"
        "sxtb16 r4, r5\n\tsxtb16 r5, r5, ror #8\n\t"
        "stm %[second]!, {r2, r3, r4, r5}\n\t"
        "bne 1b"
        : [x] "+&r"(pixels), [n] "+&r"(steps), [first] "+&r"(first), [second] "+&r"(second)
        : [s] "r"(stride), [s3] "r"(3 * stride)
        : "r2", "r3", "r4", "r5", "r6", "r8", "r9", "cc", "memory");
  }
  const int32_t rest = depth & 3;
  if (rest == 0) return;
  PackLaneGeneric(pixels, stride, rest, first);
  PackLaneGeneric(pixels + 1, stride, rest, first + kQuantum);
  PackLaneGeneric(pixels + 2, stride, rest, second);
  PackLaneGeneric(pixels + 3, stride, rest, second + kQuantum);
}

void PackInterleavedProducts(const int8_t* q, int32_t stride, const int8_t* m, int32_t depth,
                             int16_t* lanes) {
  int32_t steps = depth >> 2;
  if (steps > 0) {
    // Four bytes of Q times r2, r3: the first pair in FIRST, the second in Q.
#define TFLM_TRAIN_PRODUCTS(Q, FIRST)                               \
  "sxtb16 " FIRST ", " Q "\n\tsxtb16 " Q ", " Q ", ror #8\n\t"     \
  "smulbb r9, " FIRST ", r2\n\tsmultt r10, " FIRST ", r2\n\t"     \
  "smulbb " FIRST ", " Q ", r3\n\tsmultt " Q ", " Q ", r3\n\t"    \
  "pkhbt " FIRST ", r9, " FIRST ", lsl #16\n\t"                    \
  "pkhbt " Q ", r10, " Q ", lsl #16\n\t"
    asm volatile(
        "1:\n\t"
        "ldr r3, [%[m]], #4\n\t"
        "ldr r8, [%[q], %[s]]\n\t"
        "ldr r6, [%[q]], #4\n\t"
        "subs %[n], #1\n\t"
        "sxtb16 r2, r3\n\tsxtb16 r3, r3, ror #8\n\t"
        TFLM_TRAIN_PRODUCTS("r6", "r4")
        TFLM_TRAIN_PRODUCTS("r8", "r5")
        "stm %[to]!, {r4, r5, r6, r8}\n\t"
        "bne 1b"
        : [q] "+&r"(q), [m] "+&r"(m), [n] "+&r"(steps), [to] "+&r"(lanes)
        : [s] "r"(stride)
        : "r2", "r3", "r4", "r5", "r6", "r8", "r9", "r10", "cc", "memory");
#undef TFLM_TRAIN_PRODUCTS
  }
  PackProductsGeneric(q, m, depth & 3, lanes);
  PackProductsGeneric(q + stride, m, depth & 3, lanes + kQuantum);
}

// clang-format on

void PackProducts(const int8_t* q, const int8_t* m, int32_t depth, int16_t* lane) {
  int32_t k = 0;
  for (; k + 4 <= depth; k += 4, lane += dsp::kStepElements) {
    const uint32_t q4 = dsp::LoadWord(q + k);
    const uint32_t m4 = dsp::LoadWord(m + k);
    const int32_t q02 = dsp::Bytes02(q4), q13 = dsp::Bytes13(q4);
    const int32_t m02 = dsp::Bytes02(m4), m13 = dsp::Bytes13(m4);
    const uint32_t t01 = dsp::Pack(dsp::MultiplyLow(q02, m02), dsp::MultiplyLow(q13, m13));
    const uint32_t t23 = dsp::Pack(dsp::MultiplyHigh(q02, m02), dsp::MultiplyHigh(q13, m13));
    dsp::StoreWord(lane, t01);
    dsp::StoreWord(lane + dsp::kStepElements / 2, t23);
  }
  PackProductsGeneric(q + k, m + k, depth - k, lane);
}

}  // namespace tflm_train

#endif  // TFLM_KERNELS_ARCH_PANEL_DSP_H_
