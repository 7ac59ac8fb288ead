// CLAMP_MASK, POOL_GRAD, MOVE_GRAD and ACCUMULATE.

#include "tflm_kernels/data_movement.h"
#include "tflm_kernels/micro/train_ops.h"
#include "tflm_kernels/micro/training_op.h"
#include "tflm_kernels/spec/geometry.h"

namespace tflm_train {
namespace {

struct ClampMaskOp : OpDefaults {
  using Params = ClampMaskParams;
  static constexpr const char* kName = "TFLM_TRAIN_CLAMP_MASK";
  enum { kActivation, kStateInput, kInputs };
  enum { kBits, kOutputs };

  static bool Check(const Params& params, const OpNode& node) {
    return node.CheckCounts(kInputs, kOutputs) &&
           node.CheckFields({{"size", params.size, 1, INT32_MAX - 7},
                             {"act_min", params.act_min, -128, params.act_max},
                             {"act_max", params.act_max, -128, 127}}) &&
           node.CheckInput(kActivation, "activation", kTfLiteInt8, params.size) &&
           node.CheckOutput(kBits, "mask", kTfLiteUInt8, (params.size + 7) / 8);
  }

  static int32_t Writes(const Params& params) { return params.mark_out; }

  static bool Run(const Params& params, const OpNode& node, const OpMemory&) {
    ClampMask(params, node.Input<int8_t>(kActivation), node.Output<uint8_t>(kBits));
    return true;
  }
};

struct PoolGradOp : OpDefaults {
  using Params = PoolGradParams;
  static constexpr const char* kName = "TFLM_TRAIN_POOL_GRAD";
  enum { kGradOut, kMask, kScales, kRanges, kStateInput, kInputs };
  enum { kGradIn, kOutputs };

  static bool Check(const Params& params, const OpNode& node) {
    const Geometry& g = params.geometry;
    return node.CheckCounts(kInputs, kOutputs) && node.CheckGeometry(g) &&
           node.CheckFields({{"dil_h", g.dil_h, 1, 1},
                             {"dil_w", g.dil_w, 1, 1},
                             {"out_c", g.out_c, g.in_c, g.in_c},
                             {"uniform", params.uniform, 0, 1},
                             {"count", params.count, params.uniform, INT32_MAX}}) &&
           CheckWindows(params, node) &&
           node.CheckInput(kGradOut, "output gradient", kTfLiteInt8, OutputElements(g)) &&
           node.CheckSlots(kScales, "scales", {params.slot_in, params.slot_out}) &&
           node.CheckSlots(kRanges, "ranges", {params.slot_out}) &&
           node.CheckMask(kMask, params.mask, InputElements(g)) &&
           node.CheckOutput(kGradIn, "input gradient", kTfLiteInt8, InputElements(g));
  }

  static Marks Reads(const Params& params) { return {params.slot_in, params.mask.mark}; }
  static int32_t Writes(const Params& params) { return params.slot_out; }

  static size_t ScratchBytes(const Params& params) { return PoolGradScratchBytes(params); }

  static bool Run(const Params& params, const OpNode& node, const OpMemory& memory) {
    PoolGrad(params, node.Input<int8_t>(kGradOut), node.Input<float>(kScales),
             node.Input<float>(kRanges), node.Input<void>(kMask), node.Output<int8_t>(kGradIn),
             memory.scratch);
    return true;
  }

 private:
  static bool CheckWindows(const Params& params, const OpNode& node) {
    const Geometry& g = params.geometry;
    // No window lies in the padding alone: its count would be 0.
    const int32_t last_y = Product({g.out_h - 1, g.stride_h}) - g.pad_t;
    const int32_t last_x = Product({g.out_w - 1, g.stride_w}) - g.pad_l;
    if (!node.CheckFields({{"pad_t", g.pad_t, 0, g.k_h - 1},
                           {"pad_l", g.pad_l, 0, g.k_w - 1},
                           {"start of the last window (rows)", last_y, -g.pad_t, g.in_h - 1},
                           {"start of the last window (columns)", last_x, -g.pad_l, g.in_w - 1}})) {
      return false;
    }
    if (params.uniform) {
      return node.CheckFields(
          {{"stride_h (uniform windows)", g.stride_h, g.out_h > 1 ? g.k_h : 1, INT16_MAX},
           {"stride_w (uniform windows)", g.stride_w, g.out_w > 1 ? g.k_w : 1, INT16_MAX}});
    }
    // Each window adds at most 127 * 2^14, and at most k_h * k_w of them
    // overlap.
    return node.CheckFields({{"k_h * k_w", Product({g.k_h, g.k_w}), 1, 1024}});
  }
};

struct MoveGradOp : OpDefaults {
  using Params = MoveGradParams;
  static constexpr const char* kName = "TFLM_TRAIN_MOVE_GRAD";
  enum { kGradOut, kMask, kScales, kStateInput, kInputs };
  enum { kGradIn, kOutputs };

