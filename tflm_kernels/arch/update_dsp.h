// Weight gradients of two rows of weights, summed and stepped four columns at a time with the
// DSP extension. Only for update.cc.

#ifndef TFLM_KERNELS_ARCH_UPDATE_DSP_H_
#define TFLM_KERNELS_ARCH_UPDATE_DSP_H_

#include <cstdint>

#include "tflm_kernels/panel.h"

#if defined(__OPTIMIZE__)  // a frame pointer would take one of the registers
#define TFLM_TRAIN_STEP_ROWS

namespace tflm_train {
namespace dsp {

// Two rows of weights with residuals of eight bits.
struct NearestRows {
  int8_t* weights;        // of the first row
  int8_t* residuals;      // likewise
  int32_t stride;         // bytes to the second
  int32_t multiplier[2];  // with the gain
};

// A pair of the depth: r0 points to two rows' gradients, r1 to four columns' inputs. The sums
// are in r6, r8, r9, r10 and r11, r12, lr, r7. 44 bytes.
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
constexpr int32_t kPairBytes = 44;
constexpr int32_t kPairsInLoop = 8;

// Two pairs of t = 256 * W + R - 128 + delta, of weights in W and residuals in R, from the sums in
// S0 to S3. See StepFourNearest in step_dsp.h. r4: 0xff00ff00; r5: -128.
#define TFLM_TRAIN_DELTAS(S0, S1, S2, S3, M)                      \
  "smmlar " S0 ", " S0 ", " M ", r5\n\tsmmlar " S1 ", " S1 ", " M \
  ", r5\n\t"                                                      \
  "smmlar " S2 ", " S2 ", " M ", r5\n\tsmmlar " S3 ", " S3 ", " M \
  ", r5\n\t"                                                      \
  "pkhbt " S0 ", " S0 ", " S2 ", lsl #16\n\tpkhbt " S1 ", " S1 ", " S3 ", lsl #16\n\t"
#define TFLM_TRAIN_MOVE(S0, S1, S2, S3, W, R)                   \
  "and " S2 ", r4, " W ", lsl #8\n\tand " S3 ", r4, " W         \
  "\n\t"                                                        \
  "sxtab16 " S2 ", " S2 ", " R "\n\tsxtab16 " S3 ", " S3 ", " R \
  ", ror #8\n\t"                                                \
  "qadd16 " S2 ", " S2 ", " S0 "\n\tqadd16 " S3 ", " S3 ", " S1 "\n\t"
// The low bytes of two pairs, less 128, then the high bytes, plus 1, as words. The flags select
// bytes 1 and 3. ONES: 0x01010101.
#define TFLM_TRAIN_LOW_BYTES(S0, S2, S3) \
  "lsl " S0 ", " S3 ", #8\n\tsel " S0 ", " S0 ", " S2 "\n\teor " S0 ", " S0 ", #0x80808080\n\t"
#define TFLM_TRAIN_HIGH_BYTES(S2, S3, ONES) \
  "lsr " S2 ", " S2 ", #8\n\tsel " S2 ", " S3 ", " S2 "\n\tqadd8 " S2 ", " S2 ", " ONES "\n\t"

// The sums of two rows and four columns: the prologue, then the beginning of a loop from 1: on.
// The flags are left as sel wants them.
#define TFLM_TRAIN_SUM_TILE                                    \
  "adr r4, 3f\n\t" /* where the inner loop is entered */       \
  "ldr r5, %[skipped]\n\t"                                     \
  "sub r4, r4, r5\n\t"                                         \
  "orr r4, #1\n\t"                                             \
  "str r4, %[entry]\n\t"                                       \
  "mov r4, #0xa0000\n\t"                                       \
  "msr APSR_g, r4\n"                                           \
  "1:\n\t"                                                     \
  "ldr r0, %[gradients]\n\t"                                   \
  "ldr r1, %[inputs]\n\t"                                      \
  "ldr r2, %[blocks]\n\t"                                      \
  "str r2, %[block]\n\t" TFLM_TRAIN_PAIR_BEGIN                 \
  "ldr r2, %[entry]\n\t"                                       \
  "bx r2\n"                                                    \
  "2:\n\t"                                                     \
  "str r2, %[block]\n\t" TFLM_TRAIN_4_PAIRS TFLM_TRAIN_4_PAIRS \
  "3:\n\t"                                                     \
  "ldr r2, %[block]\n\t"                                       \
  "subs r2, #1\n\t"                                            \
  "bpl 2b\n\t"                                                 \
  "str r1, %[inputs]\n\t"

// Steps 4 * count columns of two rows.
//
//   gradients  lanes of the two rows in their panel
//   inputs     count panels, one behind the other
//   pairs      of the depth, at least 1
inline void StepNearestRows(const int16_t* gradients, const int16_t* inputs, int32_t pairs,
                            const NearestRows& rows, int32_t count) {
  struct Pointers {
    int8_t* w;
    int8_t* r;
  };
  struct {
    Pointers at;
    const int16_t* gradients;
    const int16_t* inputs;
    int32_t skipped, blocks, block, entry;
    int32_t first, second;  // multipliers
    int32_t stride;         // after the first row's pointers have moved on
    int8_t* end;
  } memory = {{rows.weights, rows.residuals},
              gradients,
              inputs,
              (pairs - 1) % kPairsInLoop * kPairBytes,
              (pairs - 1) / kPairsInLoop,
              0,
              0,
              rows.multiplier[0],
              rows.multiplier[1],
              rows.stride - 4,
              rows.weights + 4 * count};
  asm volatile(TFLM_TRAIN_SUM_TILE
      // The first row.
      "ldr r2, %[first]\n\t"
      "ldrd r0, r1, %[at]\n\t"
      "mvn r5, #127\n\t" TFLM_TRAIN_DELTAS("r6", "r8", "r9", "r10", "r2")
      "mov r4, #0xff00ff00\n\t"
      "ldr r2, [r0]\n\t"
      "ldr r3, [r1]\n\t" TFLM_TRAIN_MOVE("r6", "r8", "r9", "r10", "r2", "r3")
      "mov r3, #0x01010101\n\t" TFLM_TRAIN_LOW_BYTES("r6", "r9", "r10")
      "str r6, [r1], #4\n\t" TFLM_TRAIN_HIGH_BYTES("r9", "r10", "r3")
      "str r9, [r0], #4\n\t"
      // The second row.
      "ldr r6, %[second]\n\t"
      "ldr r10, %[stride]\n\t" TFLM_TRAIN_DELTAS("r11", "r12", "lr", "r7", "r6")
      "ldr r6, [r0, r10]\n\t"
      "ldr r8, [r1, r10]\n\t" TFLM_TRAIN_MOVE("r11", "r12", "lr", "r7", "r6", "r8")
      TFLM_TRAIN_LOW_BYTES("r11", "lr", "r7")
      "str r11, [r1, r10]\n\t" TFLM_TRAIN_HIGH_BYTES("lr", "r7", "r3")
      "ldr r6, %[end]\n\t"
      "str lr, [r0, r10]\n\t"
      "strd r0, r1, %[at]\n\t"
      "cmp r0, r6\n\t"
      "bne 1b"
      : [at] "+m"(memory.at), [inputs] "+m"(memory.inputs), [block] "+m"(memory.block),
        [entry] "+m"(memory.entry)
      : [gradients] "m"(memory.gradients), [skipped] "m"(memory.skipped),
        [blocks] "m"(memory.blocks), [first] "m"(memory.first), [second] "m"(memory.second),
        [stride] "m"(memory.stride), [end] "m"(memory.end)
      : "r0", "r1", "r2", "r3", "r4", "r5", "r6", "r7", "r8", "r9", "r10", "r11", "r12", "lr",
        "cc", "memory");
}

#undef TFLM_TRAIN_SUM_TILE
#undef TFLM_TRAIN_PAIR_BEGIN
#undef TFLM_TRAIN_PAIR
#undef TFLM_TRAIN_4_PAIRS
#undef TFLM_TRAIN_DELTAS
#undef TFLM_TRAIN_MOVE
#undef TFLM_TRAIN_LOW_BYTES
#undef TFLM_TRAIN_HIGH_BYTES

}  // namespace dsp
}  // namespace tflm_train

#endif  // __OPTIMIZE__

#endif  // TFLM_KERNELS_ARCH_UPDATE_DSP_H_
