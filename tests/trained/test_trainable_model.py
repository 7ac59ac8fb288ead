"""A rewritten model read back: what trains in it, and what a step is given and gives."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tflm_train as tt
from tests import raw_model
from tests.loss_models import loss_model
from tests.steps import full_scheme, random_inputs, train, weights_of
from tflm_train.errors import ModelError
from tflm_train.graph import Tensor
from tflm_train.model import Model
from tflm_train.model.layers import list_layers
from tflm_train.rewriter import rewrite
from tflm_train.rewriter.optimize import Forward, Streaming
from tflm_train.scheme import Head, Loss, Scheme, WeightUpdate
from tflm_train.trained.trainable_model import TrainableModel, VariableKind, unique_names

Converted = Callable[[str], Model]


def rewritten(model: Model, scheme: Scheme, **choice: Any) -> TrainableModel:
    return TrainableModel.read(Model(rewrite(model, scheme, **choice).model_bytes))


class TestInterface:
    def test_of_a_classifier(self, digits: Model) -> None:
        found = rewritten(digits, Scheme())
        graph = found.model.graph
        assert [t.name for t in found.inputs] == [t.name for t in digits.graph.inputs]
        assert [t.name for t in found.outputs] == [t.name for t in digits.graph.outputs]
        assert found.label is not None and found.label.name == "train/label"
        assert found.label_input is not None
        assert graph.inputs[found.label_input] is found.label
        assert graph.inputs[found.rate_input].name == "train/learning_rate"
        assert graph.outputs[found.loss_output].name == "train/loss"
        assert graph.outputs[found.state_output].name == "train/state"

    def test_a_model_that_learns_its_input_has_no_label(self) -> None:
        model = Model(loss_model("autoencoder"))
        found = rewritten(model, Scheme(loss=Loss("mean_squared_error", "input")))
        assert found.label is None and found.label_input is None
        assert found.rate_input == len(found.inputs) == 1

    @pytest.mark.parametrize("output", [0, 1])
    def test_the_trained_output(self, output: int) -> None:
        loss = Loss() if output == 0 else Loss("mean_squared_error")
        model = Model(loss_model("two_outputs"))
        # Whichever of the two outputs the class scores are.
        scores = next(i for i, t in enumerate(model.graph.outputs) if t.size == 3)
        wanted = scores if output == 0 else 1 - scores
        found = rewritten(model, Scheme(loss=loss, output=wanted))
        assert found.trained_output == wanted
        assert tt.Interpreter(found.model).trained_output == wanted

    def test_a_hidden_layer_that_is_an_output_as_well(self, converted: Converted) -> None:
        """What lies behind the trained output is not it."""
        model = converted("resnet")
        hidden = list_layers(model.graph)[2].op.output
        model.graph.outputs.append(hidden)
        model = Model(model.to_bytes())
        scheme = Scheme(loss=Loss("mean_squared_error"), output=1, head=Head(train=True))
        assert rewritten(model, scheme).trained_output == 1


class TestVariables:
    def test_of_every_kind(self, digits: Model) -> None:
        scheme = Scheme(biases_last=2, weights=(WeightUpdate(8), WeightUpdate(6, ratio=0.5)))
        found = rewritten(digits, scheme)
        layers = {layer.index: layer.name for layer in list_layers(digits.graph)}
        by_layer = {update.layer: update for update in found.updates}
        assert by_layer.keys() == {layers[i] for i in (6, 8, 9, 10, 11)}
        for index in (6, 8, 11):
            update = by_layer[layers[index]]
            assert update.weights is not None and update.residual is not None
            assert update.weights.tensor.nbytes == update.residual.tensor.nbytes
        for index in (9, 10):
            update = by_layer[layers[index]]
            assert update.weights is None and update.residual is None
            assert [v.kind for v in update.variables] == [VariableKind.BIAS]
        assert found.head is by_layer[layers[11]]
        in_updates = {v.key for update in found.updates for v in update.variables}
        rest = {v.kind: v.tensor.name for v in found.variables if v.key not in in_updates}
        assert rest == {
            VariableKind.SCALES: "train/scales", VariableKind.RANGES: "train/ranges",
        }  # fmt: skip

    def test_factory_values_are_those_of_the_original(self, digits: Model) -> None:
        found = rewritten(digits, full_scheme(digits))
        originals = {t.name: t for t in digits.graph.tensors if t.data is not None}
        weights = [v for v in found.variables if v.kind is VariableKind.WEIGHTS]
        assert len(weights) == len(list_layers(digits.graph))
        for variable in weights:
            data = originals[variable.tensor.name].data
            assert data is not None and variable.factory == data.tobytes()
        residuals = [v for v in found.variables if v.kind is VariableKind.RESIDUAL]
        assert residuals and all(v.factory is None for v in residuals)

    def test_streams_hold_the_same(self, digits: Model) -> None:
        """Where a bias trains alone, an input gradient may be what updates it."""
        scheme = Scheme(biases_last=4, weights=weights_of(8))
        plain = rewritten(digits, scheme)
        streamed = rewritten(digits, scheme, stream=Streaming.AUTO, forward=Forward.AUTO)
        assert any("INPUT_GRAD" in u.op.name for u in streamed.updates)
        assert not any("INPUT_GRAD" in u.op.name for u in plain.updates)
        seen = [
            {(v.key, v.kind, v.factory) for v in found.variables} for found in (plain, streamed)
        ]
        assert seen[0] == seen[1]
        layers = [
            {(u.layer, *(v.key for v in u.variables)) for u in found.updates}
            for found in (plain, streamed)
        ]
        assert layers[0] == layers[1]


class TestEqualNames:
    """A file's tensors may all have one name: nothing may be taken for another."""

    @pytest.fixture
    def pair(self, digits: Model) -> tuple[Model, Model]:
        def rename(raw: Any) -> None:
            for tensor in raw.subgraphs[0].tensors:
                tensor.name = b"same"

        return digits, Model(raw_model.edit(digits.source, rename), digits.name)

    @pytest.mark.parametrize("stream", [Streaming.OFF, Streaming.AUTO])
    def test_memory_is_that_of_distinct_names(
        self, pair: tuple[Model, Model], stream: Streaming
    ) -> None:
        scheme = Scheme(weights=weights_of(8, 10), biases_last=3)
        distinct, same = (rewrite(model, scheme, stream=stream).report for model in pair)
        assert same.arena == distinct.arena
        assert same.extra_memory == distinct.extra_memory

    @pytest.mark.interpreter
    def test_every_variable_is_read(self, pair: tuple[Model, Model]) -> None:
        scheme = Scheme(weights=weights_of(8, 10), biases_last=3)
        interpreters = [tt.Interpreter(rewrite(m, scheme).model_bytes) for m in pair]
        for interpreter in interpreters:
            train(interpreter, 3, rate=0.05)
        distinct, same = (interpreter.variables() for interpreter in interpreters)
        assert len(same) == len(distinct) == len(interpreters[0].require_trainable().variables)
        assert {"same", "same/1"} <= same.keys()
        for a, b in zip(distinct.values(), same.values(), strict=True):
            np.testing.assert_array_equal(a, b)
        x = random_inputs(pair[0].graph, 1)[0]
        merged = tt.merge(interpreters[1].model, interpreters[1].state())
        np.testing.assert_array_equal(tt.Interpreter(merged).infer(x), interpreters[1].infer(x))

    def test_unique_names(self) -> None:
        names = ["a", "b", "a", "a/1", "a", "b"]
        tensors = [Tensor.make(name, np.int8, (1,)) for name in names]
        assert unique_names(tensors) == ["a", "b", "a/2", "a/1", "a/3", "b/1"]


