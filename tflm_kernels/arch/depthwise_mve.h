// The input gradient of depthwise layers with Helium. Only for depthwise_input_grad.cc.
//
// The inputs that meet the same taps are the correlation of the gradient, a plane with zeros
// around it, with those taps in reverse. A patch of the plane, some rows of pairs of pixels, is
// gathered into vectors; their dot product with the taps among zeros is a sum, 16 products to an
// instruction. Where a patch has room beyond the taps it gives the neighbours' sums, too, with
// the taps moved. Gradient and taps may change places: the larger one is the plane.

#ifndef TFLM_KERNELS_ARCH_DEPTHWISE_MVE_H_
#define TFLM_KERNELS_ARCH_DEPTHWISE_MVE_H_

#include <arm_mve.h>

#include <cstddef>
#include <cstdint>

#include "tflm_kernels/arch/depthwise_patch_mve.h"
#include "tflm_kernels/arch/features.h"
#include "tflm_kernels/arch/fill_mve.h"
#include "tflm_kernels/depthwise_windows.h"
#include "tflm_kernels/op_params.h"

namespace tflm_train {
namespace mve {

// Pixels of an image: (r, c) is number first + r * row + c * column.
struct PixelWindow {
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
    plane = {0, g.out_w, 1, g.out_h, g.out_w};
    taps = {vertical.first_tap * g.k_w + horizontal.first_tap, g.stride_h * g.k_w, g.stride_w,
            vertical.taps, horizontal.taps};
    if (taps.columns == 0) taps.rows = 0;
    vectors = PatchVectors(taps.rows, taps.columns);
    swapped = PatchVectors(plane.rows, plane.columns) < vectors;
    if (swapped) {
      const PixelWindow gradient = plane;
      plane = taps;
      taps = gradient;
      vectors = PatchVectors(taps.rows, taps.columns);
      top += plane.rows - taps.rows;
      left += plane.columns - taps.columns;
    }
    offsets = (taps.rows * taps.columns + 7) / 8 * 8;
    pitch = (columns + taps.columns) / 2 * 2;
    const int32_t room = static_cast<int32_t>(scratch_bytes) - OtherBytes();
    rows_at_once = rows < room / pitch ? rows : room / pitch;
    while (rows_at_once > 0 && PlaneBytes() > room) --rows_at_once;
    const int64_t reach = UINT16_MAX / g.in_c;
    usable = vectors <= kMaxPatchVectors && rows_at_once > 0 &&
             3 * g.stride_w + g.stride_h * g.in_w <= reach && 7 * plane.column <= reach &&
             3 * plane.column + plane.row <= reach &&
             taps.rows * taps.row + taps.columns * taps.column <= reach;
  }

  // What patches read of the plane.
  int32_t PlaneRows() const {
    const int32_t step = vectors == kMaxPatchVectors ? kTallRows : kBlockRows;
    return (rows_at_once + step - 1) / step * step + PatchRows(vectors);
  }
  int32_t PlaneBytes() const { return PlaneRows() * pitch; }

  // Beside the plane: taps as vectors, where they come from and go to.
  int32_t OtherBytes() const { return kVectorBytes * vectors + 3 * 2 * offsets; }

  int32_t first_input;
  int32_t rows, columns;  // of inputs
  int32_t top, left;      // what lies in the plane for the first input's first tap
  PixelWindow plane, taps;
  bool swapped;
  int vectors;           // of a patch
  int32_t offsets;       // of taps, a multiple of 8
  int32_t pitch;         // of the plane
  int32_t rows_at_once;  // of inputs
  bool usable;
};

// Copies a part of one channel's image to a plane: up to 8 columns of a row, or up to 4 of two
// rows, at a time.
struct PlanePart {
  // stride: bytes from pixel to pixel. (top, left): what lies in the plane's first byte.
  PlanePart(const PixelWindow& image, int32_t stride, int32_t top, int32_t left, int32_t plane_rows,
            int32_t plane_pitch)
      : pitch(plane_pitch), row_bytes(image.row * stride), next_eight(8 * image.column * stride) {
    const int32_t first_row = top < 0 ? 0 : top, first_column = left < 0 ? 0 : left;
    rows = (image.rows < top + plane_rows ? image.rows : top + plane_rows) - first_row;
    columns = (image.columns < left + pitch ? image.columns : left + pitch) - first_column;
    from = (image.first + first_row * image.row + first_column * image.column) * stride;
    to = (first_row - top) * pitch + first_column - left;
    if (columns <= 0) rows = 0;
    const uint16x8_t lane = vidupq_n_u16(0, 1);
    const uint16_t step = static_cast<uint16_t>(image.column * stride);
    two_rows = columns <= 4;
    at = vmulq_n_u16(lane, step);
    in_plane = lane;
    live = 0xffff;
    if (two_rows) {
      const uint16x8_t row = vshrq_n_u16(lane, 2);
      const uint16x8_t column = vandq_u16(lane, vdupq_n_u16(3));
      at = vaddq_u16(vmulq_n_u16(column, step), vmulq_n_u16(row, static_cast<uint16_t>(row_bytes)));
      in_plane = vaddq_u16(column, vmulq_n_u16(row, static_cast<uint16_t>(pitch)));
      live = vcmpgtq_s16(vdupq_n_s16(static_cast<int16_t>(columns)), vreinterpretq_s16_u16(column));
    }
  }

