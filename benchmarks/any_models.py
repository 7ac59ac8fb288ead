"""Any .tflite files: what works of each, one process a file, and why the rest is refused.

    python -m benchmarks.any_models FILE_OR_FOLDER ... [--workers N] [--limit SECONDS] [--json]
        [--save FILE]

Of every model: whether TFLM alone runs it; `inspect`, `memory`; `optimize` with the same outputs;
`rewrite` with three presets (head, light, full), each with the same outputs before training (three
inputs, in a row, as a stream of frames takes them), a loss on a fixed batch that falls at one of a
few rates (with a fresh head, where the model's own gives one answer to everything), factory outputs
after a reset, a merged model that TFLM and LiteRT load, and an exported project. Float and hybrid
models are quantized first, on random samples. Files with operators that only their hardware has are
rewritten, merged and exported, not run. The status is 1 where something fails that was not refused
in a sentence, or a quantized model that TFLM runs and that has layers to train is refused.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.report import Column, parser_of, publish, show

_PRESETS = ("head", "light", "full")
_RATES = (0.02, 0.002, 0.2, 2e-4, 2.0, 2e-5)
_STILL = 1e-30
_BATCH, _EPOCHS, _INPUTS = 4, 8, 3
_CLASSES = 4
_TFLM_ALONE = """
import sys
from tflite_micro.python.tflite_micro import runtime
runtime.Interpreter.from_file(sys.argv[1], arena_size=int(sys.argv[2])).invoke()
"""
_SECONDS = 300
_ARENA = 64 << 20
_OK, _RUNS, _CRASHES, _WRITTEN, _BUG = "ok", "runs", "crashes", "written, not run", "FAILS: "


@dataclass
class Row:
    """What works of a model: `ok`, nothing where it was not reached, or the sentence that says why.

    Attributes:
      model: The file's name.
      tflm: Whether TFLM alone runs the file: `runs`, or its first words against it.
      form: `int8`, `float` where it had to be quantized first.
      layers: How many of its layers train.
      why: The refusal, or what failed.
    """

    model: str
    tflm: str = ""
    form: str = ""
    layers: str = ""
    inspect: str = ""
    memory: str = ""
    optimize: str = ""
    head: str = ""
    light: str = ""
    full: str = ""
    why: str = ""


def look_at(path: Path) -> Row:
    """Tries everything with one model."""
    from tflm_train.errors import TflmTrainError

    row = Row(path.name)
    try:
        _fill(row, path)
    except TflmTrainError as error:
        row.why = str(error)
    except Exception as error:  # whatever it is, the table shall name it
        row.why = f"{_BUG}{type(error).__name__}: {error}"
    return row


def _fill(row: Row, path: Path) -> None:
    import tflm_train as tt
    from tflm_train.errors import UnsupportedError
    from tflm_train.memory import memory_report
    from tflm_train.ops.reading import is_ours
    from tflm_train.rewriter.inspection import inspect_model
    from tflm_train.rewriter.optimize import optimize

    model = tt.load(path)
    row.form = "int8"
    row.tflm = _alone(path)
    inspection = inspect_model(model)
    row.inspect = _OK
    row.memory = _OK if memory_report(model).total_bytes > 0 else f"{_BUG}no memory"
    if "tflm_train quantize MODEL" in str([layer.why_not for layer in inspection.layers]):
        row.form, model = "float", _quantized(path)
        inspection = inspect_model(model)
    trainable = sum(layer.trainable for layer in inspection.layers)
    row.layers = f"{trainable}/{len(inspection.layers)}"
    if any(op.is_custom and not is_ours(op) for op in model.graph.ops):
        for preset in _PRESETS:
            _write_only(model, preset)
            setattr(row, preset, _WRITTEN)
        return
    try:
        _same(model, optimize(model).model_bytes)
        row.optimize = _OK
    except UnsupportedError as error:
        row.optimize = str(error)
    for preset in _PRESETS:
        _try_preset(model, preset)
        setattr(row, preset, _OK)


def _alone(path: Path) -> str:
    """What TFLM says of a file as it is, in a process of its own: it may crash over it."""
    command = [sys.executable, "-c", _TFLM_ALONE, str(path), str(_ARENA)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return _RUNS
    said = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    return _CRASHES if done.returncode < 0 else (said or ["refuses"])[0]


def _quantized(path: Path) -> Any:
    from tflm_train.data import Dataset
    from tflm_train.quantization import load_float, quantize

    model = load_float(path)
    rng = np.random.default_rng(0)
    x = rng.normal(0, 0.2, (32, *model.graph.inputs[0].shape[1:])).astype(np.float32)
    nothing = np.zeros((32, 0), np.float32)
    return quantize(model, Dataset(x, nothing, x, nothing)).model


def _try_preset(model: Any, preset: str) -> None:
    """Rewrites, compares, trains, resets, merges, exports."""
    from ai_edge_litert.interpreter import Interpreter as LiteRt

    import tflm_train as tt
    from tflm_train.export import export_project
    from tflm_train.model import Model
    from tflm_train.rewriter.rewrite import original_of
    from tflm_train.scheme import Head
    from tflm_train.scheme.presets import preset_scheme

    original = original_of(model)
    scheme = dataclasses.replace(preset_scheme(preset, original), loss=_loss_of(original))
    result = tt.rewrite(original, scheme)
    if not any("clipped" in warning for warning in result.report.warnings):
        _same(original, result.model_bytes)
    interpreter = tt.Interpreter(result.model_bytes)
    if not _learns(interpreter):
        if not _says_one_thing(interpreter):
            raise AssertionError(f"the loss of a fixed batch falls at none of the rates {_RATES}")
        scheme = preset_scheme(preset, original, Head(classes=_CLASSES))
        result = tt.rewrite(original, scheme)
        interpreter = tt.Interpreter(result.model_bytes)
        if not _learns(interpreter):
            raise AssertionError("not even a fresh head learns")
    merged = tt.merge(result.model_bytes, interpreter.state())
    tt.Interpreter(merged)
    LiteRt(model_content=merged).allocate_tensors()
    interpreter.reset()
    fresh = tt.Interpreter(result.model_bytes)
    for inputs in _inputs(interpreter, _INPUTS):
        if not np.array_equal(interpreter.infer(*inputs), fresh.infer(*inputs)):
            raise AssertionError("a reset does not bring the factory outputs back")
    export_project(Model(result.model_bytes, "any.tflite"), "c-array", name="any_model")


def _loss_of(model: Any) -> Any:
    """The first loss that the output allows."""
    from tflm_train.backward_ops.losses import LOSS_RULES
    from tflm_train.scheme import Loss
    from tflm_train.scheme.gradient_path import why_no_loss

    names = [name for name in LOSS_RULES if why_no_loss(model, name, 0) is None]
    return Loss(names[0]) if names else Loss()


def _inputs(interpreter: Any, count: int) -> list[tuple[npt.NDArray[Any], ...]]:
    """Smooth noise, of the types of the model's inputs."""
    rng = np.random.default_rng(1)
    tensors = interpreter.model.graph.inputs[: interpreter.input_count]
    return [tuple(_noise(tensor, rng) for tensor in tensors) for _ in range(count)]


