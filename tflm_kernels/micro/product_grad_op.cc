// PRODUCT_GRAD.

#include "tflm_kernels/micro/train_ops.h"
#include "tflm_kernels/micro/training_op.h"
#include "tflm_kernels/product_grad.h"

namespace tflm_train {
namespace {

// The sizes and strides of the axes, whether kept or reduced.
struct Extent {
  // Beyond the largest tensor, and so far below the limit that sums do not overflow.
  static constexpr int64_t kOutside = int64_t{1} << 40;

  int32_t size = 1;
  int64_t last_q = 0;
  int64_t last_x = 0;

  bool Add(const ProductAxis& axis, const OpNode& node) {
    if (!CheckFields(kProductAxisTable, reinterpret_cast<const char*>(&axis), node)) return false;
    size = Product({size, axis.size});
    last_q = Last(last_q, axis.size, axis.q_stride);
    last_x = Last(last_x, axis.size, axis.x_stride);
    return true;
  }

 private:
  static int64_t Last(int64_t last, int32_t size, int32_t stride) {
    last += static_cast<int64_t>(size - 1) * stride;
    return last < kOutside ? last : kOutside;
  }
};

struct ProductGradOp : OpDefaults, ProductGradTensors {
  static constexpr int32_t kMaxTable = 32767;
  static constexpr int32_t kMaxCentred = 255;

  // The axes stay inside the incoming gradient and x, and the sums fit an int32.
  static bool Check(const Params& params, const OpNode& node) {
    Extent kept;
    Extent reduced;
    for (const ProductAxis& axis : params.kept) {
      if (!kept.Add(axis, node)) return false;
    }
    for (const ProductAxis& axis : params.reduced) {
      if (!reduced.Add(axis, node)) return false;
    }
    if (kept.last_q + reduced.last_q >= params.q_size) {
      return node.Fail("an axis leaves the gradient");
    }
    const bool is_constant = params.factor_kind == kFactorConstant;
    if (kept.last_x + reduced.last_x >= (is_constant ? 1 : params.x_size)) {
      return node.Fail("an axis leaves x");
    }
    const int32_t magnitude = params.factor < 0 ? -params.factor : params.factor;
    const int32_t largest = is_constant                               ? magnitude
                            : params.factor_kind == kFactorActivation ? kMaxCentred
                                                                      : kMaxTable;
    return node.CheckFields(
        {{"factor * terms of a sum", Product({largest, reduced.size}), 1, INT32_MAX / 127}});
  }

  static size_t ScratchBytes(const Params& params) { return ProductGradScratchBytes(params); }

  static bool Run(const Params& params, const OpNode& node, const OpMemory& memory) {
    ProductGrad(params, node.Input<int8_t>(In::kGradient), node.Input<int8_t>(In::kX),
                node.Input<int16_t>(In::kTable), node.Input<float>(In::kScales),
                node.Input<float>(In::kRanges), node.Input<void>(In::kMask),
                node.Input<int8_t>(In::kAddend), node.Output<int8_t>(Out::kGradient),
                memory.scratch);
    return true;
  }
};

}  // namespace

TFLMRegistration Register_TRAIN_PRODUCT_GRAD() { return TrainingOp<ProductGradOp>::Registration(); }

}  // namespace tflm_train