  // Of one channel.
  TFLM_TRAIN_INLINE void Copy(const int8_t* image, int8_t* plane) const {
    const int8_t* pixel = image + from;
    int8_t* copy = plane + to;
    if (two_rows) return CopyNarrow(pixel, copy);
    const uint16x8_t from_at = at;
#pragma GCC unroll 1
    for (int32_t left = columns; left > 0; left -= 8, pixel += next_eight, copy += 8) {
      const int8_t* row = pixel;
      int8_t* row_copy = copy;
      if (left >= 8) {
#pragma GCC unroll 4
        for (int32_t n = rows; n > 0; --n, row += row_bytes, row_copy += pitch) {
          vstrbq_s16(row_copy, vldrbq_gather_offset_s16(row, from_at));
        }
      } else {
        const mve_pred16_t some = vctp16q(static_cast<uint32_t>(left));
#pragma GCC unroll 1
        for (int32_t n = rows; n > 0; --n, row += row_bytes, row_copy += pitch) {
          vstrbq_p_s16(row_copy, vldrbq_gather_offset_z_s16(row, from_at, some), some);
        }
      }
    }
  }

  TFLM_TRAIN_INLINE void CopyNarrow(const int8_t* pixel, int8_t* copy) const {
    const uint16x8_t from_at = at, to_at = in_plane;
    const mve_pred16_t both = live;
    int32_t left = rows;
    if (both == 0xffff) {
#pragma GCC unroll 2
      for (; left > 1; left -= 2, pixel += 2 * row_bytes, copy += 2 * pitch) {
        vstrbq_scatter_offset_s16(copy, to_at, vldrbq_gather_offset_s16(pixel, from_at));
      }
    } else {
#pragma GCC unroll 1
      for (; left > 1; left -= 2, pixel += 2 * row_bytes, copy += 2 * pitch) {
        vstrbq_scatter_offset_p_s16(copy, to_at, vldrbq_gather_offset_z_s16(pixel, from_at, both),
                                    both);
      }
    }
    if (left > 0) {
      const mve_pred16_t upper = both & 0x00ff;
      vstrbq_scatter_offset_p_s16(copy, to_at, vldrbq_gather_offset_z_s16(pixel, from_at, upper),
                                  upper);
    }
  }

  int32_t pitch, row_bytes, next_eight;
  int32_t rows, columns;
  int32_t from, to;  // the first byte, in channel 0 and in the plane
  bool two_rows;
  uint16x8_t at, in_plane;
  mve_pred16_t live;
};

// What is the same for all channels.
struct Strip {
  int8_t* plane;
  PatchSums sums;
  PatchOffsets offsets;
  int8_t* taps;            // vectors
  const uint16_t* tap_to;  // where taps lie in them
  int32_t tap_count;       // a multiple of 8
  int shift;               // of the channels' multipliers
};

// Channels whose weights lie beside each other.
struct ChannelRun {
  const PlanePart& part;
  const int8_t* image;  // of the plane
  const int8_t* taps;
  const uint16_t* tap_from;
  const int32_t* m;
  int8_t* q;  // the strip's first input
  int32_t count;
};

template <int kVectors, bool kWhole>
__attribute__((noinline)) void SumChannels(const Strip& strip, const ChannelRun& run) {
  // Locals: bytes are written, which may alias anything that lies in memory.
  const Strip s = strip;
  const PlanePart part = run.part;
  const uint16_t* const tap_from = run.tap_from;
  const int8_t *image = run.image, *taps = run.taps;
  const int32_t* m = run.m;
  int8_t* q = run.q;
#pragma GCC unroll 1
  for (int32_t n = run.count; n > 0; --n) {
    part.Copy(image++, s.plane);
#pragma GCC unroll 1
    for (int32_t i = 0; i < s.tap_count; i += 8) {
      vstrbq_scatter_offset_s16(s.taps, vld1q_u16(s.tap_to + i),
                                vldrbq_gather_offset_s16(taps, vld1q_u16(tap_from + i)));
    }
    ++taps;
    SumPatches<kVectors, kWhole>(s.sums, s.offsets, s.taps, *m++ << s.shift, q++);
  }
}

// Writes the inputs of one phase.
class PhaseInputGrad {
 public:
  PhaseInputGrad(const Geometry& g, const PhasePlan& plan, const int8_t* grad_out,
                 const DepthwiseWeights& weights, int8_t* grad_in, void* scratch)
      : g_(g),
        plan_(plan),
        grad_out_(grad_out),
        weights_(weights),
        grad_in_(grad_in + plan.first_input * g.in_c),
        // Offsets first: they are to be aligned.
        tap_to_(static_cast<uint16_t*>(scratch)),
        tap_from_(tap_to_ + plan.offsets),
        kept_from_(tap_from_ + plan.offsets),
        plane_(reinterpret_cast<int8_t*>(kept_from_ + plan.offsets)),
        taps_(plane_ + plan.PlaneBytes()) {}

