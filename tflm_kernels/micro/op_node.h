// What an op sees of its node: its tensors by index, and the checks of Prepare.

#ifndef TFLM_KERNELS_MICRO_OP_NODE_H_
#define TFLM_KERNELS_MICRO_OP_NODE_H_

#include <cstddef>
#include <cstdint>
#include <initializer_list>

#include "tflm_kernels/micro/tflm_adapter.h"
#include "tflm_kernels/spec/op_params.h"
#include "tflm_kernels/state/state.h"

namespace tflm_train {

// A field of the parameters that has to lie in [min, max].
struct FieldRange {
  const char* name;
  int32_t value, min, max;
};

// The elements of a constant, which have to lie in [low, high]. Of a list of channels also: both
// runs ascend, the first `first_run` elements and the others, and have no element in common.
struct Integers {
  const void* data;
  TfLiteType type;
  int32_t count, low, high;
  int32_t first_run;  // -1: it is no list
};

// Every Check* logs one line that names the op, the tensor and what is wrong,
// and returns false.
class OpNode {
 public:
  OpNode(TfLiteContext* context, TfLiteNode* node, const char* op_name)
      : context_(context), node_(node), op_name_(op_name) {}

  // -- Prepare --

  // Logs `what` with the op's name and the node's first output; returns false.
  bool Fail(const char* what) const;
  // Likewise, of a tensor; kind: "input" or "output".
  bool FailTensor(const char* kind, int index, const char* label, const char* what) const;
  // The node's tensors are too many or too few.
  bool FailCounts(int inputs, int outputs) const;

  // custom_options are a struct of this kind and size, of our version.
  bool CheckHeader(const char* options, uint32_t length, OpKind kind, size_t size) const;
  bool CheckField(const FieldRange& field) const;
  bool CheckFields(std::initializer_list<FieldRange> fields) const;

  // The tensor exists, and has this type and size.
  bool CheckTensor(const TfLiteEvalTensor* tensor, const char* kind, int index, const char* label,
                   TfLiteType type, int32_t elements) const;
  bool CheckInput(int index, const char* label, TfLiteType type, int32_t elements) const {
    return CheckTensor(InputTensor(index), "input", index, label, type, elements);
  }
  bool CheckOutput(int index, const char* label, TfLiteType type, int32_t elements) const {
    return CheckTensor(OutputTensor(index), "output", index, label, type, elements);
  }
  bool CheckAbsent(int index, const char* label) const;
  // The elements of a constant input, of its type, are as `integers` wants them.
  bool CheckIntegers(int index, const char* label, const Integers& integers) const;
  // No output is one of the inputs: what is read is not written.
  bool CheckOutputsAreNew() const;
  // A mark that the state, the last input, has room for, or kNoMark.
  bool CheckMark(int32_t mark) const;

  // -- Prepare and Eval --

  // Tensors count from 0; those with a negative index from the end.

  int input_count() const { return node_->inputs->size; }
  int output_count() const { return node_->outputs->size; }
  // An absent input is left out, or a repetition of the last one: compilers lose
  // those that are left out, and move up what comes behind them.
  bool HasInput(int index) const { return InputId(index) != kTfLiteOptionalTensor; }

  // nullptr when the tensor is absent.
  TfLiteEvalTensor* InputTensor(int index) const { return Tensor(InputId(index)); }
  TfLiteEvalTensor* OutputTensor(int index) const { return Tensor(OutputId(index)); }

  // -- Eval --

  template <typename T>
  T* Input(int index) const {
    return Data<T>(InputTensor(index));
  }
  template <typename T>
  T* Output(int index) const {
    return Data<T>(OutputTensor(index));
  }
  // The live state: the last input, where an op has it.
  LiveState* State() const { return Input<LiveState>(-1); }

 private:
  template <typename T>
  static T* Data(TfLiteEvalTensor* tensor) {
    return tensor == nullptr ? nullptr : static_cast<T*>(tensor->data.data);
  }
  int InputId(int index) const {
    const int id = Id(*node_->inputs, index);
    const bool is_last = index == -1 || index == input_count() - 1;
    return !is_last && id == Id(*node_->inputs, -1) ? kTfLiteOptionalTensor : id;
  }
  int OutputId(int index) const { return Id(*node_->outputs, index); }
  static int Id(const TfLiteIntArray& ids, int index) {
    if (index < 0) index += ids.size;
    return index >= 0 && index < ids.size ? ids.data[index] : kTfLiteOptionalTensor;
  }
  TfLiteEvalTensor* Tensor(int id) const {
    return id == kTfLiteOptionalTensor ? nullptr : MicroContextGetEvalTensor(context_, id);
  }

  TfLiteContext* context_;
  TfLiteNode* node_;
  const char* op_name_;
};

// Of a tensor: products of it and the few numbers that scratch is computed with fit 32 bits.
constexpr int32_t kMostElements = 1 << 26;

// Elements of a tensor, at most INT32_MAX; a scalar has one.
int32_t ElementCount(const TfLiteEvalTensor& tensor);
// The product of factors >= 0, at most INT32_MAX.
int32_t Product(std::initializer_list<int32_t> factors);
inline int32_t InputElements(const Geometry& g) { return Product({g.in_h, g.in_w, g.in_c}); }
inline int32_t OutputElements(const Geometry& g) { return Product({g.out_h, g.out_w, g.out_c}); }
// Bytes of one element of the types the ops use, 0 of any other.
int32_t ElementBytes(TfLiteType type);

}  // namespace tflm_train

#endif  // TFLM_KERNELS_MICRO_OP_NODE_H_
