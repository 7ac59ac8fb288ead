// The weight gradients of a convolution with Helium. Only for update.cc.
//
// G = sum q * (x - z) = sum q * x - z * sum q: the bytes are multiplied as they are, 16
// products to an instruction.

#ifndef TFLM_KERNELS_ARCH_UPDATE_MVE_H_
#define TFLM_KERNELS_ARCH_UPDATE_MVE_H_

#include <arm_mve.h>

#include <cstdint>
#include <cstring>

#include "tflm_kernels/arch/gather_mve.h"
#include "tflm_kernels/op_params.h"
#include "tflm_kernels/update_plan.h"
#include "tflm_kernels/weight_stepper.h"

namespace tflm_train {
namespace mve {

constexpr int kColumns = 8;

// Sums of eight channels over all pixels, `stride` bytes apart.
inline void SumColumns(const int8_t* pixel, int32_t stride, int32_t pixels, int32_t* sums) {
  constexpr int32_t kPart = 256;  // 128 * 256 fits int16
  int32x4_t even = vdupq_n_s32(0), odd = even;
  for (; pixels > 0; pixels -= kPart) {
    int16x8_t part = vdupq_n_s16(0);
#pragma GCC unroll 4
    for (int32_t n = pixels < kPart ? pixels : kPart; n > 0; --n, pixel += stride) {
      part = vaddq_s16(part, vldrbq_s16(pixel));
    }
    even = vaddq_s32(even, vmovlbq_s16(part));
    odd = vaddq_s32(odd, vmovltq_s16(part));
  }
  const int32x4x2_t both = {{even, odd}};
  vst2q_s32(sums, both);
}

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
#define TFLM_TRAIN_QUARTER(V, HIGH, LOW, FIRST, SECOND)        \
  "vldrw.u32 %q[x0], [%[x], #" FIRST "]\n\t"                   \
  "vldrw.u32 %q[x1], [%[x], #" SECOND "]\n\t"                  \
  "vmladav.s8 %[s0], %q[q], %q[x0]\n\t"                        \
  "vmladav.s8 %[s1], %q[q], %q[x1]\n\t"                        \
  "vmov %q[" V "][" HIGH "], %q[" V "][" LOW "], %[s0], %[s1]\n\t"

// One row, of one chunk: no sum stays in a register for long.
TFLM_TRAIN_INLINE Eight MultiplyChunk(int8x16_t q, const int8_t* x) {
  int32x4_t even, odd;
  int32_t s0, s1;
  int8x16_t x0, x1;
  asm(TFLM_TRAIN_QUARTER("even", "2", "0", "0", "32")
      TFLM_TRAIN_QUARTER("even", "3", "1", "16", "48")
      TFLM_TRAIN_QUARTER("odd", "2", "0", "64", "96")
      TFLM_TRAIN_QUARTER("odd", "3", "1", "80", "112")
      : [even] "=&w"(even), [odd] "=&w"(odd), [s0] "=&Te"(s0), [s1] "=&Te"(s1), [x0] "=&w"(x0),
        [x1] "=&w"(x1)
      : [x] "r"(x), [q] "w"(q)
      : "memory");
  return {even, odd};
}

#undef TFLM_TRAIN_QUARTER

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

// The panel of gradients by four channels of the input, at least two chunks.
TFLM_TRAIN_INLINE void MultiplyChunks(const int8_t* a, const int8_t* b, int32_t chunks,
                                      int32x4_t* row0, int32x4_t* row1) {
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
  *row0 = q0;
  *row1 = q1;
}

#undef TFLM_TRAIN_CHUNK
// clang-format on

// Sums the gradients of some weights and steps them.
class TapUpdate {
 public:
  TapUpdate(const UpdatePlan& plan, const ConvUpdateParams& params, const WeightStepper& stepper,
            const float* kw, void* scratch)
      : plan_(plan),
        params_(params),
        stepper_(stepper),
        kw_(kw),
        scratch_(static_cast<int8_t*>(scratch)) {}

