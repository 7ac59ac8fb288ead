"""Layers of which some channels train: inference as before, updates those of the whole layer."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tflm_train as tt
from tests.models import converted_model
from tests.steps import (
    RATE,
    assert_follows_reference,
    assert_same_inference,
    assert_same_variables,
    full_scheme,
    random_inputs,
    train,
    weights_of,
)
from tflm_train.errors import DataError, ModelError, UnsupportedError
from tflm_train.model import Model, Op, Tensor, load
from tflm_train.model.layers import list_layers
from tflm_train.ops import (
    OP_PREFIX,
    ChannelSave,
    ClampMask,
    ConvInputGrad,
    ConvUpdate,
    DepthwiseInputGrad,
    DepthwiseUpdate,
    Loss,
    Params,
    SplitConv,
    SplitDepthwise,
    set_input,
    unpack,
)
from tflm_train.ops.contract import LIVE_WORDS
from tflm_train.qas.update import pack_nibbles, unpack_nibbles
from tflm_train.reference import BackwardReference
from tflm_train.rewriter import rewrite
from tflm_train.scheme import Head, Scheme, WeightUpdate, resolve
from tflm_train.scheme.library import find_scheme
from tflm_train.scheme.select import select_channels

Array = npt.NDArray[Any]
Converted = Callable[[str], Model]

NAMES = ("mobilenet", "resnet", "keyword", "branches")
WEIGHT_UPDATES = (ConvUpdate, DepthwiseUpdate)
INPUT_GRADIENTS = (ConvInputGrad, DepthwiseInputGrad)


def rewritten(model: Model, scheme: Scheme) -> Model:
    return Model(rewrite(model, scheme).model_bytes, model.name)


def params_of(op: Op) -> Params | None:
    return unpack(op.custom_options or b"") if op.name.startswith(OP_PREFIX) else None


def gradient_slots(model: Model) -> dict[str, int]:
    """The slot of every gradient tensor, by its name."""
    slots = {}
    for op in model.graph.ops:
        params = params_of(op)
        is_loss = isinstance(params, Loss)
        slot = getattr(params, "slot" if is_loss else "slot_out", None)
        if slot is not None:
            slots[op.output.name] = slot
    return slots


class Twins:
    """A rewrite by some scheme, and one that trains whole layers, with the same variables' values.

    Attributes:
      partial: The rewrite by the scheme.
      whole: The other.
      kept: By layer, the trained channels of the weights' last axis; only layers trained in part.
    """

    def __init__(self, model: Model, scheme: Scheme, whole: Model) -> None:
        self.partial = rewritten(model, scheme)
        self.whole = whole
        self._bits = scheme.residual_bits
        self._names: dict[str, tuple[str, Array]] = {}
        for index, update in resolve(scheme, model).weights.items():
            layer = list_layers(model.graph)[index]
            kept = select_channels(update, layer, scheme.seed)
            channels = layer.weights.shape[-1]
            if layer.op.name == "DEPTHWISE_CONV_2D":
                multiplier = channels // layer.x.shape[-1]
                kept = np.flatnonzero(np.isin(np.arange(channels) // multiplier, kept))
            if kept.size < channels:
                self._names[f"train/{layer.name}/columns"] = (layer.weights.name, kept)
                residual = f"update/{layer.name}/residual"
                self._names[residual] = (residual, kept)
        self._shapes = {t.name: t.shape for t in whole.graph.tensors}
        self._weights_of = {
            f"update/{layer.name}/residual": layer.weights.name
            for layer in list_layers(whole.graph)
        }

    def restrict(self, whole: dict[str, Array]) -> dict[str, Array]:
        """What of the whole layers' variables the scheme has, in its order and under its names."""
        values = {}
        for tensor in self.partial.graph.ops[0].outputs[2:]:
            name, kept = self._names.get(tensor.name, (tensor.name, None))
            if name in ("train/scales", "train/ranges"):
                values[name] = self._move_slots(whole[name], self.whole, self.partial)
            elif kept is None:
                values[name] = whole[name]
            else:
                values[tensor.name] = self._pack(name, self._unpack(name, whole[name])[..., kept])
        return values

    def extend(self, partial: dict[str, Array], step: int) -> bytes:
        """The whole layers' state with the scheme's values in it, all else from the factory."""
        state = BackwardReference(self.whole)
        state.step_count = step
        values = state.variables
        for own_name, value in partial.items():
            name, kept = self._names.get(own_name, (own_name, None))
            if name in ("train/scales", "train/ranges"):
                values[name] = self._move_slots(value, self.partial, self.whole)
            elif kept is None:
                values[name] = value
            else:
                full = self._unpack(name, values[name])
                rows = full.size // full.shape[-1]
                columns = value
                if self._bits == 4 and name in self._weights_of:
                    columns = unpack_nibbles(value, rows * kept.size)
                full[..., kept] = columns.reshape(*full.shape[:-1], kept.size)
                values[name] = self._pack(name, full)
        state.set_variables(values)
        return state.state()

    @staticmethod
    def _move_slots(values: Array, source: Model, target: Model) -> Array:
        from_, to = gradient_slots(source), gradient_slots(target)
        moved = np.zeros(max(to.values()) + 1, np.float32)
        for name in from_.keys() & to.keys():
            moved[to[name]] = values[from_[name]]
        return moved

    def _unpack(self, name: str, value: Array) -> Array:
        shape = self._shapes[self._weights_of.get(name, name)]
        if self._bits == 4 and name in self._weights_of:
            value = unpack_nibbles(value, int(np.prod(shape)))
        return value.reshape(shape).copy()

    def _pack(self, name: str, value: Array) -> Array:
        return pack_nibbles(value) if self._bits == 4 and name in self._weights_of else value

    def assert_equal_steps(self, steps: int, rate: float) -> set[str]:
        """Each step from the same state: same loss, same result; and the same inference after.

        Returns the names of the variables that have moved.
        """
        partial, whole = tt.Interpreter(self.partial), tt.Interpreter(self.whole)
        factory = partial.variables()
        rng = np.random.default_rng(8)
        for step, x in enumerate(random_inputs(self.partial.graph, steps, seed=8)):
            label = int(rng.integers(partial.classes))
            whole.load_state(self.extend(partial.variables(), step))
            assert partial.train_step(x, label, rate) == whole.train_step(x, label, rate)
            expected = self.restrict(whole.variables())
            assert_same_variables(partial.variables(), expected, f"step {step}")
        # The builtin kernels with the trained weights agree with the split ones.
        whole.load_state(self.extend(partial.variables(), steps))
        for x in random_inputs(self.partial.graph, 2, seed=9):
            np.testing.assert_array_equal(partial.infer(x), whole.infer(x))
        return {n for n, v in partial.variables().items() if np.any(v != factory[n])}


