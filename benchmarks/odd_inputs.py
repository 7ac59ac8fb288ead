"""Wrong and hostile inputs: what each command answers, a line each.

    python -m benchmarks.odd_inputs [FOLDER ...] [--json] [--save FILE]

First models, data, schemes, options and places that are odd, damaged or made to do harm (made here,
of the demonstration's digit classifier). Then, of each FOLDER, every `.tflite` file: inspected,
rewritten by default and by every `.yaml` file of the folder, and trained on every `.npz` file. Each
command is a process of its own. The status is 1 where one ends in a signal or a traceback, refuses
in more than one line or leaves a file behind when it does, or takes longer than it may.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.report import Column, parser_of, publish, show
from tflm_train.demo.data import field_data

_DIGITS = Path(__file__).resolve().parents[1] / "tflm_train" / "demo" / "digits.tflite"
_SECONDS = 300
_SAMPLES = 60
_ERROR = re.compile(r"tflm_train( [\w ]+|): ")
"""How a refusal begins; that of options names the command."""
_HEAD = "version: 1\nupdate: {biases: {last: 1}}\n"


def _array(header: str) -> bytes:
    """The header of an array, in numpy's format."""
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode()


def _header(count: int) -> str:
    return f"{{'descr': '|u1', 'fortran_order': False, 'shape': ({count},)}}\n"


def _lying(path: Path, header: str, data: bytes = b"") -> None:
    """A data set whose arrays have a header of somebody's own."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for key in ("x_train", "y_train", "x_test", "y_test"):
            archive.writestr(f"{key}.npy", _array(header) + data)


def _data(folder: Path) -> None:
    """Data sets of turned digits, each odd in its own way."""
    digits = field_data()
    x, y = np.asarray(digits.x_train)[:_SAMPLES], np.asarray(digits.y_train)[:_SAMPLES]
    imbalanced = np.where(np.arange(_SAMPLES) % 15 == 0, 1, 0)

    def save(name: str, x: Any = x, y: Any = y, **more: Any) -> None:
        half = len(x) // 2
        arrays = {"x_train": x[:half], "y_train": y[:half], "x_test": x[half:], "y_test": y[half:]}
        np.savez(folder / name, **(arrays | more))

    save("right.npz")
    save("column.npz", y=y[:, None])
    save("one_hot.npz", y=np.eye(10)[y])
    save("words.npz", y=np.array([f"digit {i}" for i in y]))
    save("float_labels.npz", y=y + 0.5)
    save("bool_labels.npz", y=y > 4)
    save("label_10.npz", y=np.where(y == 9, 10, y))
    save("one_label.npz", y=np.zeros_like(y))
    save("imbalanced.npz", y=imbalanced)
    save("nan.npz", x=np.where(x == x.max(), np.nan, x.astype(np.float32)))
    save("constant.npz", x=np.zeros_like(x))
    save("other_shape.npz", x=x[:, :8])
    save("fewer_labels.npz", y_train=y[:3])
    save("no_labels.npz", y_train=np.zeros(0, np.int64))
    save("pickled.npz", y_train=np.array([{"a": 1}], object))
    _lying(folder / "terabytes.npz", _header(1 << 40))
    _lying(folder / "parentheses.npz", "(" * 60_000)
    _lying(folder / "bomb.npz", _header(1 << 27), bytes(1 << 27))
    (folder / "text.npz").write_text("no archive")
    (folder / "empty.npz").touch()


def _files(folder: Path) -> None:
    """Models and schemes; `digits_train.tflite` is a rewritten one."""
    model = _DIGITS.read_bytes()
    (folder / "digits.tflite").write_bytes(model)
    (folder / "empty.tflite").touch()
    (folder / "text.tflite").write_text("no model")
    (folder / "half.tflite").write_bytes(model[: len(model) // 2])
    (folder / "zeros.tflite").write_bytes(bytes(len(model)))
    (folder / "folder.tflite").mkdir()
    os.mkfifo(folder / "pipe.tflite")
    os.mkfifo(folder / "pipe.npz")
    for name, text in {
        "head": _HEAD,
        "unknown": _HEAD + "learning: fast\n",
        "nested": "[" * 3000,
        "aliases": _HEAD + "a: &a [x, x]\nb: &b [*a, *a]\nhead: [*b, *b]\n",
        "code": "version: 1\nupdate: !!python/object/apply:os.system ['touch hacked']\n",
        "list": "- 1\n",
    }.items():
        (folder / f"{name}.yaml").write_text(text)
    (folder / "binary.yaml").write_bytes(bytes(range(256)))
    (folder / "wrong.state").write_bytes(b"TTST" + bytes(200))


_MODELS = "empty text half zeros folder pipe missing".split()
_SCHEMES = "unknown nested aliases code list binary missing".split()
_SETS = (
    "column one_hot words float_labels bool_labels label_10 one_label imbalanced nan constant "
    "other_shape fewer_labels no_labels pickled terabytes parentheses bomb text empty pipe missing"
).split()
_TRAIN = "train digits_train.tflite --data right.npz"
_OTHERS = (
    "rewrite digits.tflite --classes 0",
    "rewrite digits.tflite --budget 1KB",
    "rewrite digits.tflite --budget -5",
    "rewrite digits.tflite -o digits.tflite",
    "rewrite digits.tflite -o nowhere/out.tflite",
    "rewrite digits.tflite -o /dev/null",
    "rewrite digits_train.tflite",
    "train digits.tflite --data right.npz",
    f"{_TRAIN} --epochs 1e20",
    f"{_TRAIN} --epochs 0",
    f"{_TRAIN} --lr nan",
    f"{_TRAIN} --epochs 1 --lr 1e30",
    f"{_TRAIN} --epochs 1 --lr 1e-30",
    f"{_TRAIN} --save-state /dev/full",
    f"{_TRAIN} --load-state wrong.state",
    f"{_TRAIN} --load-state digits.tflite",
    "train digits_train.tflite --data /dev/zero",
    "merge digits_train.tflite --state wrong.state -o merged.tflite",
    "export digits.tflite --format arduino -o sketch",
    "export digits_train.tflite --format arduino -o digits.tflite",
    "export ../../../etc/passwd --format arduino -o sketch",
)


def _made_commands() -> Iterator[str]:
    for name in _MODELS:
        yield f"inspect {name}.tflite"
        yield f"rewrite {name}.tflite"
    for name in _SCHEMES:
        yield f"rewrite digits.tflite --scheme {name}.yaml -o new.tflite"
    for name in _SETS:
        yield f"train digits_train.tflite --data {name}.npz --epochs 1 --lr 1e-2 --max-data 64MB"
    yield from _OTHERS


def answer(folder: Path, command: str) -> dict[str, Any]:
    """Runs a command in a folder; a row of the table.

    Args:
      folder: Where its files are.
      command: What comes after `tflm_train`.
    """
    before = {path.name: path.lstat().st_mtime_ns for path in folder.iterdir()}
    row: dict[str, Any] = {"command": command, "status": None, "answer": "", "fault": ""}
    environment = os.environ | {"COLUMNS": "200", "NO_COLOR": "1"}
    words = [sys.executable, "-m", "tflm_train", *command.split()]
    try:
        done = subprocess.run(
            words, cwd=folder, capture_output=True, text=True, check=False, timeout=_SECONDS,
            env=environment, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return row | {"fault": f"it has not ended after {_SECONDS} s"}
    lines = done.stderr.splitlines()
    row["status"] = done.returncode
    if done.returncode == 0:
        warnings = [line for line in lines if line.startswith("warning: ")]
        return row | {"answer": " ".join(warnings) or "accepted"}
    row["answer"] = " ".join(filter(_ERROR.match, lines)) or done.stderr.strip()[-200:]
    after = {path.name: path.lstat().st_mtime_ns for path in folder.iterdir()}
    return row | {"fault": fault_of(done, before == after)}


def fault_of(done: subprocess.CompletedProcess[str], leaves_nothing: bool) -> str:
    """What is wrong with a refusal; empty if nothing is."""
    errors = [line for line in done.stderr.splitlines() if _ERROR.match(line)]
    if done.returncode < 0:
        return f"signal {-done.returncode}"
    if "Traceback" in done.stderr or "internal error" in done.stderr:
        return "a traceback"
    if len(errors) != 1:
        return f"{len(errors)} lines of error"
    return "" if leaves_nothing else "it leaves something behind"


def made(keep: Callable[[str], bool] = lambda command: True) -> list[dict[str, Any]]:
    """Tries the inputs that are made here.

    Args:
      keep: Whether a command is wanted.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _files(folder)
        _data(folder)
        ready = answer(folder, "rewrite digits.tflite --scheme head.yaml")
        if ready["status"] != 0:
            raise RuntimeError(ready["answer"])
        return [answer(folder, command) for command in _made_commands() if keep(command)]


