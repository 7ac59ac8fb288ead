#include "tflm_kernels/product_grad.h"

#include <cstring>

#include "tflm_kernels/channel_ops.h"
#include "tflm_kernels/requantize.h"
#include "tflm_kernels/spec/numerics.h"

namespace tflm_train {
namespace {

// The factor of one element.
class Factor {
 public:
  Factor(const ProductGradParams& params, const int16_t* table)
      : kind_(params.factor_kind), value_(params.factor), table_(table) {}

  int16_t operator()(const int8_t* x, int32_t c) const {
    switch (kind_) {
      case kFactorActivation:
        return static_cast<int16_t>(*x - value_);
      case kFactorTable:
        return table_[*x + 128];
      case kFactorSign:
        return table_[2 * c + (*x >= value_)];
      default:
        return static_cast<int16_t>(value_);
    }
  }

 private:
  int32_t kind_;
  int32_t value_;
  const int16_t* table_;
};

// acc[c] += q[c * q_stride] * factor, for one position of the reduced axes.
void AddRow(const ProductGradParams& params, const Factor& factor, const int8_t* q, const int8_t* x,
            const int16_t* table, int32_t* acc) {
  const ProductAxis& pixel = params.kept[kKeptAxes - 1];
  if (pixel.q_stride == 1 && pixel.x_stride == 1 && params.factor_kind == kFactorActivation) {
    AccumulateProducts(acc, q, x, params.factor, pixel.size);
  } else if (pixel.q_stride == 1 && pixel.x_stride == 1 && params.factor_kind == kFactorTable) {
    AccumulateLookup(acc, q, x, table, pixel.size);
  } else if (pixel.q_stride == 1 && pixel.x_stride == 0 && params.factor_kind != kFactorSign) {
    AccumulateRow(acc, factor(x, 0), q, pixel.size);
  } else {
    for (int32_t c = 0; c < pixel.size; ++c) {
      acc[c] = WrapAdd(acc[c], q[c * pixel.q_stride] * factor(x + c * pixel.x_stride, c));
    }
  }
}

// Visits all positions of three axes in raster order.
template <typename Visit>
void ForEachPosition(const ProductAxis axis[3], const int8_t* q, const int8_t* x,
                     const Visit& visit) {
  for (int32_t a = 0; a < axis[0].size; ++a) {
    for (int32_t b = 0; b < axis[1].size; ++b) {
      for (int32_t c = 0; c < axis[2].size; ++c) {
        visit(q + a * axis[0].q_stride + b * axis[1].q_stride + c * axis[2].q_stride,
              x + a * axis[0].x_stride + b * axis[1].x_stride + c * axis[2].x_stride);
      }
    }
  }
}

}  // namespace

size_t ProductGradScratchBytes(const ProductGradParams& params) {
  return sizeof(int32_t) * params.kept[kKeptAxes - 1].size;
}

void ProductGrad(const ProductGradParams& params, const int8_t* grad_out, const int8_t* x,
                 const int16_t* table, float* scales, float* ranges, const void* mask,
                 const int8_t* addend, int8_t* grad_in, void* scratch) {
  int32_t* acc = static_cast<int32_t*>(scratch);
  const int32_t channels = params.kept[kKeptAxes - 1].size;
  size_t size = 1;
  for (const ProductAxis& axis : params.kept) size *= axis.size;
  GradientWriter writer(
      {params.mask, mask, addend, addend != nullptr ? scales[params.slot_addend] : 0.0f, grad_in,
       size, channels, &scales[params.slot_out], &ranges[params.slot_out]},
      scales[params.slot_in] * params.unit_scale, grad_out, static_cast<size_t>(params.q_size));
  if (!writer.flows()) return;
  const Factor factor(params, table);
  // Without x the strides of x are 0, and it is never read: any address will do.
  const int8_t* factors = x != nullptr ? x : grad_out;
  ForEachPosition(params.kept, grad_out, factors,
                  [&](const int8_t* q_pixel, const int8_t* x_pixel) {
                    std::memset(acc, 0, sizeof(int32_t) * channels);
                    ForEachPosition(params.reduced, q_pixel, x_pixel,
                                    [&](const int8_t* q, const int8_t* x_row) {
                                      AddRow(params, factor, q, x_row, table, acc);
                                    });
                    writer.WritePixel(acc);
                  });
  writer.Finish();
}

}  // namespace tflm_train
