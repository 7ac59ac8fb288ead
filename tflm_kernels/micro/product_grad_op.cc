// PRODUCT_GRAD.

#include "tflm_kernels/micro/train_ops.h"
#include "tflm_kernels/micro/training_op.h"
#include "tflm_kernels/product_grad.h"

namespace tflm_train {
namespace {

constexpr int32_t kMaxFactor = 32767;
constexpr int32_t kMaxCentred = 255;

// The sizes and strides of the axes, whether kept or reduced.
struct Extent {
  int32_t size = 1;
  int64_t last_q = 0;
  int64_t last_x = 0;

  bool Add(const ProductAxis& axis, const OpNode& node) {
    if (!node.CheckFields({{"size", axis.size, 1, INT32_MAX - 1},
                           {"q_stride", axis.q_stride, 0, INT32_MAX},
                           {"x_stride", axis.x_stride, 0, INT32_MAX}})) {
      return false;
    }
    size = Product({size, axis.size});
    last_q += static_cast<int64_t>(axis.size - 1) * axis.q_stride;
    last_x += static_cast<int64_t>(axis.size - 1) * axis.x_stride;
    return true;
  }
};

struct ProductGradOp : OpDefaults {
  using Params = ProductGradParams;
  static constexpr const char* kName = "TFLM_TRAIN_PRODUCT_GRAD";
  enum { kGradOut, kX, kTable, kMask, kAddend, kScales, kRanges, kStateInput, kInputs };
  enum { kGradIn, kOutputs };

  static bool Check(const Params& params, const OpNode& node) {
    Extent kept;
    Extent reduced;
    if (!node.CheckCounts(kInputs, kOutputs)) return false;
    for (const ProductAxis& axis : params.kept) {
      if (!kept.Add(axis, node)) return false;
    }
    for (const ProductAxis& axis : params.reduced) {
      if (!reduced.Add(axis, node)) return false;
    }
    if (kept.size == INT32_MAX) return node.Fail("a tensor is too large");
    if (kept.last_q + reduced.last_q >= params.q_size) {
      return node.Fail("an axis leaves the gradient");
    }
    return CheckFactor(params, kept.last_x + reduced.last_x, reduced.size, node) &&
           node.CheckInput(kGradOut, "output gradient", kTfLiteInt8, params.q_size) &&
           node.CheckSlots(kScales, "scales", {params.slot_in, params.slot_out}) &&
           node.CheckSlots(kRanges, "ranges", {params.slot_out}) &&
           node.CheckMask(kMask, params.mask, kept.size) && CheckAddend(params, kept.size, node) &&
           node.CheckOutput(kGradIn, "input gradient", kTfLiteInt8, kept.size);
  }

  static Marks Reads(const Params& params) {
    return {params.slot_in, params.mask.mark, params.slot_addend};
  }
  static int32_t Writes(const Params& params) { return params.slot_out; }

  static size_t ScratchBytes(const Params& params) { return ProductGradScratchBytes(params); }

  static bool Run(const Params& params, const OpNode& node, const OpMemory& memory) {
    ProductGrad(params, node.Input<int8_t>(kGradOut), node.Input<int8_t>(kX),
                node.Input<int16_t>(kTable), node.Input<float>(kScales), node.Input<float>(kRanges),
                node.Input<void>(kMask), node.Input<int8_t>(kAddend), node.Output<int8_t>(kGradIn),
                memory.scratch);
    return true;
  }

 private:
  static bool CheckFactor(const Params& params, int64_t last_x, int32_t terms, const OpNode& node) {
    const int32_t kind = params.factor_kind;
    const bool activation = kind == kFactorActivation;
    const bool constant = kind == kFactorConstant;
    const int32_t limit = constant ? kMaxFactor : 128;
    const int32_t largest = activation          ? kMaxCentred
                            : !constant         ? kMaxFactor
                            : params.factor < 0 ? -params.factor
                                                : params.factor;
    if (!node.CheckFields(
            {{"factor_kind", kind, kFactorConstant, kFactorSign},
             {"factor", params.factor, -limit, limit},
             {"factor * terms of a sum", Product({largest, terms}), 1, INT32_MAX / 127}})) {
      return false;
    }
    if (constant) {
      return node.CheckFields(
                 {{"x_size", params.x_size, 0, 0}, {"x_stride", last_x == 0 ? 0 : 1, 0, 0}}) &&
             node.CheckAbsent(kX, "x") && node.CheckAbsent(kTable, "table");
    }
    if (last_x >= params.x_size) return node.Fail("an axis leaves x");
    if (!node.CheckInput(kX, "x", kTfLiteInt8, params.x_size)) return false;
    if (activation) return node.CheckAbsent(kTable, "table");
    const int32_t pixel = params.kept[kKeptAxes - 1].size;
    return node.CheckInput(kTable, "table", kTfLiteInt16,
                           kind == kFactorTable ? 256 : Product({2, pixel}));
  }

  static bool CheckAddend(const Params& params, int32_t size, const OpNode& node) {
    if (params.slot_addend == -1) return node.CheckAbsent(kAddend, "addend");
    return node.CheckInput(kAddend, "addend", kTfLiteInt8, size) &&
           node.CheckSlots(kScales, "scales", {params.slot_addend});
  }
};

}  // namespace

TFLMRegistration Register_TRAIN_PRODUCT_GRAD() { return TrainingOp<ProductGradOp>::Registration(); }

}  // namespace tflm_train
