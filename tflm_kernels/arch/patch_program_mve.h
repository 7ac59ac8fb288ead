// Sums of a channel as dot products of patches of a plane with taps: how they are divided, for
// patch_sums_mve.h. Only for depthwise_mve.h.
//
// A patch, some rows of pairs of pixels, is gathered into vectors. Taps, with zeros where the
// patch has more pixels than there are taps, lie in as many. Where a patch has a column or row to
// spare, the taps moved by it give the neighbour's sum.

#ifndef TFLM_KERNELS_ARCH_PATCH_PROGRAM_MVE_H_
#define TFLM_KERNELS_ARCH_PATCH_PROGRAM_MVE_H_

#include <arm_mve.h>

#include <cstdint>

namespace tflm_train {
namespace mve {

constexpr int32_t kVectorBytes = 16;
constexpr int kTallVectors = 4;  // the most of a patch

// Shapes of patches: 4 rows of 2 pairs, 5 of 3, 8 of 4. They take taps of 3 x 3, 5 x 5, 8 x 7.
constexpr int32_t PatchPairs(int vectors) { return vectors == 1 ? 2 : vectors == 2 ? 3 : 4; }
constexpr int32_t PatchRows(int vectors) { return vectors == 1 ? 4 : vectors == 2 ? 5 : 8; }

// Of the smallest patch for so many taps; more than kTallVectors: there is none.
// FAST-PATH-BOUND: patch-shapes
constexpr int PatchVectors(int32_t rows, int32_t columns) {
  return rows <= 3 && columns <= 3   ? 1
         : rows <= 5 && columns <= 5 ? 2
         : rows <= 8 && columns <= 7 ? kTallVectors
                                     : 2 * kTallVectors;
}

// A block of sums has 2 rows of 4 columns. Patches of four vectors make tall ones, every other of
// 8 rows, so that two rows of the plane are loaded once for four sums.
constexpr int32_t kBlockRows = 2, kBlockColumns = 4;
constexpr int32_t kTallRows = 8;

// Sums of a channel, and the plane that they are made from.
struct PatchSums {
  int32_t rows, columns;    // at most kMaxPatchRows, kMaxPatchColumns
  int32_t plane_row, pair;  // bytes of the plane from row to row, and from two columns to the next
  int32_t row_step, step;   // bytes from result to result
};
constexpr int32_t kMaxPatchRows = kTallRows;
constexpr int32_t kMaxPatchColumns = 32;

// Bytes from a block to the next one, in the plane and between the results; from the last one to
// the next channel's first. live: which results there are.
struct PatchBlock {
  int32_t next, to_next;
  uint32_t live;
};

// The blocks of a channel, the same for all channels.
class PatchProgram {
 public:
  PatchProgram(int vectors, const PatchSums& sums) : sums_(sums) {
    const int32_t pairs = PatchPairs(vectors);
    for (int32_t i = 0; i < 16; ++i) {
      const int32_t row = i / pairs < PatchRows(vectors) ? i / pairs : 0;
      patch_[i] = static_cast<uint16_t>(row * sums.plane_row + i % pairs * sums.pair);
    }
    for (int lane = 0; lane < 8; ++lane) {
      results_[lane] = static_cast<uint16_t>(Row(lane) * sums.row_step + Column(lane) * sums.step);
    }
    if (vectors == kTallVectors) {
      moved_ = (2 * kTallRows - 4) * sums.plane_row;
      for (int32_t x = 0; x < sums.columns; x += 2) AddTallBlocks(x, x);
      even_count_ = count_;
      for (int32_t x = 1; x < sums.columns; x += 2) AddTallBlocks(x, x - 1);
    } else {
      moved_ = vectors == 1 ? 0 : sums.pair;
      for (int32_t x = 0; x < sums.columns; x += kBlockColumns) {
        for (int32_t y = 0; y < sums.rows; y += kBlockRows) AddBlock(y, x);
      }
    }
    Close(2, 1);
  }

  // Whether there are no parts of blocks.
  bool whole() const { return whole_; }

  const PatchSums& sums() const { return sums_; }
  const PatchBlock* blocks() const { return blocks_; }
  int32_t count() const { return count_; }
  int32_t even_count() const { return even_count_; }  // of tall blocks, those of even columns

  // Of a patch's first and second vector.
  uint16x8_t patch() const { return vld1q_u16(patch_); }
  uint16x8_t second() const { return vld1q_u16(patch_ + 8); }

  // Of the results of a block, or a tall one.
  uint16x8_t results() const { return vld1q_u16(results_); }
  uint32x4_t tall_results() const {
    return vmulq_n_u32(vidupq_n_u32(0, 1), static_cast<uint32_t>(2 * sums_.row_step));
  }

 private:
  static constexpr int kMaxBlocks = 2 * kMaxPatchColumns;

  // Ends the block before, and says where the next one is.
  void Close(int32_t at, int32_t to) {
    if (count_ > 0) {
      blocks_[count_ - 1].next = at - at_ - moved_;
      blocks_[count_ - 1].to_next = to - to_;
    }
    at_ = at;
    to_ = to;
  }

  // patch_x: column of the patch, even.
  void Add(int32_t y, int32_t x, int32_t patch_x, uint32_t live) {
    Close(y * sums_.plane_row + patch_x / 2 * sums_.pair, y * sums_.row_step + x * sums_.step);
    blocks_[count_++].live = live;
    whole_ = whole_ && live == 0xffff;
  }

  void AddBlock(int32_t y, int32_t x) {
    uint32_t live = 0xffff;
    if (y + kBlockRows > sums_.rows || x + kBlockColumns > sums_.columns) {
      live = 0;
      for (int lane = 0; lane < 8; ++lane) {
        const bool inside = y + Row(lane) < sums_.rows && x + Column(lane) < sums_.columns;
        live |= (inside ? 3u : 0u) << (2 * lane);
      }
    }
    Add(y, x, x, live);
  }

  void AddTallBlocks(int32_t x, int32_t patch_x) {
    for (int32_t y = 0; y < 2 && y < sums_.rows; ++y) {
      Add(y, x, patch_x, 0xffffu >> (16 - (sums_.rows - y + 1) / 2 * 4));
    }
  }

  // Of a block's results, as narrowing leaves them.
  static constexpr int32_t Row(int lane) { return lane >> 1 & 1; }
  static constexpr int32_t Column(int lane) { return (lane >> 2) + 2 * (lane & 1); }

  const PatchSums sums_;
  uint16_t patch_[16];   // offsets of a patch's vectors
  uint16_t results_[8];  // of a block's results
  int32_t moved_;        // bytes by which a block moves on in the plane
  int32_t at_ = 0, to_ = 0;
  int32_t count_ = 0, even_count_ = 0;
  bool whole_ = true;
  PatchBlock blocks_[kMaxBlocks];
};

}  // namespace mve
}  // namespace tflm_train

#endif  // TFLM_KERNELS_ARCH_PATCH_PROGRAM_MVE_H_
