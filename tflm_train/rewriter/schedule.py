"""The execution order: the original ops as they were, ours around them.

A clamp mask or channel save follows the op that makes its activation at once, so that the
activation can die; the channels of an activation that lives on anyway are copied just before they
are needed. An update runs as soon as its gradient exists and every op that reads the old weights
has run, because it frees activations.
"""

from __future__ import annotations

from tflm_train import kernel_abi as abi
from tflm_train.model import Op
from tflm_train.rewriter.save_masks import whole_activations
from tflm_train.rewriter.training_graph import TrainingGraph, TrainOp

_UPDATES = (abi.ConvUpdateParams, abi.DepthwiseUpdateParams, abi.BiasUpdateParams)


def schedule(graph: TrainingGraph) -> list[Op]:
    """Orders all operators.

    Args:
      graph: With all of its training ops made.

    Returns:
      Every op in execution order; the restore op is not among them.
    """
    saves: dict[int, list[TrainOp]] = {}
    rest: list[TrainOp] = []
    early = _early_saves(graph)
    for op in graph.training:
        if id(op) in early:
            saves.setdefault(id(op.inputs[0]), []).append(op)
        else:
            rest.append(op)
    ordered: list[Op] = [s for t in graph.model.graph.inputs for s in saves.get(id(t), [])]
    for forward in graph.forward:
        ordered.append(forward)
        ordered += [s for t in forward.outputs for s in saves.get(id(t), [])]
    return ordered + _order_backward(rest)


def _early_saves(graph: TrainingGraph) -> set[int]:
    """Ids of the ops that keep what the backward pass needs of an activation."""
    alive = whole_activations(graph)
    gradients = {id(t) for op in graph.training for t in op.outputs}
    early = set()
    for op in graph.training:
        source = id(op.inputs[0])
        is_save = isinstance(op.params, abi.ChannelSaveParams) and source not in gradients
        if isinstance(op.params, abi.ClampMaskParams) or (is_save and source not in alive):
            early.add(id(op))
    return early


def _order_backward(ops: list[TrainOp]) -> list[TrainOp]:
    written = {id(t) for op in ops for t in op.outputs if not t.is_variable}
    produced: set[int] = set()
    waiting = list(ops)
    ordered: list[TrainOp] = []
    while waiting:
        ready = [op for op in waiting if _is_ready(op, waiting, written, produced)]
        assert ready, "the backward graph has a cycle"
        chosen = next((op for op in ready if isinstance(op.params, _UPDATES)), ready[0])
        waiting.remove(chosen)
        ordered.append(chosen)
        produced.update(id(t) for t in chosen.outputs)
    return ordered


def _is_ready(op: TrainOp, waiting: list[TrainOp], written: set[int], produced: set[int]) -> bool:
    if any(id(t) in written and id(t) not in produced for t in op.inputs if t is not None):
        return False
    if not isinstance(op.params, _UPDATES):
        return True
    changed = {id(t) for t in op.outputs}
    readers = (o for o in waiting if o is not op)
    return not any(id(t) in changed for o in readers for t in o.inputs)
