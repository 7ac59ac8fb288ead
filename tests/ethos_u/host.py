"""A model in the order and memory that Vela gave it, with builtin operators where the NPU works."""

from __future__ import annotations

from collections.abc import Mapping

from tests.ethos_u.vela import key_of, place
from tflm_train.model import Model, Op, Tensor
from tflm_train.model.offline_plan import read_offsets, write_offsets
from tflm_train.ops.npu import ETHOS_U


def without_npu(before: Model, after: Model) -> Model:
    """Gives a model that the host's interpreter runs as a board with an NPU would run Vela's.

    Each NPU op becomes the operators that it stands for. What Vela has put at an address of the
    arena stays there, variables included; the interpreter's planner places the rest around it, and
    the scratch memory of the operators, which Vela does not know of.

    Args:
      before: The rewritten model.
      after: The same, compiled.
    """
    model = Model(before.source, before.name)
    placement = place(model, after)
    own = {key_of(op): op for op in model.graph.ops}
    pinned = read_offsets(after)
    ops = []
    for op in after.graph.ops:
        if ETHOS_U.is_kind_of(op):
            ops += placement.npu_ops[id(op)]
            for tensor in _written_over_inputs(op, pinned):
                del pinned[id(tensor)]
        else:
            ops.append(own[key_of(op)])
    model.graph.ops = ops
    by_name = {t.name: pinned[id(t)] for t in after.graph.walk_tensors() if id(t) in pinned}
    offsets = {id(t): by_name[t.name] for t in model.graph.walk_tensors() if t.name in by_name}
    write_offsets(model, offsets)
    return Model(model.to_bytes(), before.name)


def _written_over_inputs(op: Op, pinned: Mapping[int, int]) -> list[Tensor]:
    """Outputs for which the NPU, piece by piece, reuses the memory of an input: no kernel can."""
    inputs = [
        t
        for t in op.inputs
        if t is not None and id(t) in pinned and not t.name.startswith("scratch")
    ]

    def overlap(a: Tensor, b: Tensor) -> bool:
        at, other = pinned[id(a)], pinned[id(b)]
        return at < other + b.nbytes and other < at + a.nbytes

    return [t for t in op.outputs if id(t) in pinned and any(overlap(t, i) for i in inputs)]
