// C interface of the Python package's shared library: registers the ops with
// the interpreter of the tflite-micro wheel, reaches the training state, and
// describes the parameter structs. Status codes are StateStatus; 0 is success.

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "tflm_kernels/host/tflm_host.h"
#include "tflm_kernels/micro/train_ops.h"
#include "tflm_kernels/op_params.h"
#include "tflm_kernels/state.h"

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

#define GEOMETRY(S)            \
  PART(S, geometry, in_h);     \
  PART(S, geometry, in_w);     \
  PART(S, geometry, in_c);     \
  PART(S, geometry, out_h);    \
  PART(S, geometry, out_w);    \
  PART(S, geometry, out_c);    \
  PART(S, geometry, k_h);      \
  PART(S, geometry, k_w);      \
  PART(S, geometry, stride_h); \
  PART(S, geometry, stride_w); \
  PART(S, geometry, dil_h);    \
  PART(S, geometry, dil_w);    \
  PART(S, geometry, pad_t);    \
  PART(S, geometry, pad_l)

#define MASK(S)             \
  PART(S, mask, mask_kind); \
  PART(S, mask, act_min);   \
  PART(S, mask, act_max)

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
  PART(S, update, row_channels)

#define OUTPUT(S)                \
  PART(S, output, x_zero_point); \
  PART(S, output, y_zero_point); \
  PART(S, output, act_min);      \
  PART(S, output, act_max)

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

  STRUCT(DepthwiseInputGradParams, "DEPTHWISE_INPUT_GRAD");
  GEOMETRY(DepthwiseInputGradParams);
  MASK(DepthwiseInputGradParams);
  FIELD(DepthwiseInputGradParams, slot_in);
  FIELD(DepthwiseInputGradParams, slot_out);
  FIELD(DepthwiseInputGradParams, slot_addend);
  FIELD(DepthwiseInputGradParams, unit_scale);
  FIELD(DepthwiseInputGradParams, multiplier);
  FIELD(DepthwiseInputGradParams, acc_shift);
  FIELD(DepthwiseInputGradParams, kept);

  STRUCT(PoolGradParams, "POOL_GRAD");
  GEOMETRY(PoolGradParams);
  MASK(PoolGradParams);
  FIELD(PoolGradParams, slot_in);
  FIELD(PoolGradParams, slot_out);
  FIELD(PoolGradParams, uniform);
  FIELD(PoolGradParams, count);

  STRUCT(PadGradParams, "PAD_GRAD");
  FIELD(PadGradParams, in_n);
  FIELD(PadGradParams, in_h);
  FIELD(PadGradParams, in_w);
  FIELD(PadGradParams, in_c);
  FIELD(PadGradParams, out_n);
  FIELD(PadGradParams, out_h);
  FIELD(PadGradParams, out_w);
  FIELD(PadGradParams, out_c);
  FIELD(PadGradParams, pad_n);
  FIELD(PadGradParams, pad_t);
  FIELD(PadGradParams, pad_l);
  FIELD(PadGradParams, pad_c);
  MASK(PadGradParams);
  FIELD(PadGradParams, slot_in);
  FIELD(PadGradParams, slot_out);

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

  STRUCT(DepthwiseUpdateParams, "DEPTHWISE_UPDATE");
  GEOMETRY(DepthwiseUpdateParams);
  UPDATE(DepthwiseUpdateParams);
  FIELD(DepthwiseUpdateParams, multiplier);

  STRUCT(BiasUpdateParams, "BIAS_UPDATE");
  FIELD(BiasUpdateParams, positions);
  FIELD(BiasUpdateParams, channels);
  FIELD(BiasUpdateParams, slot);

  STRUCT(ChannelSaveParams, "CHANNEL_SAVE");
  FIELD(ChannelSaveParams, positions);
  FIELD(ChannelSaveParams, channels);
  FIELD(ChannelSaveParams, kept);

  STRUCT(SplitConvParams, "SPLIT_CONV");
  GEOMETRY(SplitConvParams);
  OUTPUT(SplitConvParams);
  FIELD(SplitConvParams, kept);

  STRUCT(SplitDepthwiseParams, "SPLIT_DEPTHWISE");
  GEOMETRY(SplitDepthwiseParams);
  OUTPUT(SplitDepthwiseParams);
  FIELD(SplitDepthwiseParams, kept);
  FIELD(SplitDepthwiseParams, multiplier);
}

#undef STRUCT
#undef FIELD
#undef PART
#undef GEOMETRY
#undef MASK
#undef UPDATE
#undef OUTPUT

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
  static char text[4096] = "";
  tflm_train::DescribeStructs(text, sizeof(text));
  return text;
}

// Time spent in the ops of one kind (OpKind) since TflmTrainOpReset.
uint64_t TflmTrainOpNanoseconds(int32_t kind) {
  if (kind < 1 || kind > tflm_train::kOpKindCount) return 0;
  return tflm_train::OpNanoseconds(static_cast<tflm_train::OpKind>(kind));
}

void TflmTrainOpReset() { tflm_train::ResetOpTimes(); }

}  // extern "C"
