"""Reading and writing .tflite files: nothing is lost, everything damaged is refused."""

from __future__ import annotations

import contextlib
import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import given, settings
from hypothesis import strategies as st

import tflm_train as tt
from tests import raw_model
from tests.models import CONVERTED, converted_model
from tests.networks import NETWORKS, load_network
from tests.steps import random_inputs
from tflm_train.errors import ModelError
from tflm_train.model import Model, Op, Tensor
from tflm_train.model.layers import list_layers
from tflm_train.rewriter import rewrite
from tflm_train.scheme import Scheme

REAL_MODELS = (
    *NETWORKS,
    "ad01_int8", "hello_world_int8", "keyword_scrambled_8bit", "kws_ref_model", "mbv2-w0.35",
    "mbv2-w0.35.nopad", "mcunet-5fps", "mcunet-5fps.nopad", "mcunetv2_large",
    "micro_speech_quantized", "person_detect", "pretrainedResnet_quant", "proxyless-w0.3",
    "proxyless-w0.3.nopad", "str_ww_ref_model", "trained_lstm_int8", "vww", "vww_96_int8",
)  # fmt: skip


def assert_same_graph(a: Model, b: Model) -> None:
    """Tensors, operators and interface, through the typed graph."""
    position = {id(t): i for m in (a, b) for i, t in enumerate(m.graph.tensors)}

    def indices(tensors: Any) -> list[int]:
        return [-1 if t is None else position[id(t)] for t in tensors]

    def tensor(t: Tensor) -> Any:
        q = t.quantization
        return (
            t.name, t.shape, t.type_code, t.is_variable,
            None if t.data is None else (t.data.dtype, t.data.shape, t.data.tobytes()),
            None if q is None else (q.scale.tolist(), q.zero_point.tolist(), q.axis),
        )  # fmt: skip

    def op(o: Op) -> Any:
        options = raw_model.plain(o.options)
        return o.name, o.is_custom, o.custom_options, options, indices(o.inputs), indices(o.outputs)

    assert [tensor(t) for t in a.graph.tensors] == [tensor(t) for t in b.graph.tensors]
    assert [op(o) for o in a.graph.ops] == [op(o) for o in b.graph.ops]
    assert indices(a.graph.inputs) == indices(b.graph.inputs)
    assert indices(a.graph.outputs) == indices(b.graph.outputs)


def assert_round_trip(model: Model) -> None:
    written = model.to_bytes()
    again = Model(written, model.name)
    assert_same_graph(model, again)
    before, after = (raw_model.plain(raw_model.read(d)) for d in (model.source, written))
    assert before == after
    assert raw_model.misaligned_buffers(written) == []
    assert again.to_bytes() == written


@pytest.mark.parametrize("name", CONVERTED)
def test_round_trip_of_converted_models(converted: Callable[[str], Model], name: str) -> None:
    model = converted(name)
    assert_round_trip(model)
    x = random_inputs(model.graph, 1)[0]
    again = tt.Interpreter(model.to_bytes())
    np.testing.assert_array_equal(tt.Interpreter(model).infer(x), again.infer(x))


@pytest.mark.parametrize("name", REAL_MODELS)
def test_round_trip_of_real_models(name: str) -> None:
    assert_round_trip(load_network(name))


