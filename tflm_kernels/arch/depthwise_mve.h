// The input gradient of depthwise layers with Helium. Only for depthwise_input_grad.cc.
//
// The inputs that meet the same taps are the correlation of the gradient, a plane with zeros
// around it, with those taps in reverse: dot products of the plane's patches with the taps, see
// depthwise_patch_mve.h. Gradient and taps may change places: the larger one is the plane. Planes
// and taps of up to 16 channels are made at a time.

#ifndef TFLM_KERNELS_ARCH_DEPTHWISE_MVE_H_
#define TFLM_KERNELS_ARCH_DEPTHWISE_MVE_H_

#include <arm_mve.h>

#include <cstddef>
#include <cstdint>

#include "tflm_kernels/arch/depthwise_patch_mve.h"
#include "tflm_kernels/arch/features.h"
#include "tflm_kernels/arch/fill_mve.h"
#include "tflm_kernels/arch/lanes_mve.h"
#include "tflm_kernels/depthwise_windows.h"
#include "tflm_kernels/op_params.h"

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
    pairs = (columns + taps.columns) / 2;
    const int32_t room = static_cast<int32_t>(scratch_bytes);
    rows_at_once = rows < kTallRows ? rows : kTallRows;
    const int32_t fitting = room / ChannelBytes();
    const int32_t most = fitting < kMaxLanes ? fitting : kMaxLanes;
    const int32_t blocks = most > 0 ? (g.out_c + most - 1) / most : 1;
    lanes = (g.out_c + blocks - 1) / blocks;
    while (rows_at_once < rows && (++rows_at_once, lanes * ChannelBytes() <= room)) {
    }
    if (lanes * ChannelBytes() > room) --rows_at_once;
    const int32_t reach = 3 * g.stride_w + g.stride_h * g.in_w;
    usable = vectors <= kMaxPatchVectors && most > 0 && reach * g.in_c <= UINT16_MAX;
  }

  // The rows that patches read.
  int32_t PlaneRows() const {
    const int32_t step = vectors == kMaxPatchVectors ? kTallRows : kBlockRows;
    return (rows_at_once + step - 1) / step * step + PatchRows(vectors) - PatchRowsAtOnce(vectors);
  }
  int32_t ChannelBytes() const { return PlaneRows() * 2 * pairs + vectors * kVectorBytes; }
  int32_t PlaneRowBytes() const { return 2 * pairs * lanes; }

  static constexpr int32_t kMaxLanes = 16;

  int32_t first_input;
  int32_t rows, columns;  // of inputs
  int32_t top, left;      // what lies in the plane for the first input's first tap
  PixelWindow image;      // that the plane is made of
  PixelWindow taps;
  bool swapped;
  int vectors;           // of a patch
  int32_t pairs;         // of pixels in a row of the plane
  int32_t lanes;         // channels at once
  int32_t rows_at_once;  // of inputs
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
        plane_(static_cast<int8_t*>(scratch)),
        taps_(plane_ + plan.PlaneRows() * plan.PlaneRowBytes()) {}

  void Run() const {
    const int32_t row_step = g_.stride_h * g_.in_w * g_.in_c, step = g_.stride_w * g_.in_c;
    int16_t tap_to[kMaxTaps];
    FindTaps(tap_to);
    Fill(taps_, 0, plan_.vectors * plan_.lanes * kVectorBytes);
    for (int32_t y = 0; y < plan_.rows; y += plan_.rows_at_once) {
      const int32_t rest = plan_.rows - y;
      const int32_t rows = rest < plan_.rows_at_once ? rest : plan_.rows_at_once;
      const PatchSums sums = {plan_.PlaneRowBytes(), 2 * plan_.lanes, rows,
                              plan_.columns,         row_step,        step};
      const PatchOffsets offsets(plan_.vectors, sums);
      const Part part = PartFrom(y);
      Fill(plane_, 0, plan_.PlaneRows() * plan_.PlaneRowBytes());
      int32_t kept = 0;
      for (int32_t c = 0; c < g_.out_c; c += plan_.lanes) {
        const int32_t left = g_.out_c - c;
        const int32_t lanes = left < plan_.lanes ? left : plan_.lanes;
        PackPlane(part, c, lanes);
        PackTaps(tap_to, c, lanes);
        for (; kept < weights_.kept && weights_.channels[kept] < c + lanes; ++kept) {
          PackKept(part, tap_to, kept, weights_.channels[kept] - c);
        }
        SumLanes(sums, offsets, weights_.m + c, grad_in_ + y * row_step + c, lanes);
      }
    }
  }

 private:
  static constexpr int32_t kMaxTaps = 8 * 7;

  // The part of an image that a plane holds.
  struct Part {
    PixelWindow window;
    int32_t row, column;  // where it begins in the plane
  };

  Part PartFrom(int32_t y) const {
    const PixelWindow& image = plan_.image;
    const int32_t top = plan_.top + y, left = plan_.left;
    const int32_t first_row = top < 0 ? 0 : top, first_column = left < 0 ? 0 : left;
    const int32_t end_row = top + plan_.PlaneRows(), end_column = left + 2 * plan_.pairs;
    PixelWindow window = {image.At(first_row, first_column), image.row, image.column,
                          (image.rows < end_row ? image.rows : end_row) - first_row,
                          (image.columns < end_column ? image.columns : end_column) - first_column};
    if (window.columns <= 0) window.rows = 0;
    return {window, first_row - top, first_column - left};
  }

  int8_t* InPlane(int32_t row, int32_t column) const {
    return plane_ + row * plan_.PlaneRowBytes() + (column >> 1) * 2 * plan_.lanes + (column & 1);
  }

  // The places of the first channel's taps.
  void FindTaps(int16_t* to) const {
    const PixelWindow& taps = plan_.taps;
    for (int32_t r = taps.rows - 1; r >= 0; --r) {
      for (int32_t c = taps.columns - 1; c >= 0; --c) {
        const int32_t i = r * 2 * PatchPairs(plan_.vectors) + c;
        *to++ = static_cast<int16_t>((i / kVectorBytes * plan_.lanes) * kVectorBytes +
                                     i % kVectorBytes);
      }
    }
  }

  __attribute__((noinline)) void PackPlane(const Part& part, int32_t c, int32_t lanes) const {
    const PixelWindow& window = part.window;
    if (window.rows <= 0) return;
    const int32_t pair = 2 * plan_.lanes;
    const uint8x16_t even = vidupq_n_u8(0, 2), odd = vaddq_n_u8(even, 1);
    const uint8x16_t next = vaddq_n_u8(even, static_cast<uint8_t>(pair));
    const bool begins_odd = (part.column & 1) != 0;
    MoveLanes(image_ + window.first * g_.out_c + c, window.column * g_.out_c, window.row * g_.out_c,
              window.rows, window.columns, lanes, begins_odd ? odd : even, begins_odd ? next : odd,
              pair, plan_.PlaneRowBytes(), InPlane(part.row, part.column & ~1));
  }

  __attribute__((noinline)) void PackTaps(const int16_t* to, int32_t c, int32_t lanes) const {
    const PixelWindow& window = plan_.taps;
    const uint8x16_t at = vmulq_n_u8(vidupq_n_u8(0, 1), kVectorBytes);
    const int8_t* from = tap_image_ + window.first * g_.out_c + c;
    for (int32_t n = window.rows; n > 0; --n, to += window.columns) {
      MoveLanes(from, window.column * g_.out_c, window.columns, lanes, at, to, taps_);
      from += window.row * g_.out_c;
    }
  }

  // What is different of a channel with weights of its own.
  __attribute__((noinline)) void PackKept(const Part& part, const int16_t* tap_to, int32_t kept,
                                          int32_t lane) const {
    const PixelWindow& window = plan_.swapped ? part.window : plan_.taps;
    for (int32_t r = 0; r < window.rows; ++r) {
      for (int32_t c = 0; c < window.columns; ++c) {
        int8_t* const to = plan_.swapped
                               ? InPlane(part.row + r, part.column + c) + 2 * lane
                               : taps_ + tap_to[r * window.columns + c] + lane * kVectorBytes;
        *to = weights_.columns[window.At(r, c) * weights_.kept + kept];
      }
    }
  }

  void SumLanes(const PatchSums& sums, const PatchOffsets& offsets, const int32_t* m, int8_t* q,
                int32_t lanes) const {
    const int32_t row_step = plan_.vectors == kMaxPatchVectors ? kTallRows : kBlockRows;
    const bool whole = sums.rows % row_step == 0 &&
                       (plan_.vectors == kMaxPatchVectors || sums.columns % kBlockColumns == 0);
    switch (plan_.vectors) {
      case 1:
        return whole ? SumLanesAs<1, true>(sums, offsets, m, q, lanes)
                     : SumLanesAs<1, false>(sums, offsets, m, q, lanes);
      case 2:
        return whole ? SumLanesAs<2, true>(sums, offsets, m, q, lanes)
                     : SumLanesAs<2, false>(sums, offsets, m, q, lanes);
      default:
        return whole ? SumLanesAs<4, true>(sums, offsets, m, q, lanes)
                     : SumLanesAs<4, false>(sums, offsets, m, q, lanes);
    }
  }

  template <int kVectors, bool kWhole>
  __attribute__((noinline)) void SumLanesAs(const PatchSums& patch_sums,
                                            const PatchOffsets& patch_offsets, const int32_t* m,
                                            int8_t* q, int32_t lanes) const {
    // Locals: bytes are written, which may alias anything that lies in memory.
    const PatchSums sums = patch_sums;
    const PatchOffsets offsets = patch_offsets;
    const int8_t *plane = plane_, *taps = taps_;
    const int32_t taps_step = plan_.lanes * kVectorBytes;
    const int shift = kScaleBits - 1 - weights_.exponent;
#pragma GCC unroll 1
    for (; lanes > 0; --lanes) {
      SumPatches<kVectors, kWhole>(sums, offsets, plane, taps, taps_step, *m++ << shift, q++);
      plane += 2;
      taps += kVectorBytes;
    }
  }

  const Geometry& g_;
  const PhasePlan& plan_;
  const DepthwiseWeights& weights_;
  const int8_t *image_, *tap_image_;
  int8_t* grad_in_;
  int8_t *plane_, *taps_;
};