def _updates(model: Model) -> st.SearchStrategy[tuple[WeightUpdate, ...]]:
    """Weights of some layers below the head and perhaps of it, parts chosen in every way."""
    by_layer = []
    for layer in list_layers(model.graph):
        dense = layer.op.name == "FULLY_CONNECTED"
        count = layer.weights.shape[1] if dense else layer.x.shape[-1]
        select = st.sampled_from(["magnitude", "first", "random"])
        channels = st.sets(st.integers(0, count - 1), min_size=1).map(lambda c: tuple(sorted(c)))
        by_layer.append(
            st.builds(WeightUpdate, st.just(layer.index), st.floats(0.05, 1), select=select)
            | st.builds(
                WeightUpdate,
                st.just(layer.index),
                channels=st.integers(1, count) | channels,
                select=select,
            )
            | st.just(WeightUpdate(layer.index))
        )
    return st.sets(st.integers(0, len(by_layer) - 1)).flatmap(
        lambda indices: st.tuples(*(by_layer[i] for i in sorted(indices)))
    )


@st.composite
def schemes(draw: st.DrawFn, residual_bits: int | None = None) -> tuple[str, Scheme]:
    """The name of a small model and any scheme for it."""
    name = draw(st.sampled_from(NAMES))
    model = Model(converted_model(name))
    layers = list_layers(model.graph)
    weights = draw(_updates(model))
    biases = draw(st.sets(st.integers(0, len(layers) - 2)))
    return name, Scheme(
        head=Head(train=draw(st.booleans()) or not (weights or biases)),
        weights=weights,
        bias_layers=tuple(sorted(biases)),
        residual_bits=draw(st.sampled_from([8, 4, 0])) if residual_bits is None else residual_bits,
        seed=draw(st.sampled_from([0, 9, 2**32 - 1])),
    )


