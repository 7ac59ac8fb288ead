// The training state: the layout of the `train/state` tensor, and how firmware
// saves, loads and resets what has been learnt. No heap, no globals; any number
// of interpreters side by side.
//
// With an interpreter at hand, interpreter_state.h is more convenient:
// the same functions, on the interpreter or on its output. Here `state` is the
// state tensor's data, or a copy of its 64 bytes: it only leads to the live
// one. It is valid from the first Invoke() on, for as long as the arena is; EnsureWeights there
// makes it so without an inference.

#ifndef TFLM_KERNELS_STATE_STATE_H_
#define TFLM_KERNELS_STATE_STATE_H_

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "tflm_kernels/spec/op_params.h"

namespace tflm_train {

constexpr uint32_t kStateMagic = 0x4E525454;  // "TTRN"
constexpr int kStateWords = 16;

// As the learning rate of an Invoke: RESTORE, the first op, fills the variables if they hold no
// weights yet, and ends the Invoke. No other op runs, so that no layer with a memory of its own
// takes it for a step in time. Invoke then returns kInvokeEnded, about which TFLM logs nothing.
constexpr float kRestoreOnly = -3.40282347e+38f;
constexpr int kInvokeEnded = 15;  // kTfLiteAbort

// What the ops need to know of a step.
struct StepState {
  uint32_t magic;        // kStateMagic once the variables hold weights
  uint32_t abi_version;  // kAbiVersion
  int32_t training;      // 1: this Invoke is a training step
  uint32_t step;         // steps taken, 1 within the first
  uint32_t seed;         // of the random rounding
  float learning_rate;   // of this Invoke
};

// The live state: the beginning of the variable `train/control`, which the marks
// (StepMarks) follow.
struct LiveState : StepState {
  float loss;  // of this step, before the update; 0 when this Invoke does not train
};
constexpr int kLiveWords = 7;
static_assert(sizeof(LiveState) == 4 * kLiveWords, "marks follow at once");

// The int32 [16] tensor `train/state`: a copy of what a step knows, and the way
// to the variables.
struct TrainState : StepState {
  uint32_t fingerprint_lo, fingerprint_hi;  // of the model
  uint32_t table_lo, table_hi;              // native pointer to the VariableTable, zero-extended
  uint32_t variable_count;
  uint32_t payload_bytes;  // sum of the variables' sizes
  float loss;              // of this step, before the update; 0 when this Invoke does not train
  uint32_t latent_lo, latent_hi;  // native pointer to the latent, zero-extended; 0: there is none
  uint32_t latent_bytes;
};
static_assert(sizeof(TrainState) == 4 * kStateWords, "the tensor's size");

constexpr int kMarksPerWord = 32;

// Which tensors a training step has written, a bit for each (its mark): they
// follow the live state. RESTORE clears them, each op sets what it writes and
// refuses to read what is not set, so that a wrong order of the ops is noticed.
class StepMarks {
 public:
  explicit StepMarks(LiveState* state) : words_(reinterpret_cast<uint32_t*>(state + 1)) {}

  bool Has(int32_t mark) const {
    return mark == kNoMark || (words_[mark / kMarksPerWord] >> (mark % kMarksPerWord) & 1) != 0;
  }
  void Set(int32_t mark) const {
    if (mark != kNoMark) words_[mark / kMarksPerWord] |= 1u << (mark % kMarksPerWord);
  }
  bool HasAll(int32_t count) const {
    for (int32_t mark = 0; mark < count; ++mark) {
      if (!Has(mark)) return false;
    }
    return true;
  }

 private:
  uint32_t* words_;
};

// Where the variables are. Lives in the persistent memory of the RESTORE op.
struct VariableEntry {
  void* data;
  uint32_t bytes : 31;
  uint32_t are_weights : 1;  // int8: none of them may be -128
};
struct VariableTable {
  StepState* state;  // the live one
  uint32_t count;
  VariableEntry entries[1];  // [count]
};

constexpr size_t VariableTableBytes(size_t count) {
  return offsetof(VariableTable, entries) + count * sizeof(VariableEntry);
}

// Fills the live state of a table after the variables have been restored.
void StateInitialize(const RestoreParams& params, VariableTable* table);

// What firmware gets to see: the live state, the model, and where the table is.
// `state` may be the live one.
void StateDescribe(const RestoreParams& params, const VariableTable& table, TrainState* state);

// Whether none of int8 weights is -128, where no step goes.
inline bool AreReachable(const void* weights, size_t count) {
  return std::memchr(weights, 0x80, count) == nullptr;
}

// Whether a learning rate is finite and not negative.
bool IsValidLearningRate(float learning_rate);

enum class StateStatus : int32_t {
  kOk = 0,
  kNotReady = 1,       // no Invoke since AllocateTensors or Reset
  kTooSmall = 2,       // the buffer is shorter than StateSize
  kNotABlob = 3,       // does not start like a state blob
  kWrongVersion = 4,   // written by an incompatible version
  kWrongModel = 5,     // the fingerprint is another model's
  kWrongSize = 6,      // cut off, or holds another number of bytes
  kWrongChecksum = 7,  // damaged
  kStorageFailed = 8,  // the storage that the blob goes to or comes from failed
  kInvokeFailed = 9,   // the Invoke that fills the variables failed
  kWrongValues = 10,   // holds a weight that no training reaches
};

// One line for a log, in static memory.
const char* StateStatusMessage(StateStatus status);

// Bytes of a blob before the variables.
constexpr size_t kStateHeaderBytes = 32;

// Bytes that StateSave writes, 0 when there is nothing to save yet.
size_t StateSize(const TrainState* state);

// Writes header and variables; docs/NUMERICS.md has the format.
//
//   state      the state tensor or a copy
//   blob       [capacity], any alignment
StateStatus StateSave(const TrainState* state, void* blob, size_t capacity);

// Puts saved variables, step and seed back. Checks everything before it writes
// anything.
//
//   state      the state tensor or a copy
//   blob       [size], any alignment, exactly what StateSave wrote
StateStatus StateLoad(const TrainState* state, const void* blob, size_t size);

// Where a blob goes piece by piece, so that no second copy of it lies in RAM.
struct BlobSink {
  bool (*write)(void* context, const void* data, size_t size);  // false: failed
  void* context;
};

// As StateSave, the blob's StateSize bytes in order, in as many pieces as there
// are variables and one.
StateStatus StateSaveTo(const TrainState* state, const BlobSink& sink);

// Where a blob comes from.
struct BlobSource {
  bool (*read)(void* context, size_t offset, void* data, size_t size);  // false: failed
  void* context;
  size_t size;  // of the whole blob
};

// As StateLoad. Reads the blob twice, first to check it; should the source fail
// in the second pass, the model is set back to its factory weights.
StateStatus StateLoadFrom(const TrainState* state, const BlobSource& source);

// Back to the factory weights at the next Invoke.
StateStatus StateReset(const TrainState* state);

// Training steps taken so far.
uint32_t StateStep(const TrainState* state);

// The latent of a model that has one (`latent: true`), nullptr without one and
// before the first Invoke. It is no part of what is saved and loaded: an Invoke from
// a sample writes it, one from the latent leaves it as it is.
struct Latent {
  int8_t* data;  // [bytes]
  size_t bytes;
};
Latent StateLatent(const TrainState* state);

}  // namespace tflm_train

#endif  // TFLM_KERNELS_STATE_STATE_H_