  // The weights of one tap, from the pixels that meet under it. Both grids start at
  // channel 0 and have the same size.
  void StepTap(int32_t tap, const PixelGrid& x, const PixelGrid& grad) {
    if (plan_.in_parts && grad.size() > kChunk) return StepInParts(tap, x, grad);
    const Geometry& g = params_.geometry;
    const int32_t depth = grad.size();
    const int32_t chunks = Chunks(depth);
    // Of one chunk, gradients need no panel.
    const bool shallow = chunks == 1;
    int8_t* const inputs = scratch_ + (shallow ? 0 : kGradientChunk * chunks);
    const int32_t width = kGroup * GroupsFor(chunks, static_cast<int32_t>(inputs - scratch_));
    PixelCursor first(grad);
    const PixelChunk chunk(&first, shallow ? depth : kChunk);
    for (int32_t i = 0; i < g.in_c; i += width) {
      const int32_t channels = g.in_c - i < width ? g.in_c - i : width;
      PixelCursor x_cursor(x.Moved(i));
      PackInputs(&x_cursor, depth, channels, inputs);
      StepBlock({tap, i, channels, inputs, chunks, &grad, &chunk});
    }
  }

 private:
  // The weights of one tap and channels [first, first + channels) of the input.
  struct Block {
    int32_t tap, first, channels;
    const int8_t* inputs;
    int32_t chunks;
    const PixelGrid* grad;
    const PixelChunk* chunk;  // all of the gradient, where that is one
  };

  // One or two rows of weights, those of output channels, and what their sums are made of.
  struct RowPair {
    int32_t m0, m1;  // multipliers
    int count;       // 1 at the end of an odd number
    WeightRow row0, row1;
    int32_t correction0, correction1;  // z * sum q
    int8x16_t q0, q1;                  // gradients, where they are one chunk
    const int8_t* inputs;
    int32_t chunks;
  };

  static int32_t Chunks(int32_t depth) { return (depth + kChunk - 1) / kChunk; }

  // Groups of the input held at once beside `gradients` bytes, for so many chunks.
  int32_t GroupsFor(int32_t chunks, int32_t gradients) const {
    const int32_t sums = plan_.in_parts ? static_cast<int32_t>(sizeof(GroupSums)) : 0;
    const int32_t room = static_cast<int32_t>(plan_.bytes()) - gradients;
    const int32_t fitting = room / (2 * kPanelChunk * chunks + sums);
    const int32_t needed = (params_.geometry.in_c + kGroup - 1) / kGroup;
    return fitting < needed ? fitting : needed;
  }

  void StepBlock(const Block& block) const {
    switch (stepper_.residual_bits()) {
      case 8:
        return StepBlockAs<8>(block);
      case 4:
        return StepBlockAs<4>(block);
      default:
        return StepBlockAs<0>(block);
    }
  }

  template <int kBits>
  void StepBlockAs(const Block& block) const {
    return block.chunks == 1 ? StepRowByRow<kBits>(block) : StepRowPairs<kBits>(block);
  }

  TFLM_TRAIN_INLINE RowPair Rows(const Block& block, int32_t c, int count) const {
    const Geometry& g = params_.geometry;
    RowPair rows;
    rows.count = count;
    rows.m0 = stepper_.Multiplier(kw_[c]);
    rows.m1 = count == 1 ? rows.m0 : stepper_.Multiplier(kw_[c + 1]);
    rows.row0 = ConvWeightRow(c, block.tap, g.k_h * g.k_w);
    rows.row1 = ConvWeightRow(c + 1, block.tap, g.k_h * g.k_w);
    rows.inputs = block.inputs;
    rows.chunks = block.chunks;
    return rows;
  }

