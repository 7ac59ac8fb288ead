"""The interpreter: reset, reproducibility, states, and what is refused with nothing changed."""

from __future__ import annotations

import math
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

import tflm_train as tt
from tests import raw_model
from tests.steps import (
    DIGITS,
    RATE,
    assert_follows_reference,
    full_scheme,
    random_inputs,
    train,
    weights_of,
)
from tflm_train import ops
from tflm_train.errors import DataError, ModelError, RuntimeFailure
from tflm_train.model import Model, load
from tflm_train.ops import VERSION, StateWord
from tflm_train.rewriter import rewrite
from tflm_train.rewriter.optimize import optimize
from tflm_train.runtime.host_library import take_step_counts
from tflm_train.scheme import Scheme

pytestmark = pytest.mark.interpreter

SPARSE = Scheme(biases_last=4, weights=weights_of(4, 8), residual_bits=0, seed=3)
LABEL, LEARNING_RATE = 1, 2  # input indices of the digits model
LOSS, STATE = 1, 2  # output indices


@pytest.fixture(scope="module")
def sparse() -> bytes:
    return rewrite(load(DIGITS), SPARSE).model_bytes


@pytest.fixture
def trained(sparse: bytes) -> tt.Interpreter:
    interpreter = tt.Interpreter(sparse)
    train(interpreter, 3)
    return interpreter


class TestReset:
    def test_gives_factory_behaviour_back(self, sparse: bytes) -> None:
        interpreter = tt.Interpreter(sparse)
        x = random_inputs(interpreter.model.graph, 1)[0]
        factory, output = interpreter.state(), interpreter.infer(x)
        losses = train(interpreter, 5)
        assert interpreter.step == 5 and interpreter.state() != factory
        interpreter.reset()
        assert interpreter.step == 0 and interpreter.state() == factory
        np.testing.assert_array_equal(interpreter.infer(x), output)
        assert train(interpreter, 5) == losses

    def test_right_before_a_training_step(self, trained: tt.Interpreter, sparse: bytes) -> None:
        trained.reset()
        fresh = tt.Interpreter(sparse)
        assert train(trained, 1) == train(fresh, 1)
        assert trained.state() == fresh.state()

    def test_of_the_raw_interpreter(self, trained: tt.Interpreter, sparse: bytes) -> None:
        """`interpreter.Reset()` alone means factory weights, as firmware calls it."""
        raw = trained._interpreter
        raw.reset()
        raw.invoke()
        words = np.array(raw.get_output(STATE))
        assert words[StateWord.STEP] == 0 and words[StateWord.TRAINING] == 0
        assert tt.Interpreter(sparse).state() == trained.state()


