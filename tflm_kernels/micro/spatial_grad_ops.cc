// MAX_POOL_GRAD, RESIZE_GRAD and L2_NORM_GRAD.

#include "tflm_kernels/l2_norm_grad.h"
#include "tflm_kernels/max_pool_grad.h"
#include "tflm_kernels/micro/train_ops.h"
#include "tflm_kernels/micro/training_op.h"
#include "tflm_kernels/resize_grad.h"

namespace tflm_train {
namespace {

struct MaxPoolGradOp : OpDefaults {
  using Params = MaxPoolGradParams;
  static constexpr const char* kName = "TFLM_TRAIN_MAX_POOL_GRAD";
  enum { kGradOut, kX, kY, kMask, kScales, kRanges, kStateInput, kInputs };
  enum { kGradIn, kOutputs };

  static bool Check(const Params& params, const OpNode& node) {
    const Geometry& g = params.geometry;
    // At most k_h * k_w windows meet in an element.
    return node.CheckCounts(kInputs, kOutputs) && node.CheckGeometry(g) &&
           node.CheckFields({{"dil_h", g.dil_h, 1, 1},
                             {"dil_w", g.dil_w, 1, 1},
                             {"out_c", g.out_c, g.in_c, g.in_c},
                             {"k_h * k_w", Product({g.k_h, g.k_w}), 1, INT32_MAX / 127}}) &&
           node.CheckInput(kGradOut, "output gradient", kTfLiteInt8, OutputElements(g)) &&
           node.CheckInput(kX, "input", kTfLiteInt8, InputElements(g)) &&
           node.CheckInput(kY, "output", kTfLiteInt8, OutputElements(g)) &&
           node.CheckSlots(kScales, "scales", {params.slot_in, params.slot_out}) &&
           node.CheckSlots(kRanges, "ranges", {params.slot_out}) &&
           node.CheckMask(kMask, params.mask, InputElements(g)) &&
           node.CheckOutput(kGradIn, "input gradient", kTfLiteInt8, InputElements(g));
  }

  static Marks Reads(const Params& params) { return {params.slot_in, params.mask.mark}; }
  static int32_t Writes(const Params& params) { return params.slot_out; }

  static size_t ScratchBytes(const Params& params) { return MaxPoolGradScratchBytes(params); }

  static bool Run(const Params& params, const OpNode& node, const OpMemory& memory) {
    MaxPoolGrad(params, node.Input<int8_t>(kGradOut), node.Input<int8_t>(kX),
                node.Input<int8_t>(kY), node.Input<float>(kScales), node.Input<float>(kRanges),
                node.Input<void>(kMask), node.Output<int8_t>(kGradIn), memory.scratch);
    return true;
  }
};

struct ResizeGradOp : OpDefaults {
  using Params = ResizeGradParams;
  static constexpr const char* kName = "TFLM_TRAIN_RESIZE_GRAD";
  enum { kGradOut, kRows, kColumns, kMask, kAddend, kScales, kRanges, kStateInput, kInputs };
  enum { kGradIn, kOutputs };

  static bool Check(const Params& p, const OpNode& node) {
    if (!node.CheckCounts(kInputs, kOutputs) ||
        !node.CheckFields({{"in_h", p.in_h, 1, INT16_MAX},
                           {"in_w", p.in_w, 1, INT16_MAX},
                           {"channels", p.channels, 1, INT32_MAX},
                           {"out_h", p.out_h, 1, INT16_MAX},
                           {"out_w", p.out_w, 1, INT16_MAX}})) {
      return false;
    }
    const int32_t size = Product({p.in_h, p.in_w, p.channels});
    const int32_t out_size = Product({p.out_h, p.out_w, p.channels});
    if (size == INT32_MAX || out_size == INT32_MAX) return node.Fail("a tensor is too large");
    if (!node.CheckInput(kGradOut, "output gradient", kTfLiteInt8, out_size) ||
        !node.CheckInput(kRows, "rows", kTfLiteInt16, 2 * p.out_h) ||
        !node.CheckInput(kColumns, "columns", kTfLiteInt16, 2 * p.out_w) || !CheckTables(p, node) ||
        !node.CheckSlots(kScales, "scales", {p.slot_in, p.slot_out}) ||
        !node.CheckSlots(kRanges, "ranges", {p.slot_out}) || !node.CheckMask(kMask, p.mask, size) ||
        !node.CheckOutput(kGradIn, "input gradient", kTfLiteInt8, size)) {
      return false;
    }
    if (p.slot_addend == -1) return node.CheckAbsent(kAddend, "addend");
    return node.CheckInput(kAddend, "addend", kTfLiteInt8, size) &&
           node.CheckSlots(kScales, "scales", {p.slot_addend});
  }

