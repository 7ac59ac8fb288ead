"""The parameter structs of Python against those of C++."""

from __future__ import annotations

import dataclasses
import struct
from typing import Any

import pytest

from tests.steps import DIGITS, full_scheme
from tflm_train import kernel_abi as abi
from tflm_train.model import Model, load
from tflm_train.rewriter import rewrite
from tflm_train.runtime.host_library import host_library


def cpp_structs() -> dict[int, tuple[str, int, list[tuple[str, int]]]]:
    """kind -> (op, size, [(field, offset)]) as the compiler laid them out."""
    found = {}
    for line in host_library().TflmTrainAbi().decode().splitlines():
        kind, name, size, *rest = line.split(" ")
        fields = [f.split(":") for f in "".join(rest).split(",")]
        found[int(kind)] = (name, int(size), [(n, int(o)) for n, o in fields])
    return found


def samples() -> list[abi.OpParams]:
    """Every parameter struct of a fully trained model."""
    model = load(DIGITS)
    new = Model(rewrite(model, full_scheme(model)).model_bytes)
    return [abi.unpack(op.custom_options or b"") for op in new.graph.ops if op.is_custom]


@pytest.mark.interpreter
@pytest.mark.parametrize("cls", abi.ALL_PARAMS, ids=lambda cls: cls.OP)
def test_layout(cls: type[abi.OpParams]) -> None:
    name, size, fields = cpp_structs()[cls.KIND]
    assert name == cls.OP
    assert fields == abi.field_offsets(cls)
    assert size == 8 + 4 * len(fields)


@pytest.mark.interpreter
def test_no_kind_is_missing() -> None:
    assert sorted(cpp_structs()) == sorted(cls.KIND for cls in abi.ALL_PARAMS)


def test_packing_survives_a_round_trip() -> None:
    for params in samples():
        data = params.pack()
        assert abi.unpack(data) == params
        kind, version, size = struct.unpack_from("<HHI", data)
        assert (kind, version, size) == (params.KIND, abi.VERSION, len(data))
        offsets = dict(abi.field_offsets(type(params)))
        for name, value in flat(params).items():
            code = "<f" if isinstance(value, float) else "<I" if value >= 2**31 else "<i"
            assert struct.unpack_from(code, data, offsets[name])[0] == pytest.approx(value)


def flat(node: Any) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for f in dataclasses.fields(node):
        value = getattr(node, f.name)
        values.update(flat(value) if dataclasses.is_dataclass(value) else {f.name: value})
    return values


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "0 bytes hold no header"),
        (b"\x01\x00\x01\x00\x18", "5 bytes hold no header"),
        (struct.pack("<HHI", 99, 2, 8), "unknown training op kind 99, version 2"),
        (struct.pack("<HHI4I", 2, 7, 24, 0, 0, 0, 0), "unknown training op kind 2, version 7"),
        (struct.pack("<HHI5I", 11, 2, 24, 0, 0, 0, 0, 0), "BIAS_UPDATE: 28 bytes, expected 24"),
        (struct.pack("<HHI2I", 11, 2, 16, 0, 0), "BIAS_UPDATE: 16 bytes, expected 24"),
    ],
)
def test_damaged_options_are_refused(data: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        abi.unpack(data)
