"""What firmware must know of a rewritten model, as the values that the templates name."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tflm_train import kernel_abi as abi
from tflm_train.errors import DataError, ModelError, UnsupportedError
from tflm_train.export.resolver import exact_resolver
from tflm_train.memory import KernelSet, memory_report
from tflm_train.model import Model, Tensor, flatbuffer
from tflm_train.runtime.state import StateLayout

_INTERFACE = ("train/label", "train/learning_rate", "train/loss", "train/state")
_C_TYPES = {"INT8": "int8_t", "UINT8": "uint8_t", "INT32": "int32_t", "FLOAT32": "float"}
_RANGES = {"INT8": (-128, 127), "UINT8": (0, 255)}
_MARGIN_SHARE = 0.05
_SMALLEST_MARGIN = 1024
_ALIGNMENT = 16
_BYTES_PER_LINE = 16


@dataclass(frozen=True)
class Arena:
    """The arena that the firmware is given.

    Attributes:
      used: `arena_used_bytes()` as predicted, by the kernels that run the builtin ops.
      margin: What is added to the largest need.
      bytes: The arena's size.
      unmodelled: Ops whose kernels the prediction does not know.
    """

    used: dict[str, int]
    margin: int
    bytes: int
    unmodelled: tuple[str, ...]


def plan_arena(model: Model) -> Arena:
    """Sizes an arena that is enough whichever kernels run the builtin ops."""
    reports = {kernels: memory_report(model, kernels) for kernels in KernelSet}
    largest = max(report.minimum_bytes for report in reports.values())
    margin = max(_SMALLEST_MARGIN, int(_MARGIN_SHARE * largest))
    unmodelled = {name for report in reports.values() for name in report.persistent.unmodelled}
    size = -(-(largest + margin) // _ALIGNMENT) * _ALIGNMENT
    used = {str(kernels): report.total_bytes for kernels, report in reports.items()}
    return Arena(used, margin, size, tuple(sorted(unmodelled)))


def describe(model: Model, name: str, class_names: Sequence[str] | None) -> dict[str, str]:
    """The templates' values.

    Args:
      model: A rewritten model.
      name: C++ namespace and stem of the files.
      class_names: Names of the classes; None for those in the file, or numbers.

    Raises:
      ModelError: The model holds no training ops.
      UnsupportedError: An input or output type that the trainer cannot handle.
      DataError: The number of names is not that of the classes.
    """
    layout = StateLayout(model)
    graph = model.graph
    label = _interface(model)
    source, result = graph.inputs[0], graph.outputs[0]
    arena = plan_arena(model)
    resolver = exact_resolver(model)
    single = label.size == 1
    values = {
        "NAME": name,
        "GUARD": name.upper(),
        "MODEL_FILE": "".join(c if c.isprintable() else "?" for c in model.name),
        "MODEL_BYTES": str(len(model.source)),
        "MODEL_ARRAY": _array(model.source),
        "OP_COUNT": str(len(resolver.calls)),
        "OP_CALLS": "\n".join(f"  add({call});" for call in resolver.calls),
        "LABEL_INPUT": str(len(graph.inputs) - 2),
        "LEARNING_RATE_INPUT": str(len(graph.inputs) - 1),
        "LOSS_OUTPUT": str(len(graph.outputs) - 2),
        "STATE_OUTPUT": str(len(graph.outputs) - 1),
        "LABEL_CTYPE": _c_type(label),
        "LABEL_SIZE": str(label.size),
        "LABEL_MEANING": "the index of the class" if single else "the wanted output",
        "TRAIN_PARAMETER": "Label label" if single else "const Label* target",
        "TRAIN_ARGUMENT": "&label" if single else "target",
        "EXAMPLE_LABEL": f"  const {name}::Label label = 1;"
        if single
        else f"  const {name}::Label label[{name}::kLabelSize] = {{}};",
        "CLASS_NAMES": ", ".join(
            _c_string(n) for n in _class_names(model, result.size, class_names)
        ),
        "STATE_BYTES": str(abi.BLOB_HEADER.size + layout.payload_bytes),
        "ARENA_LINES": "\n".join(f"//   {k:20} {n:,}" for k, n in arena.used.items()),
        "ARENA_MARGIN": str(arena.margin),
        "ARENA_BYTES": str(arena.bytes),
        "QUANTIZE": _quantize(source),
    }
    if arena.unmodelled:
        names = ", ".join(arena.unmodelled)
        values["ARENA_LINES"] += f"\n// (without what the kernels of {names} keep: measure it)"
    for role, tensor in (("INPUT", source), ("OUTPUT", result)):
        quantization = tensor.quantization
        values |= {
            f"{role}_TYPE": tensor.type_name.lower(),
            f"{role}_CTYPE": _c_type(tensor),
            f"{role}_SHAPE": str(list(tensor.shape)),
            f"{role}_SIZE": str(tensor.size),
            f"{role}_SCALE": _c_float(1.0 if quantization is None else tensor.scale),
            f"{role}_ZERO_POINT": str(0 if quantization is None else tensor.zero_point),
        }
    return values


def _interface(model: Model) -> Tensor:
    """Checks the contract's inputs and outputs; returns the label."""
    graph = model.graph
    names = [t.name for t in [*graph.inputs[-2:], *graph.outputs[-2:]]]
    if tuple(names) != _INTERFACE:
        raise ModelError(
            f"{model.name}: its last inputs and outputs are not {', '.join(_INTERFACE)}; "
            "run `tflm_train rewrite` on it first"
        )
    return graph.inputs[-2]


def _class_names(model: Model, count: int, names: Sequence[str] | None) -> list[str]:
    if names is not None:
        if len(names) != count:
            raise DataError(f"{len(names)} class names given, the model has {count} classes")
        return list(names)
    _, files = flatbuffer.parse(model.source, model.name)
    for info, content in files:
        lines = content.decode(errors="replace").splitlines()
        if info.filename.endswith(".txt") and len(lines) == count:
            return lines
    return [str(i) for i in range(count)]


def _c_type(tensor: Tensor) -> str:
    if tensor.type_name not in _C_TYPES:
        raise UnsupportedError(
            f"{tensor.name!r} is {tensor.type_name}; firmware is exported for inputs and outputs "
            f"of the types {', '.join(_C_TYPES)}"
        )
    return _C_TYPES[tensor.type_name]


def _quantize(tensor: Tensor) -> str:
    if tensor.type_name not in _RANGES or tensor.quantization is None:
        return "    return static_cast<Input>(real);"
    low, high = _RANGES[tensor.type_name]
    return (
        "    int32_t q = ::tflm_train::RoundToInt32(real / kInputScale) + kInputZeroPoint;\n"
        f"    if (q < {low}) q = {low};\n"
        f"    if (q > {high}) q = {high};\n"
        "    return static_cast<Input>(q);"
    )


def _array(data: bytes) -> str:
    lines = (data[i : i + _BYTES_PER_LINE] for i in range(0, len(data), _BYTES_PER_LINE))
    return "\n".join("    " + ", ".join(f"0x{b:02x}" for b in line) + "," for line in lines)


def _c_string(text: str) -> str:
    # JSON's escapes are C++'s, but for what is not ASCII: octal, so that no digit is swallowed.
    escaped = json.dumps(text, ensure_ascii=False)
    escaped = escaped.replace("?", "\\?")  # no trigraphs
    return "".join(
        c if c.isascii() else "".join(f"\\{byte:03o}" for byte in c.encode()) for c in escaped
    )


def _c_float(value: Any) -> str:
    text = repr(float(value))
    return f"{text}f" if any(c in text for c in ".e") else f"{text}.0f"