  static bool Check(const Params& params, const OpNode& node) {
    if (!node.CheckCounts(kInputs, kOutputs)) return false;
    if (!node.CheckFields({{"divisor", params.divisor, 1, INT32_MAX}})) return false;
    int32_t size = 1;
    int64_t first = params.offset;
    int64_t last = params.offset;
    for (const MoveAxis& axis : params.axis) {
      if (!node.CheckFields({{"size", axis.size, 1, INT32_MAX - 1},
                             {"begin", axis.begin, -(1 << 30), 1 << 30},
                             {"step", axis.step, 1, 1 << 30},
                             {"count", axis.count, 1, 1 << 30}})) {
        return false;
      }
      size = Product({size, axis.size});
      const int64_t reach = static_cast<int64_t>(axis.count - 1) * axis.stride;
      (reach < 0 ? first : last) += reach;
    }
    if (size == INT32_MAX) return node.Fail("a tensor is too large");
    if (first < 0 || last >= params.q_size) return node.Fail("an axis leaves the gradient");
    return node.CheckInput(kGradOut, "output gradient", kTfLiteInt8, params.q_size) &&
           node.CheckSlots(kScales, "scales", {params.slot_in, params.slot_out}) &&
           node.CheckMask(kMask, params.mask, size) &&
           node.CheckOutput(kGradIn, "input gradient", kTfLiteInt8, size);
  }

  static Marks Reads(const Params& params) { return {params.slot_in, params.mask.mark}; }
  static int32_t Writes(const Params& params) { return params.slot_out; }

  static bool Run(const Params& params, const OpNode& node, const OpMemory&) {
    MoveGrad(params, node.Input<int8_t>(kGradOut), node.Input<float>(kScales),
             node.Input<void>(kMask), node.Output<int8_t>(kGradIn));
    return true;
  }
};

struct AccumulateOp : OpDefaults {
  using Params = AccumulateParams;
  static constexpr const char* kName = "TFLM_TRAIN_ACCUMULATE";
  // Behind the gradients, counted from the last of them.
  enum { kMask, kScales, kStateInput, kInputs };
  enum { kGrad, kOutputs };

  static bool Check(const Params& params, const OpNode& node) {
    if (!node.CheckFields({{"count", params.count, 1, kMaxAccumulateInputs},
                           {"size", params.size, 1, INT32_MAX}}) ||
        !node.CheckCounts(params.count + kInputs, kOutputs) ||
        !node.CheckSlots(params.count + kScales, "scales", {params.slot_out}) ||
        !node.CheckMask(params.count + kMask, params.mask, params.size) ||
        !node.CheckOutput(kGrad, "gradient", kTfLiteInt8, params.size)) {
      return false;
    }
    for (int k = 0; k < params.count; ++k) {
      if (!node.CheckSlots(params.count + kScales, "scales", {params.slot_in[k]}) ||
          !node.CheckInput(k, "gradient", kTfLiteInt8, params.size)) {
        return false;
      }
    }
    return true;
  }

  static Marks Reads(const Params& params) {
    Marks marks = {params.mask.mark};
    for (int k = 0; k < params.count; ++k) marks.of[1 + k] = params.slot_in[k];
    return marks;
  }
  static int32_t Writes(const Params& params) { return params.slot_out; }

  static bool Run(const Params& params, const OpNode& node, const OpMemory&) {
    const int8_t* inputs[kMaxAccumulateInputs];
    for (int k = 0; k < params.count; ++k) inputs[k] = node.Input<int8_t>(k);
    Accumulate(params, node.Input<float>(params.count + kScales),
               node.Input<void>(params.count + kMask), inputs, node.Output<int8_t>(kGrad));
    return true;
  }
};

static_assert(1 + kMaxAccumulateInputs <= Marks::kMost, "a mark for the mask and each gradient");

}  // namespace

TFLMRegistration Register_TRAIN_CLAMP_MASK() { return TrainingOp<ClampMaskOp>::Registration(); }
TFLMRegistration Register_TRAIN_POOL_GRAD() { return TrainingOp<PoolGradOp>::Registration(); }
TFLMRegistration Register_TRAIN_MOVE_GRAD() { return TrainingOp<MoveGradOp>::Registration(); }
TFLMRegistration Register_TRAIN_ACCUMULATE() { return TrainingOp<AccumulateOp>::Registration(); }

}  // namespace tflm_train