  static Marks Reads(const Params& params) {
    return {params.slot_in, params.mask.mark, params.slot_addend};
  }
  static int32_t Writes(const Params& params) { return params.slot_out; }

  static size_t ScratchBytes(const Params& params) { return ResizeGradScratchBytes(params); }

  static bool Run(const Params& params, const OpNode& node, const OpMemory& memory) {
    ResizeGrad(params, node.Input<int8_t>(kGradOut), node.Input<int16_t>(kRows),
               node.Input<int16_t>(kColumns), node.Input<float>(kScales),
               node.Input<float>(kRanges), node.Input<void>(kMask), node.Input<int8_t>(kAddend),
               node.Output<int8_t>(kGradIn), memory.scratch);
    return true;
  }

 private:
  static bool CheckTables(const Params& p, const OpNode& node) {
    const int16_t* rows = node.Input<int16_t>(kRows);
    const int16_t* columns = node.Input<int16_t>(kColumns);
    if (rows == nullptr || columns == nullptr) return node.Fail("the tables must be constants");
    const int32_t tallest = LargestResizeWeight(rows, p.out_h, p.in_h);
    const int32_t widest = LargestResizeWeight(columns, p.out_w, p.in_w);
    return node.CheckFields({{"rows", tallest, 1, INT32_MAX},
                             {"columns", widest, 1, INT32_MAX},
                             {"sum of weights", Product({tallest, widest}), 1, INT32_MAX / 127}});
  }
};

struct L2NormGradOp : OpDefaults {
  using Params = L2NormGradParams;
  static constexpr const char* kName = "TFLM_TRAIN_L2_NORM_GRAD";
  enum { kGradOut, kX, kY, kMask, kScales, kRanges, kStateInput, kInputs };
  enum { kGradIn, kOutputs };

  static bool Check(const Params& params, const OpNode& node) {
    return node.CheckCounts(kInputs, kOutputs) &&
           node.CheckFields({{"size", params.size, 1, kMaxL2NormSize},
                             {"x_zero_point", params.x_zero_point, -128, 127}}) &&
           node.CheckInput(kGradOut, "output gradient", kTfLiteInt8, params.size) &&
           node.CheckInput(kX, "input", kTfLiteInt8, params.size) &&
           node.CheckInput(kY, "output", kTfLiteInt8, params.size) &&
           node.CheckSlots(kScales, "scales", {params.slot_in, params.slot_out}) &&
           node.CheckSlots(kRanges, "ranges", {params.slot_out}) &&
           node.CheckMask(kMask, params.mask, params.size) &&
           node.CheckOutput(kGradIn, "input gradient", kTfLiteInt8, params.size);
  }

  static Marks Reads(const Params& params) { return {params.slot_in, params.mask.mark}; }
  static int32_t Writes(const Params& params) { return params.slot_out; }

  static size_t ScratchBytes(const Params& params) { return L2NormGradScratchBytes(params); }

  static bool Run(const Params& params, const OpNode& node, const OpMemory& memory) {
    L2NormGrad(params, node.Input<int8_t>(kGradOut), node.Input<int8_t>(kX), node.Input<int8_t>(kY),
               node.Input<float>(kScales), node.Input<float>(kRanges), node.Input<void>(kMask),
               node.Output<int8_t>(kGradIn), memory.scratch);
    return true;
  }
};

}  // namespace

TFLMRegistration Register_TRAIN_MAX_POOL_GRAD() {
  return TrainingOp<MaxPoolGradOp>::Registration();
}
TFLMRegistration Register_TRAIN_RESIZE_GRAD() { return TrainingOp<ResizeGradOp>::Registration(); }
TFLMRegistration Register_TRAIN_L2_NORM_GRAD() { return TrainingOp<L2NormGradOp>::Registration(); }

}  // namespace tflm_train
