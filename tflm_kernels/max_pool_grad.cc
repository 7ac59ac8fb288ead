#include "tflm_kernels/max_pool_grad.h"

#include <cstring>

#include "tflm_kernels/requantize.h"
#include "tflm_kernels/spec/geometry.h"

namespace tflm_train {
namespace {

// Whether an element of the window that starts at (first_y, first_x) and comes
// before (iy, ix) equals `value` in channel c.
bool IsTaken(const Geometry& g, const int8_t* x, int8_t value, int32_t first_y, int32_t first_x,
             int32_t end_x, int32_t iy, int32_t ix, int32_t c) {
  for (int32_t y = first_y; y <= iy; ++y) {
    const int32_t end = y < iy ? end_x : ix;
    const int8_t* element = x + (y * g.in_w + first_x) * g.in_c + c;
    for (int32_t column = first_x; column < end; ++column, element += g.in_c) {
      if (*element == value) return true;
    }
  }
  return false;
}

}  // namespace

size_t MaxPoolGradScratchBytes(const MaxPoolGradParams& params) {
  return sizeof(int32_t) * params.geometry.in_c;
}

void MaxPoolGrad(const MaxPoolGradParams& params, const int8_t* grad_out, const int8_t* x,
                 const int8_t* y, float* scales, float* ranges, const void* mask, int8_t* grad_in,
                 void* scratch) {
  const Geometry& g = params.geometry;
  int32_t* acc = static_cast<int32_t*>(scratch);
  GradientWriter writer(
      {params.mask, mask, nullptr, 0.0f, grad_in, static_cast<size_t>(g.in_h) * g.in_w * g.in_c,
       g.in_c, &scales[params.slot_out], &ranges[params.slot_out]},
      scales[params.slot_in], grad_out, static_cast<size_t>(g.out_h) * g.out_w * g.out_c);
  if (!writer.flows()) return;
  const int8_t* pixel = x;
  for (int32_t iy = 0; iy < g.in_h; ++iy) {
    const AxisRange rows = WindowsOfInput(iy, g.k_h, g.stride_h, g.pad_t, g.out_h);
    for (int32_t ix = 0; ix < g.in_w; ++ix, pixel += g.in_c) {
      const AxisRange columns = WindowsOfInput(ix, g.k_w, g.stride_w, g.pad_l, g.out_w);
      std::memset(acc, 0, sizeof(int32_t) * g.in_c);
      for (int32_t oy = rows.begin; oy < rows.end; ++oy) {
        const int32_t top = oy * g.stride_h - g.pad_t;
        const int32_t first_y = top > 0 ? top : 0;
        for (int32_t ox = columns.begin; ox < columns.end; ++ox) {
          const int32_t left = ox * g.stride_w - g.pad_l;
          const int32_t first_x = left > 0 ? left : 0;
          const int32_t end_x = left + g.k_w < g.in_w ? left + g.k_w : g.in_w;
          const int32_t window = (oy * g.out_w + ox) * g.out_c;
          for (int32_t c = 0; c < g.in_c; ++c) {
            if (pixel[c] == y[window + c] && grad_out[window + c] != 0 &&
                !IsTaken(g, x, pixel[c], first_y, first_x, end_x, iy, ix, c)) {
              acc[c] += grad_out[window + c];
            }
          }
        }
      }
      writer.WritePixel(acc);
    }
  }
  writer.Finish();
}

}  // namespace tflm_train