  // Of one chunk: row by row, which leaves registers for the steps.
  template <int kBits>
  __attribute__((noinline)) void StepRowByRow(const Block& block) const {
    const int32_t z = params_.update.x_zero_point;
    const int32_t taps = params_.geometry.k_h * params_.geometry.k_w;
    const int32_t out_c = params_.geometry.out_c;
    const PixelChunk chunk = *block.chunk;
#pragma GCC unroll 1
    for (int32_t c = 0; c < out_c; ++c) {
      const WeightRow row = ConvWeightRow(c, block.tap, taps);
      const int32_t m = stepper_.Multiplier(kw_[c]);
      if (m == 0) continue;  // frozen
      const int8x16_t q = chunk.Channel(c);
      const int32_t correction = z * vaddvq_s8(q);
      int32_t left = block.channels;
      if (!stepper_.RowsMayUse(m)) {
        StepOneByOne({m, m, 1, row, row, correction, correction, q, q, block.inputs, 1}, block);
        continue;
      }
      const int8_t* at = block.inputs;
      auto weights = stepper_.Row<kBits>(row, block.first);
#pragma GCC unroll 1
      for (; left >= kGroup; left -= kGroup) {
        const Eight sums = MultiplyChunk(q, at);
        at += kGroup * kChunk;
        asm("" : "+r"(at));
        weights.template Step<true>(Scaled(sums, correction), m, kGroup);
      }
      if (left > 0) {
        const Eight sums = MultiplyChunk(q, at);
        StepSome<kBits>(row, block.first + block.channels - left, left, Scaled(sums, correction),
                        m);
      }
    }
  }

  // Of more chunks: two rows at a time.
  template <int kBits>
  __attribute__((noinline)) void StepRowPairs(const Block& block) const {
    const int32_t z = params_.update.x_zero_point;
    const int32_t out_c = params_.geometry.out_c;
#pragma GCC unroll 1
    for (int32_t c = 0; c < out_c; c += 2) {
      RowPair rows = Rows(block, c, out_c - c < 2 ? 1 : 2);
      if ((rows.m0 | rows.m1) == 0) continue;  // frozen
      int32_t sums[2] = {};
      PixelCursor cursor(block.grad->Moved(c));
      PackGradients(&cursor, block.grad->size(), rows.count, sums);
      rows.correction0 = z * sums[0];
      rows.correction1 = z * sums[1];
      if (!stepper_.RowsMayUse(rows.m0) || !stepper_.RowsMayUse(rows.m1)) {
        StepOneByOne(rows, block);
        continue;
      }
      const int8_t* at = block.inputs;
      int32_t left = block.channels;
      if (rows.count == 2) {
        const int32_t c0 = rows.correction0, c1 = rows.correction1;
        const int32_t m0 = rows.m0, m1 = rows.m1;
        auto row0 = stepper_.Row<kBits>(rows.row0, block.first);
        auto row1 = stepper_.Row<kBits>(rows.row1, block.first);
#pragma GCC unroll 1
        for (; left >= kGroup; left -= kGroup) {
          const GroupSums group = Multiply(block.chunks, at);
          at += kGroup * kChunk * block.chunks;
          asm("" : "+r"(at));
          row0.template Step<true>(Scaled(group.row0, c0), m0, kGroup);
          row1.template Step<true>(Scaled(group.row1, c1), m1, kGroup);
        }
      }
      if (left > 0) StepRest<kBits>(rows, block, left, at);
    }
  }

  // Steps the last `left` elements: a part of a group, or a single row.
  template <int kBits>
  __attribute__((noinline)) void StepRest(const RowPair& rows, const Block& block, int32_t left,
                                          const int8_t* at) const {
    for (; left > 0; left -= kGroup) {
      const GroupSums sums = Sums(rows, &at);
      const int32_t n = left < kGroup ? left : kGroup;
      const int32_t i = block.first + block.channels - left;
      StepSome<kBits>(rows.row0, i, n, Scaled(sums.row0, rows.correction0), rows.m0);
      if (rows.count == 1) continue;
      StepSome<kBits>(rows.row1, i, n, Scaled(sums.row1, rows.correction1), rows.m1);
    }
  }

