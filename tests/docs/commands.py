"""The commands of the documents, and small files by the names that the documents use."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tests.ethos_u.compiled import compiled, without_classifier
from tests.models import convert
from tests.networks import load_network
from tests.requirements import ROOT
from tests.steps import DIGITS
from tflm_train.model import load

DOCUMENTS = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md"))
)
_BLOCK = re.compile(r"```(?:sh|bash|shell)?\n(.*?)```", re.DOTALL)


def commands_of(document: str) -> list[str]:
    """The lines that a reader would paste: of indented and of fenced blocks."""
    text = (ROOT / document).read_text(encoding="utf-8")
    lines = [line[4:] for line in text.splitlines() if line.startswith("    ")]
    lines += [line for block in _BLOCK.findall(text) for line in block.splitlines()]
    kept = [line for line in lines if re.match(r"tflm_train |python -m tflm_train", line)]
    return [re.sub(r"\s+#\s.*$", "", line) for line in kept]


def words_of(command: str) -> tuple[list[str], str | None]:
    """A command's words after the program's name, and the file that its output goes to."""
    words = shlex.split(command)
    target = words[words.index(">") + 1] if ">" in words else None
    words = words[: words.index(">")] if target else words
    return (words[1:] if words[0] == "tflm_train" else words[2:]), target


def _arrays(shape: tuple[int, ...], classes: int, path: Path, names: bool = False) -> None:
    rng = np.random.default_rng(1)
    y = np.arange(60) % classes
    x = rng.integers(0, 256, (60, *shape))
    x[:, 0] = (25 * y).reshape(-1, *[1] * (len(shape) - 1))
    x = x.astype(np.uint8)
    extra = {"class_names": np.array([f"class{i}" for i in range(classes)])} if names else {}
    np.savez(path, x_train=x[:40], y_train=y[:40], x_test=x[40:], y_test=y[40:], **extra)  # type: ignore[arg-type]


def _words(folder: Path) -> None:
    from tests.data.test_sounds import noise, save

    for label, word in enumerate(("zero", "one", "two")):
        for take in range(8):
            name = f"{word}_{('ann', 'bob')[take % 2]}_{take}.wav"
            save(folder / word / name, noise(16000, 100 * label + take), 16000)


def _pictures(folder: Path) -> None:
    from PIL import Image

    rng = np.random.default_rng(2)
    for label, name in enumerate(("cat", "dog", "cow")):
        (folder / name).mkdir(parents=True)
        for i in range(8):
            pixels = rng.integers(80 * label, 80 * label + 80, (16, 16)).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{i}.png")


def _runs(path: Path) -> None:
    rng = np.random.default_rng(3)
    lines = ["t,ax,ay,az,activity,person"]
    for who in ("ann", "bob", "eve"):
        for level, activity in enumerate(("rest", "walk", "run")):
            values = level * rng.normal(size=(400, 3))
            rows = [",".join(f"{v:.3f}" for v in row) for row in values]
            lines += [f"{t},{row},{activity},{who}" for t, row in enumerate(rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _machine(path: Path) -> None:
    rng = np.random.default_rng(4)
    normal = rng.normal(0, 0.3, (60, 256)).astype(np.float32)
    strange = rng.normal(0, 0.9, (20, 256)).astype(np.float32)
    x_test, y_test = np.concatenate([normal[40:], strange]), np.repeat([0, 1], 20)
    np.savez(
        path,
        x_train=normal[:40],
        y_train=np.zeros(40, np.int64),
        x_test=x_test,
        y_test=y_test,
        class_names=np.array(["normal", "strange"]),
    )


def _activities(layers: Any) -> Any:
    x = inputs = layers.Input((128, 3), batch_size=1)
    x = layers.Flatten()(x)
    x = layers.Dense(8, activation="relu")(x)
    return inputs, layers.Softmax()(layers.Dense(3)(x))


def _keras(path: Path) -> None:
    import tensorflow as tf

    layers = tf.keras.layers
    x = inputs = layers.Input((16, 16, 1))
    x = layers.Conv2D(4, 3, activation="relu")(layers.Rescaling(1 / 255)(x))
    x = layers.Dense(10, activation="softmax")(layers.GlobalAveragePooling2D()(x))
    tf.keras.Model(inputs, x).save(path)


def _copy_of(source: Callable[[], bytes]) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        path.write_bytes(source())

    return make


def _backbone() -> bytes:
    """All of it on an NPU, which gives features."""
    features = without_classifier(load(DIGITS))
    return compiled(features, range(len(features.graph.ops))).source


MAKERS: dict[str, Callable[[Path], None]] = {
    **dict.fromkeys(("model.tflite", "m.tflite", "digits.tflite"), _copy_of(DIGITS.read_bytes)),
    "model_vela.tflite": _copy_of(lambda: compiled(load(DIGITS), range(8)).source),
    "backbone_vela.tflite": _copy_of(_backbone),
    "model.keras": _keras,
    "kws.tflite": _copy_of(lambda: load_network("ds_cnn").source),
    "machine.tflite": _copy_of(lambda: load_network("autoencoder").source),
    "activities.tflite": _copy_of(lambda: convert(_activities, 301)),
    "data.npz": lambda path: _arrays((16, 16, 1), 10, path),
    **dict.fromkeys(
        ("my_photos.npz", "factory.npz", "old.npz", "both.npz"),
        lambda path: _arrays((16, 16, 1), 10, path),
    ),
    "words.npz": lambda path: _arrays((49, 10, 1), 10, path),
    "machine.npz": _machine,
    "runs.csv": _runs,
    "recordings/": _words,
    "words/": _words,
    "pictures": _pictures,
    "pictures/": _pictures,
}


def make_files(command: str, folder: Path, instead: dict[str, str]) -> Iterator[str]:
    """Makes the files that a command names and that are not there; names those it made."""
    for word in shlex.split(command):
        name = instead.get(word, word)
        path = folder / word
        if name in MAKERS and not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            MAKERS[name](path)
            yield word


def copy_state(folder: Path, source: str, *names: str) -> None:
    """States of other days and boards."""
    for name in names:
        shutil.copy(folder / source, folder / name)