class TestReproducibility:
    @pytest.mark.parametrize("residual_bits", [8, 0])
    def test_the_seed_gives_every_byte(self, digits: Model, residual_bits: int) -> None:
        def run(seed: int) -> bytes:
            scheme = full_scheme(digits, residual_bits=residual_bits, seed=seed)
            interpreter = tt.Interpreter(rewrite(digits, scheme).model_bytes)
            train(interpreter, 4, rate=0.05)
            return interpreter.state()

        first = run(1)
        assert run(1) == first
        payload = ops.BLOB_HEADER.size
        differs = run(2)[payload:] != first[payload:]
        assert differs == (residual_bits == 0), "only stochastic rounding uses the seed"

    def test_inference_between_steps_changes_nothing(self, sparse: bytes) -> None:
        a, b = tt.Interpreter(sparse), tt.Interpreter(sparse)
        samples = random_inputs(a.model.graph, 6)
        for i, x in enumerate(samples):
            a.train_step(x, i, RATE)
            b.infer(samples[0])
            b.train_step(x, i, RATE)
            b.state()
            b.infer(samples[1])
        assert a.state() == b.state()

    def test_several_interpreters_at_once(self, sparse: bytes, digits: Model) -> None:
        other = rewrite(digits, Scheme(biases_last=1, seed=8)).model_bytes
        alone = []
        for data in (sparse, other):
            interpreter = tt.Interpreter(data)
            train(interpreter, 4)
            alone.append(interpreter.state())
        together = [tt.Interpreter(data) for data in (sparse, other, sparse)]
        samples = random_inputs(digits.graph, 4)
        labels = np.random.default_rng([0, 1]).integers(0, 10, 4)
        for x, y in zip(samples, labels, strict=True):
            for interpreter in together:
                interpreter.train_step(x, int(y), RATE)
        assert [i.state() for i in together] == [*alone, alone[0]]
        together[0].reset()
        assert together[2].state() == alone[0]

    def test_both_ways_to_give_an_input(self, sparse: bytes) -> None:
        a, b = tt.Interpreter(sparse), tt.Interpreter(sparse)
        x = random_inputs(a.model.graph, 1)[0]
        assert a.train_step(x, 3, RATE) == b.train_step(x[0], 3, RATE)
        np.testing.assert_array_equal(a.infer(x), b.infer(x[0]))

    def test_preserving_all_tensors_changes_nothing(self, sparse: bytes) -> None:
        a, b = tt.Interpreter(sparse), tt.Interpreter(sparse, preserve_all=True)
        assert train(a, 3) == train(b, 3)
        assert a.state() == b.state()
        gradient = next(t for t in b.model.graph.tensors if t.name.startswith("grad/"))
        assert b.tensor(gradient).shape == gradient.shape
        np.testing.assert_array_equal(b.tensor(gradient.name), b.tensor(gradient))


