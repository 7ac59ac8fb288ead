#include "tflm_kernels/micro/op_node.h"

#include <cstring>

namespace tflm_train {
namespace {

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

bool OpNode::FailTensor(const char* kind, int index, const char* label, const char* what) const {
  MicroPrintf("%s (output tensor %d): %s %d (%s) %s", op_name_, OutputId(0), kind, index, label,
              what);
  return false;
}

bool OpNode::FailCounts(int inputs, int outputs) const {
  MicroPrintf("%s (output tensor %d): %d inputs and %d outputs, expected %d and %d", op_name_,
              OutputId(0), input_count(), output_count(), inputs, outputs);
  return false;
}

bool OpNode::CheckField(const FieldRange& field) const {
  if (field.value >= field.min && field.value <= field.max) return true;
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

bool OpNode::CheckFields(std::initializer_list<FieldRange> fields) const {
  for (const FieldRange& field : fields) {
    if (!CheckField(field)) return false;
  }
  return true;
}

bool OpNode::CheckTensor(const TfLiteEvalTensor* tensor, const char* kind, int index,
                         const char* label, TfLiteType type, int32_t elements) const {
  if (tensor == nullptr) {
    MicroPrintf("%s (output tensor %d): %s %d (%s) is missing", op_name_, OutputId(0), kind, index,
                label);
    return false;
  }
  if (tensor->type != type) {
    MicroPrintf("%s (output tensor %d): %s %d (%s) is %s, expected %s", op_name_, OutputId(0), kind,
                index, label, TypeName(tensor->type), TypeName(type));
    return false;
  }
  const int32_t count = ElementCount(*tensor);
  if (count > kMostElements) return FailTensor(kind, index, label, "is too large");
  if (reinterpret_cast<uintptr_t>(tensor->data.data) % ElementBytes(type) != 0) {
    return FailTensor(kind, index, label, "is not aligned");
  }
  if (count != elements) {
    MicroPrintf(
        "%s (output tensor %d): %s %d (%s) has %d elements, the parameters "
        "need %d",
        op_name_, OutputId(0), kind, index, label, static_cast<int>(count),
        static_cast<int>(elements));
    return false;
  }
  return true;
}

bool OpNode::CheckIntegers(int index, const char* label, const Integers& integers) const {
  const auto at = [&](int32_t i) -> int32_t {
    if (integers.type == kTfLiteInt8) return static_cast<const int8_t*>(integers.data)[i];
    if (integers.type == kTfLiteInt16) return static_cast<const int16_t*>(integers.data)[i];
    return static_cast<const int32_t*>(integers.data)[i];
  };
  for (int32_t i = 0; i < integers.count; ++i) {
    if (at(i) >= integers.low && at(i) <= integers.high) continue;
    MicroPrintf("%s (output tensor %d): input %d (%s) lists %d, must be %d to %d", op_name_,
                OutputId(0), index, label, static_cast<int>(at(i)), static_cast<int>(integers.low),
                static_cast<int>(integers.high));
    return false;
  }
  if (integers.first_run < 0) return true;
  // The smaller one of what is next in both runs is larger than all before. (A walk through all
  // numbers from `low` to `high` would take as long as a model likes.)
  int32_t next = 0, next_other = integers.first_run;
  int64_t last = int64_t{integers.low} - 1;
  for (int32_t i = 0; i < integers.count; ++i) {
    const bool is_other =
        next == integers.first_run || (next_other < integers.count && at(next_other) < at(next));
    const int32_t value = at(is_other ? next_other++ : next++);
    if (value <= last) {
      return FailTensor("input", index, label, "does not ascend, or lists a channel twice");
    }
    last = value;
  }
  return true;
}

bool OpNode::CheckAbsent(int index, const char* label) const {
  return !HasInput(index) ||
         FailTensor("input", index, label, "is given, but the parameters have no use for it");
}

bool OpNode::CheckOutputsAreNew() const {
  for (int out = 0; out < output_count(); ++out) {
    for (int in = 0; in < input_count(); ++in) {
      if (OutputId(out) >= 0 && OutputId(out) == Id(*node_->inputs, in)) {
        return Fail("an output is one of the inputs");
      }
    }
  }
  return true;
}

bool OpNode::CheckMark(int32_t mark) const {
  const int32_t words = ElementCount(*InputTensor(-1)) - kLiveWords;
  return CheckField({"mark", mark, kNoMark, Product({words, kMarksPerWord}) - 1});
}

}  // namespace tflm_train