def _noise(tensor: Any, rng: np.random.Generator) -> npt.NDArray[Any]:
    if tensor.dtype.kind not in "iu":
        return rng.normal(size=tensor.shape).astype(tensor.dtype)
    limits = np.iinfo(tensor.dtype)
    spread = (float(limits.max) - float(limits.min)) / 6
    values = rng.normal((float(limits.max) + float(limits.min)) / 2, spread, tensor.shape)
    return np.clip(np.round(values), limits.min, limits.max).astype(tensor.dtype)


def _same(before: Any, after: bytes) -> None:
    import tflm_train as tt

    one, other = tt.Interpreter(before), tt.Interpreter(after)
    for inputs in _inputs(one, _INPUTS):
        one.infer(*inputs)
        other.infer(*inputs)
        for index in range(len(one.model.graph.outputs)):
            if not np.array_equal(one.output(index), other.output(index)):
                raise AssertionError(f"output {index} differs")


def _target(interpreter: Any, rng: np.random.Generator) -> Any:
    from tflm_train.ops.constants import LossKind, TargetKind

    loss = interpreter.loss
    if loss.target_kind == TargetKind.INDEX:
        labels = rng.integers(0, loss.classes, loss.positions)
        return int(labels[0]) if loss.positions == 1 else labels
    if loss.loss_kind == LossKind.SIGMOID_CROSS_ENTROPY:
        return rng.integers(0, 2, loss.classes).astype(np.float32)
    steps = rng.uniform(-100, 100, loss.classes)
    return ((steps - loss.zero_point) * loss.scale).astype(np.float32)


def _write_only(model: Any, preset: str) -> None:
    """Rewrites, merges and exports what cannot run here."""
    import tflm_train as tt
    from tflm_train.export import export_project
    from tflm_train.model import Model
    from tflm_train.rewriter.rewrite import original_of
    from tflm_train.scheme.presets import preset_scheme

    original = original_of(model)
    result = tt.rewrite(original, preset_scheme(preset, original))
    export_project(Model(result.model_bytes, "any.tflite"), "c-array", name="any_model")


