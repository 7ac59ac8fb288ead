// The input gradient of depthwise layers with Helium. Only for depthwise_input_grad.cc.
//
// The inputs that meet the same taps are the correlation of the gradient, a plane with zeros
// around it, with those taps in reverse: dot products of the plane's patches with the taps, see
// patch_program_mve.h. Gradient and taps may change places: the larger one is the plane. Planes
// and taps of up to 16 channels are made at a time.

#ifndef TFLM_KERNELS_ARCH_DEPTHWISE_MVE_H_
#define TFLM_KERNELS_ARCH_DEPTHWISE_MVE_H_

#include <arm_mve.h>

#include <cstddef>
#include <cstdint>

#include "tflm_kernels/arch/features.h"
#include "tflm_kernels/arch/fill_mve.h"
#include "tflm_kernels/arch/lanes_mve.h"
#include "tflm_kernels/arch/patch_program_mve.h"
#include "tflm_kernels/arch/patch_sums_mve.h"
#include "tflm_kernels/depthwise_windows.h"
#include "tflm_kernels/spec/op_params.h"

namespace tflm_train {
namespace mve {

// Pixels of an image: (r, c) is number first + r * row + c * column.
struct PixelWindow {
  int32_t At(int32_t r, int32_t c) const { return first + r * row + c * column; }

  int32_t first, row, column;
  int32_t rows, columns;
};

// How the inputs of one phase, (y, x), (y, x + stride), ..., are computed.
struct PhasePlan {
  PhasePlan(const Geometry& g, int32_t y, int32_t x, size_t scratch_bytes) {
    const AxisPhase vertical(y, g.k_h, g.stride_h, g.pad_t);
    const AxisPhase horizontal(x, g.k_w, g.stride_w, g.pad_l);
    first_input = y * g.in_w + x;
    rows = (g.in_h - y + g.stride_h - 1) / g.stride_h;
    columns = (g.in_w - x + g.stride_w - 1) / g.stride_w;
    top = vertical.Lowest(0);
    left = horizontal.Lowest(0);
    image = {0, g.out_w, 1, g.out_h, g.out_w};
    taps = {vertical.first_tap * g.k_w + horizontal.first_tap, g.stride_h * g.k_w, g.stride_w,
            vertical.taps, horizontal.taps};
    if (taps.columns == 0) taps.rows = 0;
    vectors = PatchVectors(taps.rows, taps.columns);
    swapped = PatchVectors(image.rows, image.columns) < vectors;
    if (swapped) {
      const PixelWindow gradient = image;
      image = taps;
      taps = gradient;
      vectors = PatchVectors(taps.rows, taps.columns);
      top += image.rows - taps.rows;
      left += image.columns - taps.columns;
    }
    rows_at_once = rows < kMaxPatchRows ? rows : kMaxPatchRows;
    columns_at_once = columns < kMaxPatchColumns ? columns : kMaxPatchColumns;
    // The plane, of whole blocks.
    const bool tall = vectors == kTallVectors;
    const int32_t whole = tall ? kTallRows : (rows_at_once + 1) / kBlockRows * kBlockRows;
    plane_rows = whole + PatchRows(vectors) - (vectors == 1 ? kBlockRows : 1);
    pairs = (columns_at_once + taps.columns) / 2;
    // Zeros are to lie before the taps: five, and a row below the image has them.
    const bool ends_in_zeros = rows_at_once == rows && top + plane_rows > image.rows && pairs > 2;
    margin = ends_in_zeros ? 0 : kVectorBytes;
    const int32_t room = static_cast<int32_t>(scratch_bytes) - margin;
    const int32_t fitting = room / (plane_rows * 2 * pairs + vectors * kVectorBytes);
    const int32_t most = fitting < kMaxLanes ? fitting : kMaxLanes;
    const int32_t runs = most > 0 ? (g.out_c + most - 1) / most : 1;
    lanes = (g.out_c + runs - 1) / runs;
    const int32_t reach = 3 * g.stride_w + g.stride_h * g.in_w;
    // FAST-PATH-BOUND: phase-reach
    usable = vectors <= kTallVectors && most > 0 && reach * g.in_c <= UINT16_MAX;
  }

  int32_t PlaneRowBytes() const { return 2 * pairs * lanes; }
  int32_t PlaneBytes() const { return plane_rows * PlaneRowBytes(); }

  static constexpr int32_t kMaxLanes = 16;

