// CLAMP_MASK, POOL_GRAD, MOVE_GRAD and ACCUMULATE.

#include "tflm_kernels/data_movement.h"
#include "tflm_kernels/micro/train_ops.h"
#include "tflm_kernels/micro/training_op.h"

namespace tflm_train {
namespace {

struct ClampMaskOp : OpDefaults, ClampMaskTensors {
  static bool Run(const Params& params, const OpNode& node, const OpMemory&) {
    ClampMask(params, node.Input<int8_t>(In::kActivation), node.Output<uint8_t>(Out::kBits));
    return true;
  }
};

struct PoolGradOp : OpDefaults, PoolGradTensors {
  static size_t ScratchBytes(const Params& params) { return PoolGradScratchBytes(params); }

  static bool Run(const Params& params, const OpNode& node, const OpMemory& memory) {
    PoolGrad(params, node.Input<int8_t>(In::kGradient), node.Input<float>(In::kScales),
             node.Input<float>(In::kRanges), node.Input<void>(In::kMask),
             node.Output<int8_t>(Out::kGradient), memory.scratch);
    return true;
  }
};

struct MoveGradOp : OpDefaults, MoveGradTensors {
  // The axes stay inside the incoming gradient.
  static bool Check(const Params& params, const OpNode& node) {
    int64_t first = params.offset;
    int64_t last = params.offset;
    bool is_inside = first >= 0 && last < params.q_size;
    for (const MoveAxis& axis : params.axis) {
      if (!CheckFields(kMoveAxisTable, reinterpret_cast<const char*>(&axis), node)) return false;
      if (!is_inside) break;  // before sums overflow
      const int64_t reach = static_cast<int64_t>(axis.count - 1) * axis.stride;
      (reach < 0 ? first : last) += reach;
      is_inside = first >= 0 && last < params.q_size;
    }
    return is_inside || node.Fail("an axis leaves the gradient");
  }

  static bool Run(const Params& params, const OpNode& node, const OpMemory&) {
    MoveGrad(params, node.Input<int8_t>(In::kGradient), node.Input<float>(In::kScales),
             node.Input<void>(In::kMask), node.Output<int8_t>(Out::kGradient));
    return true;
  }
};

struct AccumulateOp : OpDefaults, AccumulateTensors {
  static bool Run(const Params& params, const OpNode& node, const OpMemory&) {
    const int8_t* gradients[kMaxAccumulateInputs];
    for (int k = 0; k < params.count; ++k) {
      gradients[k] = node.Input<int8_t>(In::kGradients + k);
    }
    Accumulate(params, node.Input<float>(In::kScales), node.Input<void>(In::kMask), gradients,
               node.Output<int8_t>(Out::kGradient));
    return true;
  }
};

}  // namespace

TFLMRegistration Register_TRAIN_CLAMP_MASK() { return TrainingOp<ClampMaskOp>::Registration(); }
TFLMRegistration Register_TRAIN_POOL_GRAD() { return TrainingOp<PoolGradOp>::Registration(); }
TFLMRegistration Register_TRAIN_MOVE_GRAD() { return TrainingOp<MoveGradOp>::Registration(); }
TFLMRegistration Register_TRAIN_ACCUMULATE() { return TrainingOp<AccumulateOp>::Registration(); }

}  // namespace tflm_train