@given(drawn=schemes())
@settings(max_examples=50, deadline=None)
def test_inference_is_the_original_s_and_a_step_the_reference_s(drawn: tuple[str, Scheme]) -> None:
    name, scheme = drawn
    model = Model(converted_model(name))
    new = rewritten(model, scheme)
    plain, trainable = tt.Interpreter(model), tt.Interpreter(new)
    for x in random_inputs(model.graph, 3):
        np.testing.assert_array_equal(trainable.infer(x), plain.infer(x))
    assert_follows_reference(new, steps=1)


@pytest.mark.parametrize("residual_bits", [8, 4, 0])
@pytest.mark.parametrize("name", [*NAMES, "wide"])
def test_several_steps_of_every_layer_in_part(
    converted: Converted, name: str, residual_bits: int
) -> None:
    """Also layers whose input gradient is summed in groups."""
    model = converted(name)
    weights = tuple(WeightUpdate(i, 0.4) for i in range(len(list_layers(model.graph))))
    new = rewritten(model, Scheme(weights=weights, residual_bits=residual_bits, seed=3))
    assert_same_inference(model, new, count=5)
    assert_follows_reference(new, steps=3)


@functools.cache
def _all_layers(name: str, residual_bits: int, seed: int) -> Model:
    model = Model(converted_model(name))
    return rewritten(model, full_scheme(model, residual_bits=residual_bits, seed=seed))


@given(drawn=schemes())
@settings(max_examples=60, deadline=None)
def test_any_scheme_updates_as_the_full_update_restricted_to_it(
    drawn: tuple[str, Scheme],
) -> None:
    name, scheme = drawn
    model = Model(converted_model(name))
    whole = _all_layers(name, scheme.residual_bits, scheme.seed)
    Twins(model, scheme, whole).assert_equal_steps(2, RATE)


@pytest.mark.parametrize("residual_bits", [8, 4, 0])
@pytest.mark.parametrize("name", NAMES)
def test_the_full_update_moves_every_layer(name: str, residual_bits: int) -> None:
    """Guards the comparison above: in a step nearly all that it compares moves."""
    new = _all_layers(name, residual_bits, 9)
    interpreter = tt.Interpreter(new)
    before = interpreter.variables()
    train(interpreter, 2)
    after = interpreter.variables()
    for layer in list_layers(new.graph):
        names = [layer.weights.name, f"update/{layer.name}/residual"]
        assert any(np.any(before[n] != after[n]) for n in names if n in before), str(layer)