  int32_t first_input;
  int32_t rows, columns;  // of inputs
  int32_t top, left;      // what lies in the plane for the first input's first tap
  PixelWindow image;      // that the plane is made of
  PixelWindow taps;
  bool swapped;
  int vectors;                            // of a patch
  int32_t rows_at_once, columns_at_once;  // of inputs
  int32_t plane_rows, pairs;              // pairs: of pixels in a row
  int32_t margin;                         // bytes between plane and taps
  int32_t lanes;                          // channels at once
  bool usable;
};

// Writes the inputs of one phase.
//
// In a plane, pixels of a row are in pairs, the pairs of all channels beside each other: int8
// [rows][pairs][lanes][2]. Taps are int8 [vectors][lanes][16].
class PhaseInputGrad {
 public:
  PhaseInputGrad(const Geometry& g, const PhasePlan& plan, const int8_t* grad_out,
                 const DepthwiseWeights& weights, int8_t* grad_in, void* scratch)
      : g_(g),
        plan_(plan),
        weights_(weights),
        image_(plan.swapped ? weights.all : grad_out),
        tap_image_(plan.swapped ? grad_out : weights.all),
        grad_in_(grad_in + plan.first_input * g.in_c),
        tap_runs_(plan.taps.rows),
        tap_run_(plan.taps.columns),
        tap_bytes_(plan.taps.column * g.out_c),
        tap_row_bytes_(plan.taps.row * g.out_c),
        plane_(static_cast<int8_t*>(scratch)),
        taps_(plane_ + plan.PlaneBytes() + plan.margin) {
    FindTaps();
  }

  void Run() const {
    Fill(taps_ - plan_.margin, 0, plan_.margin + plan_.vectors * plan_.lanes * kVectorBytes);
    for (int32_t y = 0; y < plan_.rows; y += plan_.rows_at_once) {
      for (int32_t x = 0; x < plan_.columns; x += plan_.columns_at_once) RunStrip(y, x);
    }
  }

 private:
  static constexpr int32_t kMaxTaps = 8 * 7;

  // The part of an image that a plane holds, and where it begins there.
  struct Part {
    PixelWindow window;
    int32_t row, column;
  };

  static int32_t Less(int32_t a, int32_t b) { return a < b ? a : b; }

  Part PartFrom(int32_t y, int32_t x) const {
    const PixelWindow& image = plan_.image;
    const int32_t top = plan_.top + y, left = plan_.left + x;
    const int32_t row = top < 0 ? -top : 0, column = left < 0 ? -left : 0;
    PixelWindow window = {image.At(top + row, left + column), image.row, image.column,
                          Less(image.rows - top, plan_.plane_rows) - row,
                          Less(image.columns - left, 2 * plan_.pairs) - column};
    if (window.columns <= 0) window.rows = 0;
    return {window, row, column};
  }

  int8_t* InPlane(int32_t row, int32_t column) const {
    return plane_ + row * plan_.PlaneRowBytes() + (column >> 1) * 2 * plan_.lanes + (column & 1);
  }

  // Lists where the first channel's taps go, rows behind each other if they can be.
  void FindTaps() {
    const PixelWindow& taps = plan_.taps;
    if (taps.row == taps.columns * taps.column) {
      tap_runs_ = taps.rows > 0 ? 1 : 0;
      tap_run_ *= taps.rows;
    }
    int32_t n = 0;
    for (int32_t r = taps.rows - 1; r >= 0; --r) {
      for (int32_t c = taps.columns - 1; c >= 0 && n < kMaxTaps; --c) {
        const int32_t i = r * 2 * PatchPairs(plan_.vectors) + c;
        tap_to_[n++] = taps_ + i / kVectorBytes * plan_.lanes * kVectorBytes + i % kVectorBytes;
      }
    }
  }

