// The input gradient of depthwise layers with Helium: sums of four inputs side by side in a
// vector, four such rows at a time, a weight at a time. Only for depthwise_input_grad.cc.

#ifndef TFLM_KERNELS_ARCH_DEPTHWISE_MVE_H_
#define TFLM_KERNELS_ARCH_DEPTHWISE_MVE_H_

#include <arm_mve.h>

#include <cstddef>
#include <cstdint>

#include "tflm_kernels/arch/features.h"
#include "tflm_kernels/arch/fill_mve.h"
#include "tflm_kernels/depthwise_windows.h"
#include "tflm_kernels/op_params.h"

namespace tflm_train {
namespace mve {

// The gradient of one channel: int8 [rows][kPitch], zero outside of the image.
constexpr int32_t kPitch = 16;
constexpr int kQuad = 4;
constexpr int kMaxPhases = 16;

// Inputs that meet the same taps, as AxisPhase has them.
struct Phase {
  int32_t y, x;  // the first
  int32_t taps_y, taps_x;
  int32_t lowest_y, lowest_x;  // lowest output under it
  int32_t first_weight;
  int32_t last_tap_y, last_tap_x;  // those of the lowest output
};

// How the work is divided: strips of the inputs' columns, and of their rows.
struct DepthwisePlan {
  DepthwisePlan(const DepthwiseInputGradParams& params, size_t scratch_bytes) {
    const Geometry& g = params.geometry;
    const int32_t taps = g.k_h * g.k_w;
    usable = params.multiplier == 1 && g.dil_h == 1 && g.dil_w == 1 &&
             g.stride_h * g.stride_w <= kMaxPhases &&
             g.stride_h * g.in_w * g.in_c + 3 * g.stride_w * g.in_c <= UINT16_MAX &&
             7 * g.out_c <= UINT16_MAX;
    if (!usable) return;
    int32_t weights = 0, last_y = 0, last_x = 0;
    for (int32_t y = 0; y < g.stride_h; ++y) {
      const AxisPhase rows(y, g.k_h, g.stride_h, g.pad_t);
      usable = usable && rows.taps <= 7 && rows.taps != 6;
      for (int32_t x = 0; x < g.stride_w; ++x) {
        const AxisPhase columns(x, g.k_w, g.stride_w, g.pad_l);
        const Phase phase = {y,
                             x,
                             rows.taps,
                             columns.taps,
                             rows.Lowest(0),
                             columns.Lowest(0),
                             weights,
                             rows.first_tap + (rows.taps - 1) * g.stride_h,
                             columns.first_tap + (columns.taps - 1) * g.stride_w};
        phases[count++] = phase;
        weights += rows.taps * columns.taps;
        first_y = phase.lowest_y < first_y ? phase.lowest_y : first_y;
        first_x = phase.lowest_x < first_x ? phase.lowest_x : first_x;
        last_y = phase.lowest_y + rows.taps > last_y ? phase.lowest_y + rows.taps : last_y;
        last_x = phase.lowest_x + columns.taps > last_x ? phase.lowest_x + columns.taps : last_x;
      }
    }
    // Columns and rows of the plane beyond those of the strip.
    const int32_t more_columns = last_x - first_x - 1;
    more_rows = last_y - first_y - 1;
    columns = (kPitch - more_columns) / kQuad * kQuad;
    const int32_t room = static_cast<int32_t>(scratch_bytes) -
                         taps * kWindowLanes * static_cast<int32_t>(sizeof(int32_t) + 1);
    // Of four channels, or if need be of two or one.
    lanes = kWindowLanes;
    while (lanes > 1 && room / (lanes * kPitch) - more_rows < kQuad) lanes /= 2;
    const int32_t fitting = (room / (lanes * kPitch) - more_rows) / kQuad * kQuad;
    const int32_t all = ((g.in_h + g.stride_h - 1) / g.stride_h + kQuad - 1) / kQuad * kQuad;
    rows = fitting < all ? fitting : all;
    plane_bytes = (rows + more_rows) * kPitch;
    usable = usable && columns > 0 && rows > 0;
  }

