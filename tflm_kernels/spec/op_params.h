// The parameters of the training custom ops, as they travel in custom_options.
//
// docs/NUMERICS.md, section 4, is the specification and
// tflm_train/kernel_abi.py the writer; a test compares the two sides field by
// field. Every struct starts with OpHeader, all other fields are 4 bytes,
// little endian, unpadded.

#ifndef TFLM_KERNELS_SPEC_OP_PARAMS_H_
#define TFLM_KERNELS_SPEC_OP_PARAMS_H_

#include <cstdint>

namespace tflm_train {

// 2: every tensor has one producer, and the order of the ops can be told (marks).
constexpr uint16_t kAbiVersion = 2;

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

// Shape of a windowed layer, NHWC, batch 1. `in_*` is the forward input,
// `out_*` the forward output. FULLY_CONNECTED is a 1x1 convolution with in_h =
// rows.
struct Geometry {
  int32_t in_h, in_w, in_c;
  int32_t out_h, out_w, out_c;
  int32_t k_h, k_w;
  int32_t stride_h, stride_w;
  int32_t dil_h, dil_w;
  int32_t pad_t, pad_l;
};

enum MaskKind : int32_t {
  kMaskNone = 0,
  kMaskActivation = 1,  // the int8 forward output itself
  kMaskBits = 2,        // bit i & 7 of byte i >> 3, 1 = the gradient passes
};

// Each tensor that a training step makes has a mark: a bit that says whether it
// has been written in this step. A gradient's is its slot. What has none
// (activations), or is absent, has kNoMark.
constexpr int32_t kNoMark = -1;

// Clamp mask of the tensor whose gradient is written.
struct MaskParams {
  int32_t mask_kind;         // MaskKind
  int32_t act_min, act_max;  // quantised clamp range, for kMaskActivation
  int32_t mark;              // of kMaskBits
};

constexpr int32_t kMaxGainShift = 8;  // as far as int8 fits the int16 that kernels multiply

struct UpdateParams {
  int32_t slot;                            // scale slot of the gradient
  int32_t layer;                           // key of the random rounding
  int32_t x_zero_point;                    // of the forward input
  int32_t residual_bits;                   // 8: to nearest; 4 and 0: random rounding
  int32_t gain_shift;                      // of the gradient sum, at most kMaxGainShift
  int32_t tap_y0, tap_y1, tap_x0, tap_x1;  // trained taps, half open
  int32_t row_channels;                    // last dimension of the layer's whole weights
  int32_t mark_x;                          // of the saved channels of the layer's input
  int32_t mark_grad;                       // of the gradient, or of its saved channels
  int32_t mark_after;                      // of what must be written with the old weights
  int32_t mark_out;                        // of the token
};

// Quantisation of a forward layer.
struct OutputParams {
  int32_t x_zero_point, y_zero_point;
  int32_t act_min, act_max;  // quantised clamp range
};

struct RestoreParams {
  static constexpr OpKind kKind = OpKind::kRestore;
  OpHeader header;
  uint32_t fingerprint_lo, fingerprint_hi;  // of the model
  uint32_t seed;                            // of the random rounding
  uint32_t variable_count;
};

enum LossKind : int32_t {
  kSoftmaxCrossEntropy = 0,
  kSigmoidCrossEntropy = 1,
  kMeanSquaredError = 2,
};

enum TargetKind : int32_t {
  kTargetIndex = 0,   // int32 [1]: the class
  kTargetValues = 1,  // float [classes]
  kTargetInput = 2,   // int8 [classes]: the model's own input
};

struct LossParams {
  static constexpr OpKind kKind = OpKind::kLoss;
  OpHeader header;
  int32_t classes;     // elements of the output
  int32_t zero_point;  // of the logits
  float scale;         // of the logits
  int32_t slot;
  int32_t loss_kind;          // LossKind
  int32_t target_kind;        // TargetKind
  float keep, spread;         // label smoothing: keep * target + spread
  float target_scale;         // of kTargetInput
  int32_t target_zero_point;  // of kTargetInput
};

struct ClampMaskParams {
  static constexpr OpKind kKind = OpKind::kClampMask;
  OpHeader header;
  int32_t size;              // elements
  int32_t act_min, act_max;  // quantised clamp range
  int32_t mark_out;
};

struct ConvInputGradParams {
  static constexpr OpKind kKind = OpKind::kConvInputGrad;
  OpHeader header;
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

struct DepthwiseInputGradParams {
  static constexpr OpKind kKind = OpKind::kDepthwiseInputGrad;
  OpHeader header;
  Geometry geometry;
  MaskParams mask;
  int32_t slot_in, slot_out;
  int32_t slot_addend;  // -1: no addend
  float unit_scale;     // max s_W
  int32_t multiplier;   // out_c / in_c
  int32_t kept;         // output channels whose weights are columns; 0: none
};

struct PoolGradParams {
  static constexpr OpKind kKind = OpKind::kPoolGrad;
  OpHeader header;
  Geometry geometry;  // in_c == out_c, no dilation
  MaskParams mask;
  int32_t slot_in, slot_out;
  int32_t uniform;  // 1: disjoint windows of `count` elements each
  int32_t count;
};

constexpr int kMaxAccumulateInputs = 4;

struct AccumulateParams {
  static constexpr OpKind kKind = OpKind::kAccumulate;
  OpHeader header;
  int32_t size;  // elements
  MaskParams mask;
  int32_t count;                          // inputs, 1 to 4
  int32_t slot_in[kMaxAccumulateInputs];  // -1: unused
  int32_t slot_out;
};

struct ConvUpdateParams {
  static constexpr OpKind kKind = OpKind::kConvUpdate;
  OpHeader header;
  Geometry geometry;
  UpdateParams update;
  int32_t transposed;  // 1: the layer is a TRANSPOSE_CONV
};

struct DepthwiseUpdateParams {
  static constexpr OpKind kKind = OpKind::kDepthwiseUpdate;
  OpHeader header;
  Geometry geometry;
  UpdateParams update;
  int32_t multiplier;  // out_c / in_c
};

struct BiasUpdateParams {
  static constexpr OpKind kKind = OpKind::kBiasUpdate;
  OpHeader header;
  int32_t positions;  // out_h * out_w
  int32_t channels;
  int32_t slot;
  int32_t mark_out;  // of the token
};

struct ChannelSaveParams {
  static constexpr OpKind kKind = OpKind::kChannelSave;
  OpHeader header;
  int32_t positions;
  int32_t channels;
  int32_t kept;
  int32_t mark_in;  // of a gradient
  int32_t mark_out;
};

struct SplitConvParams {
  static constexpr OpKind kKind = OpKind::kSplitConv;
  OpHeader header;
  Geometry geometry;
  OutputParams output;
  int32_t kept;
};

struct SplitDepthwiseParams {
  static constexpr OpKind kKind = OpKind::kSplitDepthwise;
  OpHeader header;
  Geometry geometry;
  OutputParams output;
  int32_t kept;
  int32_t multiplier;  // out_c / in_c
};

struct FinishParams {
  static constexpr OpKind kKind = OpKind::kFinish;
  OpHeader header;
  int32_t marks;  // of the whole step
};

enum StageKind : int32_t {
  kStageConv = 0,
  kStageDepthwise = 1,
  kStageAdd = 2,
};

// What ADD needs beside OutputParams, as TFLM derives it: the first input, the
// second (the addend) and the sum are each scaled.
struct AddParams {
  int32_t addend_zero_point;
  int32_t x_multiplier, x_shift;
  int32_t addend_multiplier, addend_shift;
  int32_t y_multiplier, y_shift;
};

// One layer of a STREAM.
struct StreamStage {
  int32_t stage_kind;  // StageKind
  Geometry geometry;   // of an ADD: a 1x1 window
  OutputParams output;
  int32_t multiplier;  // out_c / in_c of a depthwise stage, else 1
  int32_t source;      // the stage that it reads; -1: the op's input
  int32_t addend;      // the stage that an ADD adds to it; -1: the op's input
  int32_t ring_rows;   // rows of the output that are kept; all of the last stage's
  int32_t constants;   // where its own begin among the op's, in bytes; 0 of an ADD
  AddParams add;       // zeros unless the stage is an ADD
  // What training needs of the stage, 0: nothing. Outputs of the op, and an input.
  int32_t mask_output;    // a bit per element, 1: strictly inside the clamp range
  int32_t kept_output;    // some channels of all rows, or all of them
  int32_t kept_channels;  // how many; out_c: the rows lie there, not in a ring
  int32_t kept_list;      // input: which channels, int16; 0 when it is all of them
  // Inputs that are not among the constants; 0: they are.
  int32_t weights_input;
  int32_t bias_input;  // -1: no bias
  // Of a layer that trains in part, as SPLIT_CONV and SPLIT_DEPTHWISE have them.
  int32_t columns;         // kept channels, 0: the weights are whole
  int32_t columns_input;   // input with the trained columns; 0: none
  int32_t channels_input;  // input with the list of channels; 0: none
  int32_t mask_mark;       // of the mask
  int32_t kept_mark;       // of kept channels, where they are not all
};

// As many stages as the header's size says.
struct StreamParams {
  static constexpr OpKind kKind = OpKind::kStream;
  OpHeader header;
  StreamStage stages[1];
};

// One axis of a tensor that PRODUCT_GRAD walks, with the strides in elements.
struct ProductAxis {
  int32_t size;
  int32_t q_stride;  // in the incoming gradient; 0: the same for all positions
  int32_t x_stride;  // in the factor
};

constexpr int kKeptAxes = 4;
constexpr int kReducedAxes = 3;

// What PRODUCT_GRAD multiplies the incoming gradient by.
enum FactorKind : int32_t {
  kFactorConstant = 0,    // factor
  kFactorActivation = 1,  // x - factor, an int8 activation and its zero point
  kFactorTable = 2,       // table[x + 128]
  kFactorSign = 3,        // table[2 * c + (x >= factor)], c = index in the pixel
};

struct ProductGradParams {
  static constexpr OpKind kKind = OpKind::kProductGrad;
  OpHeader header;
  ProductAxis kept[kKeptAxes];        // the axes of the result; the last is its pixel
  ProductAxis reduced[kReducedAxes];  // summed over
  int32_t q_size;                     // elements of the incoming gradient
  int32_t x_size;                     // elements of x, 0 for kFactorConstant
  int32_t factor_kind;                // FactorKind
  int32_t factor;                     // see FactorKind
  MaskParams mask;
  int32_t slot_in, slot_out;
  int32_t slot_addend;  // -1: no addend
  float unit_scale;     // real value of 1 in the factor
};

// One axis of the result of MOVE_GRAD: position i holds what the incoming
// gradient has at o = (i - begin) / step when that is whole and in [0, count),
// else 0.
struct MoveAxis {
  int32_t size;
  int32_t begin, step, count;
  int32_t stride;  // elements in the incoming gradient per o; may be negative
};

constexpr int kMoveAxes = 5;

struct MoveGradParams {
  static constexpr OpKind kKind = OpKind::kMoveGrad;
  OpHeader header;
  MoveAxis axis[kMoveAxes];
  int32_t offset;  // of o = 0 on every axis
  int32_t q_size;  // elements of the incoming gradient
  MaskParams mask;
  int32_t slot_in, slot_out;
  int32_t divisor;  // scales[slot_out] = scales[slot_in] / divisor
};

struct MaxPoolGradParams {
  static constexpr OpKind kKind = OpKind::kMaxPoolGrad;
  OpHeader header;
  Geometry geometry;  // in_c == out_c, no dilation
  MaskParams mask;
  int32_t slot_in, slot_out;
};

struct ResizeGradParams {
  static constexpr OpKind kKind = OpKind::kResizeGrad;
  OpHeader header;
  int32_t in_h, in_w, channels, out_h, out_w;
  MaskParams mask;
  int32_t slot_in, slot_out;
  int32_t slot_addend;  // -1: no addend
};

struct L2NormGradParams {
  static constexpr OpKind kKind = OpKind::kL2NormGrad;
  OpHeader header;
  int32_t size;          // elements of the vector
  int32_t x_zero_point;  // of the forward input
  float x_scale;
  MaskParams mask;
  int32_t slot_in, slot_out;
};

static_assert(sizeof(OpHeader) == 8, "packed");
static_assert(sizeof(Geometry) == 14 * 4, "packed");
static_assert(sizeof(MaskParams) == 4 * 4, "packed");
static_assert(sizeof(UpdateParams) == 14 * 4, "packed");
static_assert(sizeof(OutputParams) == 4 * 4, "packed");
static_assert(sizeof(RestoreParams) == 8 + 4 * 4, "packed");
static_assert(sizeof(LossParams) == 8 + 4 * 10, "packed");
static_assert(sizeof(ClampMaskParams) == 8 + 4 * 4, "packed");
static_assert(sizeof(ConvInputGradParams) == 8 + (14 + 4 + 8) * 4, "packed");
static_assert(sizeof(DepthwiseInputGradParams) == 8 + (14 + 4 + 6) * 4, "packed");
static_assert(sizeof(PoolGradParams) == 8 + (14 + 4 + 4) * 4, "packed");
static_assert(sizeof(AccumulateParams) == 8 + (1 + 4 + 6) * 4, "packed");
static_assert(sizeof(ConvUpdateParams) == 8 + (14 + 14 + 1) * 4, "packed");
static_assert(sizeof(DepthwiseUpdateParams) == 8 + (14 + 14 + 1) * 4, "packed");
static_assert(sizeof(BiasUpdateParams) == 8 + 4 * 4, "packed");
static_assert(sizeof(ChannelSaveParams) == 8 + 5 * 4, "packed");
static_assert(sizeof(SplitConvParams) == 8 + (14 + 4 + 1) * 4, "packed");
static_assert(sizeof(SplitDepthwiseParams) == 8 + (14 + 4 + 2) * 4, "packed");
static_assert(sizeof(FinishParams) == 8 + 1 * 4, "packed");
static_assert(sizeof(StreamParams) == 8 + (1 + 14 + 4 + 5 + 7 + 4 + 2 + 3 + 2) * 4, "packed");
static_assert(sizeof(ProductGradParams) == 8 + (3 * 7 + 4 + 4 + 4) * 4, "packed");
static_assert(sizeof(MoveGradParams) == 8 + (5 * 5 + 2 + 4 + 3) * 4, "packed");
static_assert(sizeof(MaxPoolGradParams) == 8 + (14 + 4 + 2) * 4, "packed");
static_assert(sizeof(ResizeGradParams) == 8 + (5 + 4 + 3) * 4, "packed");
static_assert(sizeof(L2NormGradParams) == 8 + (3 + 4 + 2) * 4, "packed");

}  // namespace tflm_train

#endif  // TFLM_KERNELS_SPEC_OP_PARAMS_H_
