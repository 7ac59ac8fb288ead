// CONV_UPDATE, DEPTHWISE_UPDATE and BIAS_UPDATE.

#include "tflm_kernels/micro/train_ops.h"
#include "tflm_kernels/micro/training_op.h"
#include "tflm_kernels/update.h"

namespace tflm_train {
namespace {

// The tensors are the same for both kinds of layer.
struct WeightUpdateOp : OpDefaults {
  enum {
    kX,
    kGrad,
    kFactors,  // of the weights; behind them of the bias, where it has one
    kWeights,
    kBias,
    kResidual,
    kChannels,
    kAfter,  // must have been written with the old weights; not read
    kScales,
    kStateInput,
    kInputs
  };
  enum { kToken, kOutputs };

  template <typename Params>
  static bool CheckTensors(const Params& params, const OpNode& node, int32_t weights, int32_t row) {
    const Geometry& g = params.geometry;
    const UpdateParams& u = params.update;
    const bool has_bias = node.HasInput(kBias);
    const int32_t positions = Product({g.out_h, g.out_w});
    if (!node.CheckFields({{"x_zero_point", u.x_zero_point, -128, 127},
                           {"gain_shift", u.gain_shift, 0, kMaxGainShift},
                           {"tap_y1", u.tap_y1, 1, g.k_h},
                           {"tap_x1", u.tap_x1, 1, g.k_w},
                           {"tap_y0", u.tap_y0, 0, u.tap_y1 - 1},
                           {"tap_x0", u.tap_x0, 0, u.tap_x1 - 1}})) {
      return false;
    }
    if (u.residual_bits != 0 && u.residual_bits != 4 && u.residual_bits != 8) {
      return node.Fail("parameter residual_bits must be 0, 4 or 8");
    }
    const bool whole = u.row_channels == row;
    if (!node.CheckFields({{"row_channels", u.row_channels, row, 1 << 20}}) ||
        !(whole ? node.CheckAbsent(kChannels, "channels")
                : node.CheckInput(kChannels, "channels", kTfLiteInt16, row))) {
      return false;
    }
    if (!node.CheckFields({{"out_h * out_w << gain_shift", Product({positions, 1 << u.gain_shift}),
                            1, INT32_MAX / (127 * 255)}}) ||
        !node.CheckCounts(kInputs, kOutputs) ||
        !node.CheckInput(kX, "layer input", kTfLiteInt8, InputElements(g)) ||
        !node.CheckInput(kGrad, "output gradient", kTfLiteInt8, OutputElements(g)) ||
        !node.CheckSlots(kScales, "scales", {u.slot}) ||
        !node.CheckInput(kFactors, "factors", kTfLiteFloat32, Product({1 + has_bias, g.out_c})) ||
        !node.CheckVariable(kWeights, "weights", kTfLiteInt8, weights) || !node.CheckToken()) {
      return false;
    }
    if (has_bias && !node.CheckVariable(kBias, "bias", kTfLiteInt32, g.out_c)) {
      return false;
    }
    if (u.residual_bits == 0) return node.CheckAbsent(kResidual, "residual");
    if (u.residual_bits == 4) {
      return node.CheckVariable(kResidual, "residual", kTfLiteUInt8, (weights + 1) / 2);
    }
    return node.CheckVariable(kResidual, "residual", kTfLiteInt8, weights);
  }

  template <typename Params>
  static Marks Reads(const Params& params) {
    const UpdateParams& u = params.update;
    return {u.slot, u.mark_x, u.mark_grad, u.mark_after};
  }
  template <typename Params>
  static int32_t Writes(const Params& params) {
    return params.update.mark_out;
  }

  // update: ConvUpdate or DepthwiseUpdate.
  template <typename Params, typename Update>
  static void RunUpdate(const Params& params, const OpNode& node, const OpMemory& memory,
                        const Update& update) {
    const float* const kw = node.Input<float>(kFactors);
    const float* const kb = kw + params.geometry.out_c;
    update(params, node.Input<int8_t>(kX), node.Input<int8_t>(kGrad), *node.State(),
           node.Input<float>(kScales), kw, kb, node.Input<int8_t>(kWeights),
           node.Input<int32_t>(kBias), node.Input<int8_t>(kResidual),
           node.Input<int16_t>(kChannels), memory.scratch);
    *node.Output<int8_t>(kToken) = 1;
  }
};

struct ConvUpdateOp : WeightUpdateOp {
  using Params = ConvUpdateParams;
  static constexpr const char* kName = "TFLM_TRAIN_CONV_UPDATE";

