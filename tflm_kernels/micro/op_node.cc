#include "tflm_kernels/micro/op_node.h"

#include <cstring>

#include "tflm_kernels/requantize.h"

namespace tflm_train {
namespace {

// Longest side of an image or a kernel: products of two fit the kernels' int32.
constexpr int32_t kMaxSide = 1 << 20;
constexpr int32_t kMaxWindow = INT16_MAX;

const char* TypeName(TfLiteType type) {
  switch (type) {
    case kTfLiteInt8:
      return "int8";
    case kTfLiteUInt8:
      return "uint8";
    case kTfLiteInt16:
      return "int16";
    case kTfLiteInt32:
      return "int32";
    case kTfLiteFloat32:
      return "float32";
    default:
      return "another type";
  }
}

}  // namespace

int32_t Product(std::initializer_list<int32_t> factors) {
  int64_t product = 1;
  for (const int32_t factor : factors) {
    product *= factor;
    if (product > INT32_MAX) return INT32_MAX;
  }
  return static_cast<int32_t>(product);
}

int32_t ElementCount(const TfLiteEvalTensor& tensor) {
  int32_t count = 1;
  for (int i = 0; i < tensor.dims->size; ++i) count = Product({count, tensor.dims->data[i]});
  return count;
}

int32_t ElementBytes(TfLiteType type) {
  switch (type) {
    case kTfLiteInt8:
    case kTfLiteUInt8:
      return 1;
    case kTfLiteInt16:
      return 2;
    case kTfLiteInt32:
    case kTfLiteFloat32:
      return 4;
    default:
      return 0;
  }
}

bool OpNode::Fail(const char* what) const {
  MicroPrintf("%s (output tensor %d): %s", op_name_, OutputId(0), what);
  return false;
}

bool OpNode::CheckHeader(const char* options, uint32_t length, OpKind kind, size_t size) const {
  OpHeader header;
  if (options == nullptr || length < sizeof(header)) {
    return Fail("no parameters in custom_options");
  }
  std::memcpy(&header, options, sizeof(header));
  if (header.version != kAbiVersion) {
    MicroPrintf(
        "%s (output tensor %d): made for version %d of the training ops, these are version %d; "
        "rewrite the original model again",
        op_name_, OutputId(0), static_cast<int>(header.version), static_cast<int>(kAbiVersion));
    return false;
  }
  const int32_t expected_kind = static_cast<int32_t>(kind);
  const int32_t expected_size = static_cast<int32_t>(size);
  return CheckFields(
      {{"kind", header.kind, expected_kind, expected_kind},
       {"size", static_cast<int32_t>(header.size), expected_size, expected_size},
       {"custom_options length", static_cast<int32_t>(length), expected_size, expected_size}});
}

bool OpNode::CheckCounts(int inputs, int outputs) const {
  if (input_count() == inputs && output_count() == outputs) return true;
  MicroPrintf("%s (output tensor %d): %d inputs and %d outputs, expected %d and %d", op_name_,
              OutputId(0), input_count(), output_count(), inputs, outputs);
  return false;
}

bool OpNode::CheckFields(std::initializer_list<FieldRange> fields) const {
  for (const FieldRange& field : fields) {
    if (field.value >= field.min && field.value <= field.max) continue;
    if (field.min == field.max) {
      MicroPrintf("%s (output tensor %d): %s is %d, must be %d", op_name_, OutputId(0), field.name,
                  static_cast<int>(field.value), static_cast<int>(field.min));
    } else {
      MicroPrintf("%s (output tensor %d): %s is %d, must be %d to %d", op_name_, OutputId(0),
                  field.name, static_cast<int>(field.value), static_cast<int>(field.min),
                  static_cast<int>(field.max));
    }
    return false;
  }
  return true;
}

bool OpNode::CheckTensor(const TfLiteEvalTensor* tensor, const char* kind, int index,
                         const char* role, TfLiteType type, int32_t elements) const {
  if (tensor == nullptr) {
    MicroPrintf("%s (output tensor %d): %s %d (%s) is missing", op_name_, OutputId(0), kind, index,
                role);
    return false;
  }
  if (tensor->type != type) {
    MicroPrintf("%s (output tensor %d): %s %d (%s) is %s, expected %s", op_name_, OutputId(0), kind,
                index, role, TypeName(tensor->type), TypeName(type));
    return false;
  }
  const int32_t count = ElementCount(*tensor);
  if (count != elements) {
    MicroPrintf(
        "%s (output tensor %d): %s %d (%s) has %d elements, the parameters "
        "need %d",
        op_name_, OutputId(0), kind, index, role, static_cast<int>(count),
        static_cast<int>(elements));
    return false;
  }
  return true;
}

bool OpNode::CheckInput(int index, const char* role, TfLiteType type, int32_t elements) const {
  return CheckTensor(InputTensor(index), "input", index, role, type, elements);
}

bool OpNode::CheckOutput(int index, const char* role, TfLiteType type, int32_t elements) const {
  return CheckTensor(OutputTensor(index), "output", index, role, type, elements);
}

bool OpNode::CheckVariable(int index, const char* role, TfLiteType type, int32_t elements) const {
  if (!CheckInput(index, role, type, elements)) return false;
  // Before memory is planned only tensors with data in the model have an
  // address.
  if (InputTensor(index)->data.data == nullptr) return true;
  MicroPrintf("%s (output tensor %d): input %d (%s) is a constant, it must be a variable", op_name_,
              OutputId(0), index, role);
  return false;
}

bool OpNode::CheckChannels(int index, int32_t elements, int32_t channels) const {
  if (!CheckInput(index, "channels", kTfLiteInt16, elements)) return false;
  const int16_t* listed = Input<int16_t>(index);
  // Before memory is planned only constants have an address.
  if (listed == nullptr) return Fail("the list of channels must be a constant");
  for (int32_t i = 0; i < elements; ++i) {
    if (listed[i] >= 0 && listed[i] < channels) continue;
    MicroPrintf("%s (output tensor %d): input %d (channels) lists %d, must be 0 to %d", op_name_,
                OutputId(0), index, static_cast<int>(listed[i]), static_cast<int>(channels - 1));
    return false;
  }
  return true;
}

bool OpNode::CheckAbsent(int index, const char* role) const {
  if (!HasInput(index)) return true;
  MicroPrintf(
      "%s (output tensor %d): input %d (%s) is given, but the parameters have "
      "no use for it",
      op_name_, OutputId(0), index, role);
  return false;
}

bool OpNode::CheckState() const {
  const int index = input_count() - 1;
  const TfLiteEvalTensor* state = InputTensor(index);
  const int32_t words = state == nullptr ? 0 : ElementCount(*state);
  return CheckInput(index, "state", kTfLiteInt32, words > kStateWords ? words : kStateWords + 1) &&
         (state->data.data == nullptr || Fail("the state must not be a constant"));
}

bool OpNode::CheckMark(int32_t mark) const {
  const int32_t words = ElementCount(*InputTensor(input_count() - 1)) - kStateWords;
  return CheckFields({{"mark", mark, kNoMark, Product({words, kMarksPerWord}) - 1}});
}

bool OpNode::CheckSlots(int index, const char* role, std::initializer_list<int32_t> slots) const {
  const TfLiteEvalTensor* tensor = InputTensor(index);
  const int32_t count = tensor == nullptr ? 0 : ElementCount(*tensor);
  if (!CheckTensor(tensor, "input", index, role, kTfLiteFloat32, count)) return false;
  for (const int32_t slot : slots) {
    if (slot >= 0 && slot < count) continue;
    MicroPrintf("%s (output tensor %d): slot %d is outside input %d (%s) of %d slots", op_name_,
                OutputId(0), static_cast<int>(slot), index, role, static_cast<int>(count));
    return false;
  }
  return true;
}

bool OpNode::CheckMask(int index, const MaskParams& params, int32_t elements) const {
  if (!CheckFields({{"mask_kind", params.mask_kind, kMaskNone, kMaskBits},
                    {"act_min", params.act_min, -128, params.act_max},
                    {"act_max", params.act_max, -128, 127}})) {
    return false;
  }
  if (params.mask_kind == kMaskNone) return CheckAbsent(index, "mask");
  return CheckInput(index, "mask", params.mask_kind == kMaskActivation ? kTfLiteInt8 : kTfLiteUInt8,
                    static_cast<int32_t>(MaskBytes(params, static_cast<size_t>(elements))));
}

bool OpNode::CheckGeometry(const Geometry& g) const {
  if (!CheckFields({{"in_h", g.in_h, 1, kMaxSide},
                    {"in_w", g.in_w, 1, kMaxSide},
                    {"in_c", g.in_c, 1, kMaxSide},
                    {"out_h", g.out_h, 1, kMaxSide},
                    {"out_w", g.out_w, 1, kMaxSide},
                    {"out_c", g.out_c, 1, kMaxSide},
                    {"k_h", g.k_h, 1, kMaxWindow},
                    {"k_w", g.k_w, 1, kMaxWindow},
                    {"stride_h", g.stride_h, 1, kMaxWindow},
                    {"stride_w", g.stride_w, 1, kMaxWindow},
                    {"dil_h", g.dil_h, 1, kMaxWindow},
                    {"dil_w", g.dil_w, 1, kMaxWindow},
                    {"pad_t", g.pad_t, 0, kMaxWindow},
                    {"pad_l", g.pad_l, 0, kMaxWindow}})) {
    return false;
  }
  if (InputElements(g) == INT32_MAX || OutputElements(g) == INT32_MAX) {
    return Fail("a tensor is too large");
  }
  return true;
}

}  // namespace tflm_train
