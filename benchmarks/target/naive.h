// The definitions as loops: what the kernels are compared with on the host. They requantise with
// a fixed shift, which is less than the kernels do.

#ifndef BENCHMARKS_TARGET_NAIVE_H_
#define BENCHMARKS_TARGET_NAIVE_H_

#include <cstdint>

#include "tflm_kernels/spec/numerics.h"
#include "tflm_kernels/spec/op_params.h"

namespace tflm_train_bench {

constexpr int kFixedShift = 16;

// The output position whose window has `tap` over `input`; -1: none.
inline int32_t OutputOf(int32_t input, int32_t pad, int32_t tap, int32_t dilation, int32_t stride,
                        int32_t count) {
  const int32_t at = input + pad - tap * dilation;
  return at >= 0 && at % stride == 0 && at / stride < count ? at / stride : -1;
}

// Calls visit(tap, output pixel) for the taps over an input pixel.
template <typename Visit>
void ForEachOutput(const tflm_train::Geometry& g, int32_t iy, int32_t ix, const Visit& visit) {
  for (int32_t ky = 0; ky < g.k_h; ++ky) {
    const int32_t oy = OutputOf(iy, g.pad_t, ky, g.dil_h, g.stride_h, g.out_h);
    for (int32_t kx = 0; kx < g.k_w; ++kx) {
      const int32_t ox = OutputOf(ix, g.pad_l, kx, g.dil_w, g.stride_w, g.out_w);
      if (oy >= 0 && ox >= 0) visit(ky * g.k_w + kx, oy * g.out_w + ox);
    }
  }
}

inline void NaiveConvInputGrad(const tflm_train::Geometry& g, const int8_t* grad,
                               const int8_t* weights, const int8_t* m, int8_t* grad_in) {
  const int32_t taps = g.k_h * g.k_w;
  for (int32_t iy = 0; iy < g.in_h; ++iy) {
    for (int32_t ix = 0; ix < g.in_w; ++ix) {
      for (int32_t i = 0; i < g.in_c; ++i) {
        int32_t sum = 0;
        ForEachOutput(g, iy, ix, [&](int32_t tap, int32_t pixel) {
          for (int32_t c = 0; c < g.out_c; ++c) {
            sum += grad[pixel * g.out_c + c] * m[c] * weights[(c * taps + tap) * g.in_c + i];
          }
        });
        *grad_in++ = static_cast<int8_t>(sum >> kFixedShift);
      }
    }
  }
}

inline void NaiveDepthwiseInputGrad(const tflm_train::Geometry& g, const int8_t* grad,
                                    const int8_t* weights, const int32_t* m, int8_t* grad_in) {
  const int32_t multiplier = g.out_c / g.in_c;
  for (int32_t iy = 0; iy < g.in_h; ++iy) {
    for (int32_t ix = 0; ix < g.in_w; ++ix) {
      for (int32_t i = 0; i < g.in_c; ++i) {
        int32_t sum = 0;
        for (int32_t c = i * multiplier; c < (i + 1) * multiplier; ++c) {
          int32_t channel = 0;
          ForEachOutput(g, iy, ix, [&](int32_t tap, int32_t pixel) {
            channel += grad[pixel * g.out_c + c] * weights[tap * g.out_c + c];
          });
          sum += tflm_train::HighMul(channel, m[c]);
        }
        *grad_in++ = static_cast<int8_t>(sum >> kFixedShift);
      }
    }
  }
}

// One weight: a step by its summed gradient, kept to 1/256.
inline void NaiveStep(int32_t sum, int32_t multiplier, int8_t* weight, int8_t* residual) {
  const int32_t kept = residual == nullptr ? 0 : *residual;
  const int32_t limit = 127 * 256;
  int32_t t = 256 * *weight + kept - tflm_train::HighMul(sum, multiplier);
  t = t > limit ? limit : t < -limit ? -limit : t;
  *weight = static_cast<int8_t>((t + 128) >> 8);
  if (residual != nullptr) *residual = static_cast<int8_t>(t - 256 * *weight);
}

// A convolution, or a depthwise layer with one output channel per input channel.
inline void NaiveUpdate(const tflm_train::Geometry& g, bool depthwise, int32_t zero_point,
                        const int8_t* x, const int8_t* grad, int32_t multiplier, int8_t* weights,
                        int8_t* residual) {
  const int32_t taps = g.k_h * g.k_w;
  const int32_t depth = depthwise ? 1 : g.in_c;
  for (int32_t c = 0; c < g.out_c; ++c) {
    for (int32_t tap = 0; tap < taps; ++tap) {
      for (int32_t i = 0; i < depth; ++i) {
        int32_t sum = 0;
        for (int32_t oy = 0; oy < g.out_h; ++oy) {
          const int32_t iy = oy * g.stride_h + tap / g.k_w * g.dil_h - g.pad_t;
          if (iy < 0 || iy >= g.in_h) continue;
          for (int32_t ox = 0; ox < g.out_w; ++ox) {
            const int32_t ix = ox * g.stride_w + tap % g.k_w * g.dil_w - g.pad_l;
            if (ix < 0 || ix >= g.in_w) continue;
            sum += grad[(oy * g.out_w + ox) * g.out_c + c] *
                   (x[(iy * g.in_w + ix) * g.in_c + (depthwise ? c : i)] - zero_point);
          }
        }
        const int32_t at = depthwise ? tap * g.out_c + c : (c * taps + tap) * g.in_c + i;
        NaiveStep(sum, multiplier, weights + at, residual == nullptr ? nullptr : residual + at);
      }
    }
  }
}

}  // namespace tflm_train_bench

#endif  // BENCHMARKS_TARGET_NAIVE_H_
