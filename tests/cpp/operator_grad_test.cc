#include "tests/cpp/golden.h"
#include "tflm_kernels/l2_norm_grad.h"
#include "tflm_kernels/max_pool_grad.h"
#include "tflm_kernels/product_grad.h"
#include "tflm_kernels/resize_grad.h"

namespace tflm_train_test {
namespace {

struct ProductGradCase {
  const char* name;
  const uint8_t* options;
  const int8_t* grad_out;
  const int8_t* x;
  const int16_t* table;
  const uint8_t* mask;
  const int8_t* addend;
  const uint32_t* scales;
  const uint32_t* ranges;
  size_t size;
  const int8_t* want_grad_in;
  const uint32_t* want_scales;
  const uint32_t* want_ranges;
};

struct ResizeGradCase {
  const char* name;
  const uint8_t* options;
  const int8_t* grad_out;
  const int16_t* rows;
  const int16_t* columns;
  const uint8_t* mask;
  const int8_t* addend;
  const uint32_t* scales;
  const uint32_t* ranges;
  size_t size;
  const int8_t* want_grad_in;
  const uint32_t* want_scales;
  const uint32_t* want_ranges;
};

// Of the ops that need the forward input and output.
struct InputOutputCase {
  const char* name;
  const uint8_t* options;
  const int8_t* grad_out;
  const int8_t* x;
  const int8_t* y;
  const uint8_t* mask;
  const uint32_t* scales;
  const uint32_t* ranges;
  size_t size;
  const int8_t* want_grad_in;
  const uint32_t* want_scales;
  const uint32_t* want_ranges;
};
using MaxPoolGradCase = InputOutputCase;
using L2NormGradCase = InputOutputCase;

#include "tests/cpp/generated/l2_norm_grad.inc"
#include "tests/cpp/generated/max_pool_grad.inc"
#include "tests/cpp/generated/product_grad.inc"
#include "tests/cpp/generated/resize_grad.inc"

// run(params, scales, ranges, grad_in)
template <typename Params, typename GoldenCase, typename Run>
void Check(const char* kernel, const GoldenCase& golden, const Run& run) {
  Case scope(kernel, golden.name);
  const auto params = ReadParams<Params>(golden.options);
  float* scales = Floats(golden.scales, kSlots);
  float* ranges = Floats(golden.ranges, kSlots);
  int8_t* grad_in = Guarded<int8_t>(golden.size);
  run(params, scales, ranges, grad_in);
  EXPECT_SAME(grad_in, golden.want_grad_in, golden.size);
  EXPECT_SAME(scales, golden.want_scales, kSlots);
  EXPECT_SAME(ranges, golden.want_ranges, kSlots);
}

TEST(ProductGrad, Golden) {
  for (const ProductGradCase& golden : kProductGradCases) {
    Check<tflm_train::ProductGradParams>(
        "ProductGrad", golden,
        [&](const auto& params, float* scales, float* ranges, int8_t* grad_in) {
          tflm_train::ProductGrad(params, golden.grad_out, golden.x, golden.table, scales, ranges,
                                  golden.mask, golden.addend, grad_in,
                                  GuardedBytes(tflm_train::ProductGradScratchBytes(params)));
        });
  }
}

TEST(ResizeGrad, Golden) {
  for (const ResizeGradCase& golden : kResizeGradCases) {
    Check<tflm_train::ResizeGradParams>(
        "ResizeGrad", golden,
        [&](const auto& params, float* scales, float* ranges, int8_t* grad_in) {
          EXPECT_EQ(tflm_train::LargestResizeWeight(golden.rows, params.out_h, params.in_h) > 0,
                    true);
          tflm_train::ResizeGrad(params, golden.grad_out, golden.rows, golden.columns, scales,
                                 ranges, golden.mask, golden.addend, grad_in,
                                 GuardedBytes(tflm_train::ResizeGradScratchBytes(params)));
        });
  }
}

TEST(ResizeGrad, DamagedTables) {
  const int16_t falls[] = {0, 0, 2, 0, 1, 0};
  const int16_t beyond[] = {0, 0, 4, 0};
  const int16_t heavy[] = {0, 129};
  const int16_t leaves[] = {3, 1};
  const int16_t good[] = {0, 64, 0, 128, 1, 0, 3, 0};
  EXPECT_EQ(tflm_train::LargestResizeWeight(falls, 3, 4), -1);
  EXPECT_EQ(tflm_train::LargestResizeWeight(beyond, 2, 4), -1);
  EXPECT_EQ(tflm_train::LargestResizeWeight(heavy, 1, 4), -1);
  EXPECT_EQ(tflm_train::LargestResizeWeight(leaves, 1, 4), -1);
  EXPECT_EQ(tflm_train::LargestResizeWeight(good, 4, 4), 64 + 128 + 128);
}

TEST(MaxPoolGrad, Golden) {
  for (const MaxPoolGradCase& golden : kMaxPoolGradCases) {
    Check<tflm_train::MaxPoolGradParams>(
        "MaxPoolGrad", golden,
        [&](const auto& params, float* scales, float* ranges, int8_t* grad_in) {
          tflm_train::MaxPoolGrad(params, golden.grad_out, golden.x, golden.y, scales, ranges,
                                  golden.mask, grad_in,
                                  GuardedBytes(tflm_train::MaxPoolGradScratchBytes(params)));
        });
  }
}

TEST(L2NormGrad, Golden) {
  for (const L2NormGradCase& golden : kL2NormGradCases) {
    Check<tflm_train::L2NormGradParams>(
        "L2NormGrad", golden,
        [&](const auto& params, float* scales, float* ranges, int8_t* grad_in) {
          tflm_train::L2NormGrad(params, golden.grad_out, golden.x, golden.y, scales, ranges,
                                 golden.mask, grad_in,
                                 GuardedBytes(tflm_train::L2NormGradScratchBytes(params)));
        });
  }
}

}  // namespace
}  // namespace tflm_train_test
