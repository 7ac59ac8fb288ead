"""The front end of an export against the one that the model was trained with, on the host."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from tests import requirements
from tests.data.test_front_end import MICRO, SIGNALS, SPECTRUM, signal
from tests.export.builds import ARDUINO, FIRMWARE, NEW_NAMES, ROOT, as_cpp, check_syntax, run
from tflm_train.data.front_end import FrontEnd, find_front_end, library_names
from tflm_train.data.normalization import Normalization
from tflm_train.data.preparation import Preparation
from tflm_train.errors import UnsupportedError
from tflm_train.export import export_project
from tflm_train.export.front_end import front_end_values
from tflm_train.export.kernel_sources import kernel_sources
from tflm_train.export.layouts import fill
from tflm_train.graph import Quantization
from tflm_train.model import Model, Tensor
from tflm_train.runtime.model_data import real_values_as_input

_C_TYPES = {"INT8": "int8_t", "UINT8": "uint8_t", "FLOAT32": "float"}
_MAIN = """\
#include <cstdio>
#include "f_front_end.h"
static int16_t clip[f::kClipSamples];
static f::Input made[f::kFrames * f::kChannels];
static f::FrontEnd front_end;
int main() {
  while (std::fread(clip, sizeof(clip), 1, stdin) == 1) {
    front_end.Clip(clip, made);
    std::fwrite(made, sizeof(made), 1, stdout);
  }
}
"""
_HOST = ["c++", "-std=c++17", "-O2", "-ffp-contract=off", *FIRMWARE]


def input_like(front_end: FrontEnd, kind: str) -> Tensor:
    """The input of a model that takes these features; a clip of speech reaches over its range."""
    features = front_end.features(signal("speech", front_end.clip)[np.newaxis])
    low, high = float(features.min()), float(features.max())
    scale = (high - low) / 240
    quantization = None
    if kind != "FLOAT32":
        zero = round(-low / scale) - (120 if kind == "INT8" else -8)
        quantization = Quantization(np.array([scale], np.float32), np.array([zero], np.int64))
    code = {"INT8": 9, "UINT8": 3, "FLOAT32": 0}[kind]
    made = Tensor(name="in", shape=(1, *front_end.shape), type_code=code)
    made.quantization = quantization
    assert made.type_name == kind
    return made


def built(
    folder: Path,
    model: Model,
    front_end: FrontEnd,
    kind: str = "INT8",
    norm: Normalization | None = None,
) -> tuple[Path, Tensor]:
    """A program that makes features of the clips that it is given."""
    requirements.programs("c++")
    noted = Preparation(front_end, norm).noted_in(model)
    tensor = input_like(front_end, kind)
    values = {"NAME": "f", "GUARD": "F", "MODEL_FILE": "f.tflite", "OBJECT": "trainer"}
    values |= front_end_values(noted, tensor)
    scale = 1.0 if tensor.quantization is None else tensor.scale
    zero = 0 if tensor.quantization is None else tensor.zero_point
    (folder / "f_model.h").write_text(
        "#include <cstdint>\nnamespace f {\n"
        f"using Input = {_C_TYPES[kind]};\nconstexpr float kInputScale = {float(scale)!r}f;\n"
        f"constexpr int32_t kInputZeroPoint = {zero};\n}}\n"
    )
    (folder / "f_front_end.h").write_bytes(fill("front_end.h", values))
    (folder / "f_front_end.cc").write_bytes(fill(f"{front_end.kind}_front_end.cc", values))
    (folder / "main.cc").write_text(_MAIN)
    sources = [folder / "main.cc", folder / "f_front_end.cc"]
    sources.append(ROOT / "tflm_kernels" / "audio" / f"{front_end.kind}_features.cc")
    program = folder / "program"
    run(*_HOST, f"-I{ROOT}", f"-I{folder}", *sources, "-o", program)
    return program, tensor


def made_by(program: Path, clips: npt.NDArray[np.int16], kind: str) -> npt.NDArray[Any]:
    done = subprocess.run([program], input=clips.tobytes(), capture_output=True, check=True)
    types = {"INT8": np.int8, "UINT8": np.uint8, "FLOAT32": np.float32}
    return np.frombuffer(done.stdout, types[kind]).reshape(len(clips), -1)


def clips_for(front_end: FrontEnd, names: tuple[str, ...] = SIGNALS) -> npt.NDArray[np.int16]:
    return np.stack([signal(name, front_end.clip) for name in names])


def declared(base: str, **changes: Any) -> FrontEnd:
    lines = dict(line.split(": ") for line in base.splitlines()) | changes
    return FrontEnd.parse("".join(f"{k}: {v}\n" for k, v in lines.items()), "f.yaml")


MICRO_ONES: dict[str, dict[str, Any]] = {
    "micro-speech": {},
    "8 kHz": {"sample_rate": 8000, "high_hz": 3800},
    "48 kHz": {"sample_rate": 48000, "channels": 64, "low_hz": 20},
    "small": {"window_ms": 8, "step_ms": 8, "channels": 10},
    "no pcan": {"pcan": "false"},
    "no log": {"log": "false"},
    "neither": {"pcan": "false", "log": "false"},
    "noise": {"noise_reduction": "{smoothing_bits: 12, min_signal_remaining: 0.5}"},
    "other gain": {"pcan": "{strength: 0.5, offset: 20, gain_bits: 20}", "log": "{scale_shift: 3}"},
}


@pytest.mark.parametrize("name", MICRO_ONES)
def test_micro_bit_for_bit(name: str, digits_train: Model, tmp_path: Path) -> None:
    front_end = declared(MICRO, **MICRO_ONES[name])
    program, tensor = built(tmp_path, digits_train, front_end)
    clips = clips_for(front_end)
    wanted = real_values_as_input(front_end.features(clips), tensor).reshape(len(clips), -1)
    found = made_by(program, clips, "INT8")
    np.testing.assert_array_equal(found, wanted)
    assert len(np.unique(found)) > 50


@pytest.mark.parametrize("kind", ["UINT8", "FLOAT32"])
@pytest.mark.parametrize("norm", [None, Normalization((3.0,), (1.7,))], ids=["plain", "normed"])
def test_micro_for_other_inputs(
    kind: str, norm: Normalization | None, digits_train: Model, tmp_path: Path
) -> None:
    front_end = find_front_end("micro-speech")
    program, tensor = built(tmp_path, digits_train, front_end, kind, norm)
    clips = clips_for(front_end)
    real: npt.NDArray[Any] = front_end.features(clips).reshape(len(clips), -1)
    if norm is not None:
        real = norm.real_values(real[..., np.newaxis], "x")[..., 0]
    found = made_by(program, clips, kind)
    if kind == "UINT8":
        np.testing.assert_array_equal(found, real_values_as_input(real, tensor))
    else:
        np.testing.assert_allclose(found, real.astype(np.float32), rtol=3e-7, atol=3e-7)


SPECTRUM_ONES: dict[str, dict[str, Any]] = {
    "power": {"power": 2, "window": "hamming"},
    "peak": {"normalize": "peak", "preemphasis": 0.97, "mel": "{bins: 20}"},
    "long": {"fft_size": 2048, "window": "rectangular", "mel": "{bins: 12}", "coefficients": 12},
    "scaled": {"log": "{offset: 1.0e-6}", "scale": 4.0, "offset": -1.0, "low": -9, "high": 20},
    "small": {"window_ms": 0.25, "step_ms": 100, "power": 2},
}
_NOISY = ("speech", "hiss")
"""They have energy at every frequency: elsewhere a logarithm shows the rounding of whoever asks."""


@pytest.mark.parametrize(
    "name", [*(n for n in library_names() if n != "micro-speech"), *SPECTRUM_ONES]
)
def test_spectra_to_single_precision(name: str, digits_train: Model, tmp_path: Path) -> None:
    changes = SPECTRUM_ONES.get(name)
    front_end = find_front_end(name) if changes is None else declared(SPECTRUM, **changes)
    clips = clips_for(front_end, _NOISY)
    wanted = front_end.features(clips).reshape(2, -1)
    (tmp_path / "float").mkdir()
    program, _ = built(tmp_path / "float", digits_train, front_end, "FLOAT32")
    found = made_by(program, clips, "FLOAT32")
    spread = float(np.abs(wanted).max())
    assert np.abs(found - wanted).max() <= 1e-4 * max(1.0, spread)
    # Quantized, values next to the middle of a step may fall to its other side.
    program, tensor = built(tmp_path, digits_train, front_end)
    steps = made_by(program, clips, "INT8").astype(int)
    steps -= real_values_as_input(wanted, tensor)
    assert np.abs(steps).max() <= 1 and np.mean(steps != 0) < 0.01


def test_silence_and_extremes_are_finite(digits_train: Model, tmp_path: Path) -> None:
    front_end = find_front_end("mlperf-kws")
    program, _ = built(tmp_path, digits_train, front_end, "FLOAT32")
    clips = clips_for(front_end, ("silence", "lowest", "clipped", "tone"))
    found = made_by(program, clips, "FLOAT32")
    wanted = front_end.features(clips).reshape(4, -1)
    assert np.all(np.isfinite(found))
    np.testing.assert_allclose(found[0], wanted[0], atol=1e-4)


def noted(model: Model, text: str) -> Model:
    return Preparation(FrontEnd.parse(text, "f.yaml")).noted_in(model)


SIXTEEN = MICRO.replace("clip_ms: 1000", "clip_ms: 330") + "channels: 16\n"


@pytest.mark.parametrize("text", [SIXTEEN, SIXTEEN.replace("kind: micro", "kind: spectrum")
                                  .replace("channels: 16", "mel: {bins: 16}")])  # fmt: skip
def test_an_export_has_its_front_end(text: str, digits_train: Model, tmp_path: Path) -> None:
    """16 frames of 16 values are what the digits' model takes."""
    model = noted(digits_train, text)
    project = export_project(model, "c-array", name="d")
    project.write(tmp_path / "d")
    kind = "micro" if "micro" in text else "spectrum"
    audio = {p for p in project.files if "/audio/" in p}
    assert audio == {f"tflm_kernels/audio/{kind}_features.{end}" for end in ("h", "cc")}
    header = project.files["d_front_end.h"].decode()
    for line in FrontEnd.parse(text, "f").to_yaml().splitlines():
        assert f"//   {line}\n" in header
    sources = [
        tmp_path / "d" / "d_front_end.cc",
        tmp_path / "d" / f"tflm_kernels/audio/{kind}_features.cc",
    ]
    main = tmp_path / "main.cc"
    main.write_text(_MAIN.replace("f_front", "d_front").replace("f::", "d::"))
    program = tmp_path / "program"
    flags = ["-Wpedantic", f"-I{tmp_path / 'd'}", *NEW_NAMES.flags]
    run(*_HOST, *flags, main, *sources, "-o", program)
    example = tmp_path / "d" / "main.cc"
    assert "front_end.Clip(clip, trainer.input());" in example.read_text()
    check_syntax([example], f"-I{tmp_path / 'd'}")
    front_end = FrontEnd.parse(text, "f")
    clips = clips_for(front_end, _NOISY)
    tensor = model.graph.inputs[0]
    wanted = real_values_as_input(front_end.features(clips), tensor).reshape(2, -1)
    steps = made_by(program, clips, "INT8").astype(int) - wanted
    assert np.abs(steps).max() <= (0 if kind == "micro" else 1)