  bool usable;
  int32_t count = 0;
  Phase phases[kMaxPhases];
  int32_t first_y = INT32_MAX, first_x = INT32_MAX;  // outputs at the plane's start
  int32_t columns, rows;                             // of each phase, in a strip
  int32_t more_rows;
  int32_t plane_bytes;
  int lanes;  // planes held at once
};

// acc[a] += sum over rows of plane row a + row times its weight, of one column of taps;
// kFirst: makes the sums; kWhole: see SumPhase. In this order: the compiler would load more
// rows than there are registers.
template <int kRows, int kWhole, bool kFirst>
TFLM_TRAIN_INLINE void AddColumn(const int8_t* plane, const int32_t* weights, int32x4_t* acc) {
  constexpr int32_t kMiddle = 4 * kPitch;  // offsets are 7 bits, of either sign
  constexpr int kBegin = kWhole, kEnd = kWhole > 0 ? kWhole + kQuad : kRows + kQuad - 1;
  const int8_t* const middle = plane + kMiddle;
#pragma GCC unroll 16
  for (int r = kBegin; r < kEnd; ++r) {
    int32x4_t x;
    asm volatile("vldrb.s32 %q0, [%1, %2]" : "=w"(x) : "l"(middle), "i"(r * kPitch - kMiddle));
#pragma GCC unroll 4
    for (int a = 0; a < kQuad; ++a) {
      if (r < a || r - a >= kRows) continue;
      const int32_t weight = weights[(r - a) * kWindowLanes];
      if (kFirst && (r == a || r == kBegin)) {
        asm volatile("vmul.i32 %q0, %q1, %2" : "=w"(acc[a]) : "w"(x), "r"(weight));
      } else {
        asm volatile("vmla.s32 %q0, %q1, %2" : "+w"(acc[a]) : "w"(x), "r"(weight));
      }
    }
  }
}

// Where the results of a quad go: lane 2 * i + j is input i of a row, of the upper or the
// lower row of two.
struct QuadTarget {
  uint16x8_t offsets;
  int32_t two_rows;  // bytes from two rows to the next two
};

// In place: intrinsics would copy. factor: half of that of LaneScales, since products are
// doubled.
TFLM_TRAIN_INLINE int16x8_t Narrowed(int32x4_t upper, int32x4_t lower, int32_t factor) {
  asm("vqrdmulh.s32 %q0, %q0, %2\n\t"
      "vqrdmulh.s32 %q1, %q1, %2\n\t"
      "vqmovnb.s32 %q0, %q0\n\t"
      "vqmovnt.s32 %q0, %q1\n\t"
      "vqmovnb.s16 %q0, %q0"
      : "+w"(upper), "+w"(lower)
      : "r"(factor));
  return vreinterpretq_s16_s32(upper);
}

// Writes the first `rows` rows and `columns` columns of a quad.
inline void WritePart(int16x8_t upper, int16x8_t lower, const QuadTarget& target, int32_t rows,
                      int32_t columns, int8_t* q) {
  constexpr uint32_t kFirstRow = 0x3333;
  const uint32_t live = vctp16q(static_cast<uint32_t>(2 * columns));
  vstrbq_scatter_offset_p_s16(q, target.offsets, upper,
                              static_cast<mve_pred16_t>(rows > 1 ? live : live & kFirstRow));
  if (rows > 2) {
    vstrbq_scatter_offset_p_s16(q + target.two_rows, target.offsets, lower,
                                static_cast<mve_pred16_t>(rows > 3 ? live : live & kFirstRow));
  }
}

// The channels that are worked on.
struct Lanes {
  int32_t channel, first_weight;
  const int32_t* factors;  // of LaneScales
  int count;
  int32_t plane_bytes;  // from one's plane to the next one's
};

// The inputs of a phase in a strip; weights and target of channel 0.
struct PhaseJob {
  const int8_t* plane;
  const int32_t* weights;  // [taps_x][kRows], kWindowLanes apart
  int32_t taps_x, taps_y;  // both 0 where there is none
  int32_t rows, columns;   // of inputs
  int32_t step;            // bytes of the target from column to column
  int8_t* q;
  bool whole;  // four rows are all, of inputs and of outputs, those in the middle of the plane
};

// kWhole: all inputs are four rows, which meet the outputs that there are in rows kWhole to
// kWhole + 3 of the plane; 0: not so.
template <int kRows, int kColumns, int kWhole = 0>
__attribute__((noinline)) void SumPhase(const PhaseJob& phase, const Lanes& lanes,
                                        const QuadTarget& phase_target) {
  // Locals: bytes are written, which may alias anything that lies in memory.
  const PhaseJob job = phase;
  const QuadTarget target = phase_target;
  const bool exact = job.rows % kQuad == 0 && job.columns % kQuad == 0;
  const int8_t* lane_plane = job.plane;
  const int32_t* first = job.weights + lanes.first_weight;
  const int32_t* factors = lanes.factors;
  int8_t* lane_q = job.q + lanes.channel;
#pragma GCC unroll 1
  for (int lane = lanes.count; lane > 0; --lane, ++first, ++lane_q) {
    const int32_t factor = *factors++ >> 1;
    const int8_t* column = lane_plane;
    int8_t* column_q = lane_q;
#pragma GCC unroll 1
    for (int32_t left = job.columns; left > 0; left -= kQuad) {
      const int8_t* plane = column;
      int8_t* q = column_q;
#pragma GCC unroll 1
      for (int32_t y = job.rows; y > 0; y -= kQuad) {
        int32x4_t acc[kQuad];
        if constexpr (kRows == 0) {
          acc[0] = acc[1] = acc[2] = acc[3] = vdupq_n_s32(0);
        } else {
          const int32_t* weights = first;
          AddColumn<kRows, kWhole, true>(plane, weights, acc);
          if constexpr (kColumns > 0) {
#pragma GCC unroll 4
            for (int i = 1; i < kColumns; ++i) {
              AddColumn<kRows, kWhole, false>(plane + i, weights + i * kRows * kWindowLanes, acc);
            }
          } else {
#pragma GCC unroll 1
            for (int32_t i = 1; i < job.taps_x; ++i) {
              weights += kRows * kWindowLanes;
              AddColumn<kRows, kWhole, false>(plane + i, weights, acc);
            }
          }
        }
        const int16x8_t upper = Narrowed(acc[0], acc[1], factor);
        const int16x8_t lower = Narrowed(acc[2], acc[3], factor);
        if (exact) {
          vstrbq_scatter_offset_s16(q, target.offsets, upper);
          q += target.two_rows;
          vstrbq_scatter_offset_s16(q, target.offsets, lower);
          q += target.two_rows;
        } else {
          WritePart(upper, lower, target, y, left, q);
          q += 2 * target.two_rows;
        }
        plane += kQuad * kPitch;
      }
      column += kQuad;
      column_q += kQuad * job.step;
    }
    lane_plane += lanes.plane_bytes;
  }
}

inline void SumPhaseAs(const PhaseJob& job, const Lanes& lanes, const QuadTarget& target) {
  switch (job.taps_y) {
    case 0:
      return SumPhase<0, 0>(job, lanes, target);
    case 1:
      return SumPhase<1, 0>(job, lanes, target);
    case 2:
      return SumPhase<2, 0>(job, lanes, target);
    case 3:
      return job.taps_x != 3 ? SumPhase<3, 0>(job, lanes, target)
             : job.whole     ? SumPhase<3, 3, 1>(job, lanes, target)
                             : SumPhase<3, 3>(job, lanes, target);
    case 4:
      return SumPhase<4, 0>(job, lanes, target);
    case 5:
      return job.whole ? SumPhase<5, 0, 2>(job, lanes, target) : SumPhase<5, 0>(job, lanes, target);
    default:
      return job.whole ? SumPhase<7, 0, 3>(job, lanes, target) : SumPhase<7, 0>(job, lanes, target);
  }
}

// Widens the weights of four channels: int32 [phases][taps_x][taps_y][4], in the order of
// ascending outputs.
inline void WidenWeights(const DepthwisePlan& plan, const Geometry& g, const LaneWeights& weights,
                         int32_t* to) {
  const int32_t stride = weights.stride;
  const int32_t row = g.stride_h * g.k_w * stride, column = g.stride_w * stride;
  for (int32_t i = 0; i < plan.count; ++i) {
    const Phase& phase = plan.phases[i];
    const int8_t* first = weights.first + (phase.last_tap_y * g.k_w + phase.last_tap_x) * stride;
    for (int32_t tx = phase.taps_x; tx > 0; --tx, first -= column) {
      const int8_t* from = first;
#pragma GCC unroll 3
      for (int32_t ty = phase.taps_y; ty > 0; --ty, from -= row, to += kWindowLanes) {
        vst1q_s32(to, vldrbq_s32(from));
      }
    }
  }
}

// The part of the gradient that a strip's plane holds, and how it gets there: up to 8 or 16
// columns of one row, or up to 4 of two rows, at a time.
struct PlanePart {
  PlanePart(const int8_t* grad, int32_t height, int32_t width, const Geometry& g, int8_t* plane)
      : first(grad), rows(height), columns(width), row_bytes(g.out_w * g.out_c), to(plane) {
    const uint16x8_t lane = vidupq_n_u16(0, 1);
    const uint16_t stride = static_cast<uint16_t>(g.out_c);
    next_eight = 8 * g.out_c;
    two_rows = columns <= 4 && row_bytes + 3 * g.out_c <= UINT16_MAX;
    at = vmulq_n_u16(lane, stride);
    live = vctp16q(static_cast<uint32_t>(columns));
    if (two_rows) {
      const uint16x8_t row = vshrq_n_u16(lane, 2);
      const uint16x8_t column = vandq_u16(lane, vdupq_n_u16(3));
      at = vaddq_u16(vmulq_n_u16(column, stride),
                     vmulq_n_u16(row, static_cast<uint16_t>(row_bytes)));
      in_plane = vaddq_u16(column, vmulq_n_u16(row, kPitch));
      live = vcmpgtq_s16(vdupq_n_s16(static_cast<int16_t>(columns)), vreinterpretq_s16_u16(column));
    }
  }