class TestState:
    def test_round_trip_into_another_interpreter(
        self, trained: tt.Interpreter, sparse: bytes
    ) -> None:
        blob = trained.state()
        other = tt.Interpreter(sparse)
        other.load_state(blob)
        assert other.state() == blob and other.step == 3
        assert train(other, 2, seed=4) == train(trained, 2, seed=4)
        assert other.state() == trained.state()

    def test_replaces_a_later_state(self, trained: tt.Interpreter) -> None:
        blob = trained.state()
        x = random_inputs(trained.model.graph, 1)[0]
        output = trained.infer(x)
        train(trained, 3, seed=4)
        trained.load_state(blob)
        assert trained.state() == blob
        np.testing.assert_array_equal(trained.infer(x), output)

    def test_layout(self, trained: tt.Interpreter) -> None:
        blob = trained.state()
        magic, version, header, fingerprint, step, seed, size, crc = ops.BLOB_HEADER.unpack_from(
            blob
        )
        assert (magic, version, header) == (ops.BLOB_MAGIC, ops.BLOB_VERSION, 32)
        assert (fingerprint, step, seed) == (trained.fingerprint, 3, SPARSE.seed)
        assert size == len(blob) - 32 == sum(v.nbytes for v in trained.variables().values())
        assert crc == zlib.crc32(blob[:28] + blob[32:])
        assert b"".join(v.tobytes() for v in trained.variables().values()) == blob[32:]

    def test_damaged_blobs_change_nothing(self, trained: tt.Interpreter, sparse: bytes) -> None:
        blob = trained.state()
        target = tt.Interpreter(sparse)
        train(target, 1, seed=9)
        before = target.state()
        damaged = [b"", blob[:4], blob[:31], blob[:32], blob[:-1], blob + b"\0", bytes(len(blob))]
        for place in [*range(32), 40, len(blob) // 2, len(blob) - 1]:
            flipped = bytearray(blob)
            flipped[place] ^= 0x40
            damaged.append(bytes(flipped))
        for bad in damaged:
            with pytest.raises(DataError, match=r"^model: tflm_train state: "):
                target.load_state(bad)
            assert target.state() == before
        assert train(target, 1) == train(_restored(sparse, before), 1)

    def test_the_wrong_model_s_state(self, trained: tt.Interpreter, digits: Model) -> None:
        blob = trained.state()
        scheme = Scheme(**{**vars(SPARSE), "seed": 4})
        other = tt.Interpreter(Model(rewrite(digits, scheme).model_bytes, "other.tflite"))
        before = other.state()
        with pytest.raises(DataError, match=r"^other\.tflite: .*(model|fingerprint)") as refusal:
            other.load_state(blob)
        assert "\n" not in str(refusal.value)
        assert other.state() == before

    def test_a_right_checksum_does_not_save_a_wrong_size(self, trained: tt.Interpreter) -> None:
        blob = trained.state()
        before = trained.state()
        short = bytearray(blob[:-4])
        struct.pack_into("<I", short, 24, len(short) - 32)
        struct.pack_into("<I", short, 28, zlib.crc32(bytes(short[:28] + short[32:])))
        with pytest.raises(DataError):
            trained.load_state(bytes(short))
        assert trained.state() == before


def _restored(data: bytes, blob: bytes) -> tt.Interpreter:
    interpreter = tt.Interpreter(data)
    interpreter.load_state(blob)
    return interpreter


@pytest.mark.parametrize("bits", [8, 4, 0])
@pytest.mark.parametrize("rate", [1e-45, 1e-39, 1e-9, 1e9, 1e30, 3e38])
def test_any_rate_is_the_references(bits: int, rate: float) -> None:
    scheme = Scheme(biases_last=4, weights=weights_of(4, 8), residual_bits=bits, seed=3)
    rewritten = Model(rewrite(load(DIGITS), scheme).model_bytes)
    assert_follows_reference(rewritten, steps=2, rate=rate)


@pytest.mark.parametrize("bits", [8, 4, 0])
def test_steps_that_vanish_are_counted(bits: int) -> None:
    """As many weights have a gradient at any rate, and a step of the smallest rates is none."""
    scheme = Scheme(biases_last=8, weights=weights_of(0, 1, 4, 8), residual_bits=bits)
    x = random_inputs(load(DIGITS).graph, 1)[0]
    counted = {}
    for rate in (1e-45, 1e-40, 1e-9, 1e-2, 1e30):
        interpreter = tt.Interpreter(rewrite(load(DIGITS), scheme).model_bytes)
        for _ in range(7):
            interpreter.train_step(x, 1, 1e-45)
        factory = interpreter.state()
        take_step_counts()
        interpreter.train_step(x, 1, rate)  # Every eighth is counted.
        counted[rate] = take_step_counts()
        moved = sum(a != b for a, b in zip(factory, interpreter.state(), strict=True))
        assert (moved > 500) == (rate > 1e-3), "beside the count of steps, the loss and the like"
    steps, *_ = counted[1e-2]
    assert steps > 1000 and {count for count, *_ in counted.values()} == {steps}
    assert all(counted[rate][1:] == (0, steps) for rate in (1e-45, 1e-40, 1e-9))
    assert counted[1e-2][2] < steps / 2 and counted[1e30][1:] == (steps, 0)


class TestRefusals:
    @pytest.mark.parametrize("label", [-1, 10, 2**31 - 1])
    def test_label(self, trained: tt.Interpreter, label: int) -> None:
        before = trained.state()
        x = random_inputs(trained.model.graph, 1)[0]
        with pytest.raises(DataError, match=f"label {label} is out of range: .* 10 classes"):
            trained.train_step(x, label, RATE)
        assert trained.state() == before

    @pytest.mark.parametrize("rate", [math.nan, math.inf, -math.inf, -1e-3, 0.0])
    def test_learning_rate(self, trained: tt.Interpreter, rate: float) -> None:
        before = trained.state()
        x = random_inputs(trained.model.graph, 1)[0]
        with pytest.raises(DataError, match="must be a finite number above 0"):
            trained.train_step(x, 1, rate)
        assert trained.state() == before

    @pytest.mark.parametrize("rate", [1e39, 1e-46])
    def test_learning_rate_that_no_float_holds(self, trained: tt.Interpreter, rate: float) -> None:
        before = trained.state()
        x = random_inputs(trained.model.graph, 1)[0]
        with pytest.raises(DataError, match="beyond what a 32-bit float holds"):
            trained.train_step(x, 1, rate)
        assert trained.state() == before

    @pytest.mark.parametrize("rate", [math.nan, math.inf, -math.inf, -1e-3])
    def test_learning_rate_in_the_kernel(self, trained: tt.Interpreter, rate: float) -> None:
        self._refused_by_kernel(trained, 1, rate, "the learning rate is negative or not finite")

    @pytest.mark.parametrize("label", [-1, 10, 2**31 - 1, -(2**31)])
    def test_label_in_the_kernel(self, trained: tt.Interpreter, label: int) -> None:
        self._refused_by_kernel(trained, label, RATE, f"label.*{label}")

    @staticmethod
    def _refused_by_kernel(
        interpreter: tt.Interpreter, label: int, rate: float, words: str
    ) -> None:
        before = interpreter.state()
        x, other = random_inputs(interpreter.model.graph, 2)
        output = interpreter.infer(x)
        raw = interpreter._interpreter
        raw.set_input(x, 0)
        raw.set_input(np.array([label], np.int32), LABEL)
        raw.set_input(np.array([rate], np.float32), LEARNING_RATE)
        with pytest.raises(RuntimeFailure, match=words) as refusal:
            interpreter._invoke()
        assert "\n" not in str(refusal.value)
        raw.set_input(np.array([0], np.float32), LEARNING_RATE)
        assert interpreter.state() == before
        np.testing.assert_array_equal(interpreter.infer(x), output)
        assert interpreter.state() == before
        twin = _restored(interpreter.model.source, before)
        assert interpreter.train_step(other, 2, RATE) == twin.train_step(other, 2, RATE)
        assert interpreter.state() == twin.state()

    def test_inputs(self, trained: tt.Interpreter) -> None:
        x = random_inputs(trained.model.graph, 1)[0]
        for bad in (x[:, 1:], x.astype(np.float32), x.astype(np.uint8), x[0, 0]):
            with pytest.raises(DataError, match=r"input 0 .* takes int8 \(1, 16, 16, 1\)"):
                trained.infer(bad)
        with pytest.raises(DataError, match="2 inputs given, the model has 1"):
            trained.infer(x, x)

    def test_training_a_model_without_training_ops(self, digits: Model) -> None:
        interpreter = tt.Interpreter(digits)
        assert not interpreter.is_trainable and interpreter.classes == 0
        x = random_inputs(digits.graph, 1)[0]
        for use in (
            lambda: interpreter.train_step(x, 1, RATE),
            interpreter.state,
            lambda: interpreter.load_state(b""),
            lambda: interpreter.step,
        ):
            with pytest.raises(ModelError, match="holds no training ops; run `tflm_train rewrite`"):
                use()

    def test_reading_tensors_that_are_not_kept(self, trained: tt.Interpreter) -> None:
        with pytest.raises(RuntimeFailure, match="preserve_all=True"):
            trained.tensor("train/scales")
        kept = tt.Interpreter(trained.model, preserve_all=True)
        with pytest.raises(ModelError, match="has no tensor 'nothing'"):
            kept.tensor("nothing")

    def test_unreadable_models(self, tmp_path: Path) -> None:
        with pytest.raises(ModelError, match=r"none\.tflite: cannot be read"):
            tt.Interpreter(tmp_path / "none.tflite")
        with pytest.raises(ModelError, match=r"not a \.tflite file"):
            tt.Interpreter(b"nothing of the kind")

    def test_damaged_training_ops(self, sparse: bytes) -> None:
        for name in ("TFLM_TRAIN_LOSS", "TFLM_TRAIN_RESTORE"):
            model = Model(sparse)
            op = next(op for op in model.graph.ops if op.name == name)
            op.custom_options = (op.custom_options or b"")[:-4]
            words = rf"op \d+ \({name}, .*\): {name[11:]}: \d+ bytes, expected"
            with pytest.raises(ModelError, match=words):
                tt.Interpreter(model.to_bytes())

    @pytest.mark.parametrize(
        "op_name", ["CONV_UPDATE", "DEPTHWISE_UPDATE", "BIAS_UPDATE", "CONV_INPUT_GRAD"]
    )
    @pytest.mark.parametrize("change", ["version", "size", "kind"])
    def test_unknown_versions_are_refused_at_prepare(
        self, sparse: bytes, op_name: str, change: str
    ) -> None:
        model = Model(sparse)
        op = next(op for op in model.graph.ops if op.name == f"TFLM_TRAIN_{op_name}")
        options = bytearray(op.custom_options or b"")
        if change == "size":
            del options[-4:]
        else:
            options[{"kind": 0, "version": 2}[change]] ^= 0x20
        op.custom_options = bytes(options)
        damaged = Model(sparse)
        damaged.source = model.to_bytes()  # what the firmware gets to see
        with pytest.raises(ModelError, match="TFLM cannot run this model: ") as refusal:
            tt.Interpreter(damaged)
        assert op_name in str(refusal.value) and "\n" not in str(refusal.value)
        if change == "version":
            assert "rewrite the original model again" in str(refusal.value)

    @pytest.mark.parametrize("version", [VERSION - 1, VERSION + 1])
    def test_files_of_another_version_are_refused(self, sparse: bytes, version: int) -> None:
        model = Model(sparse)
        for op in model.graph.ops:
            if op.custom_options is not None:
                head, rest = op.custom_options[:2], op.custom_options[4:]
                op.custom_options = head + version.to_bytes(2, "little") + rest
        words = (
            f"made with version {version} of our operators, and .* version {VERSION}; rewrite the"
        )
        with pytest.raises(ModelError, match=words):
            Model(model.to_bytes())


def test_an_operator_that_tflm_does_not_know(digits: Model) -> None:
    def change(model: Any) -> None:
        for code in model.operatorCodes:
            if code.builtinCode == schema.BuiltinOperator.MEAN:
                code.builtinCode = schema.BuiltinOperator.RFFT2D

    with pytest.raises(ModelError, match=r"TFLM cannot run this model: .*RFFT2D") as refusal:
        tt.Interpreter(raw_model.edit(digits.source, change))
    assert "\n" not in str(refusal.value)


def test_a_bias_that_is_named_and_absent() -> None:
    """TFLM's depthwise kernel reads it through a null pointer; one of zeros is the same."""

    def edit(raw: Any, absent: bool) -> None:
        codes = [max(c.builtinCode, c.deprecatedBuiltinCode) for c in raw.operatorCodes]
        wanted = codes.index(schema.BuiltinOperator.DEPTHWISE_CONV_2D)
        op = next(o for o in raw.subgraphs[0].operators if o.opcodeIndex == wanted)
        if absent:
            op.inputs = np.array([*op.inputs[:2], -1], np.int32)
            return
        bias = raw.buffers[raw.subgraphs[0].tensors[op.inputs[2]].buffer]
        bias.data = np.zeros_like(bias.data)

    data = DIGITS.read_bytes()
    absent, zeros = (
        Model(raw_model.edit(data, lambda raw, kind=kind: edit(raw, kind)))
        for kind in (True, False)
    )
    for x in random_inputs(absent.graph, 3):
        expected = tt.Interpreter(zeros).infer(x)
        np.testing.assert_array_equal(tt.Interpreter(absent).infer(x), expected)
        optimized = Model(optimize(absent).model_bytes)
        np.testing.assert_array_equal(tt.Interpreter(optimized).infer(x), expected)
    trained = tt.Interpreter(rewrite(absent, Scheme(biases_last=9)).model_bytes)
    train(trained, 3)
