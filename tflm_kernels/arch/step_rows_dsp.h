// Weight gradients of two rows of weights, summed and stepped four columns at a time with the
// DSP extension, without leaving registers. Only for arch/update_dsp.h; the panels are those of
// arch/update_panel_dsp.h.

#ifndef TFLM_KERNELS_ARCH_STEP_ROWS_DSP_H_
#define TFLM_KERNELS_ARCH_STEP_ROWS_DSP_H_

#include <cstdint>

#include "tflm_kernels/arch/multiply_dsp.h"
#include "tflm_kernels/arch/update_panel_dsp.h"

namespace tflm_train {
namespace dsp {

// What the sums go over. Four columns are summed as two pairs: first columns 0 and 2, then 1
// and 3.
//
//   gradients  half a panel: two rows
//   inputs     panels of four columns, with their tails
//   steps      StepsOf(depth)
class RowSums {
 public:
  RowSums() = default;
  RowSums(const int16_t* gradients, const int16_t* inputs, int32_t steps);

  // Two other rows, `distance` elements further on.
  void MoveBy(int32_t distance) {
    gradients_ += distance;
    end_ += distance;
  }

 private:
  const int16_t* gradients_;
  int32_t skipped_;  // from where to go to after the first step to the end of the code, bytes
  const int16_t* inputs_;
  const int16_t* end_;  // of the gradients
  uintptr_t code_;      // where in SumManySteps to begin
};

// Two rows of weights.
//
//   multiplier  of sums as they are
//   start       of the rows' random numbers, in both halves; with residuals of eight bits -128
//   mask        0xff00ff00; without residuals 0xffff0000
//   weights     of the last panel's columns
//   residuals   likewise; without residuals 0x01010101 and 0xff00ff00
struct TwoRows {
  int32_t multiplier[2];
  uint32_t start;
  uint32_t mask;
  int8_t* weights[2];
  uintptr_t residuals[2];
  RowSums sums;
};

// Behind each panel. place: twice the distance in bytes from the last panel's columns, which is
// not positive.
struct NearestTail {
  uint32_t whole_steps;  // 0x01000100
  int32_t place;
};
// Random numbers of the columns, without the row's start, are pairs of uint16: those of columns
// 0 and 2 between the panel's halves, those of 1 and 3 behind it.
struct DitherTail {
  uint32_t dithers;
  int32_t place;
};

// clang-format off

// Brings a struct of rows, to which r0 points, onto the stack:
//   [sp]        its own eight words
//   [sp, #32]   gradients
//   [sp, #36]   where the sums of columns 0 and 2 go on after their first step, then 1 and 3
//   [sp, #44]   end, and where in SumManySteps to begin
//   [sp, #52]   where it returns to
//   [sp, #56]   two words kept over the second half of the sums
// Sets the flags with which sel picks bytes 1 and 3 of its first operand.
#define TFLM_TRAIN_ROWS_BEGIN                          \
  "add r1, r0, #32\n\t"                                \
  "ldm r1, {r9-r12, lr}\n\t"                           \
  "adr.w r2, 2f + 1\n\t"                               \
  "adr.w r3, 3f + 1\n\t"                               \
  "mov r1, r11\n\t"                                    \
  "sub r11, r3, r10\n\t"                               \
  "sub r10, r2, r10\n\t"                               \
  "sub sp, #12\n\t"                                    \
  "push {r9-r12, lr}\n\t"                              \
  "ldm r0, {r2-r9}\n\t"                                \
  "push {r2-r9}\n\t"                                   \
  "mov r2, #0xa0000\n\t"                               \
  "msr APSR_g, r2\n"                                   \
  "1:\n\t"
// The sums of two rows and two columns. AT: 36 or 40, from where the label END - skipped is.
#define TFLM_TRAIN_ROWS_SUMS(AT, END)                  \
  "ldr r0, [sp, #32]\n\t"                              \
  TFLM_TRAIN_FIRST_STEP                                \
  "ldr pc, [sp, #" AT "]\n\t"                          \
  ".p2align 2\n\t"                                     \
  "adr.w r2, " END "f + 1\n\t"                         \
  "str r2, [sp, #52]\n\t"                              \
  "ldr.w pc, [sp, #48]\n\t"                            \
  TFLM_TRAIN_STEP TFLM_TRAIN_STEP TFLM_TRAIN_STEP      \
  END ":\n\t"
constexpr int32_t kFewSteps = 4;   // the first and the three above
constexpr int32_t kManyBytes = 10;  // before those three: the way to SumManySteps
// Goes on with the next four columns where the flags of `asrs place, #1` say so.
#define TFLM_TRAIN_ROWS_END "bne 1b\n\tadd sp, #64\n\t"

// The sums of two columns and two rows, times their multipliers in r2 and r3, plus L0 and L1.
#define TFLM_TRAIN_DELTAS(L0, L1)                                                  \
  "smmlar r10, r10, r2, " L0 "\n\tsmmlar r11, r11, r2, " L1 "\n\t"                 \
  "smmlar r12, r12, r3, " L0 "\n\tsmmlar lr, lr, r3, " L1 "\n\t"
// Pairs of the low halves, left in r10 and r12, or of the high halves.
#define TFLM_TRAIN_LOW_HALVES "pkhbt r10, r10, r11, lsl #16\n\tpkhbt r12, r12, lr, lsl #16\n\t"
#define TFLM_TRAIN_HIGH_HALVES "pkhtb r10, r11, r10, asr #16\n\tpkhtb r12, lr, r12, asr #16\n\t"

// Steps four weights at [W, r11], residuals at [R, r11] by the pairs of changes less 128 in C0
// and C1; see StepFourNearest in step_dsp.h. r5: 0xff00ff00; r4: 0x01000100. r0, lr: scratch.
#define TFLM_TRAIN_NEAREST_ROW(W, R, C0, C1)                                             \
  "ldr r0, [" R ", r11]\n\t"                                                             \
  "sxtab16 " C0 ", " C0 ", r0\n\tsxtab16 " C1 ", " C1 ", r0, ror #8\n\t"                 \
  "ldr r0, [" W ", r11]\n\t"                                                             \
  "and lr, r5, r0, lsl #8\n\tand r0, r5, r0\n\t"                                         \
  "qadd16 " C0 ", " C0 ", lr\n\tqadd16 " C1 ", " C1 ", r0\n\t"                           \
  "qadd16 " C0 ", " C0 ", r4\n\tqadd16 " C1 ", " C1 ", r4\n\t"                           \
  "lsl r0, " C1 ", #8\n\tsel r0, r0, " C0 "\n\teor r0, r0, #0x80808080\n\t"              \
  "str r0, [" R ", r11]\n\t"                                                             \
  "lsr " C0 ", " C0 ", #8\n\tsel " C0 ", " C1 ", " C0 "\n\t"                              \
  "str " C0 ", [" W ", r11]\n\t"

#define TFLM_TRAIN_ROWS_CLOBBERS                                                           \
  "r1", "r2", "r3", "r4", "r5", "r6", "r7", "r8", "r9", "r10", "r11", "r12", "lr", "cc", \
      "memory"

__attribute__((noinline)) inline void StepNearestRows(const TwoRows& rows) {
  register const TwoRows* at asm("r0") = &rows;
  asm volatile(
      TFLM_TRAIN_ROWS_BEGIN
      TFLM_TRAIN_ROWS_SUMS("36", "2")
      "ldm sp, {r2-r4}\n\t"
      TFLM_TRAIN_DELTAS("r4", "r4") TFLM_TRAIN_LOW_HALVES
      "strd r10, r12, [sp, #56]\n\t"
      TFLM_TRAIN_ROWS_SUMS("40", "3")
      "ldm sp, {r2-r9}\n\t"
      TFLM_TRAIN_DELTAS("r4", "r4") TFLM_TRAIN_LOW_HALVES
      "ldm r1!, {r4, r11}\n\t"
      "ldrd r2, r3, [sp, #56]\n\t"
      "asrs r11, r11, #1\n\t"
      TFLM_TRAIN_NEAREST_ROW("r6", "r8", "r2", "r10")
      TFLM_TRAIN_NEAREST_ROW("r7", "r9", "r3", "r12")
      TFLM_TRAIN_ROWS_END
      : "+r"(at) : : TFLM_TRAIN_ROWS_CLOBBERS);
}

// Accumulators for two columns from their numbers in r5 and the start in r4: random numbers
// less 65536, in r7 and r8. r6: 0xffff0000.
#define TFLM_TRAIN_DITHERS            \
  "uadd16 r5, r5, r4\n\t"             \
  "pkhbt r7, r5, r6\n\t"              \
  "pkhtb r8, r6, r5, asr #16\n\t"
// Steps four weights at [W, r9] by the pairs of changes less one in C0, C1. r7: 0x01010101.
#define TFLM_TRAIN_RANDOM_ROW(W, C0, C1)                     \
  "lsl " C1 ", " C1 ", #8\n\tsel " C0 ", " C1 ", " C0 "\n\t" \
  "ldr " C1 ", [" W ", r9]\n\t"                              \
  "qadd8 " C0 ", " C0 ", " C1 "\n\tqadd8 " C0 ", " C0 ", r7\n\t" \
  "str " C0 ", [" W ", r9]\n\t"

__attribute__((noinline)) inline void StepRandomRows(const TwoRows& rows) {
  register const TwoRows* at asm("r0") = &rows;
  asm volatile(
      TFLM_TRAIN_ROWS_BEGIN
      TFLM_TRAIN_ROWS_SUMS("36", "2")
      "ldr r5, [r1], #4\n\t"
      "ldm sp, {r2-r4, r6}\n\t"
      TFLM_TRAIN_DITHERS TFLM_TRAIN_DELTAS("r7", "r8") TFLM_TRAIN_HIGH_HALVES
      "strd r10, r12, [sp, #56]\n\t"
      TFLM_TRAIN_ROWS_SUMS("40", "3")
      "ldm r1!, {r5, r9}\n\t"
      "ldm sp, {r2-r4, r6}\n\t"
      TFLM_TRAIN_DITHERS TFLM_TRAIN_DELTAS("r7", "r8") TFLM_TRAIN_HIGH_HALVES
      "ldrd r2, r3, [sp, #56]\n\t"
      "ldrd r5, r6, [sp, #16]\n\t"
      "ldrd r7, r8, [sp, #24]\n\t"
      "asrs r9, r9, #1\n\t"
      "uadd8 r8, r8, r8\n\t"  // the flags for sel again
      TFLM_TRAIN_RANDOM_ROW("r5", "r2", "r10")
      TFLM_TRAIN_RANDOM_ROW("r6", "r3", "r12")
      TFLM_TRAIN_ROWS_END
      : "+r"(at) : : TFLM_TRAIN_ROWS_CLOBBERS);
}

// As TFLM_TRAIN_DITHERS: random numbers over 16.
#define TFLM_TRAIN_SMALL_DITHERS \
  "uadd16 r5, r5, r4\n\t"        \
  "ubfx r7, r5, #4, #12\n\t"     \
  "lsr r8, r5, #20\n\t"
// Pairs of 256ths from sums in 65536ths.
#define TFLM_TRAIN_256THS                                         \
  "lsl r11, r11, #8\n\tpkhtb r10, r11, r10, asr #8\n\t"           \
  "lsl lr, lr, #8\n\tpkhtb r12, lr, r12, asr #8\n\t"
// Steps four weights at [r5, r9] and residuals at r6 by the pairs of 256ths in C0 and C1; see
// StepFourSixteenths in step_dsp.h. r4: 0xff00ff00; r7: 0x00f000f0; r8: 0x01f001f0;
// r11: 0x01800180. r0, lr: scratch.
#define TFLM_TRAIN_SIXTEENTHS_ROW(C0, C1)                        \
  "ldrh lr, [r6]\n\t"                                            \
  "orr lr, lr, lr, lsl #8\n\t"                                   \
  "and r0, r7, lr, lsl #4\n\tand lr, r7, lr\n\t"                 \
  "sxtab16 " C0 ", " C0 ", r0\n\tsxtab16 " C1 ", " C1 ", lr\n\t" \
  "ldr lr, [r5, r9]\n\t"                                         \
  "and r0, r4, lr, lsl #8\n\tand lr, r4, lr\n\t"                 \
  "qadd16 " C0 ", " C0 ", r0\n\tqadd16 " C1 ", " C1 ", lr\n\t"   \
  "qadd16 " C0 ", " C0 ", r7\n\tqadd16 " C1 ", " C1 ", r7\n\t"   \
  "qsub16 " C0 ", " C0 ", r8\n\tqsub16 " C1 ", " C1 ", r8\n\t"   \
  "and r0, r7, " C0 "\n\tand lr, r7, " C1 "\n\t"                 \
  "orr lr, lr, r0, lsr #4\n\torr lr, lr, lr, lsr #8\n\t"         \
  "strh lr, [r6]\n\t"                                            \
  "qadd16 " C0 ", " C0 ", r11\n\tqadd16 " C1 ", " C1 ", r11\n\t" \
  "lsr " C0 ", " C0 ", #8\n\tsel " C0 ", " C1 ", " C0 "\n\t"     \
  "str " C0 ", [r5, r9]\n\t"

__attribute__((noinline)) inline void StepSixteenthsRows(const TwoRows& rows) {
  register const TwoRows* at asm("r0") = &rows;
  asm volatile(
      "movw r1, #0x01f0\n\tmovt r1, #0x01f0\n\t"
      "movw r2, #0x0180\n\tmovt r2, #0x0180\n\t"
      "push {r1, r2}\n\t"
      TFLM_TRAIN_ROWS_BEGIN
      TFLM_TRAIN_ROWS_SUMS("36", "2")
      "ldr r5, [r1], #4\n\t"
      "ldm sp, {r2-r4}\n\t"
      TFLM_TRAIN_SMALL_DITHERS TFLM_TRAIN_DELTAS("r7", "r8") TFLM_TRAIN_256THS
      "strd r10, r12, [sp, #56]\n\t"
      TFLM_TRAIN_ROWS_SUMS("40", "3")
      "ldm r1!, {r5, r9}\n\t"
      "ldm sp, {r2-r4}\n\t"
      TFLM_TRAIN_SMALL_DITHERS TFLM_TRAIN_DELTAS("r7", "r8") TFLM_TRAIN_256THS
      "ldrd r2, r3, [sp, #56]\n\t"
      "ldr r5, [sp, #16]\n\t"
      "ldr r6, [sp, #24]\n\t"
      "ldrd r8, r11, [sp, #64]\n\t"
      "mov r4, #0xff00ff00\n\t"
      "mov r7, #0x00f000f0\n\t"
      "asrs r9, r9, #1\n\t"
      "add r6, r6, r9, asr #1\n\t"
      "uadd8 r0, r4, r4\n\t"  // the flags for sel again
      TFLM_TRAIN_SIXTEENTHS_ROW("r2", "r10")
      "ldr r5, [sp, #20]\n\t"
      "ldr r6, [sp, #28]\n\t"
      "add r6, r6, r9, asr #1\n\t"
      TFLM_TRAIN_SIXTEENTHS_ROW("r3", "r12")
      TFLM_TRAIN_ROWS_END
      "add sp, #8\n\t"
      : "+r"(at) : : TFLM_TRAIN_ROWS_CLOBBERS);
}

// clang-format on

inline RowSums::RowSums(const int16_t* gradients, const int16_t* inputs, int32_t steps)
    : gradients_(gradients),
      skipped_(steps <= kFewSteps ? (steps - 1) * kStepBytes
                                  : (kFewSteps - 1) * kStepBytes + kManyBytes),
      inputs_(inputs),
      end_(gradients + steps * kStepElements),
      code_(ManySteps(steps - 1)) {}

#undef TFLM_TRAIN_ROWS_BEGIN
#undef TFLM_TRAIN_ROWS_SUMS
#undef TFLM_TRAIN_ROWS_END
#undef TFLM_TRAIN_DELTAS
#undef TFLM_TRAIN_LOW_HALVES
#undef TFLM_TRAIN_HIGH_HALVES
#undef TFLM_TRAIN_NEAREST_ROW
#undef TFLM_TRAIN_ROWS_CLOBBERS
#undef TFLM_TRAIN_DITHERS
#undef TFLM_TRAIN_RANDOM_ROW
#undef TFLM_TRAIN_SMALL_DITHERS
#undef TFLM_TRAIN_256THS
#undef TFLM_TRAIN_SIXTEENTHS_ROW

}  // namespace dsp
}  // namespace tflm_train

#endif  // TFLM_KERNELS_ARCH_STEP_ROWS_DSP_H_