class TestWhatARewriteKeeps:
    def test_everything_outside_the_graph(self, digits: Model) -> None:
        data = raw_model.edit(digits.source, self._decorate)
        result = rewrite(Model(data), Scheme())
        before, after = raw_model.read(data), raw_model.read(result.model_bytes)
        assert after.description == b"made for a test"
        assert before.signatureDefs
        # The rewriter appends its own signatures.
        own = len(before.signatureDefs)
        assert raw_model.plain(after.signatureDefs[:own]) == raw_model.plain(before.signatureDefs)
        assert raw_model.plain(after.metadata) == raw_model.plain(before.metadata)
        for entry in before.metadata:
            assert bytes(after.buffers[entry.buffer].data) == bytes(
                before.buffers[entry.buffer].data
            )
        assert after.version == before.version

    @staticmethod
    def _decorate(model: Any) -> None:
        model.description = b"made for a test"
        raw_model.add_metadata(model, b"SOMEBODY_S_METADATA", b"who, what, when")

    def test_associated_files_in_the_zip_tail(self, digits: Model) -> None:
        stream = io.BytesIO(digits.source)
        with zipfile.ZipFile(stream, "a") as archive:
            archive.writestr("labels.txt", "zero\none\n")
            archive.writestr("more.txt", "x" * 1000, zipfile.ZIP_DEFLATED)
        model = Model(stream.getvalue())
        for data in (model.to_bytes(), rewrite(model, Scheme()).model_bytes):
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                assert archive.namelist() == ["labels.txt", "more.txt"]
                assert archive.read("labels.txt") == b"zero\none\n"
                assert archive.read("more.txt") == b"x" * 1000
                assert archive.infolist()[1].compress_type == zipfile.ZIP_DEFLATED
            assert raw_model.misaligned_buffers(data) == []
            assert len(list_layers(Model(data).graph)) == len(list_layers(digits.graph))

    def test_signature_indices_name_the_same_tensors(self, digits: Model) -> None:
        after = raw_model.read(rewrite(digits, Scheme()).model_bytes)
        before = raw_model.read(digits.source)
        assert before.signatureDefs
        for signature in after.signatureDefs[: len(before.signatureDefs)]:
            for entry in [*signature.inputs, *signature.outputs]:
                names = [m.subgraphs[0].tensors[entry.tensorIndex].name for m in (before, after)]
                assert names[0] == names[1]

    def test_an_unknown_custom_op(self, converted: Callable[[str], Model]) -> None:
        def change(model: Any) -> None:
            raw_model.make_custom(
                model, schema.BuiltinOperator.SPACE_TO_DEPTH, b"SOMEBODY_S_OP", b"\x01\x02\x03"
            )

        model = Model(raw_model.edit(converted("opaque").source, change))
        assert_round_trip(model)
        rewritten = Model(rewrite(model, Scheme(biases_last=1)).model_bytes)
        op = next(op for op in rewritten.graph.ops if op.name == "SOMEBODY_S_OP")
        assert op.is_custom and op.custom_options == b"\x01\x02\x03"

    def test_the_offline_memory_plan_is_dropped_with_a_warning(self, digits: Model) -> None:
        def change(model: Any) -> None:
            raw_model.add_metadata(model, b"OfflineMemoryAllocation", bytes(64))

        model = Model(raw_model.edit(digits.source, change))
        result = rewrite(model, Scheme())
        assert any("OfflineMemoryAllocation" in w for w in result.report.warnings)
        names = [entry.name for entry in raw_model.read(result.model_bytes).metadata or []]
        assert b"OfflineMemoryAllocation" not in names