class TestRefusals:
    def test_no_training_ops(self, digits: Model) -> None:
        assert TrainableModel.find(digits) is None
        with pytest.raises(ModelError, match="holds no training ops; run `tflm_train rewrite`"):
            TrainableModel.read(digits)

    def test_no_loss(self, digits: Model) -> None:
        model = rewritten(digits, Scheme()).model
        model.graph.ops = [op for op in model.graph.ops if op.name != "TFLM_TRAIN_LOSS"]
        with pytest.raises(ModelError, match="no TFLM_TRAIN_LOSS; rewrite the original model"):
            TrainableModel.read(model)

    @pytest.mark.parametrize("change", ["order", "name", "type"])
    def test_another_interface(self, digits: Model, change: str) -> None:
        model = rewritten(digits, Scheme()).model
        outputs = model.graph.outputs
        if change == "order":
            outputs[-2:] = outputs[:-3:-1]
        elif change == "name":
            outputs[-1].name = "state"
        else:
            outputs[-2].shape = (2,)
        with pytest.raises(ModelError, match="are not those that a rewrite adds"):
            TrainableModel.read(model)

    def test_a_loss_of_no_output(self, digits: Model) -> None:
        model = rewritten(digits, Scheme()).model
        model.graph.outputs[0] = model.graph.ops[1].output
        with pytest.raises(ModelError, match="none of its outputs is what the loss is about"):
            TrainableModel.read(model)

    def test_an_update_of_something_else(self, digits: Model) -> None:
        found = rewritten(digits, Scheme())
        update = found.updates[0]
        weights = update.params.inputs_of(update.op).weights
        place = update.op.inputs.index(weights)
        update.op.inputs[place] = dataclasses.replace(weights)
        with pytest.raises(ModelError, match=r"op \d+ \(.*_UPDATE\) changes what RESTORE does not"):
            TrainableModel.read(found.model)

    def test_a_variable_that_nothing_changes(self, digits: Model) -> None:
        found = rewritten(digits, Scheme(biases_last=1))
        update = next(u for u in found.updates if u.weights is None)
        found.model.graph.ops.remove(update.op)
        with pytest.raises(ModelError, match="no training op changes the variable"):
            TrainableModel.read(found.model)

    def test_other_factory_values(self, digits: Model) -> None:
        found = rewritten(digits, full_scheme(digits))
        restore = next(op for op in found.model.graph.ops if op.name == "TFLM_TRAIN_RESTORE")
        place = next(i for i, t in enumerate(restore.inputs) if t is not None and i > 0)
        restore.inputs[place] = Tensor.constant("other", np.zeros(3, np.float32))
        with pytest.raises(ModelError, match="its constants do not fit its variables"):
            TrainableModel.read(found.model)
