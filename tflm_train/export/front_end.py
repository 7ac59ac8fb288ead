"""The front end of a model as C++: its tables, and how its features become the model's input."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tflm_train.data.front_end import FrontEnd
from tflm_train.data.front_end.fixed_fft import twiddles
from tflm_train.data.front_end.micro import MicroTables
from tflm_train.data.front_end.spectrum import SpectrumTables
from tflm_train.data.normalization import Normalization
from tflm_train.data.preparation import Preparation
from tflm_train.errors import UnsupportedError
from tflm_train.model import Model, Tensor
from tflm_train.runtime.model_data import real_values_as_input

Array = npt.NDArray[Any]

KIND = "FRONT_END"
"""Of the values, the one that says which kernels the front end needs; empty where there is none."""
_PER_LINE = 12
_VALUES = 1 << 16
_TYPES = ("INT8", "UINT8", "FLOAT32")
_MICRO_METHODS = """
  // Likewise as the samples come: Start, then Frame for the last kFrameSamples samples whenever
  // kFrameStep new ones are there. The noise that has been heard so far is known to the next frame.
  void Start();
  void Frame(const int16_t* samples, Input* features);

 private:
  int16_t scaled_[{fft}];
  int16_t spectrum_[{fft} + 2];
  uint32_t noise_[kChannels];
"""
_SPECTRUM_METHODS = """
 private:
  float work_[{fft} + 2];
  float made_[kChannels];
"""
_QUANTIZED = """
Input Quantized(float real) {{
  int32_t q = tflm_train::RoundToInt32(real / kInputScale) + kInputZeroPoint;
  if (q < {low}) q = {low};
  if (q > {high}) q = {high};
  return static_cast<Input>(q);
}}
"""
_PLAIN_FILL = """\
  for (size_t i = 0; i < {name}::kInputSize; ++i) {{
    {object}.input()[i] = {name}::{kind}::Quantize(static_cast<float>(i % 8) * 0.125f);
  }}