@pytest.mark.interpreter
@pytest.mark.parametrize("residual_bits", [8, 4, 0])
@pytest.mark.parametrize(
    ("network", "scheme_name"),
    [
        ("mcunet-5fps.nopad", "mcunet-5fps-99kb"),
        ("mbv2-w0.35.nopad", "mbv2-w0.35-99kb"),
        ("proxyless-w0.3.nopad", "proxyless-w0.3-98kb"),
    ],
)
def test_the_paper_s_networks(
    shared: Path, network: str, scheme_name: str, residual_bits: int
) -> None:
    """Two steps at least: a fresh head hands no gradient on before its weights have moved."""
    model = load(shared / "models" / f"{network}.tflite")
    scheme = Scheme(**{**vars(find_scheme(scheme_name)), "residual_bits": residual_bits, "seed": 4})
    plan = resolve(scheme, model)
    tail = range(plan.trained[0].index, plan.head.index + 1)
    whole = Scheme(**{**vars(scheme), "weights": weights_of(*tail)})
    twins = Twins(model, scheme, rewritten(model, whole))
    moved = twins.assert_equal_steps(3, 0.05)
    assert moved == {t.name for t in twins.partial.graph.ops[0].outputs[2:]}


@pytest.mark.parametrize("part", [WeightUpdate(5, 0.5), WeightUpdate(5, channels=(3, 70))])
def test_a_fully_connected_layer_on_an_image(converted: Converted, part: WeightUpdate) -> None:
    """Converters leave the flattening to FULLY_CONNECTED: its channels are not the input's."""
    model = converted("resnet")
    head = list_layers(model.graph)[5]
    pool = model.graph.producer(head.x)
    assert pool is not None and pool.name == "AVERAGE_POOL_2D"
    model.graph.ops.remove(pool)
    head.op.inputs[0] = pool.input
    assert head.x.shape == (1, 3, 3, 8)
    rng = np.random.default_rng(2)
    head.weights.shape = (6, 72)
    head.weights.data = rng.integers(-100, 101, head.weights.shape).astype(np.int8)
    model = Model(model.to_bytes())
    scheme = Scheme(weights=(WeightUpdate(2), part))
    new = rewritten(model, scheme)
    assert_same_inference(model, new, count=5)
    assert_follows_reference(new, steps=2)
    Twins(model, scheme, rewritten(model, full_scheme(model))).assert_equal_steps(2, RATE)


def test_layers_without_bias(converted: Converted) -> None:
    model = converted("mobilenet")
    for layer in list_layers(model.graph)[2:4]:
        layer.op.inputs = layer.op.inputs[:2]
    model = Model(model.to_bytes())
    scheme = Scheme(weights=(WeightUpdate(2, 0.4), WeightUpdate(3, 0.5)))
    new = rewritten(model, scheme)
    assert_same_inference(model, new, count=5)
    assert_follows_reference(new, steps=2)


def test_more_channels_than_an_int16_counts_are_refused(converted: Converted) -> None:
    model = converted("keyword")
    layer = list_layers(model.graph)[2]
    layer.weights.shape = (16, 32769)
    layer.weights.data = np.ones(layer.weights.shape, np.int8)
    wide = Tensor.make("wide", np.int8, (1, 32769), quantization=layer.x.quantization)
    layer.op.inputs[0] = model.graph.add(wide)
    model.graph.ops = model.graph.ops[model.graph.index(layer.op) :]
    model.graph.inputs = [wide]
    model = Model(model.to_bytes())
    with pytest.raises(UnsupportedError, match="32769"):
        rewrite(model, Scheme(weights=(WeightUpdate(0, 0.5),)))
    rewrite(model, Scheme(weights=(WeightUpdate(0),)))


@pytest.mark.parametrize("channel", [-1, 100])
@pytest.mark.parametrize(
    ("kind", "layer"),
    [
        (SplitConv, 2),
        (SplitDepthwise, 1),
        (ConvInputGrad, 2),
        (DepthwiseInputGrad, 1),
        (ChannelSave, 2),
    ],
)
def test_channels_outside_the_tensor_are_refused(
    converted: Converted, kind: type[Params], layer: int, channel: int
) -> None:
    """A damaged file must not make the kernels reach outside of their buffers."""
    scheme = Scheme(bias_layers=(0,), weights=(WeightUpdate(layer, 0.5),))
    new = rewritten(converted("mobilenet"), scheme)
    op = next(
        op
        for op in new.graph.ops
        if kind.is_kind_of(op) and kind.inputs_of(op).channels is not None
    )
    listed = kind.inputs_of(op).channels
    assert listed.data is not None
    damaged = listed.data.copy()
    damaged[-1] = channel
    params = unpack(op.custom_options or b"")
    set_input(op, params, channels=new.graph.add(Tensor.constant("damaged", damaged)))
    with pytest.raises(ModelError, match=rf"{kind.OP}.* {channel}\b"):
        tt.Interpreter(Model(new.to_bytes()))