def of_folder(source: Path) -> list[dict[str, Any]]:
    """Tries the models of a folder with its schemes and data sets."""
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for path in source.iterdir():
            if path.suffix in (".tflite", ".yaml", ".npz"):
                shutil.copy(path, folder)
        schemes, data = (sorted(p.name for p in folder.glob(f"*{s}")) for s in (".yaml", ".npz"))
        for model in sorted(path.name for path in folder.glob("*.tflite")):
            rows.append(answer(folder, f"inspect {model}"))
            rows.append(answer(folder, f"rewrite {model} -o new.tflite --force"))
            rows += [
                answer(folder, f"rewrite {model} --scheme {scheme} -o by_scheme.tflite --force")
                for scheme in schemes
            ]
            if rows[-len(schemes) - 1]["status"] == 0:
                rows += [
                    answer(folder, f"train new.tflite --data {file} --epochs 1 --lr 1e-2")
                    | {"command": f"train {model}, rewritten --data {file} --epochs 1 --lr 1e-2"}
                    for file in data
                ]
    return rows


def main(arguments: argparse.Namespace) -> int:
    """Tries all; the status is 1 where a command answers as none may."""
    rows = made() + [row for folder in arguments.folders for row in of_folder(folder)]
    if not arguments.json:
        names = ("command", "status", "answer", "fault")
        show("wrong and hostile inputs", [Column(name, name) for name in names], rows)
    publish("odd_inputs", {"rows": rows}, arguments)
    return 1 if any(row["fault"] for row in rows) else 0


def _parse() -> argparse.Namespace:
    parser = parser_of(__doc__)
    parser.add_argument("folders", nargs="*", type=Path, metavar="FOLDER", help="of models")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main(_parse()))
