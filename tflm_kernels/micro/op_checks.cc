#include "tflm_kernels/micro/op_checks.h"

#include <cstring>

#include "tflm_kernels/spec/op_tables.h"

namespace tflm_train {
namespace {

const FieldTable* const kPartTables[kCommonParts] = {&kGeometryTable, &kMaskParamsTable,
                                                     &kOutputParamsTable};

constexpr int kNoScratch = -1;

int32_t Saturate(int64_t value) {
  if (value > INT32_MAX) return INT32_MAX;
  return value < -INT32_MAX ? -INT32_MAX : static_cast<int32_t>(value);
}

int32_t Word(const char* words, int index) {
  int32_t word;
  std::memcpy(&word, words + index * static_cast<int>(sizeof(word)), sizeof(word));
  return word;
}

int32_t Apply(uint8_t code, int32_t a, int32_t b) {
  switch (code) {
    case kMultiply:
      return Saturate(static_cast<int64_t>(a) * b);
    case kAdd:
      return Saturate(static_cast<int64_t>(a) + b);
    case kSubtract:
      return Saturate(static_cast<int64_t>(a) - b);
    case kDivide:
      return b == 0 ? INT32_MAX : a / b;
    case kShift:
      return Saturate(a * (int64_t{1} << (b < 0 ? 0 : b > 31 ? 31 : b)));
    case kMinimum:
      return a < b ? a : b;
    case kMaximum:
      return a > b ? a : b;
    case kEqual:
      return a == b;
    default:  // kLess
      return a < b;
  }
}

// One list of tensors, the op's inputs or outputs, beside its rows.
class TensorList {
 public:
  TensorList(const OpTable& table, const char* words, const OpNode& node, bool is_output)
      : table_(table), words_(words), node_(node), is_output_(is_output) {}

  int rows() const { return is_output_ ? table_.outputs : table_.inputs; }
  int size() const { return is_output_ ? node_.output_count() : node_.input_count(); }
  const TensorRow& row(int i) const { return table_.tensors[is_output_ ? table_.inputs + i : i]; }

  // How many tensors stand at a row.
  int Run(const TensorRow& row) const { return row.traits & kRun ? size() - (rows() - 1) : 1; }

  bool HasRightCount() const {
    for (int i = 0; i < rows(); ++i) {
      if ((row(i).traits & kRun) == 0) continue;
      return Run(row(i)) >= 0 &&
             (row(i).present == kNoExpression || Run(row(i)) == Value(row(i).present));
    }
    return size() == rows();
  }

  bool Check() const {
    int index = 0;
    for (int i = 0; i < rows(); ++i) {
      for (int n = Run(row(i)); n > 0; --n) {
        if (!CheckTensor(row(i), index++)) return false;
      }
    }
    return true;
  }

  // Whether `use` accepts each tensor's mark.
  bool ForMarks(bool (*use)(const OpNode& node, int32_t mark)) const {
    for (int i = 0; i < rows(); ++i) {
      const TensorRow& r = row(i);
      if (r.extra == kNoExpression || r.traits & kMustBeConstant) continue;
      for (int n = 0; n < Run(r); ++n) {
        if (!use(node_, Word(words_, r.extra + n))) return false;
      }
    }
    return true;
  }

 private:
  const char* Kind() const { return is_output_ ? "output" : "input"; }

  int32_t Value(uint8_t expression) const {
    return Evaluate(table_.fields.code + expression, words_, node_);
  }

  bool CheckTensor(const TensorRow& row, int index) const {
    const TfLiteEvalTensor* const tensor =
        is_output_ ? node_.OutputTensor(index) : node_.InputTensor(index);
    if (row.present != kNoExpression && (row.traits & kRun) == 0) {
      const int32_t present = Value(row.present);
      if (present == kMustBeAbsent) return node_.CheckAbsent(index, row.label);
      if (present == kMayBeAbsent && tensor == nullptr) return true;
    }
    if (row.size == kNoExpression) {
      return tensor == nullptr || CheckData(row, index, *tensor);
    }
    const uint8_t* type_code;
    int32_t elements = Evaluate(table_.fields.code + row.size, words_, node_, &type_code);
    if (row.traits & kAtLeast && tensor != nullptr) {
      const int32_t count = ElementCount(*tensor);
      if (count > elements) elements = count;
    }
    int32_t type = row.traits & kTypeBits;
    if (type == 0) type = Evaluate(type_code, words_, node_);
    if (!node_.CheckTensor(tensor, Kind(), index, row.label, static_cast<TfLiteType>(type),
                           elements)) {
      return false;
    }
    return CheckData(row, index, *tensor);
  }

