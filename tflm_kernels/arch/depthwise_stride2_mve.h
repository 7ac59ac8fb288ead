// The input gradient of depthwise layers with kernel 3x3 and stride 2 with Helium: all four
// phases of the inputs at once, straight from the gradient. Only for depthwise_input_grad.cc.

#ifndef TFLM_KERNELS_ARCH_DEPTHWISE_STRIDE2_MVE_H_
#define TFLM_KERNELS_ARCH_DEPTHWISE_STRIDE2_MVE_H_

#include <arm_mve.h>

#include <cstddef>
#include <cstdint>

#include "tflm_kernels/arch/depthwise_mve.h"
#include "tflm_kernels/arch/features.h"
#include "tflm_kernels/depthwise_windows.h"
#include "tflm_kernels/op_params.h"

namespace tflm_train {
namespace mve {

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

// Input 2 * i - pad meets tap 0 at output i and tap 2 at output i - 1, the input after it tap 1
// at output i, along each axis.
class Stride2InputGrad {
 public:
  static bool Usable(const DepthwiseInputGradParams& params) {
    const Geometry& g = params.geometry;
    return params.multiplier == 1 && g.k_h == 3 && g.k_w == 3 && g.stride_h == 2 &&
           g.stride_w == 2 && g.dil_h == 1 && g.dil_w == 1 && (g.pad_t | g.pad_l) >> 1 == 0 &&
           7 * g.in_c <= UINT16_MAX;
  }

  explicit Stride2InputGrad(const Geometry& geometry)
      : g_(geometry),
        from_(vmulq_n_u32(vidupq_n_u32(0, 1), static_cast<uint32_t>(geometry.out_c))),
        to_(vmulq_n_u16(vidupq_n_u16(0, 1), static_cast<uint16_t>(geometry.in_c))) {}

  // Writes the whole input gradient, saturated. scratch: of the windows or tiles.
  void Run(const int8_t* grad_out, const DepthwiseWeights& weights, int8_t* grad_in,
           void* scratch) const {
    int32_t* const wide = static_cast<int32_t*>(scratch);
    int8_t* const copy = reinterpret_cast<int8_t*>(wide + kTaps * kWindowLanes);
    const bool whole = g_.pad_t == 0 && g_.pad_l == 0 && g_.in_h == 2 * g_.out_h &&
                       g_.in_w == 2 * g_.out_w && g_.out_w % kQuadColumns == 0;
    for (LaneCursor lanes(weights, g_.out_c, kTaps, copy); !lanes.done(); lanes.Next()) {
      const LaneWeights lane_weights = lanes.Weights();
      Widen(lane_weights, wide);
      const int8_t* const q = grad_out + lanes.channel();
      int8_t* const to = grad_in + lanes.channel();
      if (whole) {
        Sum<true>(q, wide, lane_weights.scales.factor, lanes.lanes(), to);
      } else {
        Sum<false>(q, wide, lane_weights.scales.factor, lanes.lanes(), to);
      }
    }
  }

 private:
  static constexpr int32_t kTaps = 9;
  static constexpr int32_t kQuadColumns = 4;

  // Of four channels: int32 [taps][4].
  static void Widen(const LaneWeights& weights, int32_t* to) {
    const int8_t* from = weights.first;
    const int32_t stride = weights.stride;
#pragma GCC unroll 9
    for (int32_t tap = 0; tap < kTaps; ++tap, from += stride) {
      vst1q_s32(to + tap * kWindowLanes, vldrbq_s32(from));
    }
  }

  // The first and second of each two inputs beside each other.
  template <bool kWhole>
  TFLM_TRAIN_INLINE static void Write(int32x4_t first, int32x4_t second, uint16x8_t at,
                                      int32_t factor, mve_pred16_t live, int8_t* q) {
    const int16x8_t both = Narrowed(first, second, factor);
    if (kWhole) {
      vstrbq_scatter_offset_s16(q, at, both);
    } else {
      vstrbq_scatter_offset_p_s16(q, at, both, live);
    }
  }

