// Sums of products on ARMv6-M (Cortex-M0, M0+), by hand: compilers for size leave out the registers from
// r8 on, and these loops need them. All sums are modulo 2^32.
//
// Operands are in fixed registers. What else is used is saved here, as a clobbered register that
// the compiler leaves out would not be.

#ifndef TFLM_KERNELS_ARCH_SUMS_V6M_H_
#define TFLM_KERNELS_ARCH_SUMS_V6M_H_

#include <cstdint>

namespace tflm_train {
namespace v6m {

// sums[j] = the sum over k < depth of a[4 * k] * b[4 * k + j], j = 0 .. 3. b is 4-byte aligned.
__attribute__((noinline)) inline void MultiplyLane(const int16_t* a, const int16_t* b,
                                                   int32_t depth, int32_t* sums) {
  register intptr_t distance asm("r0") =
      reinterpret_cast<intptr_t>(a) - reinterpret_cast<intptr_t>(b);
  register const int16_t* at asm("r1") = b;
  register const int16_t* end asm("r2") = b + 4 * depth;
  register int32_t* to asm("r3") = sums;
  asm volatile(
      ".syntax unified\n\t"
      "push {r4-r7}\n\t"
      "mov r4, r8\n\t"
      "mov r5, r9\n\t"
      "push {r3-r5}\n\t"
      "mov r12, r2\n\t"
      "movs r6, #0\n\t"
      "movs r7, #0\n\t"
      "mov r8, r6\n\t"
      "mov r9, r6\n\t"
      "b 2f\n"
      "1:\n\t"
      "ldrsh r2, [r0, r1]\n\t"
      "ldmia r1!, {r3, r4}\n\t"
      "sxth r5, r3\n\t"
      "muls r5, r2, r5\n\t"
      "add r8, r5\n\t"
      "asrs r3, r3, #16\n\t"
      "muls r3, r2, r3\n\t"
      "add r9, r3\n\t"
      "sxth r5, r4\n\t"
      "muls r5, r2, r5\n\t"
      "adds r6, r6, r5\n\t"
      "asrs r4, r4, #16\n\t"
      "muls r4, r2, r4\n\t"
      "adds r7, r7, r4\n"
      "2:\n\t"
      "cmp r1, r12\n\t"
      "bne 1b\n\t"
      "pop {r0, r4, r5}\n\t"
      "mov r2, r8\n\t"
      "mov r3, r9\n\t"
      "stmia r0!, {r2, r3, r6, r7}\n\t"
      "mov r8, r4\n\t"
      "mov r9, r5\n\t"
      "pop {r4-r7}\n\t"
      : "+l"(distance), "+l"(at), "+l"(end), "+l"(to)
      :
      : "r12", "cc", "memory");
}

// sums[2 * p + c] = the sum over k < depth of a[p * depth + k] * wc[k], p and c = 0 and 1.
__attribute__((noinline)) inline void MultiplyTwoByTwo(const int16_t* a, const int8_t* w0,
                                                       const int8_t* w1, int32_t depth,
                                                       int32_t* sums) {
  register const int16_t* at asm("r0") = a;
  register int32_t to_second asm("r1") = 2 * depth;
  register const int8_t* weights asm("r2") = w0;
  register intptr_t to_other asm("r3") = w1 - w0;
  register int32_t* const to asm("r4") = sums;
  asm volatile(
      ".syntax unified\n\t"
      "push {r4-r7}\n\t"
      "mov r4, r8\n\t"
      "mov r5, r9\n\t"
      "mov r6, r10\n\t"
      "mov r7, r11\n\t"
      "push {r4-r7}\n\t"
      "adds r4, r0, r1\n\t"
      "mov r12, r4\n\t"
      "movs r7, #0\n\t"
      "mov r8, r7\n\t"
      "mov r9, r7\n\t"
      "mov r10, r7\n\t"
      "mov r11, r7\n\t"
      "b 2f\n"
      "1:\n\t"
      "movs r7, #0\n\t"
      "ldrsh r4, [r0, r7]\n\t"
      "ldrsh r5, [r0, r1]\n\t"
      "adds r0, r0, #2\n\t"
      "ldrsb r6, [r2, r7]\n\t"
      "mov r7, r4\n\t"
      "muls r7, r6, r7\n\t"
      "add r8, r7\n\t"
      "muls r6, r5, r6\n\t"
      "add r10, r6\n\t"
      "ldrsb r6, [r2, r3]\n\t"
      "adds r2, r2, #1\n\t"
      "muls r4, r6, r4\n\t"
      "add r9, r4\n\t"
      "muls r5, r6, r5\n\t"
      "add r11, r5\n"
      "2:\n\t"
      "cmp r0, r12\n\t"
      "bne 1b\n\t"
      "ldr r4, [sp, #16]\n\t"
      "mov r0, r8\n\t"
      "mov r1, r9\n\t"
      "mov r2, r10\n\t"
      "mov r3, r11\n\t"
      "stmia r4!, {r0-r3}\n\t"
      "pop {r0-r3}\n\t"
      "mov r8, r0\n\t"
      "mov r9, r1\n\t"
      "mov r10, r2\n\t"
      "mov r11, r3\n\t"
      "pop {r4-r7}\n\t"
      : "+l"(at), "+l"(to_second), "+l"(weights), "+l"(to_other)
      : "l"(to)
      : "r12", "cc", "memory");
}

// sums[i] += a0[i] * b0[i] + a1[i] * b1[i], i = 0 .. n - 1, n > 0.
inline void AddTwoProducts(int32_t* sums, const int8_t* a0, const int8_t* b0, const int8_t* a1,
                           const int8_t* b1, int32_t n) {
  register int32_t* to asm("r0") = sums;
  register const int8_t* const end_a0 asm("r1") = a0 + n;
  register const int8_t* const end_b0 asm("r2") = b0 + n;
  register const int8_t* const end_a1 asm("r3") = a1 + n;
  register const int8_t* const end_b1 asm("r4") = b1 + n;
  register int32_t i asm("r5") = -n;
  asm volatile(
      ".syntax unified\n\t"
      "push {r6, r7}\n"
      "1:\n\t"
      "ldrsb r6, [r1, r5]\n\t"
      "ldrsb r7, [r2, r5]\n\t"
      "muls r6, r7, r6\n\t"
      "mov r12, r6\n\t"
      "ldrsb r6, [r3, r5]\n\t"
      "ldrsb r7, [r4, r5]\n\t"
      "muls r6, r7, r6\n\t"
      "add r6, r12\n\t"
      "ldr r7, [r0]\n\t"
      "adds r7, r7, r6\n\t"
      "stmia r0!, {r7}\n\t"
      "adds r5, r5, #1\n\t"
      "bne 1b\n\t"
      "pop {r6, r7}\n\t"
      : "+l"(to), "+l"(i)
      : "l"(end_a0), "l"(end_b0), "l"(end_a1), "l"(end_b1)
      : "r12", "cc", "memory");
}

}  // namespace v6m
}  // namespace tflm_train

#endif  // TFLM_KERNELS_ARCH_SUMS_V6M_H_
