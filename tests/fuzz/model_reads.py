"""What the commands do with a model, apart from running it."""

from __future__ import annotations

import json
import random
from collections.abc import Callable

import tflm_train as tt
from tests.steps import full_scheme
from tflm_train import rewriter
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

NAME = "model.tflite"
"""What messages call the model."""


def reads_of(model: Model, rng: random.Random) -> list[Callable[[], object]]:
    """Each of these raises what its command would.

    Args:
      model: As read from a file of that name.
      rng: Chooses schemes, kernels and layouts.
    """
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