  template <int kBits>
  __attribute__((noinline)) void StepSome(const WeightRow& row, int32_t i, int32_t n,
                                          const Eight& sums, int32_t m) const {
    stepper_.Row<kBits>(row, i).template Step<false>(sums, m, n);
  }

  // Where the multipliers are too large for that.
  __attribute__((noinline)) void StepOneByOne(const RowPair& rows, const Block& block) const {
    const int8_t* at = rows.inputs;
    for (int32_t j = 0; j < block.channels; j += kGroup) {
      const GroupSums sums = Sums(rows, &at);
      const int32_t n = block.channels - j < kGroup ? block.channels - j : kGroup;
      const int32_t i = block.first + j;
      StepInOrder(rows.row0, i, n, sums.row0, rows.correction0, rows.m0);
      if (rows.count == 1) continue;
      StepInOrder(rows.row1, i, n, sums.row1, rows.correction1, rows.m1);
    }
  }

  __attribute__((noinline)) void StepInOrder(const WeightRow& row, int32_t i, int32_t n,
                                             const Eight& sums, int32_t correction,
                                             int32_t m) const {
    int32_t in_order[kGroup];
    const int32x4x2_t both = {
        {vsubq_n_s32(sums.even, correction), vsubq_n_s32(sums.odd, correction)}};
    vst2q_s32(in_order, both);
    stepper_.Step(row, i, n, in_order, &m, 0);
  }

  // G with the gain, for VQRDMULH, which doubles.
  TFLM_TRAIN_INLINE Eight Scaled(const Eight& sums, int32_t correction) const {
    const int shift = stepper_.gain_shift() - 1;
    const int32x4_t gain = vdupq_n_s32(1 << shift);
    const int32_t less = -ShiftLeft(correction, shift);
    return {vmlasq_n_s32(sums.even, gain, less), vmlasq_n_s32(sums.odd, gain, less)};
  }

  // The panel of gradients by one group of the input.
  TFLM_TRAIN_INLINE GroupSums Multiply(int32_t chunks, const int8_t* group) const {
    GroupSums sums;
    MultiplyChunks(scratch_, group, chunks, &sums.row0.even, &sums.row1.even);
    MultiplyChunks(scratch_, group + kPanelChunk * chunks, chunks, &sums.row0.odd, &sums.row1.odd);
    return sums;
  }

  __attribute__((noinline)) GroupSums Sums(const RowPair& rows, const int8_t** group) const {
    const int8_t* const at = *group;
    *group += kGroup * kChunk * rows.chunks;
    if (rows.chunks > 1) return Multiply(rows.chunks, at);
    const Eight row0 = MultiplyChunk(rows.q0, at);
    return {row0, rows.count > 1 ? MultiplyChunk(rows.q1, at) : row0};
  }