  // kWhole: each output has its two inputs along each axis, and columns are whole vectors.
  template <bool kWhole>
  __attribute__((noinline)) void Sum(const int8_t* grad, const int32_t* wide,
                                     const int32_t* factors, int lanes, int8_t* grad_in) const {
    // Locals: bytes are written, which may alias anything that lies in memory.
    const uint32x4_t from = from_;
    const uint16x8_t to = to_;
    const int32_t channels = g_.in_c;
    const int32_t grad_row = g_.out_w * channels, row = g_.in_w * channels;
    const int32_t out_h = g_.out_h, out_w = g_.out_w, in_h = g_.in_h, in_w = g_.in_w;
    const int32_t pad_t = kWhole ? 0 : g_.pad_t, pad_l = kWhole ? 0 : g_.pad_l;
#pragma GCC unroll 1
    for (; lanes > 0; --lanes, ++grad, ++grad_in, ++wide) {
      const int32_t factor = *factors++ >> 1;
      const int32_t w0 = wide[0], w1 = wide[4], w2 = wide[8], w3 = wide[12], w4 = wide[16],
                    w5 = wide[20], w6 = wide[24], w7 = wide[28], w8 = wide[32];
#pragma GCC unroll 1
      for (int32_t x = 0; 2 * x - pad_l < in_w; x += kQuadColumns) {
        const int8_t* pixel = grad + x * channels;
        int8_t* q = grad_in + (2 * x - pad_l - pad_t * in_w) * channels;
        const mve_pred16_t inside = x < out_w ? vctp32q(static_cast<uint32_t>(out_w - x)) : 0;
        const uint32_t end = static_cast<uint32_t>(in_w - 2 * x + pad_l);
        const mve_pred16_t live =
            static_cast<mve_pred16_t>(vctp16q(end) & (x == 0 && pad_l > 0 ? 0xfffc : 0xffff));
        int32x4_t above = vdupq_n_s32(0), above_left = above;
#pragma GCC unroll 2
        for (int32_t y = 0; kWhole ? y < out_h : 2 * y - pad_t < in_h; ++y) {
          int32x4_t here = vdupq_n_s32(0);
          int32_t carry = 0;
          if (kWhole) {
            here = vldrbq_gather_offset_s32(pixel, from);
            if (x > 0) carry = pixel[-channels];
          } else if (y < out_h) {
            here = vldrbq_gather_offset_z_s32(pixel, from, inside);
            if (x > 0 && x <= out_w) carry = pixel[-channels];
          }
          // Those of the outputs before.
          int32x4_t left = here;
          asm("vshlc %q0, %1, #32" : "+w"(left), "+r"(carry));
          if (kWhole || 2 * y >= pad_t) {
            int32x4_t first = vmulq_n_s32(here, w0), second = vmulq_n_s32(here, w1);
            first = vmlaq_n_s32(first, left, w2);
            first = vmlaq_n_s32(first, above, w6);
            second = vmlaq_n_s32(second, above, w7);
            first = vmlaq_n_s32(first, above_left, w8);
            Write<kWhole>(first, second, to, factor, live, q);
          }
          q += row;
          if (kWhole || 2 * y - pad_t + 1 < in_h) {
            const int32x4_t first = vmlaq_n_s32(vmulq_n_s32(here, w3), left, w5);
            Write<kWhole>(first, vmulq_n_s32(here, w4), to, factor, live, q);
          }
          q += row;
          pixel += grad_row;
          above = here;
          above_left = left;
        }
      }
    }
  }

  const Geometry& g_;
  const uint32x4_t from_;
  const uint16x8_t to_;
};

}  // namespace mve
}  // namespace tflm_train

#endif  // TFLM_KERNELS_ARCH_DEPTHWISE_STRIDE2_MVE_H_
