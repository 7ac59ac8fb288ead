#include "tests/cpp/golden.h"
#include "tflm_kernels/l2_norm_grad.h"
#include "tflm_kernels/max_pool_grad.h"
#include "tflm_kernels/product_grad.h"
#include "tflm_kernels/resize_grad.h"

namespace tflm_train_test {
namespace {

struct ProductGradCase : GradientCase {
  const int8_t* x;
  const int16_t* table;
  const uint8_t* mask;
  const int8_t* addend;
  WrittenGradient written;
};

struct ResizeGradCase : GradientCase {
  const int16_t* rows;
  const int16_t* columns;
  const uint8_t* mask;
  const int8_t* addend;
  WrittenGradient written;
};

// Of the ops that need the forward input and output.
struct InputOutputCase : GradientCase {
  const int8_t* x;
  const int8_t* y;
  const uint8_t* mask;
  WrittenGradient written;
};
using MaxPoolGradCase = InputOutputCase;
using L2NormGradCase = InputOutputCase;

#include "tests/cpp/generated/l2_norm_grad.inc"
#include "tests/cpp/generated/max_pool_grad.inc"
#include "tests/cpp/generated/product_grad.inc"
#include "tests/cpp/generated/resize_grad.inc"

TEST(ProductGrad, Golden) {
  for (const ProductGradCase& golden : kProductGradCases) {
    CheckGradient<tflm_train::ProductGradParams>(
        "ProductGrad", golden, golden.written,
        [&](const auto& params, float* scales, float* ranges, int8_t* grad_in) {
          tflm_train::ProductGrad(params, golden.grad_out, golden.x, golden.table, scales, ranges,
                                  golden.mask, golden.addend, grad_in,
                                  GuardedBytes(tflm_train::ProductGradScratchBytes(params)));
        });
  }
}

TEST(ResizeGrad, Golden) {
  for (const ResizeGradCase& golden : kResizeGradCases) {
    CheckGradient<tflm_train::ResizeGradParams>(
        "ResizeGrad", golden, golden.written,
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
    CheckGradient<tflm_train::MaxPoolGradParams>(
        "MaxPoolGrad", golden, golden.written,
        [&](const auto& params, float* scales, float* ranges, int8_t* grad_in) {
          tflm_train::MaxPoolGrad(params, golden.grad_out, golden.x, golden.y, scales, ranges,
                                  golden.mask, grad_in,
                                  GuardedBytes(tflm_train::MaxPoolGradScratchBytes(params)));
        });
  }
}

TEST(L2NormGrad, Golden) {
  for (const L2NormGradCase& golden : kL2NormGradCases) {
    CheckGradient<tflm_train::L2NormGradParams>(
        "L2NormGrad", golden, golden.written,
        [&](const auto& params, float* scales, float* ranges, int8_t* grad_in) {
          tflm_train::L2NormGrad(params, golden.grad_out, golden.x, golden.y, scales, ranges,
                                 golden.mask, grad_in,
                                 GuardedBytes(tflm_train::L2NormGradScratchBytes(params)));
        });
  }
}

}  // namespace
}  // namespace tflm_train_test
