// Two rows of a convolution's weights with Helium: the sums of eight columns, and steps by them.
// Only for update_mve.h.

#ifndef TFLM_KERNELS_ARCH_UPDATE_ROWS_MVE_H_
#define TFLM_KERNELS_ARCH_UPDATE_ROWS_MVE_H_

#include <arm_mve.h>

#include <cstdint>

#include "tflm_kernels/arch/gather_mve.h"
#include "tflm_kernels/arch/step_mve.h"

namespace tflm_train {
namespace mve {

// The input's channels are in groups of eight, [2][chunks][4][16] bytes: the even ones, then
// the odd ones. The panel of gradients is [chunks][2][16].
constexpr int32_t kGroup = 8;
constexpr int32_t kPanelChunk = 4 * kChunk;
constexpr int32_t kGradientChunk = 2 * kChunk;

// Sums of two rows and the eight channels of a group.
struct GroupSums {
  Eight row0, row1;
};

// clang-format off
#define TFLM_TRAIN_QUARTER(FIRST, SECOND, V, HIGH, LOW)           \
  "vldrw.u32 %q[t], " FIRST "\n\t"                                \
  "vmladav.s8 %[s0], %q[q0], %q[t]\n\t"                           \
  "vmladav.s8 %[s1], %q[q1], %q[t]\n\t"                           \
  "vldrw.u32 %q[t], " SECOND "\n\t"                               \
  "vmladav.s8 %[s2], %q[q0], %q[t]\n\t"                           \
  "vmov %q[" V "0][" HIGH "], %q[" V "0][" LOW "], %[s0], %[s2]\n\t" \
  "vmladav.s8 %[s0], %q[q1], %q[t]\n\t"                           \
  "vmov %q[" V "1][" HIGH "], %q[" V "1][" LOW "], %[s1], %[s0]\n\t"

// No sum stays in a register for long.
#define TFLM_TRAIN_SUMS                                                  \
  TFLM_TRAIN_QUARTER("[%[at]], #128", "[%[at], #-96]", "e", "2", "0")    \
  TFLM_TRAIN_QUARTER("[%[at], #-112]", "[%[at], #-80]", "e", "3", "1")   \
  TFLM_TRAIN_QUARTER("[%[at], #-64]", "[%[at], #-32]", "o", "2", "0")    \
  TFLM_TRAIN_QUARTER("[%[at], #-48]", "[%[at], #-16]", "o", "3", "1")

#define TFLM_TRAIN_RANDOM(E, O, M, W, LEAST)         \
  "vmovlb.u16 %q[t], %q[dither]\n\t"                 \
  "vqrdmlah.s32 %q[t], %q[" E "], %[" M "]\n\t"      \
  "vmovlt.u16 %q[" E "], %q[dither]\n\t"             \
  "vqrdmlah.s32 %q[" E "], %q[" O "], %[" M "]\n\t"  \
  "vsri.32 %q[" E "], %q[t], #16\n\t"                \
  "vldrb.s16 %q[t], [%[" W "]]\n\t"                  \
  "vqadd.s8 %q[t], %q[t], %q[" E "]\n\t" LEAST       \
  "vmax.s8 %q[t], %q[t], %q[o0]\n\t"                 \
  "vstrb.16 %q[t], [%[" W "]], #8\n\t"

#define TFLM_TRAIN_SCALED(GAIN)                             \
  "vdup.32 %q[t], %[" GAIN "]\n\t"                        \
  "vmlas.s32 %q[e0], %q[t], %[more0]\n\t"             \
  "vmlas.s32 %q[o0], %q[t], %[more0]\n\t"             \
  "vmlas.s32 %q[e1], %q[t], %[more1]\n\t"             \
  "vmlas.s32 %q[o1], %q[t], %[more1]\n\t"

// Eight elements of two rows without residual; there is one vector to spare.
#define TFLM_TRAIN_RANDOM_ROWS(GAIN)                        \
  TFLM_TRAIN_SCALED(GAIN)                                   \
  TFLM_TRAIN_RANDOM("e0", "o0", "m0", "w0", "vmov.i8 %q[o0], #129\n\t") \
  TFLM_TRAIN_RANDOM("e1", "o1", "m1", "w1", "")

// The same with 4 bits of residual. s0, s1, s2: 8 and the limits of 16 * W + R4 + 8.
#define TFLM_TRAIN_SIXTEENTHS(E, O, M, W, R, LIMIT)  \
  "vmovlb.u16 %q[t], %q[dither]\n\t"                 \
  "vshr.u32 %q[t], %q[t], #4\n\t"                    \
  "vqrdmlah.s32 %q[t], %q[" E "], %[" M "]\n\t"      \
  "vmovlt.u16 %q[" E "], %q[dither]\n\t"             \
  "vshr.u32 %q[" E "], %q[" E "], #4\n\t"            \
  "vqrdmlah.s32 %q[" E "], %q[" O "], %[" M "]\n\t"  \
  "vshrnb.i32 %q[" O "], %q[t], #12\n\t"             \
  "vshrnt.i32 %q[" O "], %q[" E "], #12\n\t"         \
  "vldrb.u32 %q[t], [%[" R "]]\n\t"                  \
  "vsli.32 %q[t], %q[t], #12\n\t"                    \
  "vadd.i16 %q[t], %q[t], %[s0]\n\t"                 \
  "vldrb.s16 %q[" E "], [%[" W "]]\n\t"              \
  "vsli.16 %q[t], %q[" E "], #4\n\t"                 \
  "vadd.i16 %q[t], %q[t], %q[" O "]\n\t" LIMIT       \
  "vmin.s16 %q[t], %q[t], %q[o0]\n\t"                \
  "vdup.16 %q[" E "], %[s2]\n\t"                     \
  "vmax.s16 %q[t], %q[t], %q[" E "]\n\t"             \
  "vshr.s16 %q[" E "], %q[t], #4\n\t"                \
  "vstrb.16 %q[" E "], [%[" W "]], #8\n\t"           \
  "vadd.i16 %q[t], %q[t], %[s0]\n\t"                 \
  "vshr.u32 %q[" E "], %q[t], #16\n\t"               \
  "vsli.32 %q[t], %q[" E "], #4\n\t"                 \
  "vstrb.32 %q[t], [%[" R "]], #4\n\t"

#define TFLM_TRAIN_SIXTEENTHS_ROWS                    \
  "mov %[s0], #8\n\t"                                 \
  "movw %[s1], #(127 * 16 + 8)\n\t"                   \
  "movw %[s2], #(65536 - 127 * 16 + 8)\n\t"           \
  TFLM_TRAIN_SIXTEENTHS("e0", "o0", "m0", "w0", "r0", "vdup.16 %q[o0], %[s1]\n\t") \
  TFLM_TRAIN_SIXTEENTHS("e1", "o1", "m1", "w1", "r1", "")

// Two rows of one chunk by a group of the input, which is passed over.
TFLM_TRAIN_INLINE GroupSums MultiplyChunk(int8x16_t q0, int8x16_t q1, const int8_t** group) {
  const int8_t* at = *group;
  int32x4_t e0, o0, e1, o1;
  int32_t s0, s1, s2;
  int8x16_t t;
  asm(TFLM_TRAIN_SUMS
      : [at] "+r"(at), [e0] "=&w"(e0), [o0] "=&w"(o0), [e1] "=&w"(e1), [o1] "=&w"(o1),
        [s0] "=&Te"(s0), [s1] "=&Te"(s1), [s2] "=&Te"(s2), [t] "=&w"(t)
      : [q0] "w"(q0), [q1] "w"(q1)
      : "memory");
  *group = at;
  return {{e0, o0}, {e1, o1}};
}

// The last multiplications free the registers that the sums go to.
#define TFLM_TRAIN_CHUNK(VMLADAV, LAST)        \
  "vldrb.u8 %q[q1], [%[a], #16]\n\t"           \
  "vldrb.u8 %q[q0], [%[a]], #32\n\t"           \
  "vldrb.u8 %q[x0], [%[b], #16]\n\t"           \
  "vldrb.u8 %q[x1], [%[b], #32]\n\t"           \
  VMLADAV " %[c1], %q[q0], %q[x0]\n\t"         \
  VMLADAV " %[d1], %q[q1], %q[x0]\n\t"         \
  "vldrb.u8 %q[x0], [%[b], #48]\n\t"           \
  VMLADAV " %[c2], %q[q0], %q[x1]\n\t"         \
  VMLADAV " %[d2], %q[q1], %q[x1]\n\t"         \
  "vldrb.u8 %q[x1], [%[b]], #64\n\t"           \
  VMLADAV " %[c3], %q[q0], %q[x0]\n\t"         \
  VMLADAV " %[d3], %q[q1], %q[x0]\n\t" LAST    \
  VMLADAV " %[c0], %q[q0], %q[x1]\n\t"         \
  VMLADAV " %[d0], %q[q1], %q[x1]\n\t"

// The panel of gradients by four channels of the input, which are passed over; at least two
// chunks.
TFLM_TRAIN_INLINE void MultiplyChunks(const int8_t* a, const int8_t** panel, int32_t chunks,
                                      int32x4_t* row0, int32x4_t* row1) {
  const int8_t* b = *panel;
  // All even registers; named, because the compiler does not always find them itself.
  register int32_t c0 asm("r0"), c1 asm("r2"), c2 asm("r4"), c3 asm("r6");
  register int32_t d0 asm("r8"), d1 asm("r10"), d2 asm("r12"), d3 asm("lr");
  int32x4_t q0, q1;
  int8x16_t x0, x1;
  asm(TFLM_TRAIN_CHUNK("vmladav.s8", "subs %[chunks], #2\n\t")
      "beq 2f\n"
      "1:\n\t"
      TFLM_TRAIN_CHUNK("vmladava.s8", "subs %[chunks], #1\n\t")
      "bne 1b\n"
      "2:\n\t"
      TFLM_TRAIN_CHUNK("vmladava.s8", "")
      "vmov %q[q0][2], %q[q0][0], %[c0], %[c2]\n\t"
      "vmov %q[q0][3], %q[q0][1], %[c1], %[c3]\n\t"
      "vmov %q[q1][2], %q[q1][0], %[d0], %[d2]\n\t"
      "vmov %q[q1][3], %q[q1][1], %[d1], %[d3]"
      : [a] "+r"(a), [b] "+r"(b), [chunks] "+r"(chunks), [c0] "=&r"(c0), [c1] "=&r"(c1),
        [c2] "=&r"(c2), [c3] "=&r"(c3), [d0] "=&r"(d0), [d1] "=&r"(d1), [d2] "=&r"(d2),
        [d3] "=&r"(d3), [q0] "=&w"(q0), [q1] "=&w"(q1), [x0] "=&w"(x0), [x1] "=&w"(x1)
      :
      : "cc", "memory");
  *panel = b;
  *row0 = q0;
  *row1 = q1;
}

#undef TFLM_TRAIN_CHUNK

TFLM_TRAIN_INLINE void StepRandomRows(GroupSums sums, const RowFactors& f0, const RowFactors& f1,
                                      uint16x8_t dither, RowStepper<0>* stepper0,
                                      RowStepper<0>* stepper1) {
  int32x4_t t;
  int8_t *to0 = stepper0->weights(), *to1 = stepper1->weights();
  asm volatile(
      TFLM_TRAIN_RANDOM_ROWS("gain")
      : [e0] "+w"(sums.row0.even), [o0] "+w"(sums.row0.odd), [e1] "+w"(sums.row1.even),
        [o1] "+w"(sums.row1.odd), [t] "=&w"(t), [w0] "+l"(to0), [w1] "+l"(to1)
      : [dither] "w"(dither), [gain] "r"(f0.gain), [more0] "r"(f0.more), [more1] "r"(f1.more),
        [m0] "r"(f0.m), [m1] "r"(f1.m)
      : "memory");
  stepper0->Move(to0, nullptr);
  stepper1->Move(to1, nullptr);
}

TFLM_TRAIN_INLINE void StepSixteenthsRows(GroupSums sums, const RowFactors& f0,
                                          const RowFactors& f1, uint16x8_t dither,
                                          RowStepper<4>* stepper0, RowStepper<4>* stepper1) {
  int32x4_t t;
  int32_t s0, s1, s2;
  int8_t *w0 = stepper0->weights(), *w1 = stepper1->weights();
  int8_t *r0 = stepper0->residual(), *r1 = stepper1->residual();
  // In two parts: there are not the registers for all operands at once.
  asm volatile(
      TFLM_TRAIN_SCALED("gain")
      : [e0] "+w"(sums.row0.even), [o0] "+w"(sums.row0.odd), [e1] "+w"(sums.row1.even),
        [o1] "+w"(sums.row1.odd), [t] "=&w"(t)
      : [gain] "r"(f0.gain), [more0] "r"(f0.more), [more1] "r"(f1.more));
  asm volatile(
      TFLM_TRAIN_SIXTEENTHS_ROWS
      : [e0] "+w"(sums.row0.even), [o0] "+w"(sums.row0.odd), [e1] "+w"(sums.row1.even),
        [o1] "+w"(sums.row1.odd), [t] "=&w"(t), [s0] "=&r"(s0), [s1] "=&r"(s1), [s2] "=&r"(s2),
        [w0] "+l"(w0), [w1] "+l"(w1), [r0] "+l"(r0), [r1] "+l"(r1)
      : [dither] "w"(dither), [m0] "r"(f0.m), [m1] "r"(f1.m)
      : "memory");
  stepper0->Move(w0, r0);
  stepper1->Move(w1, r1);
}

// MultiplyChunk and StepRandomRows: together they take all vectors, which the compiler does not
// manage without reloads. gain: that of f0, in memory; with a frame pointer, one register less.
TFLM_TRAIN_INLINE void StepRandomChunk(int8x16_t q0, int8x16_t q1, const int8_t** group,
                                       const int32_t& gain, const RowFactors& f0,
                                       const RowFactors& f1, uint16x8_t dither,
                                       RowStepper<0>* stepper0, RowStepper<0>* stepper1) {
  const int8_t* at = *group;
  int32x4_t e0, o0, e1, o1, t;
  int32_t s0, s1, s2;
  int8_t *to0 = stepper0->weights(), *to1 = stepper1->weights();
  asm volatile(
      TFLM_TRAIN_SUMS "ldr %[s0], %[gain]\n\t" TFLM_TRAIN_RANDOM_ROWS("s0")
      : [at] "+r"(at), [e0] "=&w"(e0), [o0] "=&w"(o0), [e1] "=&w"(e1), [o1] "=&w"(o1),
        [s0] "=&Te"(s0), [s1] "=&Te"(s1), [s2] "=&Te"(s2), [t] "=&w"(t), [w0] "+l"(to0),
        [w1] "+l"(to1)
      : [q0] "w"(q0), [q1] "w"(q1), [dither] "w"(dither), [gain] "m"(gain),
        [more0] "r"(f0.more), [more1] "r"(f1.more), [m0] "r"(f0.m), [m1] "r"(f1.m)
      : "memory");
  *group = at;
  stepper0->Move(to0, nullptr);
  stepper1->Move(to1, nullptr);
}

#undef TFLM_TRAIN_QUARTER
#undef TFLM_TRAIN_SUMS
#undef TFLM_TRAIN_RANDOM
#undef TFLM_TRAIN_RANDOM_ROWS
#undef TFLM_TRAIN_SCALED
#undef TFLM_TRAIN_SIXTEENTHS
#undef TFLM_TRAIN_SIXTEENTHS_ROWS
// clang-format on

// Steps the next eight elements of two rows with the same gain.
template <int kBits>
TFLM_TRAIN_INLINE void StepRows(const GroupSums& sums, const RowFactors& f0, const RowFactors& f1,
                                uint16x8_t dither, RowStepper<kBits>* row0,
                                RowStepper<kBits>* row1) {
  if constexpr (kBits == 0) {
    StepRandomRows(sums, f0, f1, dither, row0, row1);
  } else if constexpr (kBits == 4) {
    StepSixteenthsRows(sums, f0, f1, dither, row0, row1);
  } else {
    row0->template Step<true>(f0.Scaled(sums.row0), f0.m, dither, 8);
    row1->template Step<true>(f1.Scaled(sums.row1), f1.m, dither, 8);
  }
}

// The same by the sums of one chunk and a group of the input, which is passed over.
template <int kBits>
TFLM_TRAIN_INLINE void StepChunk(int8x16_t q0, int8x16_t q1, const int8_t** group,
                                 const int32_t& gain, const RowFactors& f0, const RowFactors& f1,
                                 uint16x8_t dither, RowStepper<kBits>* row0,
                                 RowStepper<kBits>* row1) {
  if constexpr (kBits == 0) {
    StepRandomChunk(q0, q1, group, gain, f0, f1, dither, row0, row1);
  } else {
    StepRows(MultiplyChunk(q0, q1, group), f0, f1, dither, row0, row1);
  }
}

}  // namespace mve
}  // namespace tflm_train

#endif  // TFLM_KERNELS_ARCH_UPDATE_ROWS_MVE_H_
