"""The tensors that firmware fills and reads, as C++ writes their elements."""

from __future__ import annotations

from tflm_train.errors import UnsupportedError
from tflm_train.export.c_source import c_float
from tflm_train.model import Tensor

_C_TYPES = {
    "INT8": "int8_t",
    "UINT8": "uint8_t",
    "INT16": "int16_t",
    "INT32": "int32_t",
    "FLOAT32": "float",
}
_RANGES = {"INT8": (-128, 127), "UINT8": (0, 255), "INT16": (-32768, 32767)}


def c_type(tensor: Tensor) -> str:
    """The type of its elements.

    Raises:
      UnsupportedError: None of those that an exported project handles.
    """
    if tensor.type_name not in _C_TYPES:
        raise UnsupportedError(
            f"{tensor.name!r} is {tensor.type_name}; firmware is exported for inputs and outputs "
            f"of the types {', '.join(_C_TYPES)}"
        )
    return _C_TYPES[tensor.type_name]


def tensor_values(role: str, tensor: Tensor) -> dict[str, str]:
    """The templates' values of a tensor; their names begin with its role.

    Raises:
      UnsupportedError: Its type is none of those that an exported project handles.
    """
    quantization = tensor.quantization
    return {
        f"{role}_TYPE": tensor.type_name.lower(),
        f"{role}_CTYPE": c_type(tensor),
        f"{role}_SHAPE": str(list(tensor.shape)),
        f"{role}_SIZE": str(tensor.size),
        f"{role}_SCALE": c_float(1.0 if quantization is None else tensor.scale),
        f"{role}_ZERO_POINT": str(0 if quantization is None else tensor.zero_point),
    }


def quantize_body(tensor: Tensor) -> str:
    """Statements that return a real value as an element of the input."""
    if tensor.type_name not in _RANGES or tensor.quantization is None:
        return "    return static_cast<Input>(real);"
    low, high = _RANGES[tensor.type_name]
    return (
        "    int32_t q = ::tflm_train::RoundToInt32(real / kInputScale) + kInputZeroPoint;\n"
        f"    if (q < {low}) q = {low};\n"
        f"    if (q > {high}) q = {high};\n"
        "    return static_cast<Input>(q);"
    )
