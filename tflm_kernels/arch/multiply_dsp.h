// Dot products of two lanes with two others with the DSP extension: four positions at a time,
// one load of four words for either. Of more sums at once, no registers would be left for that.

#ifndef TFLM_KERNELS_ARCH_MULTIPLY_DSP_H_
#define TFLM_KERNELS_ARCH_MULTIPLY_DSP_H_

#include <cstddef>
#include <cstdint>

namespace tflm_train {
namespace dsp {

// Two lanes lie beside each other, pair by pair, up to a whole number of steps of two pairs.
constexpr int32_t kStepElements = 8;

constexpr int32_t StepsOf(int32_t depth) { return (depth + 3) / 4; }

// clang-format off

// Four positions: r0 points to two lanes, r1 to two others. The sums are in r10, r11 and
// r12, lr. Leaves r2 to r9 free.
#define TFLM_TRAIN_LOADS "ldm r0!, {r2-r5}\n\tldm r1!, {r6-r9}\n\t"
#define TFLM_TRAIN_SECOND_PAIR                           \
  "smlad r10, r4, r8, r10\n\tsmlad r11, r4, r9, r11\n\t" \
  "smlad r12, r5, r8, r12\n\tsmlad lr, r5, r9, lr\n\t"
#define TFLM_TRAIN_STEP                                  \
  TFLM_TRAIN_LOADS                                       \
  "smlad r10, r2, r6, r10\n\tsmlad r11, r2, r7, r11\n\t" \
  "smlad r12, r3, r6, r12\n\tsmlad lr, r3, r7, lr\n\t"   \
  TFLM_TRAIN_SECOND_PAIR
#define TFLM_TRAIN_FIRST_STEP                  \
  TFLM_TRAIN_LOADS                             \
  "smuad r10, r2, r6\n\tsmuad r11, r2, r7\n\t" \
  "smuad r12, r3, r6\n\tsmuad lr, r3, r7\n\t"  \
  TFLM_TRAIN_SECOND_PAIR
#define TFLM_TRAIN_4_STEPS TFLM_TRAIN_STEP TFLM_TRAIN_STEP TFLM_TRAIN_STEP TFLM_TRAIN_STEP
constexpr int32_t kStepBytes = 38;

// Further steps where there are many. Not a function: goes on where [sp, #52]
// says when r0 is at [sp, #44].
constexpr int32_t kManySteps = 16;
__attribute__((naked, noinline)) inline void SumManySteps() {
  asm("1:\n\t"
      TFLM_TRAIN_4_STEPS TFLM_TRAIN_4_STEPS TFLM_TRAIN_4_STEPS TFLM_TRAIN_4_STEPS
      "ldr r2, [sp, #44]\n\t"
      "cmp r2, r0\n\t"
      "bne 1b\n\t"
      "ldr pc, [sp, #52]");
}

// Where in SumManySteps so many steps begin.
inline uintptr_t ManySteps(int32_t steps) {
  return reinterpret_cast<uintptr_t>(&SumManySteps) +
         static_cast<uintptr_t>((kManySteps - steps % kManySteps) * kStepBytes);
}

// The products of two lanes and two others: two of the first lane, then two of the second.
inline void SumHalves(const int16_t* a, const int16_t* b, int32_t steps, int32_t* sums) {
  register const int16_t* r0 asm("r0") = a;
  register const int16_t* r1 asm("r1") = b;
  register const int16_t* r2 asm("r2") = a + steps * kStepElements;
  register uintptr_t r3 asm("r3") = ManySteps(steps);
  register int32_t* r4 asm("r4") = sums;
  asm volatile(
      "adr.w r5, 1f + 1\n\t"
      "sub sp, #8\n\t"
      "push {r4, r5}\n\t"  // [sp, #48], [sp, #52]
      "sub sp, #48\n\t"
      "str r2, [sp, #44]\n\t"
      "mov r10, #0\n\tmov r11, #0\n\tmov r12, #0\n\tmov lr, #0\n\t"
      "bx r3\n\t"
      ".p2align 2\n"
      "1:\n\t"
      "ldr r4, [sp, #48]\n\t"
      "add sp, #64\n\t"
      "stm r4, {r10, r11, r12, lr}"
      : "+r"(r0), "+r"(r1), "+r"(r2), "+r"(r3), "+r"(r4)
      :
      : "r5", "r6", "r7", "r8", "r9", "r10", "r11", "r12", "lr", "cc", "memory");
}

// A gradient that joins the sums; see UnorderedWriter::Write.
struct Joining {
  intptr_t distance;  // of its elements from where the sums go, in bytes
  int32_t shift;      // of the sums, 1 to 31
  int32_t factor;     // of its elements in 1 / 256
  int32_t half;       // 128
};

// What WritePairs needs.
//
//   rounding        see UnorderedWriter
//   step            from a pixel to the next, in bytes
//   q               where the first pixel's channels are to go: the first two, then the others
//   gradients       of the pixels, pair by pair
//   weights, half   a panel: where lanes 0 and 2 begin
//   code            where in SumManySteps to begin after the first step
//   joining         may be nullptr
struct PairRun {
  int32_t rounding;
  size_t step;
  int8_t* q[2];
  const int16_t* gradients_end;
  const int16_t* weights;
  uintptr_t code;
  const int16_t* weights_end;
  const int16_t* gradients;
  int8_t* next_q[2];
  const int16_t* half;
  const Joining* joining;
};

// SUM0 and SUM1 less r6 bits, plus r7 / 256 times the bytes at P and r3 further on; r8: 128. The
// last bit shifted out is the carry.
#define TFLM_TRAIN_JOIN(SUM0, SUM1, P)                                                    \
  "ldrsb r0, [" P "]\n\tldrsb r2, [" P ", r3]\n\t"                                        \
  "mla r0, r0, r7, r8\n\tmla r2, r2, r7, r8\n\t"                                         \
  "asrs " SUM0 ", " SUM0 ", r6\n\tadc " SUM0 ", " SUM0 ", r0, asr #8\n\t"                \
  "asrs " SUM1 ", " SUM1 ", r6\n\tadc " SUM1 ", " SUM1 ", r2, asr #8\n\t"

// Writes four channels of an even number of pixels: sums of products, requantised and saturated.
// Two channels of all pixels, then the other two.
__attribute__((noinline)) inline void WritePairs(const PairRun& run) {
  register const PairRun* r0 asm("r0") = &run;
  // On the stack:
  //   [sp]       the struct; q are of the next pixels, weights and, at [sp, #44], half begin and
  //              end these two channels
  //   [sp, #52]  where SumManySteps returns to
  asm volatile(
      "ldm r0, {r2-r12, lr}\n\t"
      "sub sp, #56\n\t"
      "stm sp, {r2-r12, lr}\n\t"
      "mov r1, r10\n\t"
      "ldr r3, [r0, #48]\n\t"
      "adr.w r2, 2f + 1\n\t"
      "adr.w r4, 3f + 1\n\t"
      "cmp r3, #0\n\t"
      "it eq\n\t"
      "moveq r2, r4\n\t"
      "strd r3, r2, [sp, #48]\n"
      "1:\n\t"
      "ldr r0, [sp, #20]\n\t"
      TFLM_TRAIN_FIRST_STEP
      "ldr.w pc, [sp, #24]\n\t"
      ".p2align 2\n"
      "2:\n\t"
      "ldr r2, [sp, #48]\n\t"
      "ldrd r4, r5, [sp, #8]\n\t"
      "ldm r2, {r2, r6-r8}\n\t"
      "ldr r3, [sp, #4]\n\t"
      "add r4, r2\n\t"
      "add r5, r2\n\t"
      TFLM_TRAIN_JOIN("r10", "r11", "r4")
      TFLM_TRAIN_JOIN("r12", "lr", "r5")
      ".p2align 2\n"
      "3:\n\t"
      "ldm sp, {r2-r6}\n\t"
      "smmulr r10, r10, r2\n\tsmmulr r11, r11, r2\n\t"
      "smmulr r12, r12, r2\n\tsmmulr lr, lr, r2\n\t"
      "ssat r10, #8, r10\n\tssat r11, #8, r11\n\t"
      "ssat r12, #8, r12\n\tssat lr, #8, lr\n\t"
      "strb r10, [r4]\n\tstrb r11, [r4, r3]\n\t"
      "strb r12, [r5]\n\tstrb lr, [r5, r3]\n\t"
      "add r4, r4, r3, lsl #1\n\tadd r5, r5, r3, lsl #1\n\t"
      "cmp r1, r6\n\t"
      "strd r4, r5, [sp, #8]\n\t"
      "bne 1b\n\t"
      "ldr r2, [sp, #28]\n\t"
      "ldr r0, [sp, #44]\n\t"
      "cmp r0, r2\n\t"
      "beq 4f\n\t"
      "ldr r1, [sp, #32]\n\t"
      "ldrd r4, r5, [sp, #36]\n\t"
      "str r0, [sp, #20]\n\t"
      "str r2, [sp, #44]\n\t"
      "strd r4, r5, [sp, #8]\n\t"
      "b 1b\n"
      "4:\n\t"
      "add sp, #56"
      : "+r"(r0)
      :
      : "r1", "r2", "r3", "r4", "r5", "r6", "r7", "r8", "r9", "r10", "r11", "r12", "lr", "cc",
        "memory");
}
#undef TFLM_TRAIN_JOIN

// clang-format on

}  // namespace dsp
}  // namespace tflm_train

#endif  // TFLM_KERNELS_ARCH_MULTIPLY_DSP_H_