  __attribute__((noinline)) void Pack(const Lanes& lanes) const {
#pragma GCC unroll 1
    for (int lane = 0; lane < lanes.count; ++lane) {
      PackLane(first + lanes.channel + lane, to + lane * lanes.plane_bytes);
    }
  }

  TFLM_TRAIN_INLINE void PackLane(const int8_t* from, int8_t* plane) const {
    int32_t left = rows;
    if (two_rows) {
      const uint16x8_t from_at = at, to_at = in_plane;
#pragma GCC unroll 1
      for (; left > 1; left -= 2, from += 2 * row_bytes, plane += 2 * kPitch) {
        vstrbq_scatter_offset_p_s16(plane, to_at, vldrbq_gather_offset_z_s16(from, from_at, live),
                                    live);
      }
      if (left > 0) {
        const mve_pred16_t upper = live & 0x00ff;
        vstrbq_scatter_offset_p_s16(plane, to_at, vldrbq_gather_offset_z_s16(from, from_at, upper),
                                    upper);
      }
      return;
    }
    const uint16x8_t from_at = at;
    if (columns == 8) {
#pragma GCC unroll 2
      for (; left > 0; --left, from += row_bytes, plane += kPitch) {
        vstrbq_s16(plane, vldrbq_gather_offset_s16(from, from_at));
      }
      return;
    }
    const mve_pred16_t rest =
        columns > 8 ? vctp16q(static_cast<uint32_t>(columns - 8)) : mve_pred16_t{0};
#pragma GCC unroll 1
    for (; left > 0; --left, from += row_bytes, plane += kPitch) {
      vstrbq_p_s16(plane, vldrbq_gather_offset_z_s16(from, from_at, live), live);
      if (rest == 0) continue;
      vstrbq_p_s16(plane + 8, vldrbq_gather_offset_z_s16(from + next_eight, from_at, rest), rest);
    }
  }