  static bool Check(const Params& params, const OpNode& node) {
    const Geometry& g = params.geometry;
    // A transposed layer sums over its input positions; gain_shift is for the
    // output's.
    const int32_t positions = params.transposed ? Product({g.in_h, g.in_w}) : 1;
    return node.CheckGeometry(g) &&
           node.CheckFields({{"transposed", params.transposed, 0, 1},
                             {"in_h * in_w", positions, 1, Product({g.out_h, g.out_w})}}) &&
           CheckTensors(params, node, Product({g.out_c, g.k_h, g.k_w, g.in_c}), g.in_c);
  }

  static size_t ScratchBytes(const Params& params) { return ConvUpdateScratchBytes(params); }

  static bool Run(const Params& params, const OpNode& node, const OpMemory& memory) {
    RunUpdate(params, node, memory, ConvUpdate);
    return true;
  }
};

struct DepthwiseUpdateOp : WeightUpdateOp {
  using Params = DepthwiseUpdateParams;
  static constexpr const char* kName = "TFLM_TRAIN_DEPTHWISE_UPDATE";

  static bool Check(const Params& params, const OpNode& node) {
    const Geometry& g = params.geometry;
    return node.CheckGeometry(g) &&
           node.CheckFields(
               {{"multiplier", params.multiplier, 1, g.out_c},
                {"in_c * multiplier", Product({g.in_c, params.multiplier}), g.out_c, g.out_c}}) &&
           CheckTensors(params, node, Product({g.k_h, g.k_w, g.out_c}), g.out_c);
  }

  static size_t ScratchBytes(const Params& params) { return DepthwiseUpdateScratchBytes(params); }

  static bool Run(const Params& params, const OpNode& node, const OpMemory& memory) {
    RunUpdate(params, node, memory, DepthwiseUpdate);
    return true;
  }
};

struct BiasUpdateOp : OpDefaults {
  using Params = BiasUpdateParams;
  static constexpr const char* kName = "TFLM_TRAIN_BIAS_UPDATE";
  enum { kGrad, kFactors, kBias, kScales, kStateInput, kInputs };
  enum { kToken, kOutputs };

  static bool Check(const Params& params, const OpNode& node) {
    return node.CheckCounts(kInputs, kOutputs) &&
           node.CheckFields({{"positions", params.positions, 1, INT32_MAX / 128},
                             {"channels", params.channels, 1, INT32_MAX}}) &&
           node.CheckInput(kGrad, "output gradient", kTfLiteInt8,
                           Product({params.positions, params.channels})) &&
           node.CheckSlots(kScales, "scales", {params.slot}) &&
           node.CheckInput(kFactors, "factors", kTfLiteFloat32, params.channels) &&
           node.CheckVariable(kBias, "bias", kTfLiteInt32, params.channels) && node.CheckToken();
  }

  static Marks Reads(const Params& params) { return {params.slot}; }
  static int32_t Writes(const Params& params) { return params.mark_out; }

  static bool Run(const Params& params, const OpNode& node, const OpMemory&) {
    BiasUpdate(params, node.Input<int8_t>(kGrad), *node.State(), node.Input<float>(kScales),
               node.Input<float>(kFactors), node.Input<int32_t>(kBias));
    *node.Output<int8_t>(kToken) = 1;
    return true;
  }
};

}  // namespace

TFLMRegistration Register_TRAIN_CONV_UPDATE() { return TrainingOp<ConvUpdateOp>::Registration(); }
TFLMRegistration Register_TRAIN_DEPTHWISE_UPDATE() {
  return TrainingOp<DepthwiseUpdateOp>::Registration();
}
TFLMRegistration Register_TRAIN_BIAS_UPDATE() { return TrainingOp<BiasUpdateOp>::Registration(); }

}  // namespace tflm_train