// Calls visit(plan) for each phase that has inputs, until it returns false; whether it never did.
template <typename Visit>
bool ForEachPhase(const Geometry& g, size_t scratch_bytes, const Visit& visit) {
  for (int32_t y = 0; y < g.stride_h && y < g.in_h; ++y) {
    for (int32_t x = 0; x < g.stride_w && x < g.in_w; ++x) {
      if (!visit(PhasePlan(g, y, x, scratch_bytes))) return false;
    }
  }
  return true;
}

// Writes the whole input gradient, saturated; false: not for this layer.
inline bool DepthwiseInputGrad(const DepthwiseInputGradParams& params, size_t scratch_bytes,
                               const int8_t* grad_out, const DepthwiseWeights& weights,
                               int8_t* grad_in, void* scratch) {
  const Geometry& g = params.geometry;
  if (params.multiplier != 1 || g.dil_h != 1 || g.dil_w != 1) return false;
  const auto is_usable = [](const PhasePlan& plan) { return plan.usable; };
  if (!ForEachPhase(g, scratch_bytes, is_usable)) return false;
  return ForEachPhase(g, scratch_bytes, [&](const PhasePlan& plan) {
    PhaseInputGrad(g, plan, grad_out, weights, grad_in, scratch).Run();
    return true;
  });
}

}  // namespace mve
}  // namespace tflm_train

#endif  // TFLM_KERNELS_ARCH_DEPTHWISE_MVE_H_
