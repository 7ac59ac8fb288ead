"""What a depth's biases need at least while each op runs, however the forward layers are streamed.

Kept inputs come on top of it, in every segment that an op can be part of: the rewriter may cut the
layers in another way then, but never so that less is alive. So these are lower bounds of the
arena of all choices of that depth, linear in the weights that they train.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping

from tflm_train.learning.host_form import typed_graph
from tflm_train.model import Model, Op
from tflm_train.model.layers import list_layers
from tflm_train.rewriter.optimize import Forward, Streaming, least_alive
from tflm_train.rewriter.trials import Way
from tflm_train.scheme import Scheme

Floors = Mapping[int, int]
"""By a number n the most bytes that are alive at once while n layers have been run whose inputs
are kept, if nothing but biases trains; layers in execution order."""


def floors_of(model: Model, scheme: Scheme, way: Way) -> Floors:
    """Bounds of one scheme in which only biases train.

    Args:
      model: The model.
      scheme: The scheme.
      way: How forward layers run.

    Returns:
      By a number n a lower bound of the planned bytes, to which the kept inputs of the first n
      layers come.
    """
    apart = Way(way.kernels, Streaming.OFF, Forward.BUILTIN, way.core, math.inf)
    work = typed_graph(Model(apart.rewrite(model, scheme).model_bytes, model.name))
    alive = least_alive(work.graph, work.graph.ops, way.smallest().choice)
    found: dict[int, int] = defaultdict(int)
    for time, count in enumerate(_counts(work, len(list_layers(model.graph)))):
        found[count] = max(found[count], alive[time])
    return dict(found)


def _counts(work: Model, layers: int) -> list[int]:
    """At each op, how many of the first layers' inputs would be kept then and are not used."""
    graph = work.graph
    forward = list_layers(graph)[:layers]
    uses: dict[int, int] = {}
    for time, op in enumerate(graph.ops):
        uses.update({id(t): time for t in op.inputs if t is not None})
    release = [uses[id(layer.x)] for layer in forward]
    weights = {id(layer.weights): layer.index for layer in forward}
    loss = max((time for time in release), default=0)
    counts: list[int] = []
    for time in range(len(graph.ops)):
        released = 0
        while released < len(release) and release[released] < time:
            released += 1
        counts.append(released)
    # Backwards, what lies before the layer whose gradient is computed is kept; of ops of no layer
    # it is the one that comes next.
    left = 0
    for time in range(len(graph.ops) - 1, loss, -1):
        left = max(left, _layer_of(graph.ops[time], weights))
        counts[time] = min(counts[time], left)
    return counts


def _layer_of(op: Op, weights: Mapping[int, int]) -> int:
    return max((weights[id(t)] for t in op.inputs if t is not None and id(t) in weights), default=0)
