// The weight gradients of a convolution with Helium. Only for update.cc.
//
// G = sum q * (x - z) = sum q * x - z * sum q: the bytes are multiplied as they are, 16
// products to an instruction.

#ifndef TFLM_KERNELS_ARCH_UPDATE_MVE_H_
#define TFLM_KERNELS_ARCH_UPDATE_MVE_H_

#include <arm_mve.h>

#include <cstdint>
#include <cstring>
#include <new>

#include "tflm_kernels/arch/gather_mve.h"
#include "tflm_kernels/arch/update_rows_mve.h"
#include "tflm_kernels/spec/op_params.h"
#include "tflm_kernels/update_plan.h"
#include "tflm_kernels/weight_stepper.h"

namespace tflm_train {
namespace mve {

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
    int8_t* const list = scratch_ + (shallow ? 0 : kGradientChunk * chunks);
    int8_t* const behind = list + (shallow ? 0 : static_cast<int32_t>(sizeof(PixelChunk)) * chunks);
    // Where chunks of the gradient are found, where there is room for all of that.
    const bool listed = GroupsFor(chunks, behind) > 0;
    int8_t* const inputs = listed ? behind : list;
    const int32_t width = kGroup * GroupsFor(chunks, inputs);
    PixelCursor cursor(grad);
    const PixelChunk first(&cursor, shallow ? depth : kChunk);
    PixelChunk* const found = reinterpret_cast<PixelChunk*>(list);
    if (!shallow && listed) ListChunks(grad, found);
    const PixelChunk* const at = shallow ? &first : listed ? found : nullptr;
    for (int32_t i = 0; i < g.in_c; i += width) {
      const int32_t channels = g.in_c - i < width ? g.in_c - i : width;
      PixelCursor x_cursor(x.Moved(i));
      PackInputs(&x_cursor, depth, channels, inputs);
      StepBlock({tap, i, channels, inputs, chunks, &grad, at});
    }
  }

 private:
  // The weights of one tap and channels [first, first + channels) of the input.
  struct Block {
    int32_t tap, first, channels;
    const int8_t* inputs;
    int32_t chunks;
    const PixelGrid* grad;
    const PixelChunk* chunk;  // those of the gradient; nullptr: to be found
  };

  // One or two rows of weights, those of output channels, and what their sums are made of.
  struct RowPair {
    int32_t m0, m1;  // multipliers
    int count;       // 1 at the end of an odd number
    WeightRow row0, row1;
    int8x16_t q0, q1;  // gradients, where they are one chunk
    const int8_t* inputs;
    int32_t chunks;
  };

  static int32_t Chunks(int32_t depth) { return (depth + kChunk - 1) / kChunk; }

  // Groups of the input held at once from `inputs` on, for so many chunks.
  int32_t GroupsFor(int32_t chunks, const int8_t* inputs) const {
    const int32_t sums = plan_.in_parts ? static_cast<int32_t>(sizeof(GroupSums)) : 0;
    const int32_t room = static_cast<int32_t>(scratch_ + plan_.bytes() - inputs);
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
    return block.chunks == 1 ? StepRows<kBits, true>(block) : StepRows<kBits, false>(block);
  }

  TFLM_TRAIN_INLINE RowPair Rows(const Block& block, int32_t c) const {
    const int32_t taps = params_.geometry.k_h * params_.geometry.k_w;
    RowPair rows = {};
    rows.count = params_.geometry.out_c - c < 2 ? 1 : 2;
    rows.m0 = stepper_.Multiplier(kw_[c]);
    rows.m1 = rows.count == 1 ? rows.m0 : stepper_.Multiplier(kw_[c + 1]);
    rows.row0 = ConvWeightRow(c, block.tap, taps);
    rows.row1 = ConvWeightRow(c + 1, block.tap, taps);
    rows.inputs = block.inputs;
    rows.chunks = block.chunks;
    return rows;
  }

