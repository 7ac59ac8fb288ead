// Sums of channels as dot products of patches with taps, with Helium: the inner loops. Only for
// depthwise_mve.h.

#ifndef TFLM_KERNELS_ARCH_PATCH_SUMS_MVE_H_
#define TFLM_KERNELS_ARCH_PATCH_SUMS_MVE_H_

#include <arm_mve.h>

#include <cstdint>

#include "tflm_kernels/arch/patch_program_mve.h"

namespace tflm_train {
namespace mve {

// Channels beside each other.
struct PatchLanes {
  const int8_t* plane;  // two bytes from channel to channel
  const int8_t* taps;   // vectors of all lanes beside each other
  int32_t taps_step;    // bytes from vector to vector
  const int32_t* m;     // results are sums * m * 2^(shift - 31), of 16 bits, saturated to 8
  int shift;
  int8_t* q;
  int32_t count;
};

// clang-format off
#define TFLM_TRAIN_BEGIN_LANE                   \
  "ldr %[factor], [%[m]], #4\n\t"               \
  "ldrd %[s0], %[block], %[constants]\n\t"      \
  "lsl %[factor], %[factor], %[s0]\n\t"
#define TFLM_TRAIN_BEGIN_BLOCKS(COUNT)          \
  "ldr lr, %[" COUNT "]\n\t"                    \
  "dls lr, lr\n"
#define TFLM_TRAIN_NEXT_BLOCK                   \
  "ldrd %[s0], %[s2], [%[block]], #12\n\t"      \
  "add %[from], %[s0]\n\t"                      \
  "add %[to], %[s2]\n\t"
#define TFLM_TRAIN_NEXT_LANE                    \
  "ldr %[s0], %[end]\n\t"                       \
  "cmp %[taps], %[s0]\n\t"                      \
  "bne 1b"

// Lane i: row i & 1, column i >> 1.
#define TFLM_TRAIN_TO_LANES(TO)                         \
  "vmov %q[" TO "][2], %q[" TO "][0], %[s0], %[s1]\n\t" \
  "vmov %q[" TO "][3], %q[" TO "][1], %[s2], %[s3]\n\t"
// a: of the first two columns, b: of the other two. Results fit 16 bits.
#define TFLM_TRAIN_NARROW                       \
  "vqrdmulh.s32 %q[a], %q[a], %[factor]\n\t"    \
  "vqrdmulh.s32 %q[b], %q[b], %[factor]\n\t"    \
  "vsli.32 %q[a], %q[b], #16\n\t"               \
  "vqmovnb.s16 %q[a], %q[a]\n\t"
#define TFLM_TRAIN_LIVE                         \
  "ldr %[s0], [%[block], #8]\n\t"               \
  "vmsr p0, %[s0]\n\t"                          \
  "vpst\n\t"
#define TFLM_TRAIN_STORE(RESULTS) "vstrb.16 %q[a], [%[to], %q[" RESULTS "]]\n\t"
#define TFLM_TRAIN_STORE_LIVE(RESULTS) \
  TFLM_TRAIN_LIVE "vstrbt.16 %q[a], [%[to], %q[" RESULTS "]]\n\t"

// Patches of one vector; w1, w2, w3: taps one column, row, or both further on, which are zeros
// otherwise.
#define TFLM_TRAIN_PATCH(FROM)                  \
  "vldrh.u16 %q[b], [%[" FROM "], %q[patch]]\n\t" \
  "vmladav.s8 %[s0], %q[b], %q[w0]\n\t"         \
  "vmladav.s8 %[s1], %q[b], %q[w1]\n\t"         \
  "vmladav.s8 %[s2], %q[b], %q[w2]\n\t"         \
  "vmladav.s8 %[s3], %q[b], %q[w3]\n\t"
#define TFLM_TRAIN_SMALL_PATCHES(STORE)         \
  "1:\n\t"                                      \
  "vldrb.u8 %q[w1], [%[taps], #-1]\n\t"         \
  "vldrb.u8 %q[w2], [%[taps], #-4]\n\t"         \
  "vldrb.u8 %q[w3], [%[taps], #-5]\n\t"         \
  "vldrb.u8 %q[w0], [%[taps]], #16\n\t"         \
  TFLM_TRAIN_BEGIN_LANE                         \
  "dls lr, %[blocks_count]\n"                   \
  "2:\n\t"                                      \
  TFLM_TRAIN_PATCH("from")                      \
  TFLM_TRAIN_TO_LANES("a")                      \
  "add %[s0], %[from], %[pair]\n\t"             \
  TFLM_TRAIN_PATCH("s0")                        \
  TFLM_TRAIN_TO_LANES("b")                      \
  TFLM_TRAIN_NARROW                             \
  STORE("results")                              \
  TFLM_TRAIN_NEXT_BLOCK                         \
  "le lr, 2b\n\t"                               \
  "subs %[count], %[count], #1\n\t"             \
  "bne 1b"

// Patches of two vectors; w2, w3: taps one column further on.
#define TFLM_TRAIN_WIDE_PATCH(S0, S1)           \
  "vldrh.u16 %q[b], [%[from], %q[patch]]\n\t"   \
  "vmladav.s8 %[" S0 "], %q[b], %q[w0]\n\t"     \
  "vmladav.s8 %[" S1 "], %q[b], %q[w2]\n\t"     \
  "vldrh.u16 %q[b], [%[from], %q[second]]\n\t"  \
  "vmladava.s8 %[" S0 "], %q[b], %q[w1]\n\t"    \
  "vmladava.s8 %[" S1 "], %q[b], %q[w3]\n\t"
#define TFLM_TRAIN_WIDE_PATCHES(STORE)          \
  "1:\n\t"                                      \
  "ldr %[s2], %[taps_step]\n\t"                 \
  "movs %[s0], #0\n\t"                          \
  "add %[s2], %[taps]\n\t"                      \
  "vldrb.u8 %q[w1], [%[s2]]\n\t"                \
  "vldrb.u8 %q[w3], [%[s2]]\n\t"                \
  "vldrb.u8 %q[w2], [%[taps]]\n\t"              \
  "vldrb.u8 %q[w0], [%[taps]], #16\n\t"         \
  "vshlc %q[w2], %[s0], #8\n\t"                 \
  "vshlc %q[w3], %[s0], #8\n\t"                 \
  TFLM_TRAIN_BEGIN_LANE                         \
  TFLM_TRAIN_BEGIN_BLOCKS("blocks_count")       \
  "2:\n\t"                                      \
  TFLM_TRAIN_WIDE_PATCH("s0", "s1")             \
  "add %[from], %[row]\n\t"                     \
  TFLM_TRAIN_WIDE_PATCH("s2", "s3")             \
  TFLM_TRAIN_TO_LANES("a")                      \
  "add %[from], %[pair]\n\t"                    \
  TFLM_TRAIN_WIDE_PATCH("s2", "s3")             \
  "sub %[from], %[row]\n\t"                     \
  TFLM_TRAIN_WIDE_PATCH("s0", "s1")             \
  TFLM_TRAIN_TO_LANES("b")                      \
  TFLM_TRAIN_NARROW                             \
  "vldrw.u32 %q[b], %[results]\n\t"             \
  STORE("b")                                    \
  TFLM_TRAIN_NEXT_BLOCK                         \
  "le lr, 2b\n\t"                               \
  TFLM_TRAIN_NEXT_LANE

// Patches of four vectors.
#define TFLM_TRAIN_TWO_ROWS                     \
  "vldrh.u16 %q[a], [%[from], %q[patch]]\n\t"
#define TFLM_TRAIN_NEXT_ROWS                    \
  "add %[from], %[two_rows]\n\t"                \
  TFLM_TRAIN_TWO_ROWS
#define TFLM_TRAIN_TALL_BLOCK                   \
  TFLM_TRAIN_TWO_ROWS                           \
  "vmladav.s8 %[s0], %q[a], %q[w0]\n\t"         \
  TFLM_TRAIN_NEXT_ROWS                          \
  "vmladav.s8 %[s2], %q[a], %q[w0]\n\t"         \
  "vmladava.s8 %[s0], %q[a], %q[w1]\n\t"        \
  TFLM_TRAIN_NEXT_ROWS                          \
  "vmladav.s8 %[s1], %q[a], %q[w0]\n\t"         \
  "vmladava.s8 %[s2], %q[a], %q[w1]\n\t"        \
  "vmladava.s8 %[s0], %q[a], %q[w2]\n\t"        \
  TFLM_TRAIN_NEXT_ROWS                          \
  "vmladav.s8 %[s3], %q[a], %q[w0]\n\t"         \
  "vmladava.s8 %[s1], %q[a], %q[w1]\n\t"        \
  "vmladava.s8 %[s2], %q[a], %q[w2]\n\t"        \
  "vmladava.s8 %[s0], %q[a], %q[w3]\n\t"        \
  TFLM_TRAIN_NEXT_ROWS                          \
  "vmladava.s8 %[s3], %q[a], %q[w1]\n\t"        \
  "vmladava.s8 %[s1], %q[a], %q[w2]\n\t"        \
  "vmladava.s8 %[s2], %q[a], %q[w3]\n\t"        \
  TFLM_TRAIN_NEXT_ROWS                          \
  "vmladava.s8 %[s3], %q[a], %q[w2]\n\t"        \
  "vmladava.s8 %[s1], %q[a], %q[w3]\n\t"        \
  TFLM_TRAIN_NEXT_ROWS                          \
  "vmladava.s8 %[s3], %q[a], %q[w3]\n\t"        \
  TFLM_TRAIN_TO_LANES("a")                      \
  "vqrdmulh.s32 %q[a], %q[a], %[factor]\n\t"    \
  "vqmovnb.s16 %q[a], %q[a]\n\t"
#define TFLM_TRAIN_STORE_TALL "vstrb.32 %q[a], [%[to], %q[results]]\n\t"
#define TFLM_TRAIN_STORE_LIVE_TALL TFLM_TRAIN_LIVE "vstrbt.32 %q[a], [%[to], %q[results]]\n\t"
#define TFLM_TRAIN_TALL_PATCHES(STORE)          \
  "1:\n\t"                                      \
  "ldr %[s0], %[taps_step]\n\t"                 \
  "add %[s2], %[taps], %[s0]\n\t"               \
  "vldrb.u8 %q[w1], [%[s2]]\n\t"                \
  "add %[s2], %[s0]\n\t"                        \
  "vldrb.u8 %q[w2], [%[s2]]\n\t"                \
  "add %[s2], %[s0]\n\t"                        \
  "vldrb.u8 %q[w3], [%[s2]]\n\t"                \
  "vldrb.u8 %q[w0], [%[taps]], #16\n\t"         \
  TFLM_TRAIN_BEGIN_LANE                         \
  TFLM_TRAIN_BEGIN_BLOCKS("even_count")         \
  "2:\n\t"                                      \
  TFLM_TRAIN_TALL_BLOCK                         \
  STORE                                         \
  TFLM_TRAIN_NEXT_BLOCK                         \
  "le lr, 2b\n\t"                               \
  "ldr lr, %[odd_count]\n\t"                    \
  "cmp lr, #0\n\t"                             \
  "beq 4f\n\t"                                 \
  "movs %[s0], #0\n\t"                          \
  "vshlc %q[w0], %[s0], #8\n\t"                 \
  "vshlc %q[w1], %[s0], #8\n\t"                 \
  "vshlc %q[w2], %[s0], #8\n\t"                 \
  "vshlc %q[w3], %[s0], #8\n\t"                 \
  "dls lr, lr\n"                                \
  "3:\n\t"                                      \
  TFLM_TRAIN_TALL_BLOCK                         \
  STORE                                         \
  TFLM_TRAIN_NEXT_BLOCK                         \
  "le lr, 3b\n"                                 \
  "4:\n\t"                                      \
  TFLM_TRAIN_NEXT_LANE

// What loops of all shapes have in common.
#define TFLM_TRAIN_LANE_OUTPUTS                                                                  \
  [from] "+r"(from), [to] "+r"(to), [taps] "+r"(taps), [m] "+r"(m),                              \
  [factor] "=&r"(factor), [block] "=&r"(block), [s0] "=&Te"(s0), [s1] "=&Te"(s1),                \
  [s2] "=&Te"(s2), [s3] "=&Te"(s3), [w0] "=&w"(w0), [w1] "=&w"(w1), [w2] "=&w"(w2),              \
  [w3] "=&w"(w3), [a] "=&w"(a)
#define TFLM_TRAIN_LANE_INPUTS                                                                   \
  [constants] "m"(constants), [patch] "w"(program.patch())

// Writes the results. kWhole: there are no parts of blocks.
template <int kVectors, bool kWhole>
__attribute__((noinline)) void SumPatches(const PatchProgram& program, const PatchLanes& lanes) {
  const int8_t *from = lanes.plane, *taps = lanes.taps;
  const int32_t* m = lanes.m;
  int8_t* to = lanes.q;
  [[maybe_unused]] const int8_t* const end = taps + lanes.count * kVectorBytes;
  [[maybe_unused]] const int32_t taps_step = lanes.taps_step;
  const struct {
    int32_t shift;
    const PatchBlock* blocks;
  } constants = {lanes.shift, program.blocks()};
  const PatchBlock* block;
  int32_t factor, s0, s1, s2, s3;
  int8x16_t w0, w1, w2, w3;
  int32x4_t a, b;
  if constexpr (kVectors == 1) {
    int32_t count = lanes.count;
#define TFLM_TRAIN_RUN(STORE)                                                                    \
  asm volatile(TFLM_TRAIN_SMALL_PATCHES(STORE)                                                   \
      : TFLM_TRAIN_LANE_OUTPUTS, [b] "=&w"(b), [count] "+r"(count)                               \
      : TFLM_TRAIN_LANE_INPUTS, [blocks_count] "r"(program.count()),                             \
        [pair] "r"(program.sums().pair), [results] "w"(program.results())                        \
      : "lr", "cc", "memory")
    if constexpr (kWhole) {
      TFLM_TRAIN_RUN(TFLM_TRAIN_STORE);
    } else {
      TFLM_TRAIN_RUN(TFLM_TRAIN_STORE_LIVE);
    }
#undef TFLM_TRAIN_RUN
  } else if constexpr (kVectors == 2) {
    const int32_t blocks_count = program.count();
    const uint16x8_t results = program.results();
#define TFLM_TRAIN_RUN(STORE)                                                                    \
  asm volatile(TFLM_TRAIN_WIDE_PATCHES(STORE)                                                    \
      : TFLM_TRAIN_LANE_OUTPUTS, [b] "=&w"(b)                                                    \
      : TFLM_TRAIN_LANE_INPUTS, [blocks_count] "m"(blocks_count), [taps_step] "m"(taps_step),    \
        [end] "m"(end), [row] "r"(program.sums().plane_row), [pair] "r"(program.sums().pair),    \
        [second] "w"(program.second()), [results] "m"(results)                                   \
      : "lr", "cc", "memory")
    if constexpr (kWhole) {
      TFLM_TRAIN_RUN(TFLM_TRAIN_STORE);
    } else {
      TFLM_TRAIN_RUN(TFLM_TRAIN_STORE_LIVE);
    }
#undef TFLM_TRAIN_RUN
  } else {
    const int32_t even_count = program.even_count(), odd_count = program.count() - even_count;
#define TFLM_TRAIN_RUN(STORE)                                                                    \
  asm volatile(TFLM_TRAIN_TALL_PATCHES(STORE)                                                    \
      : TFLM_TRAIN_LANE_OUTPUTS                                                                  \
      : TFLM_TRAIN_LANE_INPUTS, [even_count] "m"(even_count), [odd_count] "m"(odd_count),        \
        [taps_step] "m"(taps_step), [end] "m"(end),                                              \
        [two_rows] "r"(2 * program.sums().plane_row),                                            \
        [results] "w"(program.tall_results())                                                    \
      : "lr", "cc", "memory")
    if constexpr (kWhole) {
      TFLM_TRAIN_RUN(TFLM_TRAIN_STORE_TALL);
    } else {
      TFLM_TRAIN_RUN(TFLM_TRAIN_STORE_LIVE_TALL);
    }
#undef TFLM_TRAIN_RUN
  }
}
// clang-format on

#undef TFLM_TRAIN_BEGIN_BLOCKS
#undef TFLM_TRAIN_BEGIN_LANE
#undef TFLM_TRAIN_LANE_INPUTS
#undef TFLM_TRAIN_LANE_OUTPUTS
#undef TFLM_TRAIN_LIVE
#undef TFLM_TRAIN_NARROW
#undef TFLM_TRAIN_NEXT_BLOCK
#undef TFLM_TRAIN_NEXT_LANE
#undef TFLM_TRAIN_NEXT_ROWS
#undef TFLM_TRAIN_PATCH
#undef TFLM_TRAIN_SMALL_PATCHES
#undef TFLM_TRAIN_STORE
#undef TFLM_TRAIN_STORE_LIVE
#undef TFLM_TRAIN_STORE_LIVE_TALL
#undef TFLM_TRAIN_STORE_TALL
#undef TFLM_TRAIN_TALL_BLOCK
#undef TFLM_TRAIN_TALL_PATCHES
#undef TFLM_TRAIN_TO_LANES
#undef TFLM_TRAIN_TWO_ROWS
#undef TFLM_TRAIN_WIDE_PATCH
#undef TFLM_TRAIN_WIDE_PATCHES

}  // namespace mve
}  // namespace tflm_train

#endif  // TFLM_KERNELS_ARCH_PATCH_SUMS_MVE_H_
