"""A model in the order and memory that Vela gave it, with builtin operators where the NPU works."""

from __future__ import annotations

from tests.ethos_u.vela import key_of, place
from tflm_train.graph import NPU_OP
from tflm_train.model import Model
from tflm_train.model.offline_plan import read_offsets, write_offsets


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
    ops = []
    for op in after.graph.ops:
        ops += placement.npu_ops[id(op)] if op.name == NPU_OP else [own[key_of(op)]]
    model.graph.ops = ops
    pinned = read_offsets(after)
    by_name = {t.name: pinned[id(t)] for t in after.graph.walk_tensors() if id(t) in pinned}
    offsets = {id(t): by_name[t.name] for t in model.graph.walk_tensors() if t.name in by_name}
    write_offsets(model, offsets)
    return Model(model.to_bytes(), before.name)