  // Two rows at a time, which share the input and the random numbers.
  //   kOneChunk  the gradients are in registers
  template <int kBits, bool kOneChunk>
  __attribute__((noinline)) void StepRows(const Block& block) const {
    if (!stepper_.HasRows()) return StepOneByOne(block, 0, params_.geometry.out_c);
    // Locals: the int8 stores may alias the members as far as C++ knows.
    const WeightStepper stepper = stepper_;
    const float* kw = kw_;
    const int32_t out_c = params_.geometry.out_c;
    const int32_t taps = params_.geometry.k_h * params_.geometry.k_w;
    const int32_t chunks = block.chunks, channels = block.channels, first = block.first;
    const int8_t* const inputs = block.inputs;
    const int8_t* const gradients = scratch_;
    const int shift = stepper.gain_shift() - 1;
    const int32_t gain = -ShiftLeft(1, shift);
    const int32_t z = ShiftLeft(params_.update.x_zero_point, shift);
    WeightRow row = ConvWeightRow(0, block.tap, taps);
#pragma GCC unroll 1
    for (int32_t c = 0; c < out_c; c += 2, kw += 2, row.index += 2 * taps, row.dither += taps) {
      // A last row alone is stepped again by nothing.
      const int32_t next = c + 1 < out_c ? 1 : 0;
      const uint32_t m0 = stepper.ShortMultiplier(kw[0]);
      const uint32_t m1 = next == 0 ? 0 : stepper.ShortMultiplier(kw[1]);
      if (stepper.IsFrozen(static_cast<int32_t>(m0 | m1))) continue;
      if (!stepper.IsShort(m0) || !stepper.IsShort(m1)) {
        StepOneByOne(block, c, c + 1 + next);
        continue;
      }
      int8x16_t q0 = vuninitializedq_s8(), q1 = q0;
      int32_t sums[2] = {};
      if (kOneChunk) {
        block.chunk->Pair(c, next, &q0, &q1);
        sums[0] = vaddvq_s8(q0);
        sums[1] = vaddvq_s8(q1);
      } else {
        PackGradients(block, c, next, sums);
      }
      const RowFactors factors0 = {static_cast<int32_t>(m0), gain, z * sums[0]};
      const RowFactors factors1 = {static_cast<int32_t>(m1), gain, z * sums[1]};
      const WeightRow row1 = {row.index + static_cast<uint32_t>(next * taps), row.dither};
      const int8_t* at = inputs;
      auto weights0 = stepper.Row<kBits>(row, first);
      auto weights1 = stepper.Row<kBits>(row1, first);
      auto dithers = stepper.DitherOf<kBits>(row, first);
#pragma GCC unroll 1
      for (int32_t groups = channels / kGroup; groups > 0; --groups) {
        const uint16x8_t dither = dithers.template Next<true>(kGroup);
        if (kOneChunk) {
          StepChunk(q0, q1, &at, gain, factors0, factors1, dither, &weights0, &weights1);
        } else {
          mve::StepRows(Multiply(gradients, chunks, &at), factors0, factors1, dither, &weights0,
                        &weights1);
        }
        dithers.Advance();
      }
      const int32_t left = channels % kGroup;
      if (left > 0) {
        const GroupSums group =
            kOneChunk ? MultiplyChunk(q0, q1, &at) : Multiply(gradients, chunks, &at);
        const int32_t i = first + channels - left;
        StepSome<kBits>(row, i, left, group.row0, factors0);
        StepSome<kBits>(row1, i, left, group.row1, factors1);
      }
    }
  }

  template <int kBits>
  __attribute__((noinline)) void StepSome(WeightRow row, int32_t i, int32_t n, Eight sums,
                                          RowFactors factors) const {
    const uint16x8_t dither = stepper_.DitherOf<kBits>(row, i).template Next<false>(n);
    stepper_.Row<kBits>(row, i).template Step<false>(factors.Scaled(sums), factors.m, dither, n);
  }

  // Some rows where the multipliers are too large for that.
  __attribute__((noinline)) void StepOneByOne(const Block& block, int32_t c, int32_t end) const {
    const int32_t z = params_.update.x_zero_point;
    for (; c < end; c += 2) {
      RowPair rows = Rows(block, c);
      if (stepper_.IsFrozen(rows.m0 | rows.m1)) continue;
      int32_t sums[2];
      if (rows.chunks == 1) {
        block.chunk->Pair(c, rows.count - 1, &rows.q0, &rows.q1);
        sums[0] = vaddvq_s8(rows.q0);
        sums[1] = vaddvq_s8(rows.q1);
      } else {
        sums[0] = sums[1] = 0;
        PackGradients(block, c, rows.count - 1, sums);
      }
      const int8_t* at = rows.inputs;
      for (int32_t j = 0; j < block.channels; j += kGroup) {
        const GroupSums group = Sums(rows, &at);
        const int32_t n = block.channels - j < kGroup ? block.channels - j : kGroup;
        const int32_t i = block.first + j;
        StepInOrder(rows.row0, i, n, group.row0, z * sums[0], rows.m0);
        if (rows.count > 1) StepInOrder(rows.row1, i, n, group.row1, z * sums[1], rows.m1);
      }
    }
  }

