// C interface of the Python package's shared library: registers the ops with
// the interpreter of the tflite-micro wheel, reaches the training state, and
// describes the parameter structs. Status codes are StateStatus; 0 is success.

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "tflm_kernels/host/tflm_host.h"
#include "tflm_kernels/micro/train_ops.h"
#include "tflm_kernels/spec/op_params.h"
#include "tflm_kernels/state/state.h"

namespace tflm_train {
namespace {

constexpr uint32_t kResolverCapacity = 200;

// Memory layout of the wheel's MicroMutableOpResolver<200> up to the last
// member that matters here. Its class exists in two namespaces and no header
// comes with the wheel, so it is known by its layout alone.
struct WheelResolver {
  void* vtable;
  TFLMRegistration registrations[kResolverCapacity];
  uint32_t length;

  // Whether this looks like a resolver of that layout: the entries in use have
  // an invoke function, and custom ones a name.
  bool IsPlausible() const {
    if (length > kResolverCapacity) return false;
    for (uint32_t i = 0; i < length; ++i) {
      const TFLMRegistration& entry = registrations[i];
      if (entry.invoke == nullptr || entry.builtin_code < 0 || entry.builtin_code > 1000) {
        return false;
      }
      if (entry.builtin_code == kBuiltinOperatorCustom && entry.custom_name == nullptr) {
        return false;
      }
    }
    return true;
  }

  TfLiteStatus AddCustom(const char* name, const TFLMRegistration* registration) {
    for (uint32_t i = 0; i < length; ++i) {
      const TFLMRegistration& entry = registrations[i];
      if (entry.builtin_code == kBuiltinOperatorCustom &&
          std::strcmp(entry.custom_name, name) == 0) {
        return kTfLiteOk;  // registered twice: the same function either way
      }
    }
    if (length >= kResolverCapacity) {
      MicroPrintf("tflm_train: no room in the interpreter's op resolver for %s", name);
      return kTfLiteError;
    }
    registrations[length++] = *registration;
    return kTfLiteOk;
  }
};

int32_t Report(StateStatus status) {
  if (status != StateStatus::kOk) {
    MicroPrintf("tflm_train state: %s", StateStatusMessage(status));
  }
  return static_cast<int32_t>(status);
}

// Writes the description of the structs piece by piece.
class AbiText {
 public:
  explicit AbiText(char* text, size_t capacity) : text_(text), capacity_(capacity) {}

  void Struct(OpKind kind, const char* name, size_t size) {
    if (length_ > 0) Put("\n");
    PutNumber(static_cast<size_t>(kind));
    Put(" ");
    Put(name);
    Put(" ");
    PutNumber(size);
    separator_ = " ";
  }

  void Field(const char* name, size_t offset) {
    Put(separator_);
    Put(name);
    Put(":");
    PutNumber(offset);
    separator_ = ",";
  }

 private:
  void Put(const char* piece) {
    while (*piece != 0 && length_ + 1 < capacity_) text_[length_++] = *piece++;
    text_[length_] = 0;
  }

  void PutNumber(size_t number) {
    if (number >= 10) PutNumber(number / 10);
    const char digit[2] = {static_cast<char>('0' + number % 10), 0};
    Put(digit);
  }

