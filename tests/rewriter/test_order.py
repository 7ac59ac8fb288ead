"""The graph says its own order: any that its tensors allow trains alike, any other one fails."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
import pytest

import tflm_train as tt
from benchmarks.orders import Orders, differing_orders
from tests.steps import RATE, full_scheme, random_inputs
from tflm_train.errors import ModelError, RuntimeFailure
from tflm_train.model import Model, Op
from tflm_train.model.layers import list_layers
from tflm_train.ops import OP_PREFIX
from tflm_train.rewriter import rewrite
from tflm_train.rewriter.optimize import Forward, Streaming
from tflm_train.scheme import Scheme, WeightUpdate

Converted = Callable[[str], Model]
MODELS = ("mobilenet", "resnet", "branches", "siamese")
ORDERS = 42  # of each of 16: more than 500 together


def partial_scheme(model: Model) -> Scheme:
    """Half of the channels of some layers, biases, the last layer whole."""
    last = len(list_layers(model.graph)) - 1
    weights = (WeightUpdate(1, 0.5), WeightUpdate(2, 0.5), WeightUpdate(last))
    return Scheme(weights=weights, biases_last=last, residual_bits=4)


def latent_scheme(model: Model) -> Scheme:
    """The last layers, one of them in part."""
    last = len(list_layers(model.graph)) - 1
    return Scheme(weights=(WeightUpdate(last - 1, 0.5),), biases_last=1, latent=True)


SCHEMES: dict[str, Callable[[Model], bytes]] = {
    "whole": lambda model: rewrite(model, full_scheme(model)).model_bytes,
    "part": lambda model: rewrite(model, partial_scheme(model)).model_bytes,
    "streamed": lambda model: (
        rewrite(
            model,
            Scheme(**{**vars(partial_scheme(model)), "residual_bits": 0}),
            stream=Streaming.AUTO,
            forward=Forward.AUTO,
        ).model_bytes
    ),
    "latents": lambda model: rewrite(model, latent_scheme(model)).model_bytes,
}


class Prepared:
    """A rewritten model, and what has been read from it.

    Attributes:
      data: The file.
      model: As read; `in_order` takes it for files that this package would not load.
      orders: The same with its operators in other orders.
    """

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.model = Model(data)
        self.orders = Orders(data)

    def in_order(self, order: list[int]) -> tt.Interpreter:
        """An interpreter of a wrong order, as another tool may have made it."""
        self.model.source = self.orders.file(order)
        with pytest.raises(ModelError, match="nothing has written its input"):
            Model(self.model.source)
        return tt.Interpreter(self.model)


Preparing = Callable[[str, str], Prepared]


@pytest.fixture(scope="module")
def prepared(converted: Converted) -> Preparing:
    """One of the models under one of the schemes."""
    return functools.cache(lambda name, scheme: Prepared(SCHEMES[scheme](converted(name))))


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("name", MODELS)
def test_any_order_that_the_tensors_allow(prepared: Preparing, name: str, scheme: str) -> None:
    data = prepared(name, scheme).data
    samples = [(x, i % 2) for i, x in enumerate(random_inputs(Model(data).graph, 2))]
    rng = np.random.default_rng([MODELS.index(name), list(SCHEMES).index(scheme)])
    assert differing_orders(data, samples, RATE, ORDERS, rng) == 0


def is_ours(op: Op) -> bool:
    return op.name.startswith(OP_PREFIX)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("name", MODELS)
def test_a_wrong_order_fails(prepared: Preparing, name: str, scheme: str) -> None:
    """An op before the one that makes its input: no step goes through, not even the second."""
    given = prepared(name, scheme)
    graph = given.model.graph
    x = random_inputs(graph, 1)[0]
    producers = {id(t): i for i, op in enumerate(graph.ops) for t in op.outputs}
    marked = step_tensors(graph.ops)
    tried = 0
    for reader, op in enumerate(graph.ops):
        for tensor in op.inputs:
            # The loss waits for saves only so that activations die early.
            if tensor is None or id(tensor) not in marked or op.name == "TFLM_TRAIN_LOSS":
                continue
            first = producers[id(tensor)]
            order = [*range(first), reader, *range(first, reader)]
            order += range(reader + 1, len(graph.ops))
            interpreter = given.in_order(order)
            for _ in range(2):
                with pytest.raises(RuntimeFailure, match="are in a wrong order"):
                    interpreter.train_step(x, 1, RATE)
            tried += 1
    assert tried > len(list_layers(graph))


def step_tensors(ops: list[Op]) -> set[int]:
    """Ids of gradients, masks, saved channels and tokens: all that have a mark."""
    outputs = [t for op in ops[1:] for t in op.outputs]  # RESTORE makes variables, not a step's
    return {id(t) for t in outputs if t.name.startswith(("grad/", "update/", "train/mask/"))}


@pytest.mark.parametrize("name", MODELS)
def test_ops_before_the_first_one_fail(prepared: Preparing, name: str) -> None:
    """They must not take the step before for theirs."""
    given = prepared(name, "whole")
    graph = given.model.graph
    x = random_inputs(graph, 1)[0]
    for index, op in enumerate(graph.ops):
        if not is_ours(op) or index in (0, len(graph.ops) - 1):
            continue
        order = [index, *(i for i in range(len(graph.ops)) if i != index)]
        interpreter = given.in_order(order)
        for _ in range(2):
            with pytest.raises(RuntimeFailure, match="are in a wrong order"):
                interpreter.train_step(x, 1, RATE)
