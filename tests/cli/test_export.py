"""`tflm_train export`: whose names the classes get, and a model that only infers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.cli.helpers import Run, assert_refused
from tests.data.test_sounds import save
from tests.steps import DIGITS
from tflm_train.export.c_source import c_string

NAMES = ["nul", 'ei"ns', "zw\\ei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun"]
"""In the order of their indices, and not in that of the alphabet."""


def npz(path: Path, **changes: Any) -> Path:
    x = np.zeros((20, 16, 16, 1), np.uint8)
    y = np.arange(20) % 10
    np.savez(path, **({"x_train": x, "y_train": y, "x_test": x, "y_test": y} | changes))
    return path


def test_the_rate_of_the_example(run: Run, folder: Path, rewritten: Path) -> None:
    command = ("export", rewritten, "--format", "cmake", "--name", "m", "-o", folder / "out")
    assert run(*command, "--lr", 2).status == 0
    assert (
        "constexpr float kLearningRate = 2.0f;"
        in next((folder / "out").rglob("m_training.h")).read_text()
    )
    assert "trainer.Train(label, m::kLearningRate)" in (folder / "out/README.md").read_text()
    for bad in ("0", "nan", "inf", "-1"):
        assert_refused(run(*command, "--lr", bad, "--force"), "must be a finite number above 0")


def with_names(folder: Path) -> tuple[Path, list[str]]:
    return npz(folder / "names.npz", class_names=np.array(NAMES)), NAMES


def with_named_labels(folder: Path) -> tuple[Path, list[str]]:
    labels = np.array(NAMES)[np.arange(20) % 10]
    return npz(folder / "labels.npz", y_train=labels, y_test=labels), sorted(NAMES)


def pictures(folder: Path) -> tuple[Path, list[str]]:
    for name in NAMES:
        (folder / "pictures" / name).mkdir(parents=True)
        for place in ("a.png", "b.png"):
            Image.new("L", (16, 16)).save(folder / "pictures" / name / place)
    return folder / "pictures", sorted(NAMES)


def recordings(folder: Path) -> tuple[Path, list[str]]:
    """Without --features: the names need none."""
    for name in NAMES:
        (folder / "sounds" / name).mkdir(parents=True)
        save(folder / "sounds" / name / "a.wav", np.zeros(1600, np.int16))
    return folder / "sounds", sorted(NAMES)


def table(folder: Path) -> tuple[Path, list[str]]:
    rows = [f"{i},{name}" for name in NAMES for i in range(4)]
    quoted = [row.replace('"', "'") for row in rows]
    path = folder / "table.csv"
    path.write_text("\n".join(["x,what", *quoted]) + "\n", encoding="utf-8")
    return path, sorted(name.replace('"', "'") for name in NAMES)


DATA = {
    "class_names": with_names,
    "labels": with_named_labels,
    "pictures": pictures,
    "recordings": recordings,
    "table": table,
}


@pytest.mark.parametrize("kind", DATA)
def test_names_are_those_of_the_data(kind: str, run: Run, folder: Path, rewritten: Path) -> None:
    data, names = DATA[kind](folder)
    of_table = ("--window", 2, "--label", "what") if kind == "table" else ()
    done = run(
        "export", rewritten, "--format", "c-array", "-o", folder / "out", "--data", data,
        *of_table, "--json",
    )  # fmt: skip
    assert done.status == 0, done.err
    assert done.json["class_names"] == names
    header = (folder / "out" / "r_model.h").read_text()
    assert f"kClassNames[] = {{{', '.join(map(c_string, names))}}};" in header


def test_names_that_do_not_fit_are_refused(run: Run, folder: Path, rewritten: Path) -> None:
    few = npz(folder / "few.npz", class_names=np.array(["a", "b"]), y_train=np.arange(20) % 2)
    (folder / "empty.txt").write_text("a\n\nb\n")
    for options, words in (
        (("--data", few), "2 class names (a, b), but r.tflite has 10 classes"),
        (("--data", folder / "d.npz"), "d.npz: nothing in it names the classes"),
        (("--data", folder / "none.npz"), "none.npz: no such file"),
        (("--data", folder / "d.npz", "--class-names", "a,b"), "leave out one of them"),
        (("--class-names", "names.txt"), "no such file"),
        (("--class-names", "a,,b"), "different names, with commas"),
        (("--class-names", folder / "empty.txt"), "different names, one to a line"),
    ):
        done = run("export", rewritten, "--format", "cmake", "-o", folder / "out", *options)
        assert_refused(done, words)
        assert not (folder / "out").exists()


def test_numbers_are_no_names(run: Run, folder: Path, rewritten: Path) -> None:
    done = run("export", rewritten, "--format", "cmake", "-o", folder / "out")
    assert "0 to 9, since the model has none; --class-names or --data gives them" in done.out
    assert "0.005 in the example, a guess; --lr" in " ".join(done.out.split())


def test_a_model_that_only_infers(run: Run, folder: Path) -> None:
    options = ("--format", "cmake", "-o", folder / "out")
    done = run("export", DIGITS, *options)
    assert done.status == 0 and "state" not in done.out
    assert "infers only: the model holds no training ops; `tflm_train rewrite` adds" in done.out
    done = run("export", DIGITS, *options, "--json")
    assert (done.json["trains"], done.json["state_bytes"]) == (False, 0)
    assert "class_names" not in done.json


def test_a_trunk_is_for_a_tail(run: Run, folder: Path) -> None:
    done = run("export", DIGITS, "--trunk", DIGITS, "--format", "cmake", "-o", folder / "out")
    assert_refused(done, "take both from one `rewrite --split`")
