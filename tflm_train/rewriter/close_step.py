"""Tells other tools the order: they see what the ops read and write, not the order of the file.

A compiler may put the ops into any order that their tensors allow, keeps only what an output needs,
and plans memory for the order that it finds by going back from the outputs. Any of these orders
trains alike. For one in which little is alive at a time, the loss waits for what the forward pass
saves, so that activations die early, and the updates stand at FINISH last one first: who looks for
the ops of the last input first (Arm's Vela) finds the order of the file.

FINISH names all variables, because a planner that is not TFLM's own may place them among the
activations, and TFLM takes the memory of a tensor for free from its last use on.
"""

from __future__ import annotations

from tflm_train.ops import ChannelSave, ClampMask, Loss
from tflm_train.ops.declaration import set_input
from tflm_train.rewriter.passes import Pass
from tflm_train.rewriter.properties import ENCLOSED, IN_ORDER
from tflm_train.rewriter.training_graph import TrainingGraph, TrainOp

_SAVES = (ClampMask, ChannelSave)


def close_step(graph: TrainingGraph) -> None:
    """Gives LOSS and FINISH what they have to wait for.

    Args:
      graph: Its model's ops in execution order; the inputs of these two change.
    """
    ops = [op for op in graph.model.graph.ops if isinstance(op, TrainOp)]
    loss = next(op for op in ops if isinstance(op.params, Loss))
    saves = [op.output for op in ops[: ops.index(loss)] if isinstance(op.params, _SAVES)]
    waits = Loss.inputs_of(loss).saved
    set_input(loss, loss.params, saved=(*waits, *reversed(saves)))
    position = {id(op.output): index for index, op in enumerate(ops)}
    tokens = sorted(graph.tokens, key=lambda token: -position[id(token)])
    variables = [*(variable.tensor for variable in graph.variables), graph.learning_rate]
    if graph.frozen is not None and graph.frozen.source is not None:
        # The kernel knows by their place that the model has a latent.
        variables += [graph.frozen.latent, graph.frozen.source]
    set_input(ops[-1], ops[-1].params, after=(*tokens, *variables))


CLOSE_STEP = Pass("close_step", close_step, requires=(IN_ORDER,), ensures=(ENCLOSED,))