  void RunStrip(int32_t y, int32_t x) const {
    const int32_t step = g_.stride_w * g_.in_c, row_step = g_.stride_h * g_.in_w * g_.in_c;
    const PatchProgram program(
        plan_.vectors,
        {Less(plan_.rows - y, plan_.rows_at_once), Less(plan_.columns - x, plan_.columns_at_once),
         plan_.PlaneRowBytes(), 2 * plan_.lanes, row_step, step});
    const bool whole = program.whole();
    const auto sum = plan_.vectors == 1   ? whole ? SumPatches<1, true> : SumPatches<1, false>
                       : plan_.vectors == 2 ? whole ? SumPatches<2, true> : SumPatches<2, false>
                       : whole ? SumPatches<kTallVectors, true>
                                          : SumPatches<kTallVectors, false>;
    PatchLanes lanes = {plane_,
                        taps_,
                        plan_.lanes * kVectorBytes,
                        weights_.m,
                        kScaleBits - 1 - weights_.exponent,
                        grad_in_ + y * row_step + x * step,
                        plan_.lanes};
    const Part part = PartFrom(y, x);
    const PixelWindow& window = part.window;
    const LaneRows rows(window.rows, window.columns, window.column * g_.out_c,
                        window.row * g_.out_c, 2 * plan_.lanes, plan_.PlaneRowBytes());
    int8_t* const to = InPlane(part.row, part.column & ~1);
    const uint8x16_t even = vidupq_n_u8(0, 2), odd = vaddq_n_u8(even, 1);
    const uint8x16_t next = vaddq_n_u8(even, static_cast<uint8_t>(2 * plan_.lanes));
    const bool begins_odd = (part.column & 1) != 0;
    const uint8x16_t first_to = begins_odd ? odd : even, second_to = begins_odd ? next : odd;
    const int8_t *image = image_ + window.first * g_.out_c,
                 *taps = tap_image_ + plan_.taps.first * g_.out_c;
    Fill(plane_, 0, plan_.PlaneBytes());
    int32_t kept = 0;
    for (int32_t c = 0; c < g_.out_c; c += plan_.lanes) {
      if (g_.out_c - c < lanes.count) lanes.count = g_.out_c - c;
      rows.Move(image + c, lanes.count, first_to, second_to, to);
      PackTaps(taps + c, lanes.count);
      for (; kept < weights_.kept && weights_.channels[kept] < c + lanes.count; ++kept) {
        PackKept(part, kept, weights_.channels[kept] - c);
      }
      sum(program, lanes);
      lanes.m += plan_.lanes;
      lanes.q += plan_.lanes;
    }
  }

  void PackTaps(const int8_t* from, int32_t lanes) const {
    const uint8x16_t at = vmulq_n_u8(vidupq_n_u8(0, 1), kVectorBytes);
    int8_t* const* to = tap_to_;
    for (int32_t n = tap_runs_; n > 0; --n, from += tap_row_bytes_, to += tap_run_) {
      MoveLanes(from, tap_bytes_, tap_run_, lanes, at, to);
    }
  }

  // What is different of a channel with weights of its own.
  __attribute__((noinline)) void PackKept(const Part& part, int32_t kept, int32_t lane) const {
    const PixelWindow& window = plan_.swapped ? part.window : plan_.taps;
    for (int32_t r = 0; r < window.rows; ++r) {
      for (int32_t c = 0; c < window.columns; ++c) {
        int8_t* const to = plan_.swapped ? InPlane(part.row + r, part.column + c) + 2 * lane
                                         : tap_to_[r * window.columns + c] + lane * kVectorBytes;
        *to = weights_.columns[window.At(r, c) * weights_.kept + kept];
      }
    }
  }

  const Geometry& g_;
  const PhasePlan& plan_;
  const DepthwiseWeights& weights_;
  const int8_t *image_, *tap_image_;
  int8_t* grad_in_;
  int32_t tap_runs_, tap_run_;  // runs of taps that are as far from each other, their length
  int32_t tap_bytes_, tap_row_bytes_;
  int8_t *plane_, *taps_;
  int8_t* tap_to_[kMaxTaps];
};

// Writes the whole input gradient, saturated; false: not for this layer, and what is written is
// not all.
inline bool DepthwiseInputGrad(const DepthwiseInputGradParams& params, size_t scratch_bytes,
                               const int8_t* grad_out, const DepthwiseWeights& weights,
                               int8_t* grad_in, void* scratch) {
  const Geometry& g = params.geometry;
  // The results fit 16 bits.
  // FAST-PATH-BOUND: sixteen-bits
  const bool fits = (127 * 127 * g.k_h * g.k_w) >> weights.exponent < INT16_MAX;
  // FAST-PATH-BOUND: phase-shape
  if (params.multiplier != 1 || g.dil_h != 1 || g.dil_w != 1 || !fits) return false;
  for (int32_t y = 0; y < g.stride_h && y < g.in_h; ++y) {
    for (int32_t x = 0; x < g.stride_w && x < g.in_w; ++x) {
      const PhasePlan plan(g, y, x, scratch_bytes);
      if (!plan.usable) return false;
      PhaseInputGrad(g, plan, grad_out, weights, grad_in, scratch).Run();
    }
  }
  return true;
}

}  // namespace mve
}  // namespace tflm_train

#endif  // TFLM_KERNELS_ARCH_DEPTHWISE_MVE_H_
