"""The form of a model that runs fastest on the host, with the same bits.

TFLM's reference kernels, which the interpreter's package has, take several times as long as our
STREAMs, whose bits are the builtin operators' by contract. So every layer that a STREAM can compute
leaves its builtin op; a STREAM also writes what training keeps of a layer.
"""

from __future__ import annotations

from tflm_train.model import Model, Op
from tflm_train.model.offline_plan import METADATA_NAME
from tflm_train.model.written import write_checked
from tflm_train.ops.reading import is_ours, read_params
from tflm_train.rewriter.optimize import Choice, Forward, Streaming, stream_layers
from tflm_train.rewriter.training_graph import TrainOp

_CHOICE = Choice(Streaming.AUTO, Forward.FLASH)


def host_form(model: Model) -> Model:
    """Gives a model its fastest form.

    Args:
      model: A plain or rewritten model; not changed.

    Returns:
      A model with the same variables, states and outputs.
    """
    work = typed_graph(model)
    stream_layers(work, _CHOICE)
    # Memory is no concern here, and the plan has no place for tensors that a cut has left out.
    work.drop_metadata(METADATA_NAME)
    return Model(write_checked(work), model.name)


def typed_graph(model: Model) -> Model:
    """A copy of a rewritten model whose training ops are as the rewriter's passes know them."""
    work = Model(model.source, model.name)
    work.graph.ops = [_typed(op, work) for op in work.graph.ops]
    return work


def _typed(op: Op, model: Model) -> Op:
    """The op as the rewriter's passes know it."""
    if not is_ours(op):
        return op
    return TrainOp(
        op.name,
        op.inputs,
        op.outputs,
        custom_options=op.custom_options,
        is_custom=True,
        raw=op.raw,
        params=read_params(op, model.graph, model.name),
    )
