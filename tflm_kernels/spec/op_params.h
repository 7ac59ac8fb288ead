// The parameters of the training custom ops, as they travel in custom_options.
//
// Written by `python -m tools.generate` from the declarations in
// tflm_train/ops; docs/NUMERICS.md is the specification. Every struct starts
// with OpHeader, all other fields are 4 bytes, little endian, unpadded.

#ifndef TFLM_KERNELS_SPEC_OP_PARAMS_H_
#define TFLM_KERNELS_SPEC_OP_PARAMS_H_

#include <cstdint>

// clang-format off

namespace tflm_train {

constexpr uint16_t kAbiVersion = 4;

enum class OpKind : uint16_t {
  kRestore = 1,
  kLoss = 2,
  kClampMask = 3,
  kConvInputGrad = 4,
  kDepthwiseInputGrad = 5,
  kPoolGrad = 6,
  kAccumulate = 8,
  kConvUpdate = 9,
  kDepthwiseUpdate = 10,
  kBiasUpdate = 11,
  kChannelSave = 12,
  kSplitConv = 13,
  kSplitDepthwise = 14,
  kFinish = 15,
  kProductGrad = 20,
  kMoveGrad = 21,
  kMaxPoolGrad = 22,
  kResizeGrad = 23,
  kL2NormGrad = 24,
  kStream = 50,
};
constexpr int kLastOpKind = 50;

struct OpHeader {
  uint16_t kind;     // OpKind
  uint16_t version;  // kAbiVersion
  uint32_t size;     // bytes of the whole struct, this header included
};
static_assert(sizeof(OpHeader) == 8, "packed");

constexpr int32_t kNoMark = -1;
constexpr int32_t kMaxGainShift = 12;
constexpr int32_t kMaxAccumulateInputs = 4;
constexpr int32_t kKeptAxes = 4;
constexpr int32_t kReducedAxes = 3;
constexpr int32_t kMoveAxes = 5;

// How an operator learns where a fused activation clamped.
enum MaskKind : int32_t {
  kMaskNone = 0,
  kMaskActivation = 1,  // the int8 forward output itself
  kMaskBits = 2,        // bit i & 7 of byte i >> 3, 1 = the gradient passes
};

// Which loss.
enum LossKind : int32_t {
  kSoftmaxCrossEntropy = 0,
  kSigmoidCrossEntropy = 1,
  kMeanSquaredError = 2,
};

// What the target tensor holds.
enum TargetKind : int32_t {
  kTargetIndex = 0,   // int32 [1]: the class
  kTargetValues = 1,  // float [classes]
  kTargetInput = 2,   // int8 [classes]: the model's own input
};

// What a stage of a STREAM computes.
enum StageKind : int32_t {
  kStageConv = 0,
  kStageDepthwise = 1,
  kStageAdd = 2,
};

// What PRODUCT_GRAD multiplies the incoming gradient by.
enum FactorKind : int32_t {
  kFactorConstant = 0,    // factor
  kFactorActivation = 1,  // x - factor, an int8 activation and its zero point
  kFactorTable = 2,       // table[x + 128]
  kFactorSign = 3,        // table[2 * c + (x >= factor)], c = index in the pixel
};

// Copies factory values into the variables; owns the live state.
struct RestoreParams {
  static constexpr OpKind kKind = OpKind::kRestore; OpHeader header;
  uint32_t fingerprint_lo;  // of the model
  uint32_t fingerprint_hi;
  uint32_t seed;  // of the random rounding
  uint32_t variable_count;
};
static_assert(sizeof(RestoreParams) == 24, "packed");

// A loss and its gradient.
struct LossParams {
  static constexpr OpKind kKind = OpKind::kLoss; OpHeader header;
  int32_t classes;     // elements of the output, of each position
  int32_t zero_point;  // of the logits
  float scale;         // of the logits
  int32_t slot;
  int32_t loss_kind;    // LossKind
  int32_t target_kind;  // TargetKind
  float keep;           // label smoothing: keep * target + spread
  float spread;
  float target_scale;         // of the model's input as target
  int32_t target_zero_point;  // likewise
  int32_t positions;          // classified one by one
};
static_assert(sizeof(LossParams) == 52, "packed");

// One bit per element: not clamped by the fused activation.
struct ClampMaskParams {
  static constexpr OpKind kKind = OpKind::kClampMask; OpHeader header;
  int32_t size;     // elements
  int32_t act_min;  // quantised clamp range
  int32_t act_max, mark_out;
};
static_assert(sizeof(ClampMaskParams) == 24, "packed");

// Shape of a windowed layer, NHWC, batch 1.
// in_* is the forward input, out_* the forward output. FULLY_CONNECTED is a 1x1
// convolution with in_h = rows.
struct Geometry {
  int32_t in_h, in_w, in_c, out_h, out_w, out_c, k_h, k_w, stride_h, stride_w, dil_h, dil_w, pad_t,
      pad_l;
};
static_assert(sizeof(Geometry) == 56, "packed");

// Clamp mask of the tensor whose gradient is written.
struct MaskParams {
  int32_t mask_kind;  // MaskKind
  int32_t act_min;    // quantised clamp range
  int32_t act_max;
  int32_t mark;  // of the bits
};
static_assert(sizeof(MaskParams) == 16, "packed");

// Input gradient of CONV_2D, FULLY_CONNECTED and TRANSPOSE_CONV.
struct ConvInputGradParams {
  static constexpr OpKind kKind = OpKind::kConvInputGrad; OpHeader header;
  Geometry geometry;
  MaskParams mask;
  int32_t slot_in, slot_out;
  int32_t slot_addend;  // -1: no addend
  float unit_scale;     // max s_W / 127 * 2^group_shift
  int32_t group;        // output channels summed before a rounding shift
  int32_t group_shift;
  int32_t kept;        // input channels whose weights are columns; 0: none
  int32_t transposed;  // 1: the layer is a TRANSPOSE_CONV
};
static_assert(sizeof(ConvInputGradParams) == 112, "packed");

// Input gradient of DEPTHWISE_CONV_2D.
struct DepthwiseInputGradParams {
  static constexpr OpKind kKind = OpKind::kDepthwiseInputGrad; OpHeader header;
  Geometry geometry;
  MaskParams mask;
  int32_t slot_in, slot_out;
  int32_t slot_addend;  // -1: no addend
  float unit_scale;     // max s_W
  int32_t multiplier;   // out_c / in_c
  int32_t kept;         // output channels whose weights are columns; 0: none
};
static_assert(sizeof(DepthwiseInputGradParams) == 104, "packed");

// Input gradient of AVERAGE_POOL_2D and spatial MEAN.
struct PoolGradParams {
  static constexpr OpKind kKind = OpKind::kPoolGrad; OpHeader header;
  Geometry geometry;  // in_c == out_c, no dilation
  MaskParams mask;
  int32_t slot_in, slot_out;
  int32_t uniform;  // 1: disjoint windows of `count` elements each
  int32_t count;
};
static_assert(sizeof(PoolGradParams) == 96, "packed");

// Sum of up to four gradients of one tensor.
struct AccumulateParams {
  static constexpr OpKind kKind = OpKind::kAccumulate; OpHeader header;
  int32_t size;  // elements
  MaskParams mask;
  int32_t count;       // inputs
  int32_t slot_in[4];  // -1: unused
  int32_t slot_out;
};
static_assert(sizeof(AccumulateParams) == 52, "packed");

// What a weight update needs beside the geometry.
struct UpdateParams {
  int32_t slot;           // scale slot of the gradient
  int32_t layer;          // key of the random rounding
  int32_t x_zero_point;   // of the forward input
  int32_t residual_bits;  // 8: to nearest; 4 and 0: random rounding
  int32_t gain_shift;     // of the gradient sum
  int32_t tap_y0;         // trained taps, half open
  int32_t tap_y1, tap_x0, tap_x1;
  int32_t row_channels;  // last dimension of the whole weights
  int32_t mark_x;        // of the saved channels of the layer's input
  int32_t mark_grad;     // of the gradient, or its saved channels
  int32_t mark_after;    // of what must be written with the old weights
  int32_t mark_out;      // of the token
};
static_assert(sizeof(UpdateParams) == 56, "packed");

// What an update rule adds to plain SGD.
struct RuleParams {
  int32_t steps;       // samples that make one step of the weights
  float weight_decay;  // times the learning rate: what a step takes off
  float clip_norm;     // largest norm of the gradient; 0: no limit
  float clip_x;        // min(taps, positions) * s_x^2; 0: only the bias trains
  float clip_bias;     // output positions where the bias trains, else 0
};
static_assert(sizeof(RuleParams) == 20, "packed");

// Weight gradient and update in place, CONV_2D, FULLY_CONNECTED and
// TRANSPOSE_CONV.
struct ConvUpdateParams {
  static constexpr OpKind kKind = OpKind::kConvUpdate; OpHeader header;
  Geometry geometry;
  UpdateParams update;
  int32_t transposed;  // 1: the layer is a TRANSPOSE_CONV
  RuleParams rule;
};
static_assert(sizeof(ConvUpdateParams) == 144, "packed");

// Weight gradient and update in place, DEPTHWISE_CONV_2D.
struct DepthwiseUpdateParams {
  static constexpr OpKind kKind = OpKind::kDepthwiseUpdate; OpHeader header;
  Geometry geometry;
  UpdateParams update;
  int32_t multiplier;  // out_c / in_c
  RuleParams rule;
};
static_assert(sizeof(DepthwiseUpdateParams) == 144, "packed");

// Bias gradient and update in place.
struct BiasUpdateParams {
  static constexpr OpKind kKind = OpKind::kBiasUpdate; OpHeader header;
  int32_t positions;  // out_h * out_w
  int32_t channels, slot;
  int32_t mark_out;  // of the token
  RuleParams rule;
};
static_assert(sizeof(BiasUpdateParams) == 44, "packed");

// Keeps only the trained channels of an activation or a gradient.
struct ChannelSaveParams {
  static constexpr OpKind kKind = OpKind::kChannelSave; OpHeader header;
  int32_t positions, channels, kept;
  int32_t mark_in;  // of a gradient
  int32_t mark_out;
};
static_assert(sizeof(ChannelSaveParams) == 28, "packed");

// Quantization of a forward layer's input and output.
struct OutputParams {
  int32_t x_zero_point, y_zero_point;
  int32_t act_min;  // quantised clamp range
  int32_t act_max;
};
static_assert(sizeof(OutputParams) == 16, "packed");

// Forward CONV_2D or FULLY_CONNECTED whose weights are a constant rest and
// trained columns.
struct SplitConvParams {
  static constexpr OpKind kKind = OpKind::kSplitConv; OpHeader header;
  Geometry geometry;
  OutputParams output;
  int32_t kept;  // input channels that train
};
static_assert(sizeof(SplitConvParams) == 84, "packed");

// Forward DEPTHWISE_CONV_2D of which some channels' weights train.
struct SplitDepthwiseParams {
  static constexpr OpKind kKind = OpKind::kSplitDepthwise; OpHeader header;
  Geometry geometry;
  OutputParams output;
  int32_t kept;        // output channels that train
  int32_t multiplier;  // out_c / in_c
};
static_assert(sizeof(SplitDepthwiseParams) == 88, "packed");

// The last op: every other one of the step has run; hands the loss out, renews
// the handle.
struct FinishParams {
  static constexpr OpKind kKind = OpKind::kFinish; OpHeader header;
  int32_t marks;  // of the whole step
};
static_assert(sizeof(FinishParams) == 12, "packed");

// One axis of a tensor that PRODUCT_GRAD walks, with the strides in elements.
struct ProductAxis {
  int32_t size;
  int32_t q_stride;  // in the incoming gradient; 0: the same for all positions
  int32_t x_stride;  // in the factor
};
static_assert(sizeof(ProductAxis) == 12, "packed");

// Sum over broadcast axes of the gradient times a factor.
struct ProductGradParams {
  static constexpr OpKind kKind = OpKind::kProductGrad; OpHeader header;
  ProductAxis kept[4];     // the axes of the result; the last is its pixel
  ProductAxis reduced[3];  // summed over
  int32_t q_size;          // elements of the incoming gradient
  int32_t x_size;          // elements of x, 0 for a constant factor
  int32_t factor_kind;     // FactorKind
  int32_t factor;          // see FactorKind
  MaskParams mask;
  int32_t slot_in, slot_out;
  int32_t slot_addend;  // -1: no addend
  float unit_scale;     // real value of 1 in the factor
};
static_assert(sizeof(ProductGradParams) == 140, "packed");

// One axis of the result of MOVE_GRAD.
// Position i holds what the incoming gradient has at o = (i - begin) / step
// when that is whole and in [0, count), else 0.
struct MoveAxis {
  int32_t size, begin, step, count;
  int32_t stride;  // elements in the incoming gradient per o; may be negative
};
static_assert(sizeof(MoveAxis) == 20, "packed");

// Input gradient of an op that only moves elements.
struct MoveGradParams {
  static constexpr OpKind kKind = OpKind::kMoveGrad; OpHeader header;
  MoveAxis axis[5];
  int32_t offset;  // of o = 0 on every axis
  int32_t q_size;  // elements of the incoming gradient
  MaskParams mask;
  int32_t slot_in, slot_out;
  int32_t divisor;  // scales[slot_out] = scales[slot_in] / divisor
};
static_assert(sizeof(MoveGradParams) == 144, "packed");

// Input gradient of MAX_POOL_2D and spatial REDUCE_MAX.
struct MaxPoolGradParams {
  static constexpr OpKind kKind = OpKind::kMaxPoolGrad; OpHeader header;
  Geometry geometry;  // in_c == out_c, no dilation
  MaskParams mask;
  int32_t slot_in, slot_out;
};
static_assert(sizeof(MaxPoolGradParams) == 88, "packed");

// Input gradient of RESIZE_BILINEAR and RESIZE_NEAREST_NEIGHBOR.
struct ResizeGradParams {
  static constexpr OpKind kKind = OpKind::kResizeGrad; OpHeader header;
  int32_t in_h, in_w, channels, out_h, out_w;
  MaskParams mask;
  int32_t slot_in, slot_out;
  int32_t slot_addend;  // -1: no addend
};
static_assert(sizeof(ResizeGradParams) == 56, "packed");

// Input gradient of L2_NORMALIZATION of one vector.
struct L2NormGradParams {
  static constexpr OpKind kKind = OpKind::kL2NormGrad; OpHeader header;
  int32_t size;          // elements of the vector
  int32_t x_zero_point;  // of the forward input
  float x_scale;         // of the forward input
  MaskParams mask;
  int32_t slot_in, slot_out;
};
static_assert(sizeof(L2NormGradParams) == 44, "packed");

// What ADD needs beside OUTPUT, as TFLM derives it.
// The first input, the second (the addend) and the sum are each scaled.
struct AddParams {
  int32_t addend_zero_point, x_multiplier, x_shift, addend_multiplier, addend_shift, y_multiplier,
      y_shift;
};
static_assert(sizeof(AddParams) == 28, "packed");

// One layer of a STREAM.
struct StreamStage {
  int32_t stage_kind;  // StageKind
  Geometry geometry;   // of an ADD: a 1x1 window
  OutputParams output;
  int32_t multiplier;      // out_c / in_c of a depthwise stage, else 1
  int32_t source;          // the stage that it reads; -1: the op's input
  int32_t addend;          // the stage that an ADD adds to it; -1: the op's input
  int32_t ring_rows;       // rows of the output that are kept; all of the last stage's
  int32_t constants;       // where its own begin among the op's, in bytes; 0 of an ADD
  AddParams add;           // zeros unless the stage is an ADD
  int32_t mask_output;     // output: a bit per element, 1: strictly inside the clamp range; 0: none
  int32_t kept_output;     // output: some channels of all rows, or all; 0: none
  int32_t kept_channels;   // how many; out_c: the rows lie there, not in a ring
  int32_t kept_list;       // input: which channels, int16; 0 when it is all of them
  int32_t weights_input;   // input; 0: they are among the constants
  int32_t bias_input;      // likewise; -1: no bias
  int32_t columns;         // kept channels of a layer that trains in part, 0: the weights are whole
  int32_t columns_input;   // input: the trained columns; 0: none
  int32_t channels_input;  // input: the list of channels; 0: none
  int32_t mask_mark;       // of the mask
  int32_t kept_mark;       // of kept channels, where they are not all
};
static_assert(sizeof(StreamStage) == 168, "packed");

// A run of forward layers a few rows at a time; as many stages as the header's
// size says.
struct StreamParams {
  static constexpr OpKind kKind = OpKind::kStream; OpHeader header;
  StreamStage stages[1];
};
static_assert(sizeof(StreamParams) == 176, "packed");

}  // namespace tflm_train

// clang-format on

#endif  // TFLM_KERNELS_SPEC_OP_PARAMS_H_