  void Run() const {
    Fill(taps_, 0, plan_.vectors * kVectorBytes);
    FindTaps();
    const int32_t row_step = g_.stride_h * g_.in_w * g_.in_c, step = g_.stride_w * g_.in_c;
    for (int32_t y = 0; y < plan_.rows; y += plan_.rows_at_once) {
      const int32_t rest = plan_.rows - y;
      const int32_t rows = rest < plan_.rows_at_once ? rest : plan_.rows_at_once;
      const PatchSums sums = {plane_, plan_.pitch, rows, plan_.columns, row_step, step};
      RunStrip({plane_, sums, PatchOffsets(plan_.vectors, sums), taps_, tap_to_, plan_.offsets,
                kScaleBits - 1 - weights_.exponent},
               y);
    }
  }

 private:
  // Where each tap comes from, of all weights and of the kept ones, and where it goes to; as many
  // as are missing are the first once more.
  void FindTaps() const {
    const PixelWindow& taps = plan_.taps;
    const int32_t row_bytes = 2 * PatchPairs(plan_.vectors);
    int32_t i = 0;
    while (i < plan_.offsets) {
      for (int32_t r = 0; r < taps.rows; ++r) {
        for (int32_t c = 0; c < taps.columns && i < plan_.offsets; ++c, ++i) {
          const int32_t pixel = taps.first + r * taps.row + c * taps.column;
          tap_to_[i] =
              static_cast<uint16_t>((taps.rows - 1 - r) * row_bytes + taps.columns - 1 - c);
          tap_from_[i] = static_cast<uint16_t>(pixel * g_.out_c);
          kept_from_[i] =
              plan_.swapped ? tap_from_[i] : static_cast<uint16_t>(pixel * weights_.kept);
        }
      }
    }
  }

  void RunStrip(const Strip& strip, int32_t y) const {
    const bool swapped = plan_.swapped;
    Fill(plane_, 0, plan_.PlaneBytes());
    const auto part_of = [&](int32_t stride) {
      return PlanePart(plan_.plane, stride, plan_.top + y, plan_.left, plan_.PlaneRows(),
                       plan_.pitch);
    };
    const PlanePart part = part_of(g_.out_c);
    int8_t* const q = grad_in_ + y * strip.sums.row_step;
    const int32_t kept = weights_.kept;
    for (int32_t c = 0, j = 0; c < g_.out_c;) {
      const int32_t end = j < kept ? weights_.channels[j] : g_.out_c;
      if (c < end) {
        const int8_t *grad = grad_out_ + c, *weights = weights_.all + c;
        RunChannels(strip, {part, swapped ? weights : grad, swapped ? grad : weights, tap_from_,
                            weights_.m + c, q + c, end - c});
        c = end;
      }
      if (j < kept) {
        const int8_t *grad = grad_out_ + c, *weights = weights_.columns + j;
        const PlanePart kept_part = swapped ? part_of(kept) : part;
        RunChannels(strip, {kept_part, swapped ? weights : grad, swapped ? grad : weights,
                            kept_from_, weights_.m + c, q + c, 1});
        ++c;
        ++j;
      }
    }
  }

  void RunChannels(const Strip& strip, const ChannelRun& run) const {
    const int32_t row_step = plan_.vectors == kMaxPatchVectors ? kTallRows : kBlockRows;
    const bool whole = strip.sums.rows % row_step == 0 &&
                       (plan_.vectors == kMaxPatchVectors || plan_.columns % kBlockColumns == 0);
    switch (plan_.vectors) {
      case 1:
        return whole ? SumChannels<1, true>(strip, run) : SumChannels<1, false>(strip, run);
      case 2:
        return whole ? SumChannels<2, true>(strip, run) : SumChannels<2, false>(strip, run);
      default:
        return whole ? SumChannels<4, true>(strip, run) : SumChannels<4, false>(strip, run);
    }
  }

  const Geometry& g_;
  const PhasePlan& plan_;
  const int8_t* grad_out_;
  const DepthwiseWeights& weights_;
  int8_t* grad_in_;
  uint16_t *tap_to_, *tap_from_, *kept_from_;
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
