"""Reads a float model, from whichever form people have it in.

Of a hybrid model (dynamic range: int8 or float16 weights, float activations) the weights are
written out as floats: they are quantized again afterwards, along with the activations.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tflm_train.errors import ModelError, RuntimeFailure, UnsupportedError
from tflm_train.model import Graph, Model, Op, Tensor, load
from tflm_train.model.batch import one_sample

_KERAS = (".keras", ".h5", ".hdf5")
_SMALL_FLOATS = ("FLOAT16",)
_STORED = ("INT8", "UINT8", *_SMALL_FLOATS)
SIGNATURE = "serving_default"


def load_float(path: str | os.PathLike[str]) -> Model:
    """Reads a model that is to be quantized.

    Args:
      path: A .tflite file; with TensorFlow installed also a Keras file or a SavedModel folder.

    Returns:
      The model with all weights in float32, for one sample, and with one signature.

    Raises:
      ModelError: It cannot be read.
      UnsupportedError: It is quantized already, in whichever way.
      RuntimeFailure: TensorFlow is needed and not installed.
    """
    file = Path(path)
    if file.is_dir() or file.suffix.lower() in _KERAS:
        model = Model(_converted(file), f"{file.stem}.tflite")
    else:
        model = load(file)
    _require_float(model)
    _write_out_weights(model.graph)
    _reshape_instead(model)
    model = one_sample(Model(model.to_bytes(), model.name))
    _name_interface(model)
    model.renew_operator_codes()
    return Model(model.to_bytes(), model.name)


def _converted(path: Path) -> bytes:
    """The float .tflite of a Keras file or a SavedModel."""
    try:
        import tensorflow
    except ImportError as error:
        raise RuntimeFailure(
            f"{path}: only TensorFlow reads this; pip install tensorflow, or convert the model to "
            "a float .tflite where it is installed"
        ) from error
    try:
        with tempfile.TemporaryDirectory() as folder:
            source = path
            if not path.is_dir():
                keras = tensorflow.keras.models.load_model(path, compile=False)
                source = Path(folder) / "saved"
                keras.export(source, verbose=False)
            converter = tensorflow.lite.TFLiteConverter.from_saved_model(str(source))
            return bytes(converter.convert())
    except (OSError, ValueError, RuntimeError, tensorflow.errors.OpError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelError(f"{path}: TensorFlow cannot convert it ({reason})") from error


def _require_float(model: Model) -> None:
    """Whether activations are float32: what is left to quantize."""
    computed = [t for op in model.graph.ops for t in op.outputs]
    if any(t.type_name == "UINT8" and t.quantization is not None for t in computed):
        raise UnsupportedError(
            f"{model.name} is quantized to uint8, which TFLM's kernels take no more; quantize the "
            "float model that it was made from"
        )
    if any(t.type_name in ("INT8", "INT16") and t.quantization is not None for t in computed):
        raise UnsupportedError(
            f"{model.name} is quantized already: `tflm_train inspect` says what of it trains"
        )
    if not any(t.type_name == "FLOAT32" for t in model.graph.inputs):
        kinds = ", ".join(sorted({t.type_name for t in model.graph.inputs}))
        raise UnsupportedError(
            f"{model.name} takes {kinds}, no float32: there is nothing to quantize at its input"
        )
    if model.other_graphs:
        raise UnsupportedError(
            f"{model.name} has {1 + len(model.other_graphs)} subgraphs; only a model with one can "
            "be quantized here: convert it without control flow and state"
        )


def _write_out_weights(graph: Graph) -> None:
    """Replaces int8 and float16 constants that float operators read."""
    replaced: dict[int, Tensor] = {}
    kept: list[Op] = []
    for op in graph.ops:
        op.inputs = [t if t is None else replaced.get(id(t), t) for t in op.inputs]
        source = op.input if op.inputs and op.inputs[0] is not None else None
        if op.name == "DEQUANTIZE" and source is not None and source.data is not None:
            replaced[id(op.output)] = _replace(graph, op.output, _real(source))
            continue
        kept.append(op)
        if not any(t.type_name == "FLOAT32" for t in op.outputs):
            continue
        for index, tensor in enumerate(op.inputs):
            if tensor is None or tensor.data is None or tensor.type_name not in _STORED:
                continue
            if tensor.quantization is None and tensor.type_name not in _SMALL_FLOATS:
                continue
            if id(tensor) not in replaced:
                replaced[id(tensor)] = _replace(graph, tensor, _real(tensor))
            op.inputs[index] = replaced[id(tensor)]
        if hasattr(op.options, "asymmetricQuantizeInputs"):
            op.options.asymmetricQuantizeInputs = False
    graph.ops = kept


def _reshape_instead(model: Model) -> None:
    """Writes EXPAND_DIMS as RESHAPE, which the quantizer knows."""
    for op in model.graph.ops:
        if op.name == "EXPAND_DIMS":
            model.add_operator_code("RESHAPE")
            shape = np.array(op.output.shape, np.int32)
            constant = model.graph.add(Tensor.constant(f"{op.output.name}/shape", shape))
            op.name, op.inputs, op.options, op.raw = "RESHAPE", [op.input, constant], None, None


def _real(tensor: Tensor) -> npt.NDArray[np.float32]:
    """The real values of a constant."""
    assert tensor.data is not None
    values = tensor.data.astype(np.float32)
    q = tensor.quantization
    if q is None or tensor.type_name in _SMALL_FLOATS:
        return values
    along = [1] * values.ndim
    if not q.per_tensor:
        along[q.axis] = -1
    zero_points = q.zero_point.astype(np.float32).reshape(along)
    real: npt.NDArray[np.float32] = (values - zero_points) * q.scale.reshape(along)
    return real


def _replace(graph: Graph, old: Tensor, data: npt.NDArray[Any]) -> Tensor:
    """Puts a float constant in the place of a tensor."""
    new = Tensor.make(old.name, np.float32, old.shape, data=data)
    graph.tensors[graph.tensors.index(old)] = new
    return new


def _name_interface(model: Model) -> None:
    """Leaves one signature, whose names stay where there was one."""
    names = model.signature_names() if len(model.signatures) == 1 else {}
    for key in model.signatures:
        model.drop_signature(key)
    graph = model.graph
    inputs = {names.get(id(t), f"input_{i}"): t for i, t in enumerate(graph.inputs)}
    outputs = {names.get(id(t), f"output_{i}"): t for i, t in enumerate(graph.outputs)}
    model.add_signature(SIGNATURE, inputs, outputs)