def _says_one_thing(interpreter: Any) -> bool:
    """Whether the factory's model answers all inputs alike: its last layer is clipped."""
    interpreter.reset()
    answers = [interpreter.infer(*inputs) for inputs in _inputs(interpreter, _INPUTS)]
    return all(np.array_equal(answers[0], other) for other in answers)


def _learns(interpreter: Any) -> bool:
    """Whether the loss of a fixed batch falls, each pass from the beginning of a stream."""
    import tflm_train as tt

    rng = np.random.default_rng(2)
    batch = [(list(x), _target(interpreter, rng)) for x in _inputs(interpreter, _BATCH)]

    def one_pass(rate: float, state: bytes) -> tuple[float, bytes]:
        # A fresh interpreter: whatever keeps earlier frames begins anew, with the same weights.
        fresh = tt.Interpreter(interpreter.model)
        fresh.load_state(state)
        losses = [fresh.train_step(x, target, rate) for x, target in batch]
        return float(np.mean(losses)), fresh.state()

    interpreter.reset()
    interpreter.infer(*batch[0][0])
    factory = interpreter.state()
    before, _ = one_pass(_STILL, factory)
    for rate in _RATES:
        state = factory
        for _ in range(_EPOCHS):
            _, state = one_pass(rate, state)
        if one_pass(_STILL, state)[0] < before:
            interpreter.load_state(state)
            return True
    return False


def in_a_process(path: Path, seconds: int) -> Row:
    """Runs `look_at` in a process of its own, which may crash or hang."""
    command = [sys.executable, "-m", "benchmarks.any_models", "--one", str(path)]
    with tempfile.TemporaryFile("w+", encoding="utf-8") as out:
        try:
            status = subprocess.run(
                command, stdout=out, stderr=subprocess.DEVNULL, timeout=seconds, check=False
            ).returncode
        except subprocess.TimeoutExpired:
            return Row(path.name, why=f"{_BUG}not done in {seconds} s")
        out.seek(0)
        lines = out.read().splitlines()
    if status != 0 or not lines:
        return Row(path.name, why=f"{_BUG}the process ended with status {status}")
    return Row(**json.loads(lines[-1]))


def files_of(places: list[Path]) -> list[Path]:
    """The files named, and all .tflite files of folders."""
    found: list[Path] = []
    for place in places:
        found += sorted(place.rglob("*.tflite")) if place.is_dir() else [place]
    return found


def is_exception(row: Row) -> bool:
    """Whether this is a model that should train, by TFLM's own word, and does not."""
    has_layers = not row.layers.endswith("/0")
    runs = row.tflm == _RUNS and row.form == "int8"
    return runs and has_layers and row.full not in (_OK, _WRITTEN)


def _in_a_word(tflm: str) -> str:
    return tflm if tflm in ("", _RUNS, _CRASHES) else "refuses"


def main(arguments: argparse.Namespace) -> int:
    """Looks at all models; the status is 1 where something failed without a refusal."""
    if arguments.one:
        print(json.dumps(dataclasses.asdict(look_at(arguments.places[0]))))
        return 0
    rows = []
    files = files_of(arguments.places)
    with ThreadPoolExecutor(arguments.workers) as pool:
        for row in pool.map(lambda path: in_a_process(path, arguments.limit), files):
            rows.append(row)
            if not arguments.json:
                print(f"{row.model}: {row.why or row.full}", flush=True)
    exceptions = [row for row in rows if is_exception(row)]
    if not arguments.json:
        names = ("model", "tflm", "form", "layers", "inspect", "memory", "optimize", *_PRESETS)
        plain = [dataclasses.asdict(row) | {"tflm": _in_a_word(row.tflm)} for row in rows]
        show("any models", [Column(name, name) for name in names], plain)
        runs = [row for row in rows if row.tflm == _RUNS and row.form == "int8"]
        able = [row for row in runs if not row.layers.endswith("/0")]
        done = sum(row.full == _OK for row in rows)
        print(f"{done} of {len(rows)} train in every way")
        print(f"quantized models with layers that TFLM alone runs: {len(able)}")
        print(f"of them refused: {', '.join(row.model for row in exceptions) or 'none'}")
    publish("any_models", {"rows": [dataclasses.asdict(row) for row in rows]}, arguments)
    return 1 if exceptions or any(_BUG in row.why for row in rows) else 0


def _parse() -> argparse.Namespace:
    parser = parser_of(__doc__)
    parser.description = __doc__
    parser.add_argument("places", type=Path, nargs="+", help="files or folders")
    parser.add_argument("--limit", type=int, default=_SECONDS, help="seconds for a model")
    parser.add_argument("--workers", type=int, default=1, help="models at a time")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main(_parse()))