  // Before memory is planned only tensors with data in the model have an address.
  bool CheckData(const TensorRow& row, int index, const TfLiteEvalTensor& tensor) const {
    const void* const data = tensor.data.data;
    if (row.traits & kMustBeVariable && data != nullptr) {
      return node_.FailTensor(Kind(), index, row.label, "is a constant, it must be a variable");
    }
    if ((row.traits & kMustBeConstant) == 0) return true;
    if (data == nullptr) {
      return node_.FailTensor(Kind(), index, row.label, "must be a constant");
    }
    if (row.extra == kNoExpression) return true;
    const uint8_t* code = table_.fields.code + row.extra;
    const int32_t low = Evaluate(code, words_, node_, &code);
    const int32_t high = Evaluate(code, words_, node_, &code);
    const int32_t first_run = Evaluate(code, words_, node_);
    return node_.CheckIntegers(index, row.label,
                               {data, tensor.type, ElementCount(tensor), low, high, first_run});
  }

  const OpTable& table_;
  const char* words_;
  const OpNode& node_;
  bool is_output_;
};

bool IsMark(const OpNode& node, int32_t mark) { return node.CheckMark(mark); }
bool IsSet(const OpNode& node, int32_t mark) { return StepMarks(node.State()).Has(mark); }
bool Set(const OpNode& node, int32_t mark) {
  StepMarks(node.State()).Set(mark);
  return true;
}

const char* WordsOf(const char* options) { return options + sizeof(OpHeader); }

}  // namespace

int32_t Evaluate(const uint8_t* code, const char* words, const OpNode& node, const uint8_t** end) {
  int32_t stack[kDeepestExpression];
  int32_t* top = stack;  // behind the last number
  for (uint8_t op = *code++; op != kEnd; op = *code++) {
    if (op < kByte) {
      *top++ = Word(words, op);
    } else if (op == kByte) {
      *top++ = static_cast<int8_t>(*code++);
    } else if (op == kWord) {
      std::memcpy(top++, code, sizeof(int32_t));
      code += sizeof(int32_t);
    } else if (op == kHas) {
      *top++ = node.HasInput(static_cast<int8_t>(*code++));
    } else if (op == kNot) {
      top[-1] = top[-1] == 0;
    } else if (op == kSelect) {
      top -= 2;
      top[-1] = top[-1] != 0 ? top[0] : top[1];
    } else {
      --top;
      top[-1] = Apply(op, top[-1], top[0]);
    }
  }
  if (end != nullptr) *end = code;
  return stack[0];
}

bool CheckFields(const FieldTable& table, const char* words, const OpNode& node) {
  for (int i = 0; i < table.count; ++i) {
    const FieldRow& row = table.rows[i];
    const auto value = [&](uint8_t expression, int32_t otherwise) {
      return expression == kNoExpression ? otherwise
                                         : Evaluate(table.code + expression, words, node);
    };
    if (!node.CheckField({row.name, value(row.value, 0), value(row.low, INT32_MIN),
                          value(row.high, INT32_MAX)})) {
      return false;
    }
  }
  return true;
}

bool CheckPart(CommonPart part, const char* words, const OpNode& node) {
  return CheckFields(*kPartTables[part], words, node);
}

bool CheckTable(const OpTable& table, const char* options, const OpNode& node) {
  const char* const words = WordsOf(options);
  for (int i = 0; i < kCommonParts; ++i) {
    const uint8_t at = table.part_at[i];
    if (at != kNoExpression && !CheckFields(*kPartTables[i], words + at * sizeof(int32_t), node)) {
      return false;
    }
  }
  if (!CheckFields(table.fields, words, node)) return false;
  const TensorList inputs(table, words, node, false);
  const TensorList outputs(table, words, node, true);
  if (!inputs.HasRightCount() || !outputs.HasRightCount()) {
    return node.FailCounts(table.inputs, table.outputs);
  }
  if (!inputs.Check() || !outputs.Check() || !node.CheckOutputsAreNew()) return false;
  return !table.has_state || (inputs.ForMarks(IsMark) && outputs.ForMarks(IsMark));
}

bool CheckMarksRead(const OpTable& table, const char* options, const OpNode& node) {
  return TensorList(table, WordsOf(options), node, false).ForMarks(IsSet) ||
         node.Fail("an input was not written in this step: the operators are in a wrong order");
}

void SetMarksWritten(const OpTable& table, const char* options, const OpNode& node) {
  TensorList(table, WordsOf(options), node, true).ForMarks(Set);
}

TfLiteStatus RequestScratch(TfLiteContext* context, TfLiteNode* tflite_node, size_t bytes,
                            const OpNode& node) {
  int index = kNoScratch;
  if (bytes > 0 && MicroContextRequestScratchBufferInArena(context, bytes, &index) != kTfLiteOk) {
    node.Fail("no scratch memory");
    return kTfLiteError;
  }
  tflite_node->user_data = reinterpret_cast<void*>(static_cast<intptr_t>(index));
  return kTfLiteOk;
}

void* ScratchOf(TfLiteContext* context, const TfLiteNode& node) {
  const int index = static_cast<int>(reinterpret_cast<intptr_t>(node.user_data));
  return index == kNoScratch ? nullptr : MicroContextGetScratchBuffer(context, index);
}

}  // namespace tflm_train