class TestState:
    """Saving and loading with a 4-bit residual."""

    SCHEME = Scheme(
        weights=(WeightUpdate(1, 0.3), WeightUpdate(2, channels=3), WeightUpdate(3)),
        residual_bits=4,
        seed=6,
    )

    def test_training_goes_on_where_it_was(self, converted: Converted) -> None:
        new = rewritten(converted("resnet"), self.SCHEME)
        one, other = tt.Interpreter(new), tt.Interpreter(new)
        train(one, 3)
        saved = one.state()
        residuals = [v for n, v in one.variables().items() if n.endswith("/residual")]
        assert len(residuals) == 4 and all(r.dtype == np.uint8 and r.any() for r in residuals)
        train(other, 1, seed=5)
        other.load_state(saved)
        assert other.state() == saved
        assert train(one, 2, seed=7) == train(other, 2, seed=7)
        assert one.state() == other.state() != saved

    def test_an_odd_element_shares_its_byte_with_nothing(self, converted: Converted) -> None:
        """27 weights of one input channel: 14 bytes, the last nibble stays 0."""
        model = converted("keyword")
        layers = list_layers(model.graph)
        scheme = Scheme(
            head=Head(train=False), weights=(WeightUpdate(1, channels=3),), residual_bits=4
        )
        interpreter = tt.Interpreter(rewritten(model, scheme))
        train(interpreter, 4)
        residual = interpreter.variables()[f"update/{layers[1].name}/residual"]
        assert residual.shape == (14,) and residual[:-1].any() and residual[-1] >> 4 == 0

    def test_a_damaged_or_foreign_blob_changes_nothing(self, converted: Converted) -> None:
        model = converted("resnet")
        interpreter = tt.Interpreter(rewritten(model, self.SCHEME))
        train(interpreter, 1)
        saved = interpreter.state()
        damaged = bytearray(saved)
        damaged[-1] ^= 0x10
        eight = Scheme(**{**vars(self.SCHEME), "residual_bits": 8})
        foreign = tt.Interpreter(rewritten(model, eight)).state()
        for blob in (bytes(damaged), saved[:-1], foreign):
            with pytest.raises(DataError):
                interpreter.load_state(blob)
        assert interpreter.state() == saved


