"""Models as Vela writes them, made without Vela: a call of the NPU in place of some operators.

The host cannot run such a call; `without_npu` puts the operators back that it stands for.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tflm_train.graph.liveness import Liveness
from tflm_train.model import Model, Op, Tensor
from tflm_train.model.offline_plan import METADATA_NAME, write_offsets
from tflm_train.ops.npu import ETHOS_U

_SCRATCH = "split_1_scratch"


def without_classifier(model: Model) -> Model:
    """A model without its last layer and SOFTMAX: it gives features."""
    work = Model(model.source, "features")
    work.graph.ops = work.graph.ops[:-2]
    work.graph.outputs = [work.graph.ops[-1].output]
    return Model(work.to_bytes(), "features")


def compiled(model: Model, *runs: range) -> Model:
    """Replaces runs of operators by calls of the NPU, and plans the arena as Vela does.

    All calls work in one memory at the beginning of the arena, in which their inputs and outputs
    lie; what the processor computes between them lies there as well.

    Args:
      model: A plain model.
      *runs: Places of operators, in order.
    """
    work = Model(model.source, model.name)
    graph = work.graph
    ops = list(graph.ops)
    flash = graph.add(Tensor.constant("split_1_flash", np.zeros(64, np.uint8)))
    size = 2 * sum(_aligned(t.nbytes) for t in graph.tensors if t.data is None)
    scratch, fast = (
        graph.add(Tensor.make(name, np.uint8, (size,))) for name in (_SCRATCH, f"{_SCRATCH}_fast")
    )
    for number, run in enumerate(runs):
        inside = ops[run.start : run.stop]
        commands = Tensor.constant(f"split_{number}_command_stream", np.zeros(16, np.uint8))
        made = {id(t) for op in inside for t in op.outputs}
        read = {id(t) for op in graph.ops if op not in inside for t in op.inputs if t is not None}
        read |= {id(t) for t in graph.outputs}
        inputs = {id(t): t for op in inside for t in op.inputs if t is not None and t.data is None}
        call = Op(
            ETHOS_U.name,
            [graph.add(commands), flash, scratch, fast]
            + [t for key, t in inputs.items() if key not in made],
            [t for op in inside for t in op.outputs if id(t) in read],
            custom_options=b"\x01",
            is_custom=True,
        )
        place = graph.index(inside[0])
        graph.ops[place : place + len(inside)] = [call]
    work.drop_unused_tensors()
    offsets = _plan(work)
    write_offsets(work, {**offsets, id(scratch): 0, id(fast): 0})
    return Model(work.to_bytes(), model.name)


def _plan(model: Model) -> dict[int, int]:
    """Places of all activations: those that live at one time apart, the others where they fit."""
    graph = model.graph
    liveness = Liveness(graph.ops, graph.inputs, graph.outputs)
    offsets: dict[int, int] = {}
    placed: list[Tensor] = []

    def live_together(one: Tensor, other: Tensor) -> bool:
        times = [(liveness.first(t), liveness.last(t)) for t in (one, other)]
        (first, last), (start, stop) = times
        assert first is not None and last is not None and start is not None and stop is not None
        return first <= stop and start <= last

    activations = [t for t in graph.walk_tensors() if t.data is None]
    for tensor in (t for t in activations if not t.name.startswith(_SCRATCH)):
        offset = 0
        for other in sorted(placed, key=lambda t: offsets[id(t)]):
            low = offsets[id(other)]
            if live_together(tensor, other) and low < offset + tensor.nbytes:
                offset = max(offset, _aligned(low + other.nbytes))
        offsets[id(tensor)] = offset
        placed.append(tensor)
    return offsets


def _aligned(size: int) -> int:
    return -(-size // 16) * 16


def without_npu(rewritten: Model, plain: Model, *runs: range) -> Model:
    """A rewritten model of `compiled`, with the operators that its calls stand for.

    Args:
      rewritten: The model.
      plain: What was given to `compiled`.
      *runs: The same.
    """
    work = Model(rewritten.source, rewritten.name)
    graph = work.graph
    by_name = {t.name: t for t in graph.tensors}

    def own(tensor: Tensor | None) -> Tensor | None:
        if tensor is None:
            return None
        if tensor.name not in by_name:
            by_name[tensor.name] = graph.add(tensor)
            tensor.raw = None
        return by_name[tensor.name]

    source = Model(plain.source)
    ops = iter(runs)
    made: list[Op] = []
    for op in graph.ops:
        if not ETHOS_U.is_kind_of(op):
            made.append(op)
            continue
        for inside in _at(source.graph.ops, next(ops)):
            outputs = [own(t) for t in inside.outputs]
            inputs = [own(t) for t in inside.inputs]
            made.append(Op(inside.name, inputs, [t for t in outputs if t], inside.options))
    graph.ops = made
    work.drop_metadata(METADATA_NAME)
    work.drop_unused_tensors()
    return Model(work.to_bytes(), rewritten.name)


def _at(ops: Sequence[Op], run: range) -> Sequence[Op]:
    return ops[run.start : run.stop]
