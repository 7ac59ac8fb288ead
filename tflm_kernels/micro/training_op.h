// The part that all ops share: a TFLM registration from a description of the
// op.

#ifndef TFLM_KERNELS_MICRO_TRAINING_OP_H_
#define TFLM_KERNELS_MICRO_TRAINING_OP_H_

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "tflm_kernels/micro/op_checks.h"
#include "tflm_kernels/micro/op_node.h"
#include "tflm_kernels/micro/tflm_adapter.h"
#include "tflm_kernels/spec/op_params.h"
#include "tflm_kernels/spec/op_tables.h"
#include "tflm_kernels/state/state.h"

namespace tflm_train {

// Memory of one node during Run.
struct OpMemory {
  void* scratch;     // ScratchBytes(), contents undefined
  void* persistent;  // PersistentBytes(), kept as long as the interpreter
};

// What an op may leave out. An op is a struct derived from this and from what
// spec/op_tables.h has for it (Params, Table(), In, Out), with
//
//   static bool Run(const Params&, const OpNode&, const OpMemory&);
//
// The last input of an op is the state, unless it always runs: then it sees to
// the marks of its tensors itself.
struct OpDefaults {
  static constexpr bool kAlwaysRuns = false;
  // What the op's table cannot express of Prepare's checks; comes after them.
  template <typename Params>
  static bool Check(const Params&, const OpNode&) {
    return true;
  }
  template <typename Params>
  static size_t ScratchBytes(const Params&) {
    return 0;
  }
  // An op with persistent memory has no scratch.
  static constexpr bool kIsPersistent = false;
  // Whether no op after this one shall run: of ops that always run.
  static bool EndsInvoke(const OpNode&) { return false; }
  template <typename Params>
  static size_t PersistentBytes(const Params&) {
    return 0;
  }
  // Called at the end of Prepare, and with every AllocateTensors() and Reset().
  static void InitPersistent(const OpNode&, void*) {}
  static void Reset(void*) {}
  // The length of custom_options and their header are right.
  static bool CheckOptions(const OpTable& table, const OpNode& node, const char* options,
                           uint32_t length) {
    return node.CheckHeader(options, length, table.kind, table.size);
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
    TFLMRegistration registration = {};
    registration.prepare = Prepare;
    registration.invoke = Invoke;
    registration.builtin_code = kBuiltinOperatorCustom;
    registration.custom_name = Op::Table().name;
    if (Op::kIsPersistent) SetReset(registration, Reset, 0);
    return registration;
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
    const OpTable& table = Op::Table();
    const OpNode node(context, tflite_node, table.name);
    const char* const options = Options(*tflite_node);
    if (!Op::CheckOptions(table, node, options, OptionsLength(*tflite_node)) ||
        !CheckTable(table, options, node)) {
      return kTfLiteError;
    }
    const Params params = ReadParams(*tflite_node);
    if (!Op::Check(params, node)) return kTfLiteError;
    if (Op::kIsPersistent) {
      tflite_node->user_data =
          MicroContextAllocatePersistentBuffer(context, Op::PersistentBytes(params));
      if (tflite_node->user_data == nullptr) {
        node.Fail("the arena is too small for the op's tables");
        return kTfLiteError;
      }
      Op::InitPersistent(node, tflite_node->user_data);
      return kTfLiteOk;
    }
    return RequestScratch(context, tflite_node, Op::ScratchBytes(params), node);
  }

  static TfLiteStatus Invoke(TfLiteContext* context, TfLiteNode* tflite_node) {
    const OpTable& table = Op::Table();
    const OpTimer timer(table.kind);
    const OpNode node(context, tflite_node, table.name);
    const OpMemory memory = MemoryOf(context, *tflite_node);
    if (Op::kAlwaysRuns) {
      if (!Op::Run(ReadParams(*tflite_node), node, memory)) return kTfLiteError;
      return Op::EndsInvoke(node) ? static_cast<TfLiteStatus>(kInvokeEnded) : kTfLiteOk;
    }
    if (node.State()->training == 0) return kTfLiteOk;
    const char* const options = Options(*tflite_node);
    if (!CheckMarksRead(table, options, node) || !Op::Run(ReadParams(*tflite_node), node, memory)) {
      return kTfLiteError;
    }
    SetMarksWritten(table, options, node);
    return kTfLiteOk;
  }

  // Without memory where AllocateTensors() has failed and TFLM calls it to free.
  static void Reset(TfLiteContext*, void* persistent) {
    if (persistent != nullptr) Op::Reset(persistent);
  }

  static OpMemory MemoryOf(TfLiteContext* context, const TfLiteNode& node) {
    if (Op::kIsPersistent) return {nullptr, node.user_data};
    return {ScratchOf(context, node), nullptr};
  }
};

}  // namespace tflm_train

#endif  // TFLM_KERNELS_MICRO_TRAINING_OP_H_