  __attribute__((noinline)) void StepInOrder(const WeightRow& row, int32_t i, int32_t n,
                                             const Eight& sums, int32_t correction,
                                             int32_t m) const {
    int32_t in_order[kGroup];
    Store({vsubq_n_s32(sums.even, correction), vsubq_n_s32(sums.odd, correction)}, in_order);
    stepper_.Step(row, i, n, in_order, &m, 0);
  }

  // The panel of gradients by one group of the input, which is passed over.
  TFLM_TRAIN_INLINE static GroupSums Multiply(const int8_t* gradients, int32_t chunks,
                                              const int8_t** group) {
    GroupSums sums;
    MultiplyChunks(gradients, group, chunks, &sums.row0.even, &sums.row1.even);
    MultiplyChunks(gradients, group, chunks, &sums.row0.odd, &sums.row1.odd);
    return sums;
  }

  __attribute__((noinline)) GroupSums Sums(const RowPair& rows, const int8_t** group) const {
    if (rows.chunks > 1) return Multiply(scratch_, rows.chunks, group);
    return MultiplyChunk(rows.q0, rows.q1, group);
  }

  // More positions than are summed at a time: the sums are kept in between.
  __attribute__((noinline)) void StepInParts(int32_t tap, const PixelGrid& x,
                                             const PixelGrid& grad) {
    const Geometry& g = params_.geometry;
    const int32_t chunks = Chunks(plan_.depth);
    int8_t* const inputs = scratch_ + kGradientChunk * chunks;
    const int32_t groups = GroupsFor(chunks, inputs);
    int32_t* const kept = reinterpret_cast<int32_t*>(inputs + kGroup * kChunk * chunks * groups);
    const int32_t width = groups * kGroup;
    for (int32_t i = 0; i < g.in_c; i += width) {
      const int32_t channels = g.in_c - i < width ? g.in_c - i : width;
      for (int32_t c = 0; c < g.out_c; c += 2) {
        RowPair rows = Rows({tap, i, channels, inputs, chunks, &grad, nullptr}, c);
        if (stepper_.IsFrozen(rows.m0 | rows.m1)) continue;
        PixelCursor x_cursor(x.Moved(i)), cursor(grad.Moved(c));
        int32_t sums[2] = {};
        std::memset(kept, 0, sizeof(GroupSums) * groups);
        for (int32_t done = 0; done < grad.size(); done += plan_.depth) {
          const int32_t rest = grad.size() - done;
          const int32_t depth = rest < plan_.depth ? rest : plan_.depth;
          PackInputs(&x_cursor, depth, channels, inputs);
          PackGradients(&cursor, depth, rows.count - 1, sums);
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

  __attribute__((noinline)) static void ListChunks(const PixelGrid& grid, PixelChunk* list) {
    PixelCursor cursor(grid);
    for (int32_t left = grid.size(); left > 0; left -= kChunk) {
      new (list++) PixelChunk(&cursor, left < kChunk ? left : kChunk);
    }
  }

  // Packs all pixels of two channels, c and c + next, adding up each.
  __attribute__((noinline)) void PackGradients(const Block& block, int32_t c, int32_t next,
                                               int32_t* sums) const {
    if (block.chunk == nullptr) {
      PixelCursor cursor(block.grad->Moved(c));
      return PackGradients(&cursor, block.grad->size(), next, sums);
    }
    int32_t sum0 = 0, sum1 = 0;
    const PixelChunk* chunk = block.chunk;
    int8_t* to = scratch_;
#pragma GCC unroll 1
    for (int32_t n = block.chunks; n > 0; --n, ++chunk, to += kGradientChunk) {
      int8x16_t q0, q1;
      chunk->Pair(c, next, &q0, &q1);
      sum0 = vaddvaq_s8(sum0, q0);
      sum1 = vaddvaq_s8(sum1, q1);
      vst1q_s8(to, q0);
      vst1q_s8(to + kChunk, q1);
    }
    sums[0] = sum0;
    sums[1] = sum1;
  }

  // The next `depth` pixels, adding to the sums.
  __attribute__((noinline)) void PackGradients(PixelCursor* cursor, int32_t depth, int32_t next,
                                               int32_t* sums) const {
#pragma GCC unroll 1
    for (int8_t* to = scratch_; depth > 0; depth -= kChunk, to += kGradientChunk) {
      const PixelChunk chunk(cursor, depth < kChunk ? depth : kChunk);
      int8x16_t q0, q1;
      chunk.Pair(0, next, &q0, &q1);
      sums[0] = vaddvaq_s8(sums[0], q0);
      sums[1] = vaddvaq_s8(sums[1], q1);
      vst1q_s8(to, q0);
      vst1q_s8(to + kChunk, q1);
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
