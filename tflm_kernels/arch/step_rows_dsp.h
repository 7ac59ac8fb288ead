// Weight gradients of two rows of weights, summed and stepped four columns at a time with the
// DSP extension, without leaving registers. Only for arch/update_dsp.h.

#ifndef TFLM_KERNELS_ARCH_STEP_ROWS_DSP_H_
#define TFLM_KERNELS_ARCH_STEP_ROWS_DSP_H_

#include <cstdint>

#include "tflm_kernels/arch/dsp.h"
#include "tflm_kernels/panel.h"

namespace tflm_train {
namespace dsp {

// Behind a panel of inputs: its columns.
struct ColumnsTail {
  // Of their random numbers, without the row's start: columns 0 and 1, 2 and 3 as pairs of
  // uint16. With residuals of eight bits kLess and kHighBytes.
  uint32_t first, second;
  // Twice the distance in bytes from the last panel's weights to these, which is not positive.
  // Plus 1 where the depth takes more than one round of the inner loop.
  int32_t place;
};
constexpr uint32_t kLess = static_cast<uint32_t>(-128);
constexpr uint32_t kHighBytes = 0xff00ff00;

// What the inner loop goes over.
struct RowSums {
  // gradients: lanes of two rows in their panel. inputs: panels with tails. pairs: of the
  // depth, at least 1.
  RowSums(const int16_t* gradients, const int16_t* inputs, int32_t pairs)
      : gradients(gradients),
        skipped((pairs - 1) % kPairsInLoop * kPairBytes * 2 + (InRounds(pairs) ? 1 : 0)),
        end(gradients + pairs * 2 * kLanes),
        inputs(inputs) {}

  // Whether the depth takes more than one round of the inner loop.
  static bool InRounds(int32_t pairs) { return pairs > kPairsInLoop; }

  void NextTwoRows() {
    gradients += 2 * kQuantum;
    end += 2 * kQuantum;
  }

  static constexpr int32_t kPairBytes = 44;  // of code
  static constexpr int32_t kPairsInLoop = 8;