class TestWhatIsKept:
    @pytest.mark.parametrize(("bits", "residual_bytes"), [(8, 48), (4, 24), (0, None)])
    def test_only_the_trained_columns_are_in_ram(
        self, converted: Converted, bits: int, residual_bytes: int | None
    ) -> None:
        model = converted("mobilenet")
        layers = list_layers(model.graph)
        pointwise = layers[2]  # 16 inputs, 8 outputs
        scheme = Scheme(
            head=Head(train=False), weights=(WeightUpdate(2, channels=6),), residual_bits=bits
        )
        new = rewritten(model, scheme)
        sizes = {t.name: t.nbytes for t in new.graph.ops[0].outputs}
        expected = {
            "train/control": 4 * (LIVE_WORDS + 1),
            "train/state": 64,
            "train/ranges": 4 * len(gradient_slots(new)),
            "train/scales": 4 * len(gradient_slots(new)),
            f"train/{pointwise.name}/columns": 48,
            pointwise.bias.name: 32,  # type: ignore[union-attr]
        }
        if residual_bytes is not None:
            expected[f"update/{pointwise.name}/residual"] = residual_bytes
        assert sizes == expected
        variables = {t.name for t in new.graph.tensors if t.is_variable}
        assert variables == expected.keys() - {"train/state"} | {"train/learning_rate"}
        rest = next(t for t in new.graph.tensors if t.name == pointwise.weights.name)
        assert rest.data is not None and rest.shape == (8, 1, 1, 10)

    def test_a_depthwise_layer_keeps_whole_groups(self, converted: Converted) -> None:
        model = converted("mobilenet")
        layer = list_layers(model.graph)[1]  # 8 inputs, multiplier 2
        scheme = Scheme(head=Head(train=False), weights=(WeightUpdate(1, channels=(1, 6)),))
        new = rewritten(model, scheme)
        assert layer.weights.data is not None
        columns = tt.Interpreter(new).variables()[f"train/{layer.name}/columns"]
        np.testing.assert_array_equal(columns, layer.weights.data[..., [2, 3, 12, 13]])
        saved = _saves(new)[f"update/{layer.name}/x"]
        assert saved.input.name == layer.x.name and saved.output.shape == (48, 2)

    def test_only_the_kept_channels_of_the_input_are_saved(self, converted: Converted) -> None:
        model = converted("mobilenet")
        layer = list_layers(model.graph)[5]  # 1x1 behind a depthwise layer, 8 inputs
        scheme = Scheme(head=Head(train=False), weights=(WeightUpdate(5, channels=(2, 5, 7)),))
        new = rewritten(model, scheme)
        saves = _saves(new)
        positions = layer.x.size // 8
        assert [op.output.shape for op in saves.values()] == [(positions, 3)]
        (save,) = saves.values()
        ops = new.graph.ops
        assert save.input.name == layer.x.name
        assert ops[ops.index(save) - 1].output is save.input, "right after its producer"
        readers = [op for op in ops if save.input in op.inputs]
        assert all(ops.index(op) < _loss_index(new) for op in readers), "the activation dies"
        sample = random_inputs(model.graph, 1)[0]
        interpreter = tt.Interpreter(new, preserve_all=True)
        interpreter.train_step(sample, 0, RATE)
        values = interpreter.tensor(save.input).reshape(positions, 8)
        np.testing.assert_array_equal(interpreter.tensor(save.output), values[:, [2, 5, 7]])

    def test_nothing_is_saved_early_of_an_activation_that_lives_anyway(
        self, converted: Converted
    ) -> None:
        """Two layers read it: one trains as a whole, the other in part."""
        model = converted("branches")
        layers = list_layers(model.graph)
        assert layers[1].x is layers[2].x
        part = WeightUpdate(2, 0.5)
        early = rewritten(model, Scheme(bias_layers=(0,), weights=(part,)))
        late = rewritten(model, Scheme(bias_layers=(0,), weights=(WeightUpdate(1), part)))
        name = f"update/{layers[2].name}/x"
        for new, is_late in ((early, False), (late, True)):
            save = _saves(new)[name]
            assert (new.graph.ops.index(save) > _loss_index(new)) == is_late
            masks = [op for op in new.graph.ops if op.name == "TFLM_TRAIN_CLAMP_MASK"]
            masked = {op.input.name for op in masks}
            assert (layers[1].x.name in masked) != is_late, "it is its own mask while it lives"

    def test_a_layer_that_trains_as_a_whole_has_no_copy_and_no_split(
        self, converted: Converted
    ) -> None:
        model = converted("mobilenet")
        layers = list_layers(model.graph)
        updates = tuple(WeightUpdate(x.index, channels=x.x.shape[-1]) for x in layers[1:-1])
        report = rewrite(model, Scheme(weights=updates)).report.ops
        assert not report.keys() & {"CHANNEL_SAVE", "SPLIT_CONV", "SPLIT_DEPTHWISE"}

    @given(drawn=schemes())
    @settings(max_examples=60, deadline=None)
    def test_bits_only_of_clamped_outputs_that_no_update_reads(
        self, drawn: tuple[str, Scheme]
    ) -> None:
        name, scheme = drawn
        model = Model(converted_model(name))
        new = rewritten(model, scheme)
        clamped = {
            op.output.name
            for op in model.graph.ops
            if getattr(op.options, "fusedActivationFunction", 0) in (1, 3)
        }
        ops = new.graph.ops
        loss = _loss_index(new)
        alive = {op.input.name for op in ops if isinstance(params_of(op), WEIGHT_UPDATES)}
        # Forward activations that anything after the loss reads.
        forward = {t.name for op in model.graph.ops for t in op.outputs}
        read = {t.name for op in ops[loss + 1 :] for t in op.inputs if t is not None}
        assert read & forward <= alive
        for index, op in enumerate(ops):
            if isinstance(params_of(op), ClampMask):
                assert op.input.name in clamped - alive
                assert index < loss and op.output.nbytes == -(-op.input.size // 8)


class TestNothingInVain:
    @given(drawn=schemes())
    @settings(max_examples=60, deadline=None)
    def test_gradients_only_of_what_depends_on_something_trained(
        self, drawn: tuple[str, Scheme]
    ) -> None:
        name, scheme = drawn
        model = Model(converted_model(name))
        new = rewritten(model, scheme)
        trained = {layer.op.output.name for layer in resolve(scheme, model).trained}
        reached: set[str] = set()
        for op in model.graph.ops:
            names = {t.name for t in op.inputs if t is not None}
            if op.output.name in trained or names & reached:
                reached.add(op.output.name)
        wanted = {t.short_name for t in model.graph.tensors if t.name in reached}
        for gradient in gradient_slots(new):
            of = gradient.removeprefix("grad/")
            assert of in wanted or of.rsplit("/", 1)[0] in wanted, gradient
        read = {id(t) for op in new.graph.ops for t in op.inputs}
        kept = {id(t) for t in new.graph.outputs}
        for op in new.graph.ops:
            for t in op.outputs:
                assert t.is_variable or id(t) in read | kept, f"{op.name}: nobody reads {t.name!r}"

    @pytest.mark.parametrize("first", range(7))
    def test_the_earliest_trained_layer_has_no_input_gradient(
        self, converted: Converted, first: int
    ) -> None:
        model = converted("mobilenet")
        layers = list_layers(model.graph)
        weights = tuple(WeightUpdate(i, 0.5) for i in range(first, len(layers)))
        new = rewritten(model, Scheme(weights=weights))
        gradients = {n.removeprefix("grad/") for n in gradient_slots(new)}
        ops = model.graph.ops[: layers[first].op_index]
        assert not gradients & {op.output.short_name for op in ops}
        kinds = [type(params_of(op)) for op in new.graph.ops]
        updates = sum(kind in WEIGHT_UPDATES for kind in kinds)
        input_gradients = sum(kind in INPUT_GRADIENTS for kind in kinds)
        assert (updates, input_gradients) == (len(weights), len(weights) - 1)


def _saves(model: Model) -> dict[str, Op]:
    """CHANNEL_SAVE ops by the name of what they write."""
    return {op.output.name: op for op in model.graph.ops if isinstance(params_of(op), ChannelSave)}


def _loss_index(model: Model) -> int:
    return next(i for i, op in enumerate(model.graph.ops) if op.name == "TFLM_TRAIN_LOSS")


def test_a_layer_whose_input_is_a_constant(shared: Path) -> None:
    """Its channels are saved from flash, which no op of the forward pass writes."""
    model = load(shared / "cases" / "reports" / "04_constant_input_layer.tflite")
    assert_follows_reference(rewritten(model, Scheme(weights=(WeightUpdate(0, 0.25),))))