@pytest.mark.parametrize(
    ("model", "example", "variable"),
    [("digits_train", "Train", "trainer"), ("digits_optimized", "Infer", "predictor")],
)
def test_the_sketch_listens(
    model: str, example: str, variable: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    project = export_project(noted(request.getfixturevalue(model), SIXTEEN), "arduino", name="d")
    project.write(tmp_path)
    sketch = as_cpp(tmp_path / f"examples/{example}/{example}.ino", tmp_path / "sketch.cpp")
    assert f"front_end.Clip(clip, {variable}.input());" in sketch.read_text()
    check_syntax([sketch], f"-I{tmp_path / 'src'}", f"-I{ARDUINO}")


def test_no_front_end_no_kernels_for_it(digits_train: Model) -> None:
    files = export_project(digits_train, "c-array", name="d").files
    assert not [path for path in files if "audio" in path or "front_end" in path]
    assert not [path for path in kernel_sources("") if "/audio/" in path]


def test_what_does_not_fit_is_refused(digits_train: Model) -> None:
    other = noted(digits_train, SIXTEEN.replace("16\n", "15\n"))
    with pytest.raises(UnsupportedError, match="16 frames of 15 values, but its input takes 256"):
        export_project(other, "c-array")
    front_end = FrontEnd.parse(SIXTEEN, "f.yaml")
    several = Preparation(front_end, Normalization((0.0,) * 16, (1.0,) * 16)).noted_in(digits_train)
    with pytest.raises(UnsupportedError, match="one of each; this model is otherwise"):
        export_project(several, "c-array")
