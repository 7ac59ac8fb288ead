// The training ops as tables: what Prepare checks, and what their tensors are called.
//
// Written by `python -m tools.generate` from the declarations in
// tflm_train/ops; micro/op_checks.cc reads them.

#ifndef TFLM_KERNELS_SPEC_OP_TABLES_H_
#define TFLM_KERNELS_SPEC_OP_TABLES_H_

#include <cstdint>

#include "tflm_kernels/spec/op_params.h"
#include "tflm_kernels/spec/op_table.h"

// clang-format off

namespace tflm_train {

enum ExpressionCode : uint8_t {
  kByte = 128, kWord = 129, kHas = 130, kNot = 131, kMultiply = 132, kAdd = 133, kSubtract = 134,
  kDivide = 135, kShift = 136, kMinimum = 137, kMaximum = 138, kEqual = 139, kLess = 140,
  kSelect = 141, kEnd = 142,
};

constexpr int kDeepestExpression = 8;

constexpr uint8_t kGeometryCode[] = {
    0, 142, 128, 1, 142, 129, 0, 0, 16, 0, 142, 2, 142, 3, 142, 4, 142, 5, 142, 6, 142, 129, 255,
    127, 0, 0, 142, 7, 142, 8, 142, 9, 142, 10, 142, 11, 142, 12, 142, 128, 0, 142, 13, 142, 0, 1,
    132, 2, 132, 142, 129, 254, 255, 255, 127, 142, 3, 4, 132, 5, 132, 142,
};
constexpr FieldRow kGeometryFields[] = {
    {"in_h", 0, 2, 5}, {"in_w", 3, 2, 5}, {"in_c", 11, 2, 5}, {"out_h", 13, 2, 5},
    {"out_w", 15, 2, 5}, {"out_c", 17, 2, 5}, {"k_h", 19, 2, 21}, {"k_w", 27, 2, 21},
    {"stride_h", 29, 2, 21}, {"stride_w", 31, 2, 21}, {"dil_h", 33, 2, 21}, {"dil_w", 35, 2, 21},
    {"pad_t", 37, 39, 21}, {"pad_l", 42, 39, 21}, {"elements of the input", 44, 255, 50},
    {"elements of the output", 56, 255, 50},
};
constexpr FieldTable kGeometryTable = {kGeometryCode, kGeometryFields, 16};

constexpr uint8_t kMaskParamsCode[] = {
    0, 142, 128, 0, 142, 128, 2, 142, 1, 142, 128, 128, 142, 128, 127, 142, 3, 142, 128, 255, 142,
};
constexpr FieldRow kMaskParamsFields[] = {
    {"mask_kind", 0, 2, 5}, {"act_min", 8, 10, 6}, {"act_max", 6, 10, 13}, {"mark", 16, 18, 255},
};
constexpr FieldTable kMaskParamsTable = {kMaskParamsCode, kMaskParamsFields, 4};

constexpr uint8_t kOutputParamsCode[] = {
    0, 142, 128, 128, 142, 128, 127, 142, 1, 142, 2, 142, 3, 142,
};
constexpr FieldRow kOutputParamsFields[] = {
    {"x_zero_point", 0, 2, 5}, {"y_zero_point", 8, 2, 5}, {"act_min", 10, 2, 5},
    {"act_max", 12, 10, 5},
};
constexpr FieldTable kOutputParamsTable = {kOutputParamsCode, kOutputParamsFields, 4};

constexpr uint8_t kAddParamsCode[] = {
    0, 142, 128, 128, 142, 128, 127, 142, 1, 142, 128, 0, 142, 129, 255, 255, 255, 127, 142, 2, 142,
    128, 225, 142, 3, 142, 4, 142, 5, 142, 6, 142,
};
constexpr FieldRow kAddParamsFields[] = {
    {"addend_zero_point", 0, 2, 5}, {"x_multiplier", 8, 10, 13}, {"x_shift", 19, 21, 10},
    {"addend_multiplier", 24, 10, 13}, {"addend_shift", 26, 21, 10}, {"y_multiplier", 28, 10, 13},
    {"y_shift", 30, 21, 10},
};
constexpr FieldTable kAddParamsTable = {kAddParamsCode, kAddParamsFields, 7};

constexpr uint8_t kProductAxisCode[] = {
    0, 142, 128, 1, 142, 129, 254, 255, 255, 127, 142, 128, 0, 142, 2, 142,
};
constexpr FieldRow kProductAxisFields[] = {
    {"size", 0, 2, 5}, {"q_stride", 3, 11, 255}, {"x_stride", 14, 11, 255},
};
constexpr FieldTable kProductAxisTable = {kProductAxisCode, kProductAxisFields, 3};

constexpr uint8_t kMoveAxisCode[] = {
    0, 142, 128, 1, 142, 129, 254, 255, 255, 127, 142, 128, 0, 129, 0, 0, 0, 64, 134, 142, 129, 0,
    0, 0, 64, 142, 2, 142, 3, 142,
};
constexpr FieldRow kMoveAxisFields[] = {
    {"size", 0, 2, 5}, {"begin", 3, 11, 20}, {"step", 26, 2, 20}, {"count", 28, 2, 20},
};
constexpr FieldTable kMoveAxisTable = {kMoveAxisCode, kMoveAxisFields, 4};

constexpr uint8_t kStreamStageCode[] = {
    0, 142, 128, 0, 142, 128, 2, 142, 19, 142, 128, 1, 142, 0, 128, 1, 139, 6, 128, 1, 141, 142, 22,
    142, 4, 142, 37, 142, 0, 128, 2, 139, 128, 0, 0, 128, 0, 139, 3, 6, 141, 128, 1, 134, 141, 142,
    3, 19, 132, 142, 0, 128, 0, 139, 128, 1, 6, 141, 142, 0, 128, 0, 139, 129, 255, 255, 255, 127,
    6, 141, 142, 6, 7, 132, 8, 132, 0, 128, 0, 139, 3, 37, 134, 128, 1, 141, 132, 142, 129, 0, 0, 0,
    4, 142, 4, 5, 132, 6, 132, 142, 7, 8, 132, 3, 132, 142, 0, 128, 2, 139, 4, 1, 141, 142, 0, 128,
    2, 139, 5, 2, 141, 142, 0, 128, 2, 139, 7, 128, 1, 141, 142, 0, 128, 2, 139, 9, 128, 1, 141,
    142, 0, 128, 2, 139, 13, 128, 0, 141, 142,
};
constexpr FieldRow kStreamStageFields[] = {
    {"stage_kind", 0, 2, 5}, {"multiplier", 8, 10, 13}, {"ring_rows", 22, 10, 24},
    {"columns", 26, 2, 28}, {"in_c * multiplier", 46, 50, 59}, {"weights", 71, 10, 88},
    {"elements of a stage", 94, 10, 88}, {"elements of a patch", 100, 10, 88},
    {"out_h of an ADD", 106, 11, 11}, {"out_w of an ADD", 114, 6, 6},
    {"k_h of an ADD", 122, 10, 10}, {"stride_h of an ADD", 131, 10, 10},
    {"pad_t of an ADD", 140, 2, 2},
};
constexpr FieldTable kStreamStageTable = {kStreamStageCode, kStreamStageFields, 13};

// RESTORE
constexpr uint8_t kRestoreCode[] = {
    3, 142, 128, 0, 142, 129, 255, 127, 0, 0, 142, 128, 1, 142, 128, 8, 142, 128, 16, 142,
};
constexpr FieldRow kRestoreFields[] = {
    {"variable_count", 0, 2, 5},
};
constexpr TensorRow kRestoreRows[] = {
    {"learning rate", 255, 11, 255, 1}, {"factory values", 255, 255, 255, 0 | kRun},
    {"control", 255, 14, 255, 2 | kMustBeVariable | kAtLeast}, {"handle", 255, 17, 255, 2},
    {"variables", 0, 255, 255, 0 | kMustBeVariable | kRun},
};
constexpr OpTable kRestoreTable = { "TFLM_TRAIN_RESTORE", {kRestoreCode, kRestoreFields, 1},
    kRestoreRows, OpKind::kRestore, 24, 2, 3, false, {255, 255, 255}};
struct RestoreTensors {
  using Params = RestoreParams;
  static const OpTable& Table() { return kRestoreTable; }
  struct In { enum : int8_t { kLearningRate = 0, kFactory = 1 }; };
  struct Out { enum : int8_t { kControl = 0, kHandle = 1, kVariables = 2 }; };
};

// LOSS
constexpr uint8_t kLossCode[] = {
    0, 142, 128, 1, 142, 128, 128, 142, 128, 127, 142, 2, 142, 129, 0, 0, 128, 95, 142, 3, 142, 128,
    0, 142, 4, 142, 128, 2, 142, 5, 142, 6, 142, 129, 255, 255, 127, 127, 142, 7, 142, 8, 142, 9,
    142, 10, 142, 4, 128, 0, 139, 129, 255, 255, 255, 127, 128, 1, 141, 142, 10, 0, 132, 142, 5,
    128, 0, 139, 10, 10, 0, 132, 141, 142, 5, 128, 0, 139, 128, 2, 5, 128, 1, 139, 128, 1, 128, 9,
    141, 141, 142, 4, 128, 2, 139, 128, 0, 128, 2, 141, 142, 3, 128, 1, 133, 142, 128, 8, 142,
};
constexpr FieldRow kLossFields[] = {
    {"classes", 0, 2, 255}, {"zero_point", 3, 5, 8}, {"scale (bits)", 11, 2, 13},
    {"slot", 19, 21, 255}, {"loss_kind", 24, 21, 26}, {"target_kind", 29, 21, 26},
    {"keep (bits)", 31, 21, 33}, {"spread (bits)", 39, 21, 33}, {"target_scale (bits)", 41, 21, 13},
    {"target_zero_point", 43, 5, 8}, {"positions", 45, 2, 47},
};
constexpr TensorRow kLossRows[] = {
    {"logits", 255, 60, 255, 9}, {"target", 255, 64, 255, 0}, {"class weights", 91, 0, 255, 1},
    {"saved", 255, 255, 255, 0 | kRun}, {"scales", 255, 101, 255, 1 | kAtLeast},
    {"state", 255, 106, 255, 2 | kMustBeVariable | kAtLeast}, {"gradient", 255, 60, 3, 9},
};
constexpr OpTable kLossTable = { "TFLM_TRAIN_LOSS", {kLossCode, kLossFields, 11},
    kLossRows, OpKind::kLoss, 52, 6, 1, true, {255, 255, 255}};
struct LossTensors {
  using Params = LossParams;
  static const OpTable& Table() { return kLossTable; }
  struct In { enum : int8_t { kLogits = 0, kTarget = 1, kClassWeights = 2, kSaved = 3, kScales = -2,
      kState = -1 }; };
  struct Out { enum : int8_t { kGradient = 0 }; };
};

// CLAMP_MASK
constexpr uint8_t kClampMaskCode[] = {
    0, 142, 128, 1, 142, 129, 248, 255, 255, 127, 142, 128, 128, 142, 2, 142, 128, 127, 142, 3, 142,
    128, 255, 142, 128, 8, 142, 0, 128, 7, 133, 128, 8, 135, 142,
};
constexpr FieldRow kClampMaskFields[] = {
    {"size", 0, 2, 5}, {"act_min", 3, 11, 14}, {"act_max", 14, 11, 16}, {"mark_out", 19, 21, 255},
};
constexpr TensorRow kClampMaskRows[] = {
    {"activation", 255, 0, 255, 9}, {"state", 255, 24, 255, 2 | kMustBeVariable | kAtLeast},
    {"mask", 255, 27, 3, 3},
};
constexpr OpTable kClampMaskTable = { "TFLM_TRAIN_CLAMP_MASK",
    {kClampMaskCode, kClampMaskFields, 4}, kClampMaskRows, OpKind::kClampMask, 24, 2, 1,
    true, {255, 255, 255}};
struct ClampMaskTensors {
  using Params = ClampMaskParams;
  static const OpTable& Table() { return kClampMaskTable; }
  struct In { enum : int8_t { kActivation = 0, kState = 1 }; };
  struct Out { enum : int8_t { kBits = 0 }; };
};

// CONV_INPUT_GRAD
constexpr uint8_t kConvInputGradCode[] = {
    18, 142, 128, 0, 142, 19, 142, 20, 142, 128, 255, 142, 21, 142, 129, 255, 255, 127, 127, 142,
    22, 142, 128, 1, 142, 23, 142, 128, 30, 142, 24, 142, 2, 128, 1, 134, 142, 25, 142, 22, 5, 137,
    6, 132, 7, 132, 142, 129, 24, 4, 0, 0, 142, 130, 8, 3, 4, 132, 128, 1, 141, 142, 129, 255, 255,
    255, 0, 142, 5, 22, 5, 137, 133, 128, 1, 134, 22, 5, 137, 135, 142, 128, 1, 23, 136, 142, 3, 4,
    132, 5, 132, 142, 5, 6, 132, 7, 132, 2, 24, 134, 132, 142, 5, 142, 128, 0, 142, 128, 127, 142,
    128, 255, 142, 128, 0, 24, 140, 142, 5, 6, 132, 7, 132, 24, 132, 142, 2, 142, 128, 0, 142, 2,
    128, 1, 134, 142, 2, 24, 134, 142, 14, 128, 0, 139, 131, 142, 14, 128, 1, 139, 0, 1, 132, 2,
    132, 0, 1, 132, 2, 132, 128, 7, 133, 128, 8, 135, 141, 142, 14, 128, 1, 139, 128, 9, 128, 3,
    141, 142, 20, 128, 255, 139, 131, 142, 0, 1, 132, 2, 132, 142, 130, 8, 142, 128, 2, 142, 18, 19,
    138, 20, 138, 128, 1, 133, 142, 128, 8, 142,
};
constexpr FieldRow kConvInputGradFields[] = {
    {"slot_in", 0, 2, 255}, {"slot_out", 5, 2, 255}, {"slot_addend", 7, 9, 255},
    {"unit_scale (bits)", 12, 2, 14}, {"group", 20, 22, 255}, {"group_shift", 25, 2, 27},
    {"kept", 30, 2, 32}, {"transposed", 37, 2, 22}, {"group * k_h * k_w", 39, 22, 47},
    {"output positions", 53, 22, 62}, {"number of groups", 68, 22, 81},
};
constexpr TensorRow kConvInputGradRows[] = {
    {"output gradient", 255, 86, 18, 9}, {"weights", 255, 92, 255, 9},
    {"multipliers", 255, 102, 104, 9 | kMustBeConstant}, {"columns", 113, 118, 255, 9},
    {"channels", 113, 126, 128, 7 | kMustBeConstant}, {"mask", 140, 146, 17, 0},
    {"addend", 178, 184, 20, 9}, {"bias factors", 190, 102, 255, 1},
    {"bias", 193, 102, 255, 2 | kMustBeVariable}, {"scales", 255, 196, 255, 1 | kAtLeast},
    {"ranges", 255, 196, 255, 1 | kAtLeast},
    {"state", 255, 205, 255, 2 | kMustBeVariable | kAtLeast}, {"input gradient", 255, 184, 19, 9},
};
constexpr OpTable kConvInputGradTable = { "TFLM_TRAIN_CONV_INPUT_GRAD",
    {kConvInputGradCode, kConvInputGradFields, 11},
    kConvInputGradRows, OpKind::kConvInputGrad, 112, 12, 1, true, {0, 14, 255}};
struct ConvInputGradTensors {
  using Params = ConvInputGradParams;
  static const OpTable& Table() { return kConvInputGradTable; }
  struct In { enum : int8_t { kGradient = 0, kWeights = 1, kMultipliers = 2, kColumns = 3,
      kChannels = 4, kMask = 5, kAddend = 6, kBiasFactors = 7, kBias = 8, kScales = 9, kRanges = 10,
      kState = 11 }; };
  struct Out { enum : int8_t { kGradient = 0 }; };
};

// DEPTHWISE_INPUT_GRAD
constexpr uint8_t kDepthwiseInputGradCode[] = {
    18, 142, 128, 0, 142, 19, 142, 20, 142, 128, 255, 142, 21, 142, 129, 255, 255, 127, 127, 142,
    22, 142, 128, 1, 142, 5, 142, 23, 142, 5, 128, 1, 134, 142, 2, 22, 132, 142, 130, 8, 3, 4, 132,
    128, 1, 141, 142, 129, 255, 255, 255, 0, 142, 6, 7, 132, 22, 132, 142, 129, 8, 4, 2, 0, 142, 3,
    4, 132, 5, 132, 142, 6, 7, 132, 5, 132, 142, 128, 0, 142, 129, 0, 0, 1, 0, 142, 128, 255, 142,
    128, 0, 23, 140, 142, 6, 7, 132, 23, 132, 142, 128, 0, 142, 5, 128, 1, 134, 142, 23, 142, 14,
    128, 0, 139, 131, 142, 14, 128, 1, 139, 0, 1, 132, 2, 132, 0, 1, 132, 2, 132, 128, 7, 133, 128,
    8, 135, 141, 142, 14, 128, 1, 139, 128, 9, 128, 3, 141, 142, 20, 128, 255, 139, 131, 142, 0, 1,
    132, 2, 132, 142, 130, 8, 142, 128, 2, 142, 18, 19, 138, 20, 138, 128, 1, 133, 142, 128, 8, 142,
};
constexpr FieldRow kDepthwiseInputGradFields[] = {
    {"slot_in", 0, 2, 255}, {"slot_out", 5, 2, 255}, {"slot_addend", 7, 9, 255},
    {"unit_scale (bits)", 12, 2, 14}, {"multiplier", 20, 22, 25}, {"kept", 27, 2, 29},
    {"in_c * multiplier", 34, 25, 25}, {"output positions", 38, 22, 47},
    {"k_h * k_w * multiplier", 53, 22, 59},
};
constexpr TensorRow kDepthwiseInputGradRows[] = {
    {"output gradient", 255, 65, 18, 9}, {"weights", 255, 71, 255, 9},
    {"multipliers", 255, 25, 77, 2 | kMustBeConstant}, {"columns", 89, 94, 255, 9},
    {"channels", 89, 27, 100, 7 | kMustBeConstant}, {"mask", 110, 116, 17, 0},
    {"addend", 148, 154, 20, 9}, {"bias factors", 160, 25, 255, 1},
    {"bias", 163, 25, 255, 2 | kMustBeVariable}, {"scales", 255, 166, 255, 1 | kAtLeast},
    {"ranges", 255, 166, 255, 1 | kAtLeast},
    {"state", 255, 175, 255, 2 | kMustBeVariable | kAtLeast}, {"input gradient", 255, 154, 19, 9},
};
constexpr OpTable kDepthwiseInputGradTable = { "TFLM_TRAIN_DEPTHWISE_INPUT_GRAD",
    {kDepthwiseInputGradCode, kDepthwiseInputGradFields, 9},
    kDepthwiseInputGradRows, OpKind::kDepthwiseInputGrad, 104, 12, 1, true, {0, 14, 255}};
struct DepthwiseInputGradTensors {
  using Params = DepthwiseInputGradParams;
  static const OpTable& Table() { return kDepthwiseInputGradTable; }
  struct In { enum : int8_t { kGradient = 0, kWeights = 1, kMultipliers = 2, kColumns = 3,
      kChannels = 4, kMask = 5, kAddend = 6, kBiasFactors = 7, kBias = 8, kScales = 9, kRanges = 10,
      kState = 11 }; };
  struct Out { enum : int8_t { kGradient = 0 }; };
};

// POOL_GRAD
constexpr uint8_t kPoolGradCode[] = {
    18, 142, 128, 0, 142, 19, 142, 20, 142, 128, 1, 142, 21, 142, 10, 142, 11, 142, 5, 142, 2, 142,
    12, 142, 6, 128, 1, 134, 142, 13, 142, 7, 128, 1, 134, 142, 3, 128, 1, 134, 8, 132, 12, 134,
    142, 128, 0, 12, 134, 142, 0, 128, 1, 134, 142, 4, 128, 1, 134, 9, 132, 13, 134, 142, 128, 0,
    13, 134, 142, 1, 128, 1, 134, 142, 8, 142, 20, 128, 1, 3, 140, 132, 6, 128, 1, 141, 142, 9, 142,
    20, 128, 1, 4, 140, 132, 7, 128, 1, 141, 142, 20, 128, 1, 6, 7, 132, 141, 142, 129, 0, 4, 0, 0,
    142, 3, 4, 132, 5, 132, 142, 14, 128, 0, 139, 131, 142, 14, 128, 1, 139, 0, 1, 132, 2, 132, 0,
    1, 132, 2, 132, 128, 7, 133, 128, 8, 135, 141, 142, 14, 128, 1, 139, 128, 9, 128, 3, 141, 142,
    18, 19, 138, 128, 1, 133, 142, 128, 8, 142, 0, 1, 132, 2, 132, 142,
};
constexpr FieldRow kPoolGradFields[] = {
    {"slot_in", 0, 2, 255}, {"slot_out", 5, 2, 255}, {"uniform", 7, 2, 9}, {"count", 12, 7, 255},
    {"dil_h", 14, 9, 9}, {"dil_w", 16, 9, 9}, {"out_c", 18, 20, 20}, {"pad_t", 22, 2, 24},
    {"pad_l", 29, 2, 31}, {"start of the last window (rows)", 36, 45, 50},
    {"start of the last window (columns)", 55, 64, 69}, {"stride_h (uniform windows)", 74, 76, 255},
    {"stride_w (uniform windows)", 87, 89, 255}, {"k_h * k_w", 100, 9, 108},
};
constexpr TensorRow kPoolGradRows[] = {
    {"output gradient", 255, 114, 18, 9}, {"mask", 120, 126, 17, 0},
    {"scales", 255, 158, 255, 1 | kAtLeast}, {"ranges", 255, 158, 255, 1 | kAtLeast},
    {"state", 255, 165, 255, 2 | kMustBeVariable | kAtLeast}, {"input gradient", 255, 168, 19, 9},
};
constexpr OpTable kPoolGradTable = { "TFLM_TRAIN_POOL_GRAD", {kPoolGradCode, kPoolGradFields, 14},
    kPoolGradRows, OpKind::kPoolGrad, 96, 5, 1, true, {0, 14, 255}};
struct PoolGradTensors {
  using Params = PoolGradParams;
  static const OpTable& Table() { return kPoolGradTable; }
  struct In { enum : int8_t { kGradient = 0, kMask = 1, kScales = 2, kRanges = 3, kState = 4 }; };
  struct Out { enum : int8_t { kGradient = 0 }; };
};

// ACCUMULATE
constexpr uint8_t kAccumulateCode[] = {
    0, 142, 128, 1, 142, 129, 254, 255, 255, 127, 142, 5, 142, 128, 4, 142, 10, 142, 128, 0, 142, 6,
    142, 128, 255, 128, 0, 5, 140, 133, 142, 7, 142, 128, 255, 128, 1, 5, 140, 133, 142, 8, 142,
    128, 255, 128, 2, 5, 140, 133, 142, 9, 142, 128, 255, 128, 3, 5, 140, 133, 142, 1, 128, 0, 139,
    131, 142, 1, 128, 1, 139, 0, 0, 128, 7, 133, 128, 8, 135, 141, 142, 1, 128, 1, 139, 128, 9, 128,
    3, 141, 142, 6, 7, 138, 8, 138, 9, 138, 10, 138, 128, 1, 133, 142, 128, 8, 142,
};
constexpr FieldRow kAccumulateFields[] = {
    {"size", 0, 2, 5}, {"count", 11, 2, 13}, {"slot_out", 16, 18, 255}, {"slot_in[0]", 21, 23, 255},
    {"slot_in[1]", 31, 33, 255}, {"slot_in[2]", 41, 43, 255}, {"slot_in[3]", 51, 53, 255},
};
constexpr TensorRow kAccumulateRows[] = {
    {"gradient", 11, 0, 6, 9 | kRun}, {"mask", 61, 67, 4, 0},
    {"scales", 255, 91, 255, 1 | kAtLeast},
    {"state", 255, 104, 255, 2 | kMustBeVariable | kAtLeast}, {"input gradient", 255, 0, 10, 9},
};
constexpr OpTable kAccumulateTable = { "TFLM_TRAIN_ACCUMULATE",
    {kAccumulateCode, kAccumulateFields, 7}, kAccumulateRows, OpKind::kAccumulate, 52, 4, 1,
    true, {255, 1, 255}};
struct AccumulateTensors {
  using Params = AccumulateParams;
  static const OpTable& Table() { return kAccumulateTable; }
  struct In { enum : int8_t { kGradients = 0, kMask = -3, kScales = -2, kState = -1 }; };
  struct Out { enum : int8_t { kGradient = 0 }; };
};

// CONV_UPDATE
constexpr uint8_t kConvUpdateCode[] = {
    14, 142, 128, 0, 142, 16, 142, 128, 128, 142, 128, 127, 142, 17, 142, 128, 8, 142, 18, 142, 128,
    12, 142, 19, 142, 20, 128, 1, 134, 142, 20, 142, 128, 1, 142, 6, 142, 21, 142, 22, 128, 1, 134,
    142, 22, 142, 7, 142, 23, 142, 2, 142, 129, 0, 0, 16, 0, 142, 24, 142, 128, 255, 142, 25, 142,
    26, 142, 27, 142, 28, 142, 29, 142, 129, 0, 128, 0, 0, 142, 30, 142, 129, 255, 255, 127, 127,
    142, 31, 142, 32, 142, 33, 142, 17, 17, 128, 4, 135, 128, 4, 132, 134, 142, 3, 4, 132, 18, 136,
    142, 129, 7, 3, 1, 0, 142, 29, 128, 1, 139, 131, 17, 128, 8, 141, 142, 28, 0, 1, 132, 128, 1,
    141, 142, 3, 4, 132, 142, 0, 1, 132, 2, 132, 142, 3, 4, 132, 5, 132, 142, 128, 1, 130, 4, 133,
    5, 132, 142, 5, 6, 132, 7, 132, 2, 132, 142, 128, 2, 142, 5, 142, 17, 128, 0, 139, 131, 142, 17,
    128, 4, 139, 5, 6, 132, 7, 132, 2, 132, 128, 1, 133, 128, 2, 135, 5, 6, 132, 7, 132, 2, 132,
    141, 142, 29, 128, 1, 139, 131, 142, 130, 4, 29, 128, 1, 139, 131, 132, 142, 23, 2, 139, 131,
    142, 14, 128, 1, 133, 142,
};
constexpr FieldRow kConvUpdateFields[] = {
    {"slot", 0, 2, 255}, {"x_zero_point", 5, 7, 10}, {"residual_bits", 13, 2, 15},
    {"gain_shift", 18, 2, 20}, {"tap_y0", 23, 2, 25}, {"tap_y1", 30, 32, 35}, {"tap_x0", 37, 2, 39},
    {"tap_x1", 44, 32, 46}, {"row_channels", 48, 50, 52}, {"mark_x", 58, 60, 255},
    {"mark_grad", 63, 60, 255}, {"mark_after", 65, 60, 255}, {"mark_out", 67, 60, 255},
    {"transposed", 69, 2, 32}, {"steps", 71, 32, 73}, {"weight_decay (bits)", 79, 2, 81},
    {"clip_norm (bits)", 87, 2, 81}, {"clip_x (bits)", 89, 2, 81}, {"clip_bias (bits)", 91, 2, 81},
    {"residual_bits % 4", 93, 2, 2}, {"out_h * out_w << gain_shift", 103, 32, 109},
    {"residual_bits of gathered steps", 115, 15, 15}, {"in_h * in_w", 125, 32, 133},
};
constexpr TensorRow kConvUpdateRows[] = {
    {"layer input", 255, 137, 24, 9}, {"output gradient", 255, 143, 25, 9},
    {"factors", 255, 149, 255, 1}, {"weights", 255, 157, 255, 9 | kMustBeVariable},
    {"bias", 165, 168, 255, 2 | kMustBeVariable}, {"residual", 170, 176, 255, 3 | kMustBeVariable},
    {"gathered steps", 202, 157, 255, 9 | kMustBeVariable},
    {"gathered steps of the bias", 208, 168, 255, 2 | kMustBeVariable},
    {"channels", 217, 50, 255, 7}, {"after", 165, 255, 26, 9},
    {"scales", 255, 222, 14, 1 | kAtLeast}, {"state", 255, 15, 255, 2 | kMustBeVariable | kAtLeast},
    {"token", 255, 32, 27, 9},
};
constexpr OpTable kConvUpdateTable = { "TFLM_TRAIN_CONV_UPDATE",
    {kConvUpdateCode, kConvUpdateFields, 23}, kConvUpdateRows, OpKind::kConvUpdate, 144, 12, 1,
    true, {0, 255, 255}};
struct ConvUpdateTensors {
  using Params = ConvUpdateParams;
  static const OpTable& Table() { return kConvUpdateTable; }
  struct In { enum : int8_t { kX = 0, kGradient = 1, kFactors = 2, kWeights = 3, kBias = 4,
      kResidual = 5, kGathered = 6, kBiasGathered = 7, kChannels = 8, kAfter = 9, kScales = 10,
      kState = 11 }; };
  struct Out { enum : int8_t { kToken = 0 }; };
};

// DEPTHWISE_UPDATE
constexpr uint8_t kDepthwiseUpdateCode[] = {
    14, 142, 128, 0, 142, 16, 142, 128, 128, 142, 128, 127, 142, 17, 142, 128, 8, 142, 18, 142, 128,
    12, 142, 19, 142, 20, 128, 1, 134, 142, 20, 142, 128, 1, 142, 6, 142, 21, 142, 22, 128, 1, 134,
    142, 22, 142, 7, 142, 23, 142, 5, 142, 129, 0, 0, 16, 0, 142, 24, 142, 128, 255, 142, 25, 142,
    26, 142, 27, 142, 28, 142, 29, 142, 129, 0, 128, 0, 0, 142, 30, 142, 129, 255, 255, 127, 127,
    142, 31, 142, 32, 142, 33, 142, 17, 17, 128, 4, 135, 128, 4, 132, 134, 142, 3, 4, 132, 18, 136,
    142, 129, 7, 3, 1, 0, 142, 29, 128, 1, 139, 131, 17, 128, 8, 141, 142, 2, 28, 132, 142, 0, 1,
    132, 2, 132, 142, 3, 4, 132, 5, 132, 142, 128, 1, 130, 4, 133, 5, 132, 142, 6, 7, 132, 5, 132,
    142, 128, 2, 142, 17, 128, 0, 139, 131, 142, 17, 128, 4, 139, 6, 7, 132, 5, 132, 128, 1, 133,
    128, 2, 135, 6, 7, 132, 5, 132, 141, 142, 29, 128, 1, 139, 131, 142, 130, 4, 29, 128, 1, 139,
    131, 132, 142, 23, 5, 139, 131, 142, 14, 128, 1, 133, 142,
};
constexpr FieldRow kDepthwiseUpdateFields[] = {
    {"slot", 0, 2, 255}, {"x_zero_point", 5, 7, 10}, {"residual_bits", 13, 2, 15},
    {"gain_shift", 18, 2, 20}, {"tap_y0", 23, 2, 25}, {"tap_y1", 30, 32, 35}, {"tap_x0", 37, 2, 39},
    {"tap_x1", 44, 32, 46}, {"row_channels", 48, 50, 52}, {"mark_x", 58, 60, 255},
    {"mark_grad", 63, 60, 255}, {"mark_after", 65, 60, 255}, {"mark_out", 67, 60, 255},
    {"multiplier", 69, 32, 50}, {"steps", 71, 32, 73}, {"weight_decay (bits)", 79, 2, 81},
    {"clip_norm (bits)", 87, 2, 81}, {"clip_x (bits)", 89, 2, 81}, {"clip_bias (bits)", 91, 2, 81},
    {"residual_bits % 4", 93, 2, 2}, {"out_h * out_w << gain_shift", 103, 32, 109},
    {"residual_bits of gathered steps", 115, 15, 15}, {"in_c * multiplier", 125, 50, 50},
};
constexpr TensorRow kDepthwiseUpdateRows[] = {
    {"layer input", 255, 129, 24, 9}, {"output gradient", 255, 135, 25, 9},
    {"factors", 255, 141, 255, 1}, {"weights", 255, 149, 255, 9 | kMustBeVariable},
    {"bias", 155, 50, 255, 2 | kMustBeVariable}, {"residual", 158, 164, 255, 3 | kMustBeVariable},
    {"gathered steps", 186, 149, 255, 9 | kMustBeVariable},
    {"gathered steps of the bias", 192, 50, 255, 2 | kMustBeVariable},
    {"channels", 201, 50, 255, 7}, {"after", 155, 255, 26, 9},
    {"scales", 255, 206, 14, 1 | kAtLeast}, {"state", 255, 15, 255, 2 | kMustBeVariable | kAtLeast},
    {"token", 255, 32, 27, 9},
};
constexpr OpTable kDepthwiseUpdateTable = { "TFLM_TRAIN_DEPTHWISE_UPDATE",
    {kDepthwiseUpdateCode, kDepthwiseUpdateFields, 23},
    kDepthwiseUpdateRows, OpKind::kDepthwiseUpdate, 144, 12, 1, true, {0, 255, 255}};
struct DepthwiseUpdateTensors {
  using Params = DepthwiseUpdateParams;
  static const OpTable& Table() { return kDepthwiseUpdateTable; }
  struct In { enum : int8_t { kX = 0, kGradient = 1, kFactors = 2, kWeights = 3, kBias = 4,
      kResidual = 5, kGathered = 6, kBiasGathered = 7, kChannels = 8, kAfter = 9, kScales = 10,
      kState = 11 }; };
  struct Out { enum : int8_t { kToken = 0 }; };
};

// BIAS_UPDATE
constexpr uint8_t kBiasUpdateCode[] = {
    0, 142, 128, 1, 142, 129, 255, 255, 255, 0, 142, 2, 142, 128, 0, 142, 3, 142, 128, 255, 142, 4,
    142, 129, 0, 128, 0, 0, 142, 5, 142, 129, 255, 255, 127, 127, 142, 6, 142, 7, 142, 8, 142, 0, 1,
    132, 142, 4, 128, 1, 139, 131, 142, 2, 128, 1, 133, 142, 128, 8, 142,
};
constexpr FieldRow kBiasUpdateFields[] = {
    {"positions", 0, 2, 5}, {"channels", 3, 2, 255}, {"slot", 11, 13, 255},
    {"mark_out", 16, 18, 255}, {"steps", 21, 2, 23}, {"weight_decay (bits)", 29, 13, 31},
    {"clip_norm (bits)", 37, 13, 31}, {"clip_x (bits)", 39, 13, 31},
    {"clip_bias (bits)", 41, 13, 31},
};
constexpr TensorRow kBiasUpdateRows[] = {
    {"output gradient", 255, 43, 2, 9}, {"factors", 255, 3, 255, 1},
    {"bias", 255, 3, 255, 2 | kMustBeVariable}, {"gathered steps", 47, 3, 255, 2 | kMustBeVariable},
    {"scales", 255, 53, 255, 1 | kAtLeast}, {"state", 255, 58, 255, 2 | kMustBeVariable | kAtLeast},
    {"token", 255, 2, 3, 9},
};
constexpr OpTable kBiasUpdateTable = { "TFLM_TRAIN_BIAS_UPDATE",
    {kBiasUpdateCode, kBiasUpdateFields, 9}, kBiasUpdateRows, OpKind::kBiasUpdate, 44, 6, 1,
    true, {255, 255, 255}};
struct BiasUpdateTensors {
  using Params = BiasUpdateParams;
  static const OpTable& Table() { return kBiasUpdateTable; }
  struct In { enum : int8_t { kGradient = 0, kFactors = 1, kBias = 2, kBiasGathered = 3,
      kScales = 4, kState = 5 }; };
  struct Out { enum : int8_t { kToken = 0 }; };
};

// CHANNEL_SAVE
constexpr uint8_t kChannelSaveCode[] = {
    0, 142, 128, 1, 142, 2, 142, 3, 142, 128, 255, 142, 4, 142, 0, 1, 132, 142, 128, 0, 142, 1, 128,
    1, 134, 142, 2, 142, 128, 8, 142, 0, 2, 132, 142,
};
constexpr FieldRow kChannelSaveFields[] = {
    {"positions", 0, 2, 255}, {"channels", 3, 2, 255}, {"kept", 5, 2, 3}, {"mark_in", 7, 9, 255},
    {"mark_out", 12, 9, 255},
};
constexpr TensorRow kChannelSaveRows[] = {
    {"values", 255, 14, 3, 9}, {"channels", 255, 5, 18, 7 | kMustBeConstant},
    {"state", 255, 28, 255, 2 | kMustBeVariable | kAtLeast}, {"saved channels", 255, 31, 4, 9},
};
constexpr OpTable kChannelSaveTable = { "TFLM_TRAIN_CHANNEL_SAVE",
    {kChannelSaveCode, kChannelSaveFields, 5}, kChannelSaveRows, OpKind::kChannelSave, 28, 3, 1,
    true, {255, 255, 255}};
struct ChannelSaveTensors {
  using Params = ChannelSaveParams;
  static const OpTable& Table() { return kChannelSaveTable; }
  struct In { enum : int8_t { kValues = 0, kChannels = 1, kState = 2 }; };
  struct Out { enum : int8_t { kSaved = 0 }; };
};

// SPLIT_CONV
constexpr uint8_t kSplitConvCode[] = {
    18, 142, 128, 1, 142, 2, 128, 1, 134, 142, 0, 1, 132, 2, 132, 142, 5, 6, 132, 7, 132, 2, 18,
    134, 132, 142, 5, 6, 132, 7, 132, 18, 132, 142, 2, 142, 128, 0, 142, 2, 128, 1, 134, 142, 2, 18,
    134, 142, 128, 2, 142, 5, 142, 128, 0, 142, 129, 255, 255, 255, 127, 142, 128, 255, 142, 128,
    225, 142, 128, 30, 142, 128, 255, 142, 3, 4, 132, 5, 132, 142,
};
constexpr FieldRow kSplitConvFields[] = {
    {"kept", 0, 2, 5},
};
constexpr TensorRow kSplitConvRows[] = {
    {"input", 255, 10, 255, 9}, {"constant weights", 255, 16, 255, 9}, {"columns", 255, 26, 255, 9},
    {"channels", 255, 34, 36, 7 | kMustBeConstant}, {"bias", 48, 51, 255, 2},
    {"multipliers", 255, 51, 53, 2 | kMustBeConstant}, {"shifts", 255, 51, 65, 2 | kMustBeConstant},
    {"output", 255, 74, 255, 9},
};
constexpr OpTable kSplitConvTable = { "TFLM_TRAIN_SPLIT_CONV",
    {kSplitConvCode, kSplitConvFields, 1}, kSplitConvRows, OpKind::kSplitConv, 84, 7, 1,
    false, {0, 255, 14}};
struct SplitConvTensors {
  using Params = SplitConvParams;
  static const OpTable& Table() { return kSplitConvTable; }
  struct In { enum : int8_t { kX = 0, kWeights = 1, kColumns = 2, kChannels = 3, kBias = 4,
      kMultipliers = 5, kShifts = 6 }; };
  struct Out { enum : int8_t { kY = 0 }; };
};

// SPLIT_DEPTHWISE
constexpr uint8_t kSplitDepthwiseCode[] = {
    18, 142, 128, 1, 142, 5, 128, 1, 134, 142, 19, 142, 5, 142, 2, 19, 132, 142, 0, 1, 132, 2, 132,
    142, 6, 7, 132, 5, 132, 142, 6, 7, 132, 18, 132, 142, 128, 0, 142, 5, 128, 1, 134, 142, 18, 142,
    128, 2, 142, 128, 0, 142, 129, 255, 255, 255, 127, 142, 128, 255, 142, 128, 225, 142, 128, 30,
    142, 128, 255, 142, 3, 4, 132, 5, 132, 142,
};
constexpr FieldRow kSplitDepthwiseFields[] = {
    {"kept", 0, 2, 5}, {"multiplier", 10, 2, 12}, {"in_c * multiplier", 14, 12, 12},
};
constexpr TensorRow kSplitDepthwiseRows[] = {
    {"input", 255, 18, 255, 9}, {"constant weights", 255, 24, 255, 9}, {"columns", 255, 30, 255, 9},
    {"channels", 255, 0, 36, 7 | kMustBeConstant}, {"bias", 46, 12, 255, 2},
    {"multipliers", 255, 12, 49, 2 | kMustBeConstant}, {"shifts", 255, 12, 61, 2 | kMustBeConstant},
    {"output", 255, 70, 255, 9},
};
constexpr OpTable kSplitDepthwiseTable = { "TFLM_TRAIN_SPLIT_DEPTHWISE",
    {kSplitDepthwiseCode, kSplitDepthwiseFields, 3},
    kSplitDepthwiseRows, OpKind::kSplitDepthwise, 88, 7, 1, false, {0, 255, 14}};
struct SplitDepthwiseTensors {
  using Params = SplitDepthwiseParams;
  static const OpTable& Table() { return kSplitDepthwiseTable; }
  struct In { enum : int8_t { kX = 0, kWeights = 1, kColumns = 2, kChannels = 3, kBias = 4,
      kMultipliers = 5, kShifts = 6 }; };
  struct Out { enum : int8_t { kY = 0 }; };
};

// FINISH
constexpr uint8_t kFinishCode[] = {
    0, 142, 128, 0, 142, 128, 16, 142, 128, 8, 142, 128, 1, 142,
};
constexpr FieldRow kFinishFields[] = {
    {"marks", 0, 2, 255},
};
constexpr TensorRow kFinishRows[] = {
    {"after", 255, 255, 255, 0 | kRun}, {"handle", 255, 5, 255, 2},
    {"state", 255, 8, 255, 2 | kMustBeVariable | kAtLeast}, {"loss", 255, 11, 255, 1},
};
constexpr OpTable kFinishTable = { "TFLM_TRAIN_FINISH", {kFinishCode, kFinishFields, 1},
    kFinishRows, OpKind::kFinish, 12, 3, 1, true, {255, 255, 255}};
struct FinishTensors {
  using Params = FinishParams;
  static const OpTable& Table() { return kFinishTable; }
  struct In { enum : int8_t { kAfter = 0, kHandle = -2, kState = -1 }; };
  struct Out { enum : int8_t { kLoss = 0 }; };
};

// PRODUCT_GRAD
constexpr uint8_t kProductGradCode[] = {
    21, 142, 128, 1, 142, 23, 142, 128, 0, 142, 128, 3, 142, 29, 142, 30, 142, 31, 142, 128, 255,
    142, 32, 142, 129, 255, 255, 127, 127, 142, 0, 3, 132, 6, 132, 9, 132, 142, 129, 254, 255, 255,
    127, 142, 22, 142, 23, 128, 0, 139, 131, 142, 23, 128, 0, 139, 128, 0, 129, 255, 255, 255, 127,
    141, 142, 24, 142, 23, 128, 0, 139, 129, 1, 128, 255, 255, 128, 128, 141, 142, 23, 128, 0, 139,
    129, 255, 127, 0, 0, 129, 128, 0, 0, 0, 141, 142, 23, 128, 2, 140, 131, 142, 23, 128, 2, 139,
    129, 0, 1, 0, 0, 128, 2, 9, 132, 141, 142, 25, 128, 0, 139, 131, 142, 25, 128, 1, 139, 0, 3,
    132, 6, 132, 9, 132, 0, 3, 132, 6, 132, 9, 132, 128, 7, 133, 128, 8, 135, 141, 142, 25, 128, 1,
    139, 128, 9, 128, 3, 141, 142, 31, 128, 255, 139, 131, 142, 29, 30, 138, 31, 138, 128, 1, 133,
    142, 128, 8, 142,
};
constexpr FieldRow kProductGradFields[] = {
    {"q_size", 0, 2, 255}, {"factor_kind", 5, 7, 10}, {"slot_in", 13, 7, 255},
    {"slot_out", 15, 7, 255}, {"slot_addend", 17, 19, 255}, {"unit_scale (bits)", 22, 7, 24},
    {"elements of the result", 30, 2, 38}, {"x_size", 44, 46, 52}, {"factor", 65, 67, 80},
};
constexpr TensorRow kProductGradRows[] = {
    {"output gradient", 255, 0, 29, 9}, {"x", 46, 44, 255, 9}, {"table", 96, 102, 255, 7},
    {"mask", 117, 123, 28, 0}, {"addend", 159, 30, 31, 9}, {"scales", 255, 165, 255, 1 | kAtLeast},
    {"ranges", 255, 165, 255, 1 | kAtLeast},
    {"state", 255, 174, 255, 2 | kMustBeVariable | kAtLeast}, {"input gradient", 255, 30, 30, 9},
};
constexpr OpTable kProductGradTable = { "TFLM_TRAIN_PRODUCT_GRAD",
    {kProductGradCode, kProductGradFields, 9}, kProductGradRows, OpKind::kProductGrad, 140, 8, 1,
    true, {255, 25, 255}};
struct ProductGradTensors {
  using Params = ProductGradParams;
  static const OpTable& Table() { return kProductGradTable; }
  struct In { enum : int8_t { kGradient = 0, kX = 1, kTable = 2, kMask = 3, kAddend = 4,
      kScales = 5, kRanges = 6, kState = 7 }; };
  struct Out { enum : int8_t { kGradient = 0 }; };
};

// MOVE_GRAD
constexpr uint8_t kMoveGradCode[] = {
    31, 142, 128, 0, 142, 32, 142, 33, 142, 128, 1, 142, 0, 5, 132, 10, 132, 15, 132, 20, 132, 142,
    129, 254, 255, 255, 127, 142, 26, 142, 27, 128, 0, 139, 131, 142, 27, 128, 1, 139, 0, 5, 132,
    10, 132, 15, 132, 20, 132, 0, 5, 132, 10, 132, 15, 132, 20, 132, 128, 7, 133, 128, 8, 135, 141,
    142, 27, 128, 1, 139, 128, 9, 128, 3, 141, 142, 31, 32, 138, 128, 1, 133, 142, 128, 8, 142,
};
constexpr FieldRow kMoveGradFields[] = {
    {"slot_in", 0, 2, 255}, {"slot_out", 5, 2, 255}, {"divisor", 7, 9, 255},
    {"elements of the result", 12, 9, 22},
};
constexpr TensorRow kMoveGradRows[] = {
    {"output gradient", 255, 28, 31, 9}, {"mask", 30, 36, 30, 0},
    {"scales", 255, 76, 255, 1 | kAtLeast}, {"state", 255, 83, 255, 2 | kMustBeVariable | kAtLeast},
    {"input gradient", 255, 12, 32, 9},
};
constexpr OpTable kMoveGradTable = { "TFLM_TRAIN_MOVE_GRAD", {kMoveGradCode, kMoveGradFields, 4},
    kMoveGradRows, OpKind::kMoveGrad, 144, 4, 1, true, {255, 27, 255}};
struct MoveGradTensors {
  using Params = MoveGradParams;
  static const OpTable& Table() { return kMoveGradTable; }
  struct In { enum : int8_t { kGradient = 0, kMask = 1, kScales = 2, kState = 3 }; };
  struct Out { enum : int8_t { kGradient = 0 }; };
};

// MAX_POOL_GRAD
constexpr uint8_t kMaxPoolGradCode[] = {
    18, 142, 128, 0, 142, 19, 142, 10, 142, 128, 1, 142, 11, 142, 5, 142, 2, 142, 6, 7, 132, 142,
    129, 255, 255, 255, 0, 142, 3, 4, 132, 5, 132, 142, 0, 1, 132, 2, 132, 142, 14, 128, 0, 139,
    131, 142, 14, 128, 1, 139, 0, 1, 132, 2, 132, 0, 1, 132, 2, 132, 128, 7, 133, 128, 8, 135, 141,
    142, 14, 128, 1, 139, 128, 9, 128, 3, 141, 142, 18, 19, 138, 128, 1, 133, 142, 128, 8, 142,
};
constexpr FieldRow kMaxPoolGradFields[] = {
    {"slot_in", 0, 2, 255}, {"slot_out", 5, 2, 255}, {"dil_h", 7, 9, 9}, {"dil_w", 12, 9, 9},
    {"out_c", 14, 16, 16}, {"k_h * k_w", 18, 9, 22},
};
constexpr TensorRow kMaxPoolGradRows[] = {
    {"output gradient", 255, 28, 18, 9}, {"input", 255, 34, 255, 9}, {"output", 255, 28, 255, 9},
    {"mask", 40, 46, 17, 0}, {"scales", 255, 78, 255, 1 | kAtLeast},
    {"ranges", 255, 78, 255, 1 | kAtLeast}, {"state", 255, 85, 255, 2 | kMustBeVariable | kAtLeast},
    {"input gradient", 255, 34, 19, 9},
};
constexpr OpTable kMaxPoolGradTable = { "TFLM_TRAIN_MAX_POOL_GRAD",
    {kMaxPoolGradCode, kMaxPoolGradFields, 6}, kMaxPoolGradRows, OpKind::kMaxPoolGrad, 88, 7, 1,
    true, {0, 14, 255}};
struct MaxPoolGradTensors {
  using Params = MaxPoolGradParams;
  static const OpTable& Table() { return kMaxPoolGradTable; }
  struct In { enum : int8_t { kGradient = 0, kX = 1, kY = 2, kMask = 3, kScales = 4, kRanges = 5,
      kState = 6 }; };
  struct Out { enum : int8_t { kGradient = 0 }; };
};

// RESIZE_GRAD
constexpr uint8_t kResizeGradCode[] = {
    0, 142, 128, 1, 142, 129, 255, 127, 0, 0, 142, 2, 142, 3, 142, 4, 142, 9, 142, 128, 0, 142, 10,
    142, 11, 142, 128, 255, 142, 0, 1, 132, 2, 132, 142, 129, 254, 255, 255, 127, 142, 3, 4, 132, 2,
    132, 142, 128, 2, 3, 132, 142, 128, 2, 4, 132, 142, 5, 128, 0, 139, 131, 142, 5, 128, 1, 139, 0,
    1, 132, 2, 132, 0, 1, 132, 2, 132, 128, 7, 133, 128, 8, 135, 141, 142, 5, 128, 1, 139, 128, 9,
    128, 3, 141, 142, 11, 128, 255, 139, 131, 142, 9, 10, 138, 11, 138, 128, 1, 133, 142, 128, 8,
    142,
};
constexpr FieldRow kResizeGradFields[] = {
    {"in_h", 0, 2, 5}, {"in_w", 3, 2, 5}, {"channels", 11, 2, 255}, {"out_h", 13, 2, 5},
    {"out_w", 15, 2, 5}, {"slot_in", 17, 19, 255}, {"slot_out", 22, 19, 255},
    {"slot_addend", 24, 26, 255}, {"elements of the result", 29, 2, 35},
    {"elements of the gradient", 41, 2, 35},
};
constexpr TensorRow kResizeGradRows[] = {
    {"output gradient", 255, 41, 9, 9}, {"rows", 255, 47, 255, 7 | kMustBeConstant},
    {"columns", 255, 52, 255, 7 | kMustBeConstant}, {"mask", 57, 63, 8, 0},
    {"addend", 95, 29, 11, 9}, {"scales", 255, 101, 255, 1 | kAtLeast},
    {"ranges", 255, 101, 255, 1 | kAtLeast},
    {"state", 255, 110, 255, 2 | kMustBeVariable | kAtLeast}, {"input gradient", 255, 29, 10, 9},
};
constexpr OpTable kResizeGradTable = { "TFLM_TRAIN_RESIZE_GRAD",
    {kResizeGradCode, kResizeGradFields, 10}, kResizeGradRows, OpKind::kResizeGrad, 56, 8, 1,
    true, {255, 5, 255}};
struct ResizeGradTensors {
  using Params = ResizeGradParams;
  static const OpTable& Table() { return kResizeGradTable; }
  struct In { enum : int8_t { kGradient = 0, kRows = 1, kColumns = 2, kMask = 3, kAddend = 4,
      kScales = 5, kRanges = 6, kState = 7 }; };
  struct Out { enum : int8_t { kGradient = 0 }; };
};

// L2_NORM_GRAD
constexpr uint8_t kL2NormGradCode[] = {
    0, 142, 128, 1, 142, 129, 0, 16, 0, 0, 142, 128, 128, 142, 128, 127, 142, 2, 142, 129, 0, 0,
    128, 95, 142, 7, 142, 128, 0, 142, 8, 142, 3, 128, 0, 139, 131, 142, 3, 128, 1, 139, 0, 0, 128,
    7, 133, 128, 8, 135, 141, 142, 3, 128, 1, 139, 128, 9, 128, 3, 141, 142, 7, 8, 138, 128, 1, 133,
    142, 128, 8, 142,
};
constexpr FieldRow kL2NormGradFields[] = {
    {"size", 0, 2, 5}, {"x_zero_point", 3, 11, 14}, {"x_scale (bits)", 17, 2, 19},
    {"slot_in", 25, 27, 255}, {"slot_out", 30, 27, 255},
};
constexpr TensorRow kL2NormGradRows[] = {
    {"output gradient", 255, 0, 7, 9}, {"input", 255, 0, 255, 9}, {"output", 255, 0, 255, 9},
    {"mask", 32, 38, 6, 0}, {"scales", 255, 62, 255, 1 | kAtLeast},
    {"ranges", 255, 62, 255, 1 | kAtLeast}, {"state", 255, 69, 255, 2 | kMustBeVariable | kAtLeast},
    {"input gradient", 255, 0, 8, 9},
};
constexpr OpTable kL2NormGradTable = { "TFLM_TRAIN_L2_NORM_GRAD",
    {kL2NormGradCode, kL2NormGradFields, 5}, kL2NormGradRows, OpKind::kL2NormGrad, 44, 7, 1,
    true, {255, 3, 255}};
struct L2NormGradTensors {
  using Params = L2NormGradParams;
  static const OpTable& Table() { return kL2NormGradTable; }
  struct In { enum : int8_t { kGradient = 0, kX = 1, kY = 2, kMask = 3, kScales = 4, kRanges = 5,
      kState = 6 }; };
  struct Out { enum : int8_t { kGradient = 0 }; };
};

// STREAM
constexpr uint8_t kStreamCode[] = {
};
constexpr TensorRow kStreamRows[] = {
    {"input", 255, 255, 255, 9}, {"constants", 255, 255, 255, 9}, {"own", 255, 255, 255, 0 | kRun},
    {"output", 255, 255, 255, 9}, {"saved", 255, 255, 255, 0 | kRun},
};
constexpr OpTable kStreamTable = { "TFLM_TRAIN_STREAM", {kStreamCode, nullptr, 0},
    kStreamRows, OpKind::kStream, 176, 3, 2, false, {255, 255, 255}};
struct StreamTensors {
  using Params = StreamParams;
  static const OpTable& Table() { return kStreamTable; }
  struct In { enum : int8_t { kX = 0, kConstants = 1, kOwn = 2 }; };
  struct Out { enum : int8_t { kY = 0, kSaved = 1 }; };
};

}  // namespace tflm_train

// clang-format on

#endif  // TFLM_KERNELS_SPEC_OP_TABLES_H_