  const int8_t* first;  // of channel 0
  int32_t rows, columns;
  int32_t row_bytes, next_eight;
  int8_t* to;
  bool two_rows;
  uint16x8_t at, in_plane;
  mve_pred16_t live;
};

// Writes the whole input gradient, saturated.
inline void DepthwiseInputGrad(const DepthwiseInputGradParams& params, const DepthwisePlan& plan,
                               const int8_t* grad_out, const DepthwiseWeights& weights,
                               int8_t* grad_in, void* scratch) {
  const Geometry& g = params.geometry;
  const int32_t taps = g.k_h * g.k_w;
  int32_t* const wide = static_cast<int32_t*>(scratch);
  int8_t* const copy = reinterpret_cast<int8_t*>(wide + taps * kWindowLanes);
  int8_t* const plane = copy + taps * kWindowLanes;
  const int32_t column_step = g.stride_w * g.in_c, row_step = g.stride_h * g.in_w * g.in_c;
  uint16_t offsets[8];
  for (int i = 0; i < 8; ++i) {
    offsets[i] = static_cast<uint16_t>(i / 2 * column_step + i % 2 * row_step);
  }
  const QuadTarget target = {vld1q_u16(offsets), 2 * row_step};
  const int32_t all_rows = (g.in_h + g.stride_h - 1) / g.stride_h;
  const int32_t all_columns = (g.in_w + g.stride_w - 1) / g.stride_w;
  for (int32_t y = 0; y < all_rows; y += plan.rows) {
    for (int32_t x = 0; x < all_columns; x += plan.columns) {
      const int32_t plane_rows = plan.rows + plan.more_rows;
      Fill(plane, 0, plan.lanes * plan.plane_bytes);
      const int32_t top = plan.first_y + y, left = plan.first_x + x;
      const int32_t first_row = top < 0 ? 0 : top, first_column = left < 0 ? 0 : left;
      const int32_t end_row = top + plane_rows < g.out_h ? top + plane_rows : g.out_h;
      const int32_t end_column = left + kPitch < g.out_w ? left + kPitch : g.out_w;
      const PlanePart part(grad_out + (first_row * g.out_w + first_column) * g.out_c,
                           end_row - first_row, end_column - first_column, g,
                           plane + (first_row - top) * kPitch + first_column - left);
      PhaseJob jobs[kMaxPhases];
      for (int32_t i = 0; i < plan.count; ++i) {
        const Phase& phase = plan.phases[i];
        const int32_t rows = (g.in_h - phase.y + g.stride_h - 1) / g.stride_h - y;
        const int32_t columns = (g.in_w - phase.x + g.stride_w - 1) / g.stride_w - x;
        const int32_t at = (phase.y + y * g.stride_h) * g.in_w + phase.x + x * g.stride_w;
        jobs[i] = {plane + (phase.lowest_y - plan.first_y) * kPitch + phase.lowest_x - plan.first_x,
                   wide + phase.first_weight * kWindowLanes,
                   phase.taps_x,
                   phase.taps_x == 0 ? 0 : phase.taps_y,
                   rows < plan.rows ? rows : plan.rows,
                   columns < plan.columns ? columns : plan.columns,
                   column_step,
                   grad_in + at * g.in_c,
                   g.stride_h == 1 && g.in_h == kQuad && g.out_h == kQuad &&
                       -2 * phase.lowest_y == phase.taps_y - 1};
      }
      for (LaneCursor lanes(weights, g.out_c, taps, copy); !lanes.done(); lanes.Next()) {
        const LaneWeights lane_weights = lanes.Weights();
        WidenWeights(plan, g, lane_weights, wide);
        for (int lane = 0; lane < lanes.lanes(); lane += plan.lanes) {
          const int rest = lanes.lanes() - lane;
          const Lanes some = {lanes.channel() + lane, lane, lane_weights.scales.factor + lane,
                              rest < plan.lanes ? rest : plan.lanes, plan.plane_bytes};
          if (part.rows > 0 && part.columns > 0) part.Pack(some);
          for (int32_t i = 0; i < plan.count; ++i) {
            if (jobs[i].rows > 0) SumPhaseAs(jobs[i], some, target);
          }
        }
      }
    }
  }
}

}  // namespace mve
}  // namespace tflm_train

#endif  // TFLM_KERNELS_ARCH_DEPTHWISE_MVE_H_