  char* text_;
  size_t capacity_;
  size_t length_ = 0;
  const char* separator_ = " ";
};

// offsetof(S, path.field) under the name of the field alone, as in NUMERICS.md.
#define STRUCT(S, NAME) abi.Struct(S::kKind, NAME, sizeof(S))
#define FIELD(S, FIELD_NAME) abi.Field(#FIELD_NAME, offsetof(S, FIELD_NAME))
#define PART(S, MEMBER, FIELD_NAME) abi.Field(#FIELD_NAME, offsetof(S, MEMBER.FIELD_NAME))

#define GEOMETRY(S, ...)                   \
  PART(S, __VA_ARGS__ geometry, in_h);     \
  PART(S, __VA_ARGS__ geometry, in_w);     \
  PART(S, __VA_ARGS__ geometry, in_c);     \
  PART(S, __VA_ARGS__ geometry, out_h);    \
  PART(S, __VA_ARGS__ geometry, out_w);    \
  PART(S, __VA_ARGS__ geometry, out_c);    \
  PART(S, __VA_ARGS__ geometry, k_h);      \
  PART(S, __VA_ARGS__ geometry, k_w);      \
  PART(S, __VA_ARGS__ geometry, stride_h); \
  PART(S, __VA_ARGS__ geometry, stride_w); \
  PART(S, __VA_ARGS__ geometry, dil_h);    \
  PART(S, __VA_ARGS__ geometry, dil_w);    \
  PART(S, __VA_ARGS__ geometry, pad_t);    \
  PART(S, __VA_ARGS__ geometry, pad_l)

#define MASK(S)             \
  PART(S, mask, mask_kind); \
  PART(S, mask, act_min);   \
  PART(S, mask, act_max);   \
  PART(S, mask, mark)

#define UPDATE(S)                 \
  PART(S, update, slot);          \
  PART(S, update, layer);         \
  PART(S, update, x_zero_point);  \
  PART(S, update, residual_bits); \
  PART(S, update, gain_shift);    \
  PART(S, update, tap_y0);        \
  PART(S, update, tap_y1);        \
  PART(S, update, tap_x0);        \
  PART(S, update, tap_x1);        \
  PART(S, update, row_channels);  \
  PART(S, update, mark_x);        \
  PART(S, update, mark_grad);     \
  PART(S, update, mark_after);    \
  PART(S, update, mark_out)

#define OUTPUT(S, ...)                       \
  PART(S, __VA_ARGS__ output, x_zero_point); \
  PART(S, __VA_ARGS__ output, y_zero_point); \
  PART(S, __VA_ARGS__ output, act_min);      \
  PART(S, __VA_ARGS__ output, act_max)

#define PRODUCT_AXIS(AXIS)                 \
  PART(ProductGradParams, AXIS, size);     \
  PART(ProductGradParams, AXIS, q_stride); \
  PART(ProductGradParams, AXIS, x_stride)

#define MOVE_AXIS(AXIS)              \
  PART(MoveGradParams, AXIS, size);  \
  PART(MoveGradParams, AXIS, begin); \
  PART(MoveGradParams, AXIS, step);  \
  PART(MoveGradParams, AXIS, count); \
  PART(MoveGradParams, AXIS, stride)

void DescribeStructs(char* text, size_t capacity) {
  AbiText abi(text, capacity);

  STRUCT(RestoreParams, "RESTORE");
  FIELD(RestoreParams, fingerprint_lo);
  FIELD(RestoreParams, fingerprint_hi);
  FIELD(RestoreParams, seed);
  FIELD(RestoreParams, variable_count);

  STRUCT(LossParams, "LOSS");
  FIELD(LossParams, classes);
  FIELD(LossParams, zero_point);
  FIELD(LossParams, scale);
  FIELD(LossParams, slot);
  FIELD(LossParams, loss_kind);
  FIELD(LossParams, target_kind);
  FIELD(LossParams, keep);
  FIELD(LossParams, spread);
  FIELD(LossParams, target_scale);
  FIELD(LossParams, target_zero_point);

  STRUCT(ClampMaskParams, "CLAMP_MASK");
  FIELD(ClampMaskParams, size);
  FIELD(ClampMaskParams, act_min);
  FIELD(ClampMaskParams, act_max);
  FIELD(ClampMaskParams, mark_out);

  STRUCT(ConvInputGradParams, "CONV_INPUT_GRAD");
  GEOMETRY(ConvInputGradParams);
  MASK(ConvInputGradParams);
  FIELD(ConvInputGradParams, slot_in);
  FIELD(ConvInputGradParams, slot_out);
  FIELD(ConvInputGradParams, slot_addend);
  FIELD(ConvInputGradParams, unit_scale);
  FIELD(ConvInputGradParams, group);
  FIELD(ConvInputGradParams, group_shift);
  FIELD(ConvInputGradParams, kept);
  FIELD(ConvInputGradParams, transposed);

  STRUCT(DepthwiseInputGradParams, "DEPTHWISE_INPUT_GRAD");
  GEOMETRY(DepthwiseInputGradParams);
  MASK(DepthwiseInputGradParams);
  FIELD(DepthwiseInputGradParams, slot_in);
  FIELD(DepthwiseInputGradParams, slot_out);
  FIELD(DepthwiseInputGradParams, slot_addend);
  FIELD(DepthwiseInputGradParams, unit_scale);
  FIELD(DepthwiseInputGradParams, multiplier);
  FIELD(DepthwiseInputGradParams, kept);

  STRUCT(PoolGradParams, "POOL_GRAD");
  GEOMETRY(PoolGradParams);
  MASK(PoolGradParams);
  FIELD(PoolGradParams, slot_in);
  FIELD(PoolGradParams, slot_out);
  FIELD(PoolGradParams, uniform);
  FIELD(PoolGradParams, count);

  STRUCT(AccumulateParams, "ACCUMULATE");
  FIELD(AccumulateParams, size);
  MASK(AccumulateParams);
  FIELD(AccumulateParams, count);
  abi.Field("slot_in0", offsetof(AccumulateParams, slot_in[0]));
  abi.Field("slot_in1", offsetof(AccumulateParams, slot_in[1]));
  abi.Field("slot_in2", offsetof(AccumulateParams, slot_in[2]));
  abi.Field("slot_in3", offsetof(AccumulateParams, slot_in[3]));
  FIELD(AccumulateParams, slot_out);

  STRUCT(ConvUpdateParams, "CONV_UPDATE");
  GEOMETRY(ConvUpdateParams);
  UPDATE(ConvUpdateParams);
  FIELD(ConvUpdateParams, transposed);

  STRUCT(DepthwiseUpdateParams, "DEPTHWISE_UPDATE");
  GEOMETRY(DepthwiseUpdateParams);
  UPDATE(DepthwiseUpdateParams);
  FIELD(DepthwiseUpdateParams, multiplier);

  STRUCT(BiasUpdateParams, "BIAS_UPDATE");
  FIELD(BiasUpdateParams, positions);
  FIELD(BiasUpdateParams, channels);
  FIELD(BiasUpdateParams, slot);
  FIELD(BiasUpdateParams, mark_out);

  STRUCT(ChannelSaveParams, "CHANNEL_SAVE");
  FIELD(ChannelSaveParams, positions);
  FIELD(ChannelSaveParams, channels);
  FIELD(ChannelSaveParams, kept);
  FIELD(ChannelSaveParams, mark_in);
  FIELD(ChannelSaveParams, mark_out);

  STRUCT(SplitConvParams, "SPLIT_CONV");
  GEOMETRY(SplitConvParams);
  OUTPUT(SplitConvParams);
  FIELD(SplitConvParams, kept);

  STRUCT(SplitDepthwiseParams, "SPLIT_DEPTHWISE");
  GEOMETRY(SplitDepthwiseParams);
  OUTPUT(SplitDepthwiseParams);
  FIELD(SplitDepthwiseParams, kept);
  FIELD(SplitDepthwiseParams, multiplier);

  STRUCT(FinishParams, "FINISH");
  FIELD(FinishParams, marks);

  STRUCT(StreamParams, "STREAM");
  PART(StreamParams, stages[0], stage_kind);
  GEOMETRY(StreamParams, stages[0].);
  OUTPUT(StreamParams, stages[0].);
  PART(StreamParams, stages[0], multiplier);
  PART(StreamParams, stages[0], source);
  PART(StreamParams, stages[0], addend);
  PART(StreamParams, stages[0], ring_rows);
  PART(StreamParams, stages[0], constants);
  PART(StreamParams, stages[0].add, addend_zero_point);
  PART(StreamParams, stages[0].add, x_multiplier);
  PART(StreamParams, stages[0].add, x_shift);
  PART(StreamParams, stages[0].add, addend_multiplier);
  PART(StreamParams, stages[0].add, addend_shift);
  PART(StreamParams, stages[0].add, y_multiplier);
  PART(StreamParams, stages[0].add, y_shift);
  PART(StreamParams, stages[0], mask_output);
  PART(StreamParams, stages[0], kept_output);
  PART(StreamParams, stages[0], kept_channels);
  PART(StreamParams, stages[0], kept_list);
  PART(StreamParams, stages[0], weights_input);
  PART(StreamParams, stages[0], bias_input);
  PART(StreamParams, stages[0], columns);
  PART(StreamParams, stages[0], columns_input);
  PART(StreamParams, stages[0], channels_input);
  PART(StreamParams, stages[0], mask_mark);
  PART(StreamParams, stages[0], kept_mark);

  STRUCT(ProductGradParams, "PRODUCT_GRAD");
  PRODUCT_AXIS(kept[0]);
  PRODUCT_AXIS(kept[1]);
  PRODUCT_AXIS(kept[2]);
  PRODUCT_AXIS(kept[3]);
  PRODUCT_AXIS(reduced[0]);
  PRODUCT_AXIS(reduced[1]);
  PRODUCT_AXIS(reduced[2]);
  FIELD(ProductGradParams, q_size);
  FIELD(ProductGradParams, x_size);
  FIELD(ProductGradParams, factor_kind);
  FIELD(ProductGradParams, factor);
  MASK(ProductGradParams);
  FIELD(ProductGradParams, slot_in);
  FIELD(ProductGradParams, slot_out);
  FIELD(ProductGradParams, slot_addend);
  FIELD(ProductGradParams, unit_scale);

  STRUCT(MoveGradParams, "MOVE_GRAD");
  MOVE_AXIS(axis[0]);
  MOVE_AXIS(axis[1]);
  MOVE_AXIS(axis[2]);
  MOVE_AXIS(axis[3]);
  MOVE_AXIS(axis[4]);
  FIELD(MoveGradParams, offset);
  FIELD(MoveGradParams, q_size);
  MASK(MoveGradParams);
  FIELD(MoveGradParams, slot_in);
  FIELD(MoveGradParams, slot_out);
  FIELD(MoveGradParams, divisor);

  STRUCT(MaxPoolGradParams, "MAX_POOL_GRAD");
  GEOMETRY(MaxPoolGradParams);
  MASK(MaxPoolGradParams);
  FIELD(MaxPoolGradParams, slot_in);
  FIELD(MaxPoolGradParams, slot_out);

  STRUCT(ResizeGradParams, "RESIZE_GRAD");
  FIELD(ResizeGradParams, in_h);
  FIELD(ResizeGradParams, in_w);
  FIELD(ResizeGradParams, channels);
  FIELD(ResizeGradParams, out_h);
  FIELD(ResizeGradParams, out_w);
  MASK(ResizeGradParams);
  FIELD(ResizeGradParams, slot_in);
  FIELD(ResizeGradParams, slot_out);
  FIELD(ResizeGradParams, slot_addend);

  STRUCT(L2NormGradParams, "L2_NORM_GRAD");
  FIELD(L2NormGradParams, size);
  FIELD(L2NormGradParams, x_zero_point);
  FIELD(L2NormGradParams, x_scale);
  MASK(L2NormGradParams);
  FIELD(L2NormGradParams, slot_in);
  FIELD(L2NormGradParams, slot_out);
}

#undef STRUCT
#undef FIELD
#undef PART
#undef GEOMETRY
#undef MASK
#undef UPDATE
#undef OUTPUT
#undef PRODUCT_AXIS
#undef MOVE_AXIS

}  // namespace
}  // namespace tflm_train

