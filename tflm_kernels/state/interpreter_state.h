// The training state of a TFLM interpreter: the functions of state.h, given the
// interpreter (its last output is the state; in a model that trains from latents
// the last but one) or the output itself.
//
//   interpreter.AllocateTensors();
//   StateLoad(interpreter, blob, size);        // power-up: continue where we were
//   ... training steps ...
//   StateSave(interpreter, blob, sizeof(blob));
//
// and with a journal in flash (journal.h), StateLoad(interpreter, journal) and
// StateSave(interpreter, journal), which need no buffer.
//
// Templates, because TFLM's classes have changed their namespace: any type with
// MicroInterpreter's inputs_size, input, outputs_size, output and Invoke, and
// any with TfLiteTensor's data.data and type, will do.

#ifndef TFLM_KERNELS_STATE_INTERPRETER_STATE_H_
#define TFLM_KERNELS_STATE_INTERPRETER_STATE_H_

#include <cstddef>
#include <cstdint>

#include "tflm_kernels/state/journal.h"
#include "tflm_kernels/state/state.h"

namespace tflm_train {

// The state in `interpreter.output(k)`, k the index of `train/state`.
template <typename Tensor>
auto StateOf(const Tensor* output)
    -> decltype(output->data.data, static_cast<const TrainState*>(nullptr)) {
  return static_cast<const TrainState*>(output->data.data);
}

// Whether an interpreter's model trains from latents: then its last input says
// whether it does (`train/source`, int32), and its last output is the latent.
template <typename Interpreter>
bool HasLatent(Interpreter& interpreter) {
  constexpr int kInt32 = 2;  // kTfLiteInt32; the learning rate is float
  return static_cast<int>(interpreter.input(interpreter.inputs_size() - 1)->type) == kInt32;
}

// The state of an interpreter with a rewritten model, after AllocateTensors.
template <typename Interpreter>
auto StateOf(Interpreter& interpreter)
    -> decltype(interpreter.outputs_size(), static_cast<const TrainState*>(nullptr)) {
  return StateOf(interpreter.output(interpreter.outputs_size() - (HasLatent(interpreter) ? 2 : 1)));
}

// Sees to it that the variables hold weights, by an Invoke() that ends behind the
// first op (kRestoreOnly) if there has been none since AllocateTensors() or
// Reset(). The model does not run: no layer that remembers earlier inputs takes
// this for one, and neither inputs nor outputs matter.
template <typename Interpreter>
StateStatus EnsureWeights(Interpreter& interpreter) {
  if (StateSize(StateOf(interpreter)) != 0) return StateStatus::kOk;
  const size_t rate_input = interpreter.inputs_size() - (HasLatent(interpreter) ? 2 : 1);
  float* learning_rate = static_cast<float*>(interpreter.input(rate_input)->data.data);
  const float wanted = *learning_rate;
  *learning_rate = kRestoreOnly;
  const bool ended = static_cast<int>(interpreter.Invoke()) == kInvokeEnded;
  *learning_rate = wanted;
  if (!ended) return StateStatus::kInvokeFailed;
  return StateSize(StateOf(interpreter)) != 0 ? StateStatus::kOk : StateStatus::kNotReady;
}

// `Source` below: an interpreter, or one of its outputs (const TfLiteTensor*).
// Bytes that StateSave writes; 0 before the first Invoke.
template <typename Source>
auto StateSize(Source&& source) -> decltype(StateOf(source), size_t()) {
  return StateSize(StateOf(source));
}

// Into a buffer.
template <typename Source>
auto StateSave(Source&& source, void* blob, size_t capacity)
    -> decltype(StateOf(source), StateStatus()) {
  return StateSave(StateOf(source), blob, capacity);
}

// Into flash.
template <typename Source>
auto StateSave(Source&& source, Journal& journal) -> decltype(StateOf(source), StateStatus()) {
  return StateSave(StateOf(source), journal);
}

// From a buffer, on an output: kNotReady before the first Invoke.
template <typename Tensor>
auto StateLoad(const Tensor* output, const void* blob, size_t size)
    -> decltype(StateOf(output), StateStatus()) {
  return StateLoad(StateOf(output), blob, size);
}

// From a buffer, on an interpreter: at any time after AllocateTensors, see
// EnsureWeights.
template <typename Interpreter>
auto StateLoad(Interpreter& interpreter, const void* blob, size_t size)
    -> decltype(StateOf(interpreter), StateStatus()) {
  const StateStatus status = EnsureWeights(interpreter);
  return status == StateStatus::kOk ? StateLoad(StateOf(interpreter), blob, size) : status;
}

// From flash, likewise.
template <typename Interpreter>
auto StateLoad(Interpreter& interpreter, const Journal& journal)
    -> decltype(StateOf(interpreter), StateStatus()) {
  const StateStatus status = EnsureWeights(interpreter);
  return status == StateStatus::kOk ? StateLoad(StateOf(interpreter), journal) : status;
}

// Factory weights from the next Invoke or StateLoad on. (interpreter.Reset() does the same,
// and forgets all other variables too.)
template <typename Source>
auto StateReset(Source&& source) -> decltype(StateOf(source), StateStatus()) {
  return StateReset(StateOf(source));
}

// Training steps taken so far.
template <typename Source>
auto StateStep(Source&& source) -> decltype(StateOf(source), uint32_t()) {
  return StateStep(StateOf(source));
}

}  // namespace tflm_train

#endif  // TFLM_KERNELS_STATE_INTERPRETER_STATE_H_
