#include "tests/cpp/golden.h"
#include "tflm_kernels/conv_input_grad.h"
#include "tflm_kernels/depthwise_input_grad.h"

namespace tflm_train_test {
namespace {

template <typename Multiplier>
struct InputGradCase : GradientCase {
  const int8_t* weights;  // the constant part when `columns` is not nullptr
  const int8_t* columns;
  const int16_t* listed;  // order of a convolution, channels of a depthwise layer
  const Multiplier* m;
  const uint8_t* mask;
  const int8_t* addend;
  WrittenGradient written;
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
    CheckGradient<Params>(suite, golden, golden.written,
                          [&](const Params& params, float* scales, float* ranges, int8_t* grad_in) {
                            kernel(params, golden.grad_out, golden.weights, golden.columns,
                                   golden.listed, golden.m, scales, ranges, golden.mask,
                                   golden.addend, grad_in, GuardedBytes(scratch_bytes(params)));
                          });
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
