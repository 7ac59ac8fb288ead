// The part that all ops share: a TFLM registration from a description of the
// op.

#ifndef TFLM_KERNELS_MICRO_TRAINING_OP_H_
#define TFLM_KERNELS_MICRO_TRAINING_OP_H_

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "tflm_kernels/micro/op_node.h"
#include "tflm_kernels/micro/tflm_adapter.h"
#include "tflm_kernels/spec/op_params.h"

namespace tflm_train {

// Memory of one node during Run.
struct OpMemory {
  void* scratch;     // ScratchBytes(), contents undefined
  void* persistent;  // PersistentBytes(), kept as long as the interpreter
};

// What an op may leave out. An op is a struct derived from this with
//
//   using Params = ...;              // of op_params.h
//   static constexpr const char* kName;
//   static constexpr int kStateInput;  // index of the state tensor, or kAlwaysRuns
//   static bool Check(const Params&, const OpNode&);  // all of Prepare's checks
//   static bool Run(const Params&, const OpNode&, const OpMemory&);
struct OpDefaults {
  static constexpr int kAlwaysRuns = -1;
  template <typename Params>
  static size_t ScratchBytes(const Params&) {
    return 0;
  }
  template <typename Params>
  static size_t PersistentBytes(const Params&) {
    return 0;
  }
  // The length of custom_options and their header are right.
  template <typename Params>
  static bool CheckOptions(const OpNode& node, const char* options, uint32_t length) {
    return node.CheckHeader(options, length, Params::kKind, sizeof(Params));
  }
  template <typename Params>
  static Params ReadOptions(const char* options, uint32_t) {
    Params params;
    std::memcpy(&params, options, sizeof(params));
    return params;
  }
  // Instead of Run when this Invoke does not train.
  static void Idle(const OpNode&) {}
};

template <typename Op>
class TrainingOp {
 public:
  static TFLMRegistration Registration() {
    return {Init, nullptr, Prepare, Invoke, nullptr, kBuiltinOperatorCustom, Op::kName};
  }

 private:
  using Params = typename Op::Params;

  // The parameters stay in the model, in flash; they are copied to the stack to
  // be read, because nothing aligns them there.
  struct NodeData {
    const char* options;
    uint32_t length;
    int scratch_index;  // -1: none
    void* persistent;
  };

  static Params ReadParams(const NodeData& data) {
    return Op::template ReadOptions<Params>(data.options, data.length);
  }

  static void* Init(TfLiteContext* context, const char* buffer, size_t length) {
    void* memory = MicroContextAllocatePersistentBuffer(context, sizeof(NodeData));
    if (memory == nullptr) return nullptr;
    const NodeData data = {buffer, static_cast<uint32_t>(length), -1, nullptr};
    std::memcpy(memory, &data, sizeof(data));
    return memory;
  }

  static TfLiteStatus Prepare(TfLiteContext* context, TfLiteNode* tflite_node) {
    const OpNode node(context, tflite_node, Op::kName);
    NodeData* data = static_cast<NodeData*>(tflite_node->user_data);
    if (data == nullptr) {
      node.Fail("the arena is too small for the op's data");
      return kTfLiteError;
    }
    if (!Op::template CheckOptions<Params>(node, data->options, data->length)) {
      return kTfLiteError;
    }
    const Params params = ReadParams(*data);
    if (!Op::Check(params, node)) return kTfLiteError;
    const size_t scratch_bytes = Op::ScratchBytes(params);
    if (scratch_bytes > 0 && MicroContextRequestScratchBufferInArena(
                                 context, scratch_bytes, &data->scratch_index) != kTfLiteOk) {
      node.Fail("no scratch memory");
      return kTfLiteError;
    }
    const size_t persistent_bytes = Op::PersistentBytes(params);
    if (persistent_bytes > 0) {
      data->persistent = MicroContextAllocatePersistentBuffer(context, persistent_bytes);
      if (data->persistent == nullptr) {
        node.Fail("the arena is too small for the op's tables");
        return kTfLiteError;
      }
    }
    return kTfLiteOk;
  }

  static TfLiteStatus Invoke(TfLiteContext* context, TfLiteNode* tflite_node) {
    const OpTimer timer(Params::kKind);
    const OpNode node(context, tflite_node, Op::kName);
    if (Op::kStateInput != Op::kAlwaysRuns && node.State(Op::kStateInput)->training == 0) {
      Op::Idle(node);
      return kTfLiteOk;
    }
    const NodeData& data = *static_cast<const NodeData*>(tflite_node->user_data);
    const OpMemory memory = {data.scratch_index < 0
                                 ? nullptr
                                 : MicroContextGetScratchBuffer(context, data.scratch_index),
                             data.persistent};
    return Op::Run(ReadParams(data), node, memory) ? kTfLiteOk : kTfLiteError;
  }
};

}  // namespace tflm_train

#endif  // TFLM_KERNELS_MICRO_TRAINING_OP_H_
