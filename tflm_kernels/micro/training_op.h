// The part that all ops share: a TFLM registration from a description of the
// op.

#ifndef TFLM_KERNELS_MICRO_TRAINING_OP_H_
#define TFLM_KERNELS_MICRO_TRAINING_OP_H_

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>

#include "tflm_kernels/micro/op_node.h"
#include "tflm_kernels/micro/tflm_adapter.h"
#include "tflm_kernels/spec/op_params.h"

namespace tflm_train {

// Memory of one node during Run.
struct OpMemory {
  void* scratch;     // ScratchBytes(), contents undefined
  void* persistent;  // PersistentBytes(), kept as long as the interpreter
};

// The marks (op_params.h) of the tensors that an op reads.
struct Marks {
  static constexpr int kMost = 5;
  Marks(std::initializer_list<int32_t> given) {
    int count = 0;
    for (const int32_t mark : given) of[count++] = mark;
    while (count < kMost) of[count++] = kNoMark;
  }
  int32_t of[kMost];
};

// What an op may leave out. An op is a struct derived from this with
//
//   using Params = ...;              // of op_params.h
//   static constexpr const char* kName;
//   static bool Check(const Params&, const OpNode&);  // all of Prepare's checks but the state's
//   static bool Run(const Params&, const OpNode&, const OpMemory&);
//
// The last input of an op is the state, unless it always runs: then it sees to
// its tensors itself.
struct OpDefaults {
  static constexpr bool kAlwaysRuns = false;
  // What it reads must have been written in this step, and what it writes has been then.
  template <typename Params>
  static Marks Reads(const Params&) {
    return {};
  }
  template <typename Params>
  static int32_t Writes(const Params&) {
    return kNoMark;
  }
  template <typename Params>
  static size_t ScratchBytes(const Params&) {
    return 0;
  }
  // An op with persistent memory has no scratch.
  static constexpr bool kIsPersistent = false;
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
};

// TFLM keeps what an op needs: its parameters stay in the model, in flash, and
// the node's user_data holds the index of the scratch buffer, or where the
// persistent memory is. So a node takes no memory of its own.
template <typename Op>
class TrainingOp {
 public:
  static TFLMRegistration Registration() {
    return {nullptr, nullptr, Prepare, Invoke, nullptr, kBuiltinOperatorCustom, Op::kName};
  }

 private:
  using Params = typename Op::Params;

  static const char* Options(const TfLiteNode& node) {
    return static_cast<const char*>(node.custom_initial_data);
  }
  static uint32_t OptionsLength(const TfLiteNode& node) {
    return static_cast<uint32_t>(node.custom_initial_data_size);
  }
  // Copied to the stack to be read, because nothing aligns them in the model.
  static Params ReadParams(const TfLiteNode& node) {
    return Op::template ReadOptions<Params>(Options(node), OptionsLength(node));
  }

  static TfLiteStatus Prepare(TfLiteContext* context, TfLiteNode* tflite_node) {
    const OpNode node(context, tflite_node, Op::kName);
    if (!Op::template CheckOptions<Params>(node, Options(*tflite_node),
                                           OptionsLength(*tflite_node))) {
      return kTfLiteError;
    }
    const Params params = ReadParams(*tflite_node);
    if (!Op::Check(params, node)) return kTfLiteError;
    if (!Op::kAlwaysRuns) {
      if (!node.CheckState() || !node.CheckMark(Op::Writes(params))) return kTfLiteError;
      for (const int32_t mark : Op::Reads(params).of) {
        if (!node.CheckMark(mark)) return kTfLiteError;
      }
    }
    if (Op::kIsPersistent) {
      tflite_node->user_data =
          MicroContextAllocatePersistentBuffer(context, Op::PersistentBytes(params));
      if (tflite_node->user_data == nullptr) {
        node.Fail("the arena is too small for the op's tables");
        return kTfLiteError;
      }
      return kTfLiteOk;
    }
    const size_t scratch_bytes = Op::ScratchBytes(params);
    int scratch_index = kNoScratch;
    if (scratch_bytes > 0 && MicroContextRequestScratchBufferInArena(context, scratch_bytes,
                                                                     &scratch_index) != kTfLiteOk) {
      node.Fail("no scratch memory");
      return kTfLiteError;
    }
    tflite_node->user_data = reinterpret_cast<void*>(static_cast<intptr_t>(scratch_index));
    return kTfLiteOk;
  }

  static TfLiteStatus Invoke(TfLiteContext* context, TfLiteNode* tflite_node) {
    const OpTimer timer(Params::kKind);
    const OpNode node(context, tflite_node, Op::kName);
    const OpMemory memory = MemoryOf(context, *tflite_node);
    if (Op::kAlwaysRuns) {
      return Op::Run(ReadParams(*tflite_node), node, memory) ? kTfLiteOk : kTfLiteError;
    }
    if (node.State()->training == 0) return kTfLiteOk;
    const Params params = ReadParams(*tflite_node);
    const StepMarks marks(node.State());
    for (const int32_t mark : Op::Reads(params).of) {
      if (!marks.Has(mark)) {
        node.Fail("an input was not written in this step: the operators are in a wrong order");
        return kTfLiteError;
      }
    }
    if (!Op::Run(params, node, memory)) return kTfLiteError;
    marks.Set(Op::Writes(params));
    return kTfLiteOk;
  }

  static OpMemory MemoryOf(TfLiteContext* context, const TfLiteNode& node) {
    if (Op::kIsPersistent) return {nullptr, node.user_data};
    const int index = static_cast<int>(reinterpret_cast<intptr_t>(node.user_data));
    return {index == kNoScratch ? nullptr : MicroContextGetScratchBuffer(context, index), nullptr};
  }

  static constexpr int kNoScratch = -1;
};

}  // namespace tflm_train

#endif  // TFLM_KERNELS_MICRO_TRAINING_OP_H_