extern "C" {

// Name this in the interpreter's custom_op_registerers. resolver: the wheel's
// MicroMutableOpResolver<200>. False: see TflmTrainLastError.
bool TflmTrainRegister(void* resolver) {
  using namespace tflm_train;
  if (!ResolveTflm()) return false;
  WheelResolver* wheel_resolver = static_cast<WheelResolver*>(resolver);
  if (!wheel_resolver->IsPlausible()) {
    MicroPrintf(
        "tflm_train: the op resolver of this tflite-micro has an unknown "
        "layout");
    return false;
  }
  return AddTrainOps(*wheel_resolver) == kTfLiteOk;
}

// state: the 64 bytes of `train/state`, as read from the interpreter's output.
size_t TflmTrainStateSize(const tflm_train::TrainState* state) {
  return tflm_train::StateSize(state);
}

int32_t TflmTrainStateSave(const tflm_train::TrainState* state, void* blob, size_t capacity) {
  return tflm_train::Report(tflm_train::StateSave(state, blob, capacity));
}

int32_t TflmTrainStateLoad(const tflm_train::TrainState* state, const void* blob, size_t size) {
  return tflm_train::Report(tflm_train::StateLoad(state, blob, size));
}

int32_t TflmTrainStateReset(const tflm_train::TrainState* state) {
  return tflm_train::Report(tflm_train::StateReset(state));
}

uint32_t TflmTrainStateStep(const tflm_train::TrainState* state) {
  return tflm_train::StateStep(state);
}

// The last message of an op or of a function above, in this thread.
const char* TflmTrainLastError() { return tflm_train::LastError(); }

// One line per parameter struct: "kind name size field:offset,field:offset...".
const char* TflmTrainAbi() {
  static char text[8192] = "";
  tflm_train::DescribeStructs(text, sizeof(text));
  return text;
}

// Time spent in the ops of one kind (OpKind) since TflmTrainOpReset.
uint64_t TflmTrainOpNanoseconds(int32_t kind) {
  if (kind < 1 || kind > tflm_train::kLastOpKind) return 0;
  return tflm_train::OpNanoseconds(static_cast<tflm_train::OpKind>(kind));
}

void TflmTrainOpReset() { tflm_train::ResetOpTimes(); }

}  // extern "C"
