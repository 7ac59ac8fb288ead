#include "tflm_kernels/split_conv.h"

#include "tflm_kernels/forward_rows.h"

namespace tflm_train {
namespace {

Rows WholeInput(const Geometry& g, const int8_t* x) { return {x, g.in_h, g.in_w * g.in_c}; }

}  // namespace

size_t SplitConvScratchBytes(const SplitConvParams& params) {
  return ConvRowScratchBytes(params.geometry);
}

void SplitConv(const SplitConvParams& params, const int8_t* x, const int8_t* rest,
               const int8_t* columns, const int16_t* order, const int32_t* multiplier,
               const int32_t* shift, const int32_t* bias, int8_t* y, void* scratch) {
  const Geometry& g = params.geometry;
  for (int32_t oy = 0; oy < g.out_h; ++oy) {
    ConvRow(g, params.output, oy, WholeInput(g, x), {rest, columns, order, params.kept},
            {multiplier, shift, bias}, y + oy * g.out_w * g.out_c, scratch);
  }
}

size_t SplitDepthwiseScratchBytes(const SplitDepthwiseParams& params) {
  return DepthwiseRowScratchBytes(params.geometry);
}

void SplitDepthwise(const SplitDepthwiseParams& params, const int8_t* x, const int8_t* weights,
                    const int8_t* columns, const int16_t* channels, const int32_t* multiplier,
                    const int32_t* shift, const int32_t* bias, int8_t* y, void* scratch) {
  const Geometry& g = params.geometry;
  for (int32_t oy = 0; oy < g.out_h; ++oy) {
    DepthwiseRow(g, params.output, params.multiplier, oy, WholeInput(g, x),
                 {weights, columns, channels, params.kept}, {multiplier, shift, bias},
                 y + oy * g.out_w * g.out_c, scratch);
  }
}

}  // namespace tflm_train
