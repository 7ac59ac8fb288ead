#include "tflm_kernels/split_conv.h"

#include "tests/cpp/golden.h"
#include "tflm_kernels/forward_rows.h"
#include "tflm_kernels/stream.h"

namespace tflm_train_test {
namespace {

struct SplitCase : OpCase {
  const int8_t* x;
  const int8_t* weights;  // the constant part
  const int8_t* columns;
  const int16_t* listed;  // order of a convolution, channels of a depthwise layer
  const int32_t* multiplier;
  const int32_t* shift;
  const int32_t* bias;  // nullptr: none
  size_t size;
  const int8_t* want_y;
};
using SplitConvCase = SplitCase;
using SplitDepthwiseCase = SplitCase;

struct AddRowCase : OpCase {
  size_t options_bytes;
  const int8_t* x;
  const int8_t* addend;
  size_t size;
  const int8_t* want_y;
};

#include "tests/cpp/generated/add_row.inc"
#include "tests/cpp/generated/split_conv.inc"
#include "tests/cpp/generated/split_depthwise.inc"

template <typename Params, size_t kCount, typename ScratchBytes, typename Kernel>
void RunCases(const char* suite, const SplitCase (&cases)[kCount], ScratchBytes scratch_bytes,
              Kernel kernel) {
  for (const SplitCase& golden : cases) {
    Case scope(suite, golden.name);
    const Params params = ReadParams<Params>(golden.options);
    int8_t* y = Guarded<int8_t>(golden.size);
    kernel(params, golden.x, golden.weights, golden.columns, golden.listed, golden.multiplier,
           golden.shift, golden.bias, y, GuardedBytes(scratch_bytes(params)));
    EXPECT_SAME(y, golden.want_y, golden.size);
  }
}

TEST(SplitConv, Golden) {
  RunCases<tflm_train::SplitConvParams>("SplitConv", kSplitConvCases,
                                        tflm_train::SplitConvScratchBytes, tflm_train::SplitConv);
}

TEST(SplitDepthwise, Golden) {
  RunCases<tflm_train::SplitDepthwiseParams>("SplitDepthwise", kSplitDepthwiseCases,
                                             tflm_train::SplitDepthwiseScratchBytes,
                                             tflm_train::SplitDepthwise);
}

TEST(AddRow, Golden) {
  for (const AddRowCase& golden : kAddRowCases) {
    Case scope("AddRow", golden.name);
    const tflm_train::StreamProgram program(golden.options, golden.options_bytes);
    EXPECT_EQ(program.count(), 1);
    const tflm_train::StreamStage stage = program.Stage(0);
    int8_t* y = Guarded<int8_t>(golden.size);
    tflm_train::AddRow(stage.output, stage.add, golden.x, golden.addend, y,
                       static_cast<int32_t>(golden.size));
    EXPECT_SAME(y, golden.want_y, golden.size);
  }
}

}  // namespace
}  // namespace tflm_train_test
