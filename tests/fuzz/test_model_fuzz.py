"""A model that contradicts itself is refused, in one line, by whatever command reads it."""

from __future__ import annotations

import json
import random
from collections.abc import Callable

import pytest

import tflm_train as tt
from tests.fuzz.damage import damaged
from tests.models import converted_model
from tests.steps import full_scheme
from tflm_train import rewriter
from tflm_train.errors import TflmTrainError
from tflm_train.export import FORMATS, export_project
from tflm_train.memory import KernelSet, memory_report
from tflm_train.model import Model
from tflm_train.model.layers import list_layers
from tflm_train.model.metadata import class_names
from tflm_train.records import plain
from tflm_train.rewriter.inspection import inspect_model
from tflm_train.rewriter.optimize import Choice, Forward, Streaming, optimize
from tflm_train.scheme import Head, Scheme, WeightUpdate
from tflm_train.trained.state import StateLayout
from tflm_train.trained.trainable_model import TrainableModel

CASES = 25  # of each model
NAME = "model.tflite"


def reads_of(model: Model, rng: random.Random) -> list[Callable[[], object]]:
    """What the commands do with a model, apart from running it."""
    data = model.source
    kernels = rng.choice(list(KernelSet))

    def again() -> Model:
        return Model(data, NAME)

    def rewrite() -> object:
        layers = len(list_layers(model.graph))
        scheme = rng.choice(
            (
                Scheme(biases_last=max(0, layers - 1), head=Head(classes=7)),
                full_scheme(model),
                Scheme(weights=(WeightUpdate(max(0, layers - 2), ratio=0.5),), residual_bits=4),
            )
        )
        result = rewriter.rewrite(again(), scheme, kernels)
        return Model(result.model_bytes)

    return [
        lambda: Model(model.to_bytes()),
        lambda: model.newer_fields,
        lambda: json.dumps(plain(inspect_model(again(), kernels))),
        lambda: json.dumps(plain(memory_report(again(), kernels).peak())),
        lambda: class_names(model, 0, model.graph.outputs[0].size),
        rewrite,
        lambda: optimize(again(), Choice(Streaming.AUTO, Forward.AUTO, 4.0, kernels)),
        lambda: Model(tt.merge(data)),
        lambda: StateLayout(TrainableModel.read(again())).factory_state(),
        lambda: export_project(again(), rng.choice(FORMATS)),
    ]


def assert_read_or_refused(data: bytes, rng: random.Random) -> bool:
    """Whether the model was read."""
    try:
        model = Model(data, NAME)
    except TflmTrainError as error:
        assert str(error).startswith(f"{NAME}: ") and "\n" not in str(error)
        return False
    for read in reads_of(model, rng):
        try:
            read()
        except TflmTrainError as error:
            assert str(error) and "\n" not in str(error)
    return True


@pytest.mark.parametrize("name", ["keyword", "mobilenet", "reductions"])
@pytest.mark.parametrize("rewritten", [False, True], ids=["original", "rewritten"])
def test_damaged_models(name: str, rewritten: bool) -> None:
    data = converted_model(name)
    if rewritten:
        model = Model(data)
        data = rewriter.rewrite(model, full_scheme(model)).model_bytes
    outcomes = [0, 0]
    for case in range(CASES):
        seed = f"{name}/{rewritten}/{case}"
        rng = random.Random(seed)
        changed = damaged(data, rng)
        if changed is not None:
            try:
                outcomes[assert_read_or_refused(changed, rng)] += 1
            except Exception as error:
                pytest.fail(f"case {seed}: {type(error).__name__}: {error}")
    assert min(outcomes) > 0
