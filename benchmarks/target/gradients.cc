#include "benchmarks/target/gradients.h"

#include <cstddef>
#include <cstdint>

#include "benchmarks/target/inputs.h"
#include "tflm_kernels/data_movement.h"
#include "tflm_kernels/l2_norm_grad.h"
#include "tflm_kernels/max_pool_grad.h"
#include "tflm_kernels/product_grad.h"
#include "tflm_kernels/resize_grad.h"

namespace tflm_train_bench {
namespace {

using tflm_train::Geometry;

// The largest of each window, as MAX_POOL_2D gives it.
int8_t* Largest(const Geometry& g, const int8_t* x) {
  int8_t* y = Filled<int8_t>(OutputSize(g), INT8_MIN);
  for (int32_t o = 0; o < OutputSize(g); ++o) {
    const int32_t c = o % g.out_c, ox = o / g.out_c % g.out_w, oy = o / g.out_c / g.out_w;
    for (int32_t tap = 0; tap < g.k_h * g.k_w; ++tap) {
      const int32_t iy = oy * g.stride_h - g.pad_t + tap / g.k_w;
      const int32_t ix = ox * g.stride_w - g.pad_l + tap % g.k_w;
      if (iy < 0 || iy >= g.in_h || ix < 0 || ix >= g.in_w) continue;
      const int8_t value = x[(iy * g.in_w + ix) * g.in_c + c];
      y[o] = value > y[o] ? value : y[o];
    }
  }
  return y;
}

// Where RESIZE_BILINEAR reads along an axis when pixels have centres.
int16_t* ResizeTable(int32_t in, int32_t out) {
  constexpr int32_t kOne = tflm_train::kResizeOne;
  int16_t* table = Allocate<int16_t>(2 * out);
  for (int32_t o = 0; o < out; ++o) {
    const int32_t twice = (2 * o + 1) * in * kOne / out - kOne;
    const int32_t at = twice > 0 ? twice / 2 : 0;
    table[2 * o] = static_cast<int16_t>(at / kOne);
    table[2 * o + 1] = static_cast<int16_t>(at / kOne + 1 < in ? at % kOne : 0);
  }
  return table;
}

}  // namespace

Measured CountPoolGrad(const uint8_t* options) {
  const auto params = Read<tflm_train::PoolGradParams>(options);
  const Geometry& g = params.geometry;
  const int8_t* grad = RandomInt8(OutputSize(g));
  float* scales = Filled(kSlots, 1.0f);
  float* ranges = Filled(kSlots, 0.0f);
  const void* mask = RandomMask(params.mask, InputSize(g));
  int8_t* grad_in = Allocate<int8_t>(InputSize(g));
  void* scratch = Allocate<uint8_t>(tflm_train::PoolGradScratchBytes(params));
  return Count([&] { tflm_train::PoolGrad(params, grad, scales, ranges, mask, grad_in, scratch); });
}

Measured CountMaxPoolGrad(const uint8_t* options) {
  const auto params = Read<tflm_train::MaxPoolGradParams>(options);
  const Geometry& g = params.geometry;
  const int8_t* grad = RandomInt8(OutputSize(g));
  const int8_t* x = RandomInt8(InputSize(g));
  const int8_t* y = Largest(g, x);
  float* scales = Filled(kSlots, 1.0f);
  float* ranges = Filled(kSlots, 0.0f);
  const void* mask = RandomMask(params.mask, InputSize(g));
  int8_t* grad_in = Allocate<int8_t>(InputSize(g));
  void* scratch = Allocate<uint8_t>(tflm_train::MaxPoolGradScratchBytes(params));
  return Count(
      [&] { tflm_train::MaxPoolGrad(params, grad, x, y, scales, ranges, mask, grad_in, scratch); });
}

Measured CountResizeGrad(const uint8_t* options) {
  const auto params = Read<tflm_train::ResizeGradParams>(options);
  const int32_t size = params.in_h * params.in_w * params.channels;
  const int8_t* grad = RandomInt8(params.out_h * params.out_w * params.channels);
  const int16_t* rows = ResizeTable(params.in_h, params.out_h);
  const int16_t* columns = ResizeTable(params.in_w, params.out_w);
  float* scales = Filled(kSlots, 1.0f);
  float* ranges = Filled(kSlots, 0.0f);
  const void* mask = RandomMask(params.mask, size);
  const int8_t* addend = params.slot_addend >= 0 ? RandomInt8(size) : nullptr;
  int8_t* grad_in = Allocate<int8_t>(size);
  void* scratch = Allocate<uint8_t>(tflm_train::ResizeGradScratchBytes(params));
  return Count([&] {
    tflm_train::ResizeGrad(params, grad, rows, columns, scales, ranges, mask, addend, grad_in,
                           scratch);
  });
}

Measured CountProductGrad(const uint8_t* options) {
  const auto params = Read<tflm_train::ProductGradParams>(options);
  size_t size = 1;
  for (const tflm_train::ProductAxis& axis : params.kept) size *= axis.size;
  const int8_t* grad = RandomInt8(params.q_size);
  const int8_t* x = params.x_size > 0 ? RandomInt8(params.x_size) : nullptr;
  const int32_t pixel = params.kept[tflm_train::kKeptAxes - 1].size;
  const int16_t* table = Filled<int16_t>(pixel > 128 ? 2 * pixel : 256, 12345);
  float* scales = Filled(kSlots, 1.0f);
  float* ranges = Filled(kSlots, 0.0f);
  const void* mask = RandomMask(params.mask, size);
  const int8_t* addend = params.slot_addend >= 0 ? RandomInt8(size) : nullptr;
  int8_t* grad_in = Allocate<int8_t>(size);
  void* scratch = Allocate<uint8_t>(tflm_train::ProductGradScratchBytes(params));
  return Count([&] {
    tflm_train::ProductGrad(params, grad, x, table, scales, ranges, mask, addend, grad_in, scratch);
  });
}

Measured CountL2NormGrad(const uint8_t* options) {
  const auto params = Read<tflm_train::L2NormGradParams>(options);
  const int8_t* grad = RandomInt8(params.size);
  const int8_t* x = RandomInt8(params.size);
  const int8_t* y = RandomInt8(params.size);
  float* scales = Filled(kSlots, 1.0f);
  float* ranges = Filled(kSlots, 0.0f);
  const void* mask = RandomMask(params.mask, params.size);
  int8_t* grad_in = Allocate<int8_t>(params.size);
  void* scratch = Allocate<uint8_t>(tflm_train::L2NormGradScratchBytes(params));
  return Count(
      [&] { tflm_train::L2NormGrad(params, grad, x, y, scales, ranges, mask, grad_in, scratch); });
}

Measured CountMoveGrad(const uint8_t* options) {
  const auto params = Read<tflm_train::MoveGradParams>(options);
  size_t in_size = 1;
  for (const tflm_train::MoveAxis& axis : params.axis) in_size *= axis.size;
  const int8_t* grad = RandomInt8(params.q_size);
  float* scales = Filled(kSlots, 1.0f);
  const void* mask = RandomMask(params.mask, in_size);
  int8_t* grad_in = Allocate<int8_t>(in_size);
  return Count([&] { tflm_train::MoveGrad(params, grad, scales, mask, grad_in); });
}

Measured CountAccumulate(const uint8_t* options) {
  const auto params = Read<tflm_train::AccumulateParams>(options);
  const int8_t* inputs[tflm_train::kMaxAccumulateInputs];
  for (int32_t k = 0; k < params.count; ++k) inputs[k] = RandomInt8(params.size);
  float* scales = Filled(kSlots, 1.0f);
  const void* mask = RandomMask(params.mask, params.size);
  int8_t* grad = Allocate<int8_t>(params.size);
  return Count([&] { tflm_train::Accumulate(params, scales, mask, inputs, grad); });
}

}  // namespace tflm_train_bench