"""
_PROMISES = {
    "micro": "bit for bit as in training.",
    "spectrum": "as in training, to the accuracy of\n// single precision.",
}


def front_end_values(model: Model, source: Tensor) -> dict[str, str]:
    """The templates' values.

    Args:
      model: What takes the features, with its declaration in its metadata.
      source: Its input.

    Raises:
      UnsupportedError: The front end and the model do not fit, or cannot be written in C++.
    """
    preparation = Preparation.of(model)
    front_end, norm = preparation.front_end, preparation.normalization
    if front_end is None:
        return {KIND: ""}
    frames, channels = front_end.shape
    if frames * channels != source.size:
        raise UnsupportedError(
            f"{model.name}: its front end gives {frames} frames of {channels} values, but its "
            f"input takes {source.size}; rewrite it with its own (--features)"
        )
    kind = source.type_name if source.quantization is not None else "FLOAT32"
    if kind not in _TYPES or (norm is not None and norm.channels > 1):
        raise UnsupportedError(
            f"{model.name}: a front end is exported for inputs of int8, uint8 and float32 and, "
            "where --mean and --std are stated, one of each; this model is otherwise"
        )
    tables = front_end.tables
    of_kind = (
        _micro(front_end, tables, source, norm)
        if isinstance(tables, MicroTables)
        else _spectrum(tables, source, norm)
    )
    return {
        KIND: front_end.kind,
        "FRONT_END_PROMISE": _PROMISES[front_end.kind],
        "FRONT_END_YAML": "".join(f"//   {line}\n" for line in front_end.to_yaml().splitlines()),
        "FRONT_END_RATE": str(front_end.sample_rate),
        "FRONT_END_CLIP": str(front_end.clip),
        "FRONT_END_WINDOW": str(front_end.parameters.window),
        "FRONT_END_STEP": str(front_end.parameters.step),
        "FRONT_END_FRAMES": str(frames),
        "FRONT_END_CHANNELS": str(channels),
        **of_kind,
    }


def example_values(values: Mapping[str, str]) -> dict[str, str]:
    """How the examples fill the input: by the front end of what a microphone gave, or by numbers.

    Args:
      values: Those of the front end, of the names.
    """
    name, variable = values["NAME"], values["OBJECT"]
    if not values[KIND]:
        return {
            "EXAMPLE_INCLUDE": "",
            "SKETCH_INCLUDE": "",
            "EXAMPLE_SAMPLE": "",
            "EXAMPLE_FILL": _PLAIN_FILL.format(name=name, object=variable, kind=values["CLASS"]),
        }
    return {
        "EXAMPLE_INCLUDE": f'#include "{name}_front_end.h"\n',
        "SKETCH_INCLUDE": f"#include <{name}_front_end.h>\n",
        "EXAMPLE_SAMPLE": f"static {name}::FrontEnd front_end;\n"
        f"static int16_t clip[{name}::kClipSamples];  // what your microphone gave last\n",
        "EXAMPLE_FILL": f"  front_end.Clip(clip, {variable}.input());\n",
    }


def _micro(
    front_end: FrontEnd, tables: MicroTables, source: Tensor, norm: Normalization | None
) -> dict[str, str]:
    p = tables.parameters
    circle, half_circle = twiddles(tables.fft_size)
    bands = [(band.start, len(band.weights)) for band in tables.bands]
    weights = np.concatenate([np.stack([b.weights, b.rest], axis=1) for b in tables.bands])
    arrays = {
        "kWindow": _array("int16_t", tables.window),
        "kTwiddles": _array("int16_t", circle),
        "kHalfTwiddles": _array("int16_t", half_circle),
        "kBands": _array("tflm_train::MicroBand", bands),
        "kWeights": _array("int16_t", weights),
        "kGains": _array("int16_t", tables.gains) if p.pcan else None,
        "kLogs": _array("uint16_t", tables.log2_corrections) if p.log else None,
    }
    constants = [
        "kFrameSamples", str(tables.fft_size), "kChannels", "kWindow", "kTwiddles", "kHalfTwiddles",
        "kBands", "kWeights", str(p.smoothing_bits),
        f"{{{tables.even_smoothing}, {tables.odd_smoothing}}}", str(tables.min_signal_remaining),
        "kGains" if p.pcan else "nullptr", str(tables.snr_shift), "kLogs" if p.log else "nullptr",
        str(tables.correction_bits), str(p.log_shift),
    ]  # fmt: skip
    name, made = _quantized_integers(front_end.scale, source, norm)
    return {
        "FRONT_END_METHODS": _MICRO_METHODS.format(fft=tables.fft_size),
        "FRONT_END_MEMORY": f"{2 * (2 * tables.fft_size + 2) + 4 * p.channels:,} bytes",
        "FRONT_END_TABLES": _definitions(arrays) + name,
        "FRONT_END_CONSTANTS": _listed(constants),
        "FRONT_END_INPUT": made,
    }


def _quantized_integers(
    scale: float, source: Tensor, norm: Normalization | None
) -> tuple[str, str]:
    """Definitions, and the expression that makes the input's element of an integer feature.

    All integers are tried here: the firmware looks up how many thresholds a feature reaches.
    """
    real: Array = (np.arange(_VALUES) * scale).astype(np.float32)
    if norm is not None:
        real = norm.real_values(real[:, np.newaxis], "features")[:, 0]
    if source.quantization is None:
        feature = f"static_cast<float>({scale!r} * feature)"
        if norm is not None:
            feature = f"({feature} - {_float(norm.mean[0])}) / {_float(norm.std[0])}"
        return "", feature
    codes = real_values_as_input(real, source).astype(np.int64)
    steps = np.diff(codes)
    thresholds = np.repeat(np.arange(1, _VALUES), steps)
    defined = _definitions({"kThresholds": _array("uint16_t", thresholds)})
    return defined, (
        f"static_cast<Input>({codes[0]} + tflm_train::ThresholdsReached(kThresholds, "
        f"{len(thresholds)}, feature))"
    )


def _spectrum(tables: SpectrumTables, source: Tensor, norm: Normalization | None) -> dict[str, str]:
    p = tables.parameters
    angles = -2.0 * np.pi * np.arange(p.fft_size // 2) / p.fft_size
    arrays = {
        "kWindow": _array("float", tables.window),
        "kTwiddles": _array("float", np.stack([np.cos(angles), np.sin(angles)], axis=1)),
    }
    bands, weights = triangles(tables.mel) if p.mel_bins else ([], np.zeros(0))
    if p.mel_bins:
        arrays["kMel"] = _array("tflm_train::MelBand", bands)
        arrays["kMelWeights"] = _array("float", weights)
    if p.coefficients:
        arrays["kDct"] = _array("float", tables.dct.T)
    scales = {"none": "kFull", "maximum": "kMaximum", "peak": "kPeak"}
    constants = [
        "kFrameSamples", str(p.fft_size), str(p.mel_bins), str(p.coefficients),
        f"tflm_train::ClipScale::{scales[p.normalize]}", _bool(p.power == 2), _bool(p.log),
        _float(p.preemphasis), "kWindow", "kTwiddles", "kMel" if p.mel_bins else "nullptr",
        "kMelWeights" if p.mel_bins else "nullptr", _float(p.log_offset),
        "kDct" if p.coefficients else "nullptr", _float(p.scale), _float(p.offset), _float(p.low),
        _float(p.high),
    ]  # fmt: skip
    real = "feature"
    if norm is not None:
        real = f"(feature - {_float(norm.mean[0])}) / {_float(norm.std[0])}"
    low, high = (0, 255) if source.type_name == "UINT8" else (-128, 127)
    return {
        "FRONT_END_METHODS": _SPECTRUM_METHODS.format(fft=p.fft_size),
        "FRONT_END_MEMORY": f"{4 * (p.fft_size + 2 + p.channels):,} bytes",
        "FRONT_END_QUANTIZED": ""
        if source.quantization is None
        else _QUANTIZED.format(low=low, high=high),
        "FRONT_END_TABLES": _definitions(arrays),
        "FRONT_END_CONSTANTS": _listed(constants),
        "FRONT_END_INPUT": real if source.quantization is None else f"Quantized({real})",
    }


def triangles(mel: Array) -> tuple[list[tuple[int, int]], Array]:
    """Of each channel the bins that count, and the weights of all channels in a row."""
    bands, weights = [], []
    for column in mel.T:
        there = np.flatnonzero(column)
        start, stop = (int(there[0]), int(there[-1]) + 1) if len(there) else (0, 0)
        bands.append((start, stop - start))
        weights.append(column[start:stop])
    return bands, np.concatenate(weights)


def _definitions(arrays: Mapping[str, tuple[str, str] | None]) -> str:
    return "".join(
        f"constexpr {kind} {name}[] = {{\n{content}}};\n\n"
        for name, found in arrays.items()
        if found is not None
        for kind, content in [found]
    )


def _array(kind: str, values: Any) -> tuple[str, str]:
    """The type of an array's elements, and these in lines."""
    flat: Iterable[Any] = values if isinstance(values, list) else np.asarray(values).reshape(-1)
    if kind == "float":
        texts = [_float(value) for value in flat]
    elif isinstance(values, list):
        texts = [f"{{{', '.join(map(str, row))}}}" for row in values]
    else:
        texts = [str(int(value)) for value in flat]
    lines = (texts[i : i + _PER_LINE] for i in range(0, len(texts), _PER_LINE))
    # An array of no elements is no C++.
    return kind, "".join(f"    {', '.join(line)},\n" for line in lines) or "    0,\n"


def _listed(values: Sequence[str]) -> str:
    return "".join(f"    {value},\n" for value in values)


def _float(value: float) -> str:
    """A literal in single precision, as short as it can be."""
    limits = np.finfo(np.float32)
    single = np.float32(np.clip(value, limits.min, limits.max))
    return f"{np.format_float_scientific(single, unique=True, trim='0')}f"


def _bool(value: bool) -> str:
    return str(value).lower()
