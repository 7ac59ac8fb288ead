#include "tests/cpp/golden.h"
#include "tflm_kernels/conv_input_grad.h"
#include "tflm_kernels/depthwise_input_grad.h"

namespace tflm_train_test {
namespace {

template <typename Multiplier>
struct InputGradCase {
  const char* name;
  const uint8_t* options;
  const int8_t* grad_out;
  const int8_t* weights;  // the constant part when `columns` is not nullptr
  const int8_t* columns;
  const int16_t* listed;  // order of a convolution, channels of a depthwise layer
  const Multiplier* m;
  const uint8_t* mask;
  const int8_t* addend;
  const uint32_t* scales;
  const uint32_t* ranges;
  size_t size;
  const int8_t* want_grad_in;
  const uint32_t* want_scales;
  const uint32_t* want_ranges;
};
using ConvInputGradCase = InputGradCase<int8_t>;
using DepthwiseInputGradCase = InputGradCase<int32_t>;

#include "tests/cpp/generated/conv_input_grad.inc"
#include "tests/cpp/generated/depthwise_input_grad.inc"

template <typename Params, typename GoldenCase, size_t kCount, typename ScratchBytes,
          typename Kernel>
void RunCases(const char* suite, const GoldenCase (&cases)[kCount], ScratchBytes scratch_bytes,
              Kernel kernel) {
  for (const GoldenCase& golden : cases) {
    Case scope(suite, golden.name);
    const Params params = ReadParams<Params>(golden.options);
    float* scales = Floats(golden.scales, kSlots);
    float* ranges = Floats(golden.ranges, kSlots);
    int8_t* grad_in = Guarded<int8_t>(golden.size);
    kernel(params, golden.grad_out, golden.weights, golden.columns, golden.listed, golden.m, scales,
           ranges, golden.mask, golden.addend, grad_in, GuardedBytes(scratch_bytes(params)));
    EXPECT_SAME(grad_in, golden.want_grad_in, golden.size);
    EXPECT_SAME(scales, golden.want_scales, kSlots);
    EXPECT_SAME(ranges, golden.want_ranges, kSlots);
  }
}

TEST(ConvInputGrad, Golden) {
  RunCases<tflm_train::ConvInputGradParams>("ConvInputGrad", kConvInputGradCases,
                                            tflm_train::ConvInputGradScratchBytes,
                                            tflm_train::ConvInputGrad);
}

TEST(DepthwiseInputGrad, Golden) {
  RunCases<tflm_train::DepthwiseInputGradParams>("DepthwiseInputGrad", kDepthwiseInputGradCases,
                                                 tflm_train::DepthwiseInputGradScratchBytes,
                                                 tflm_train::DepthwiseInputGrad);
}

}  // namespace
}  // namespace tflm_train_test