def test_fields_newer_than_the_schema_are_noticed(
    digits: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert digits.newer_fields == []
    counter: list[int] = []

    class Count:
        def StartObject(self, count: int) -> None:  # noqa: N802 - flatbuffers' name
            counter.append(count)

    schema.SubGraphStart(Count())
    end = schema.SubGraphEnd
    with monkeypatch.context() as patch:
        patch.setattr(schema, "SubGraphStart", lambda b: b.StartObject(counter[0] + 1))

        def end_with_more(builder: Any) -> Any:
            builder.PrependInt32Slot(counter[0], 5, 0)
            return end(builder)

        patch.setattr(schema, "SubGraphEnd", end_with_more)
        data = raw_model.edit(digits.source, lambda model: None)
    newer = Model(data)
    assert newer.newer_fields == ["SubGraph 0"]
    warnings = rewrite(newer, Scheme()).report.warnings
    assert any("newer than this tool's schema" in w and "SubGraph 0" in w for w in warnings)


def _quantize(model: Any, field: str, value: list[float]) -> None:
    """Changes the quantization of the model's input."""
    subgraph = model.subgraphs[0]
    setattr(subgraph.tensors[subgraph.inputs[0]].quantization, field, value)


class TestDamage:
    @pytest.mark.parametrize("data", [b"", b"TFL3", b"PK\x03\x04" + bytes(60), bytes(8) + b"TFL3"])
    def test_not_a_model(self, data: bytes) -> None:
        with pytest.raises(ModelError, match=r"m\.tflite: not a \.tflite file"):
            Model(data, "m.tflite")

    def test_no_such_file(self, tmp_path: Path) -> None:
        with pytest.raises(ModelError, match=r"none\.tflite: cannot be read \(No such file"):
            tt.load(tmp_path / "none.tflite")

    def test_truncated(self, digits: Model) -> None:
        size = len(digits.source)
        refused = 0
        for length in [*range(0, 64, 3), *range(64, size, 1499), *range(size - 32, size)]:
            try:
                Model(digits.source[:length], "cut")
            except ModelError as error:
                assert str(error).startswith("cut: ")
                refused += 1
        assert refused > 40

    def test_buffer_of_the_wrong_size(self, digits: Model) -> None:
        weights = list_layers(digits.graph)[3].weights

        def change(model: Any) -> None:
            tensor = model.subgraphs[0].tensors[digits.graph.tensors.index(weights)]
            buffer = model.buffers[tensor.buffer]
            buffer.data = buffer.data[:-1]

        message = f"needs {weights.nbytes} bytes but its buffer holds {weights.nbytes - 1}"
        with pytest.raises(ModelError, match=message):
            Model(raw_model.edit(digits.source, change))

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            (lambda m: setattr(m, "subgraphs", []), "no subgraph"),
            (lambda m: setattr(m, "buffers", []), "no buffer table"),
            (lambda m: setattr(m.subgraphs[0].tensors[2], "buffer", 999), "points at no buffer"),
            (lambda m: setattr(m.subgraphs[0].operators[1], "opcodeIndex", 99), "has no opcode"),
            (lambda m: setattr(m.subgraphs[0].operators[1], "inputs", [999]), "names tensor 999"),
            (lambda m: setattr(m.subgraphs[0], "outputs", [-1]), "outputs name tensor -1"),
            (lambda m: setattr(m.subgraphs[0].tensors[2], "shape", [-4]), "absurd shape"),
            (lambda m: _quantize(m, "zeroPoint", [400]), "impossible quantization"),
            (lambda m: _quantize(m, "zeroPoint", [0, 0, 0]), "impossible quantization"),
            (lambda m: _quantize(m, "scale", [float("nan")]), "impossible quantization"),
            (lambda m: _quantize(m, "scale", [-0.5]), "impossible quantization"),
        ],
    )
    def test_indices_out_of_range(self, digits: Model, change: Any, words: str) -> None:
        with pytest.raises(ModelError, match=words):
            Model(raw_model.edit(digits.source, change))

    @given(
        flips=st.lists(
            st.tuples(st.integers(0, 1 << 20), st.integers(1, 255)), min_size=1, max_size=8
        ),
        only_structure=st.booleans(),
    )
    @settings(max_examples=150, deadline=None)
    def test_flipped_bytes(self, flips: list[tuple[int, int]], only_structure: bool) -> None:
        damaged = bytearray(converted_model("wide"))
        # The first half is tables and names, the last half mostly weights.
        first = len(damaged) // 2 if only_structure else 8
        for place, change in flips:
            damaged[first + place % (len(damaged) - first)] ^= change
        try:
            model = Model(bytes(damaged))
        except ModelError:
            return
        # Nothing is left to stumble over when it is written again.
        model.to_bytes()
        with contextlib.suppress(ModelError):
            assert isinstance(model.newer_fields, list)