  // More positions than are summed at a time: the sums are kept in between.
  __attribute__((noinline)) void StepInParts(int32_t tap, const PixelGrid& x,
                                             const PixelGrid& grad) {
    const Geometry& g = params_.geometry;
    const int32_t chunks = Chunks(plan_.depth);
    const int32_t groups = GroupsFor(chunks, kGradientChunk * chunks);
    int8_t* const inputs = scratch_ + kGradientChunk * chunks;
    int32_t* const kept = reinterpret_cast<int32_t*>(inputs + kGroup * kChunk * chunks * groups);
    const int32_t width = groups * kGroup;
    for (int32_t i = 0; i < g.in_c; i += width) {
      const int32_t channels = g.in_c - i < width ? g.in_c - i : width;
      for (int32_t c = 0; c < g.out_c; c += 2) {
        RowPair rows =
            Rows({tap, i, channels, inputs, chunks, &grad, nullptr}, c, g.out_c - c < 2 ? 1 : 2);
        if ((rows.m0 | rows.m1) == 0) continue;  // frozen
        PixelCursor x_cursor(x.Moved(i)), cursor(grad.Moved(c));
        int32_t sums[2] = {};
        std::memset(kept, 0, sizeof(GroupSums) * groups);
        for (int32_t done = 0; done < grad.size(); done += plan_.depth) {
          const int32_t rest = grad.size() - done;
          const int32_t depth = rest < plan_.depth ? rest : plan_.depth;
          PackInputs(&x_cursor, depth, channels, inputs);
          PackGradients(&cursor, depth, rows.count, sums);
          rows.chunks = Chunks(depth);
          if (rows.chunks == 1) {
            rows.q0 = vld1q_s8(scratch_);
            rows.q1 = vld1q_s8(scratch_ + kChunk);
          }
          AddSums(rows, groups, kept);
        }
        for (int32_t j = 0; j < channels; j += kGroup) {
          const int32_t n = channels - j < kGroup ? channels - j : kGroup;
          const int32_t* const from = kept + 2 * j;
          for (int r = 0; r < rows.count; ++r) {
            const Eight row = {vld1q_s32(from + r * kGroup), vld1q_s32(from + r * kGroup + 4)};
            StepInOrder(r == 0 ? rows.row0 : rows.row1, i + j, n, row,
                        params_.update.x_zero_point * sums[r], r == 0 ? rows.m0 : rows.m1);
          }
        }
      }
    }
  }

  // kept: [groups][2 rows][even, odd].
  void AddSums(const RowPair& rows, int32_t groups, int32_t* kept) const {
    const int8_t* at = rows.inputs;
    for (int32_t n = 0; n < groups; ++n, kept += 2 * kGroup) {
      const GroupSums sums = Sums(rows, &at);
      vst1q_s32(kept, vaddq_s32(vld1q_s32(kept), sums.row0.even));
      vst1q_s32(kept + 4, vaddq_s32(vld1q_s32(kept + 4), sums.row0.odd));
      vst1q_s32(kept + 8, vaddq_s32(vld1q_s32(kept + 8), sums.row1.even));
      vst1q_s32(kept + 12, vaddq_s32(vld1q_s32(kept + 12), sums.row1.odd));
    }
  }

  // Packs the next `depth` pixels of all `channels`.
  __attribute__((noinline)) static void PackInputs(PixelCursor* cursor, int32_t depth,
                                                   int32_t channels, int8_t* to) {
    const int32_t panel = kPanelChunk * Chunks(depth);
    for (; depth > 0; depth -= kChunk, to += kPanelChunk) {
      const PixelChunk chunk(cursor, depth < kChunk ? depth : kChunk);
      // Pairs of an even and an odd channel, four of them to a group.
      int8_t* pair = to;
#pragma GCC unroll 1
      for (int32_t j = 0; j < channels; j += 2) {
        vst1q_s8(pair, chunk.Channel(j));
        if (j + 1 < channels) vst1q_s8(pair + panel, chunk.Channel(j + 1));
        pair += (j & 6) == 6 ? 2 * panel - 3 * kChunk : kChunk;
      }
    }
  }

  // Packs the next `depth` pixels of one or two channels, adding up each.
  __attribute__((noinline)) void PackGradients(PixelCursor* cursor, int32_t depth, int count,
                                               int32_t* sums) const {
#pragma GCC unroll 1
    for (int8_t* to = scratch_; depth > 0; depth -= kChunk, to += kGradientChunk) {
      const PixelChunk chunk(cursor, depth < kChunk ? depth : kChunk);
#pragma GCC unroll 1
      for (int r = 0; r < count; ++r) {
        const int8x16_t channel = chunk.Channel(r);
        sums[r] = vaddvaq_s8(sums[r], channel);
        vst1q_s8(to + r * kChunk, channel);
      }
    }
  }

  const UpdatePlan& plan_;
  const ConvUpdateParams& params_;
  const WeightStepper& stepper_;
  const float* kw_;
  int8_t* scratch_;
};

}  // namespace mve
}  // namespace tflm_train

#endif  // TFLM_KERNELS_ARCH_UPDATE_MVE_H_