  const int16_t* gradients;
  int32_t skipped;  // twice the code that is gone through in the first round, plus InRounds()
  const int16_t* end;
  const int16_t* inputs;
};

// The steps below take pointers to the last panel's weights (and residuals), and multipliers
// of sums as they are.

struct NearestRows {  // residuals of eight bits
  int8_t *weights0, *residuals0, *weights1, *residuals1;
  uint32_t ones;  // 0x01010101
  int32_t multiplier0, multiplier1;
  uint32_t unused;
  RowSums sums;
};

struct RandomRows {  // no residuals
  uint32_t start;    // of the rows' random numbers, in both halves
  int32_t multiplier0;
  uint32_t top;  // 0xffff0000
  int32_t multiplier1;
  int8_t *weights0, *weights1;
  uint32_t ones, high_bytes;
  RowSums sums;
};

struct SixteenthsRows {  // residuals of four bits
  uint32_t start;        // as RandomRows
  int32_t multiplier0, multiplier1;
  int8_t *weights0, *residuals0, *weights1, *residuals1;
  uint32_t unused;
  RowSums sums;
};

// clang-format off

// A pair of the depth: r0 points to two rows' gradients, r1 to four columns' inputs. The sums
// are in r6, r8, r9, r10 and r11, r12, lr, r7.
#define TFLM_TRAIN_PAIR_BEGIN                                                          \
  "ldrd r2, r3, [r0], #16\n\t"                                                         \
  "ldrd r4, r5, [r1], #8\n\t"                                                          \
  "smuad r6, r2, r4\n\tsmuad r11, r3, r4\n\tsmuad r8, r2, r5\n\tsmuad r12, r3, r5\n\t" \
  "ldrd r4, r5, [r1], #8\n\t"                                                          \
  "smuad r9, r2, r4\n\tsmuad lr, r3, r4\n\tsmuad r10, r2, r5\n\tsmuad r7, r3, r5\n\t"
#define TFLM_TRAIN_PAIR                                \
  "ldrd r2, r3, [r0], #16\n\t"                         \
  "ldrd r4, r5, [r1], #8\n\t"                          \
  "smlad r6, r2, r4, r6\n\tsmlad r11, r3, r4, r11\n\t" \
  "smlad r8, r2, r5, r8\n\tsmlad r12, r3, r5, r12\n\t" \
  "ldrd r4, r5, [r1], #8\n\t"                          \
  "smlad r9, r2, r4, r9\n\tsmlad lr, r3, r4, lr\n\t"   \
  "smlad r10, r2, r5, r10\n\tsmlad r7, r3, r5, r7\n\t"
#define TFLM_TRAIN_4_PAIRS TFLM_TRAIN_PAIR TFLM_TRAIN_PAIR TFLM_TRAIN_PAIR TFLM_TRAIN_PAIR

// Brings a struct of rows, to which r0 points, onto the stack: its own eight words, gradients,
// where the inner loop is entered, end. Sets the flags: carry if InRounds(), and those with
// which sel picks bytes 1 and 3 of its first operand.
#define TFLM_TRAIN_ROWS_BEGIN       \
  "ldm r0, {r1-r12}\n\t"            \
  "adr lr, 3f\n\t"                  \
  "lsrs r10, r10, #1\n\t"           \
  "sub r10, lr, r10\n\t"            \
  "orr r10, #1\n\t"                 \
  "push {r1-r11}\n\t"               \
  "mov r1, r12\n\t"                 \
  "mov lr, #0xa0000\n\t"            \
  "msr APSR_g, lr\n"
// The sums of two rows and four columns. Leaves r0, r2, r3, r4, r5 free and r1 at the tail.
#define TFLM_TRAIN_ROWS_SUMS                         \
  "1:\n\t"                                           \
  "ldr r0, [sp, #32]\n\t"                            \
  TFLM_TRAIN_PAIR_BEGIN                              \
  "ldr pc, [sp, #36]\n"                              \
  "2:\n\t"                                           \
  TFLM_TRAIN_4_PAIRS TFLM_TRAIN_4_PAIRS              \
  "3:\n\t"                                           \
  "bcs 4f\n"                                         \
  "5:\n\t"
// Goes on with the next four columns, after `asrs place, #1`.
#define TFLM_TRAIN_ROWS_END        \
  "bne 1b\n\t"                     \
  "b 6f\n"                         \
  "4:\n\t"                         \
  "ldr r2, [sp, #40]\n\t"          \
  "cmp r2, r0\n\t" /* carry set */ \
  "bne 2b\n\t"                     \
  "b 5b\n"                         \
  "6:\n\t"                         \
  "add sp, #44\n\t"

// Pairs of changes less 128 from the sums in S0 to S3, left in S0 and S1.
#define TFLM_TRAIN_CHANGES(S0, S1, S2, S3, M, LESS)                                      \
  "smmlar " S0 ", " S0 ", " M ", " LESS "\n\tsmmlar " S1 ", " S1 ", " M ", " LESS "\n\t" \
  "smmlar " S2 ", " S2 ", " M ", " LESS "\n\tsmmlar " S3 ", " S3 ", " M ", " LESS "\n\t" \
  "pkhbt " S0 ", " S0 ", " S2 ", lsl #16\n\tpkhbt " S1 ", " S1 ", " S3 ", lsl #16\n\t"
// Steps four weights at [W, r4], residuals at [R, r4] by the changes C0, C1; see StepFourNearest
// in step_dsp.h. r3: 0xff00ff00; r9: 0x01010101. r10, lr: scratch.
#define TFLM_TRAIN_NEAREST_ROW(W, R, C0, C1)                                            \
  "ldr r10, [" R ", r4]\n\t"                                                            \
  "sxtab16 " C0 ", " C0 ", r10\n\tsxtab16 " C1 ", " C1 ", r10, ror #8\n\t"              \
  "ldr r10, [" W ", r4]\n\t"                                                            \
  "and lr, r3, r10, lsl #8\n\tand r10, r3, r10\n\t"                                     \
  "qadd16 " C0 ", " C0 ", lr\n\tqadd16 " C1 ", " C1 ", r10\n\t"                         \
  "lsl r10, " C1 ", #8\n\tsel r10, r10, " C0 "\n\teor r10, r10, #0x80808080\n\t"        \
  "str r10, [" R ", r4]\n\t"                                                            \
  "lsr " C0 ", " C0 ", #8\n\tsel " C0 ", " C1 ", " C0 "\n\tqadd8 " C0 ", " C0 ", r9\n\t" \
  "str " C0 ", [" W ", r4]\n\t"

inline void StepTwoRows(const NearestRows& rows) {
  register const NearestRows* at asm("r0") = &rows;
  asm volatile(
      TFLM_TRAIN_ROWS_BEGIN TFLM_TRAIN_ROWS_SUMS
      "ldm r1!, {r2, r3, r4}\n\t"
      "ldrd r0, r5, [sp, #20]\n\t"
      "asrs r4, r4, #1\n\t"
      TFLM_TRAIN_CHANGES("r6", "r8", "r9", "r10", "r0", "r2")
      TFLM_TRAIN_CHANGES("r11", "r12", "lr", "r7", "r5", "r2")
      "ldm sp, {r0, r2, r5, r7, r9}\n\t"
      TFLM_TRAIN_NEAREST_ROW("r0", "r2", "r6", "r8")
      TFLM_TRAIN_NEAREST_ROW("r5", "r7", "r11", "r12")
      TFLM_TRAIN_ROWS_END
      : "+r"(at)
      :
      : "r1", "r2", "r3", "r4", "r5", "r6", "r7", "r8", "r9", "r10", "r11", "r12", "lr", "cc",
        "memory");
}

// The random numbers of four columns, in pairs in r3 and r4. r0: the start.
#define TFLM_TRAIN_DITHERS \
  "uadd16 r3, r3, r0\n\tuadd16 r4, r4, r0\n\t"
// Changes from the sums in S0 to S3 and the random numbers in r0, r3, r5, r4. M: multiplier.
#define TFLM_TRAIN_DITHERED(S0, S1, S2, S3, M)                                         \
  "smmlar " S0 ", " S0 ", " M ", r0\n\tsmmlar " S1 ", " S1 ", " M ", r3\n\t"           \
  "smmlar " S2 ", " S2 ", " M ", r5\n\tsmmlar " S3 ", " S3 ", " M ", r4\n\t"
// Pairs of the high halves of S0 to S3, left in S0 and S1.
#define TFLM_TRAIN_HIGH_HALVES(S0, S1, S2, S3)                                         \
  "pkhtb " S0 ", " S2 ", " S0 ", asr #16\n\tpkhtb " S1 ", " S3 ", " S1 ", asr #16\n\t"
// Steps four weights at [W, r0] by the pairs of changes less one in C0, C1. r10: 0x01010101.
#define TFLM_TRAIN_RANDOM_ROW(W, C0, C1)                     \
  "lsl " C1 ", " C1 ", #8\n\tsel " C0 ", " C1 ", " C0 "\n\t" \
  "ldr " C1 ", [" W ", r0]\n\t"                              \
  "qadd8 " C0 ", " C0 ", " C1 "\n\t"                         \
  "qadd8 " C0 ", " C0 ", r10\n\t"                            \
  "str " C0 ", [" W ", r0]\n\t"

inline void StepTwoRows(const RandomRows& rows) {
  register const RandomRows* at asm("r0") = &rows;
  asm volatile(
      TFLM_TRAIN_ROWS_BEGIN TFLM_TRAIN_ROWS_SUMS
      "ldrd r3, r4, [r1], #8\n\t"
      "ldm sp, {r0, r2, r5}\n\t"
      TFLM_TRAIN_DITHERS
      // Less 65536.
      "pkhbt r0, r3, r5\n\tpkhtb r3, r5, r3, asr #16\n\t"
      "pkhbt r5, r4, r5\n\tpkhtb r4, r5, r4, asr #16\n\t"
      TFLM_TRAIN_DITHERED("r6", "r8", "r9", "r10", "r2")
      "ldr r2, [sp, #12]\n\t"
      TFLM_TRAIN_DITHERED("r11", "r12", "lr", "r7", "r2")
      TFLM_TRAIN_HIGH_HALVES("r6", "r8", "r9", "r10")
      TFLM_TRAIN_HIGH_HALVES("r11", "r12", "lr", "r7")
      "ldr r0, [r1], #4\n\t"
      "ldrd r2, r3, [sp, #16]\n\t"
      "ldrd r10, r9, [sp, #24]\n\t"
      "asrs r0, r0, #1\n\t"
      "uadd8 r9, r9, r9\n\t"  // the flags for sel again
      TFLM_TRAIN_RANDOM_ROW("r2", "r6", "r8")
      TFLM_TRAIN_RANDOM_ROW("r3", "r11", "r12")
      TFLM_TRAIN_ROWS_END
      : "+r"(at)
      :
      : "r1", "r2", "r3", "r4", "r5", "r6", "r7", "r8", "r9", "r10", "r11", "r12", "lr", "cc",
        "memory");
}

// Pairs of 256ths from the sums' 65536ths in S0 to S3, left in S0 and S1.
#define TFLM_TRAIN_256THS(S0, S1, S2, S3)                                          \
  "lsl " S2 ", " S2 ", #8\n\tpkhtb " S0 ", " S2 ", " S0 ", asr #8\n\t"            \
  "lsl " S3 ", " S3 ", #8\n\tpkhtb " S1 ", " S3 ", " S1 ", asr #8\n\t"
// Steps four weights at [r3, r0] and residuals at r4 by the pairs of changes C0, C1; see
// StepFourSixteenths in step_dsp.h. r5: 0xff00ff00; r7: 0x00f000f0; r9: 0x01f001f0;
// r10: 0x01800180. r2, lr: scratch.
#define TFLM_TRAIN_SIXTEENTHS_ROW(C0, C1)                                              \
  "ldrh lr, [r4]\n\t"                                                                  \
  "orr lr, lr, lr, lsl #8\n\t"                                                         \
  "and r2, r7, lr, lsl #4\n\tand lr, r7, lr\n\t"                                       \
  "sxtab16 " C0 ", " C0 ", r2\n\tsxtab16 " C1 ", " C1 ", lr\n\t"                       \
  "ldr lr, [r3, r0]\n\t"                                                               \
  "and r2, r5, lr, lsl #8\n\tand lr, r5, lr\n\t"                                       \
  "qadd16 " C0 ", " C0 ", r2\n\tqadd16 " C1 ", " C1 ", lr\n\t"                         \
  "qadd16 " C0 ", " C0 ", r7\n\tqadd16 " C1 ", " C1 ", r7\n\t"                         \
  "qsub16 " C0 ", " C0 ", r9\n\tqsub16 " C1 ", " C1 ", r9\n\t"                         \
  "and r2, r7, " C0 "\n\tand lr, r7, " C1 "\n\t"                                       \
  "orr lr, lr, r2, lsr #4\n\torr lr, lr, lr, lsr #8\n\t"                               \
  "strh lr, [r4]\n\t"                                                                  \
  "qadd16 " C0 ", " C0 ", r10\n\tqadd16 " C1 ", " C1 ", r10\n\t"                       \
  "lsr " C0 ", " C0 ", #8\n\tsel " C0 ", " C1 ", " C0 "\n\t"                           \
  "str " C0 ", [r3, r0]\n\t"

inline void StepTwoRows(const SixteenthsRows& rows) {
  register const SixteenthsRows* at asm("r0") = &rows;
  asm volatile(
      "mov r1, #0x01f001f0 & 0xffff\n\tmovt r1, #0x01f0\n\t"
      "mov r2, #0x01800180 & 0xffff\n\tmovt r2, #0x0180\n\t"
      "push {r1, r2}\n\t"
      TFLM_TRAIN_ROWS_BEGIN TFLM_TRAIN_ROWS_SUMS
      "ldrd r3, r4, [r1], #8\n\t"
      "ldm sp, {r0, r2}\n\t"
      TFLM_TRAIN_DITHERS
      "ubfx r0, r3, #4, #12\n\tlsr r3, r3, #20\n\t"
      "ubfx r5, r4, #4, #12\n\tlsr r4, r4, #20\n\t"
      TFLM_TRAIN_DITHERED("r6", "r8", "r9", "r10", "r2")
      "ldr r2, [sp, #8]\n\t"
      TFLM_TRAIN_DITHERED("r11", "r12", "lr", "r7", "r2")
      TFLM_TRAIN_256THS("r6", "r8", "r9", "r10")
      TFLM_TRAIN_256THS("r11", "r12", "lr", "r7")
      "ldr r0, [r1], #4\n\t"
      "ldrd r3, r4, [sp, #12]\n\t"
      "ldrd r9, r10, [sp, #44]\n\t"
      "mov r5, #0xff00ff00\n\t"
      "mov r7, #0x00f000f0\n\t"
      "asrs r0, r0, #1\n\t"
      "add r4, r4, r0, asr #1\n\t"
      "uadd8 lr, r5, r5\n\t"  // the flags for sel again
      TFLM_TRAIN_SIXTEENTHS_ROW("r6", "r8")
      "ldrd r3, r4, [sp, #20]\n\t"
      "add r4, r4, r0, asr #1\n\t"
      TFLM_TRAIN_SIXTEENTHS_ROW("r11", "r12")
      TFLM_TRAIN_ROWS_END
      "add sp, #8\n\t"
      : "+r"(at)
      :
      : "r1", "r2", "r3", "r4", "r5", "r6", "r7", "r8", "r9", "r10", "r11", "r12", "lr", "cc",
        "memory");
}

// clang-format on

#undef TFLM_TRAIN_PAIR_BEGIN
#undef TFLM_TRAIN_PAIR
#undef TFLM_TRAIN_4_PAIRS
#undef TFLM_TRAIN_ROWS_BEGIN
#undef TFLM_TRAIN_ROWS_SUMS
#undef TFLM_TRAIN_ROWS_END
#undef TFLM_TRAIN_CHANGES
#undef TFLM_TRAIN_NEAREST_ROW
#undef TFLM_TRAIN_DITHERS
#undef TFLM_TRAIN_DITHERED
#undef TFLM_TRAIN_HIGH_HALVES
#undef TFLM_TRAIN_RANDOM_ROW
#undef TFLM_TRAIN_256THS
#undef TFLM_TRAIN_SIXTEENTHS_ROW

}  // namespace dsp
}  // namespace tflm_train

#endif  // TFLM_KERNELS_ARCH_STEP_ROWS_DSP_H_
