"""Projects of a split pair: both models in one firmware, trained as a model in one piece."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import tflm_train as tt
from tests.export.builds import (
    ARDUINO,
    LINK,
    NEW_NAMES,
    OLD_REGISTRATION,
    ROOT,
    Tflm,
    as_cpp,
    check_syntax,
    cmake,
    link,
)
from tflm_train.errors import DataError, ModelError
from tflm_train.export import FORMATS, export_project
from tflm_train.export.arena import plan_arena
from tflm_train.export.resolver import exact_resolver
from tflm_train.model import Model

Pair = tuple[Model, Model]


def test_the_headers_tell_of_both(digits_pair: Pair, digits_latent: Model) -> None:
    trunk, tail = digits_pair
    project = export_project(tail, "c-array", trunk=trunk, name="d")
    training = (project.files["d_model.h"] + project.files["d_training.h"]).decode()
    arenas = plan_arena(trunk), plan_arena(tail)
    numbers = {
        "kInputSize": trunk.graph.inputs[0].size,
        "kLatentSize": tail.graph.inputs[0].size,
        "kStateBytes": len(tt.Interpreter(tail).state()),
        "kTrunkArenaBytes": arenas[0].bytes,
        "kArenaBytes": arenas[0].bytes + arenas[1].bytes,
        "kLabelInput": [t.name for t in tail.graph.inputs].index("train/label"),
    }
    for name, value in numbers.items():
        assert re.search(rf"\b{name} = {value};", training), name
    for kernels, used in arenas[0].used.items():
        assert f"{kernels:20} {used + arenas[1].used[kernels]:,}" in training
    assert (project.arena_bytes, project.trunk_arena_bytes) == (
        numbers["kArenaBytes"],
        numbers["kTrunkArenaBytes"],
    )
    assert project.trunk_arena_bytes % 16 == 0, "the second arena is aligned as the first"
    arrays = project.files["d_model.cc"].decode().split("kTrunk[kTrunkBytes]")
    found = [bytes(int(v, 16) for v in re.findall(r"0x([0-9a-f]{2})\b", text)) for text in arrays]
    assert found == [tail.source, trunk.source]
    calls = {*exact_resolver(trunk).calls, *exact_resolver(tail).calls}
    ops = project.files["d_ops.h"].decode()
    assert f"kOpCount = {len(calls)};" in ops and all(ops.count(call) == 1 for call in calls)
    fingerprint = re.compile(r"return \{(0x\w+, 0x\w+), kLatentSize")
    one = export_project(digits_latent, "c-array", name="d").files["d.h"].decode()
    pair = project.files["d.h"].decode()
    assert fingerprint.findall(pair) == fingerprint.findall(one) != []


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_has_both(format: str, digits_pair: Pair) -> None:
    trunk, tail = digits_pair
    files = export_project(tail, format, trunk=trunk, name="d").files
    for path, data in files.items():
        assert not re.search(rb"@[A-Z_]+@", data), f"{path}: a placeholder is left"
    (example,) = [p for p in files if re.search(r"(main\.(cc|cpp)|\.ino)$", p)]
    assert "latents.Add(trainer.latent()" in files[example].decode()


@pytest.mark.parametrize("tflm", [OLD_REGISTRATION, NEW_NAMES], ids=["2022", "2026"])
def test_it_links(tflm: Tflm, digits_pair: Pair, tmp_path: Path) -> None:
    trunk, tail = digits_pair
    library = tmp_path / "digits"
    project = export_project(tail, "arduino", trunk=trunk, name="digits", tflm_header="My_TFLM.h")
    sketch_file = library / "examples/Train/Train.ino"
    project.write(library)
    assert "#include <My_TFLM.h>" in sketch_file.read_text()
    (tmp_path / "My_TFLM.h").write_text("#include <Chirale_TensorFlowLite.h>\n")
    sketch = as_cpp(sketch_file, tmp_path / "Train.ino.cpp")
    dialect = "-std=gnu++17" if tflm is NEW_NAMES else "-std=gnu++14"
    src = library / "src"
    link(tflm, tmp_path / "build", src, [sketch], dialect, f"-I{src}", f"-I{tmp_path}")


def test_a_cmake_export_builds(digits_pair: Pair, tmp_path: Path) -> None:
    trunk, tail = digits_pair
    project = tmp_path / "digits"
    export_project(tail, "cmake", trunk=trunk, name="digits").write(project)
    cmake(NEW_NAMES, project, tmp_path / "alone")
    assert (tmp_path / "alone" / "digits_example").exists()
    everything = tmp_path / "everything"
    export_project(tail, "cmake", trunk=trunk, name="digits", all_kernels=True).write(everything)
    cmake(NEW_NAMES, LINK, tmp_path / "below", SUBPROJECT=everything, LIBRARY="digits")


def test_the_examples_compile_with_it(digits_pair: Pair, tmp_path: Path) -> None:
    trunk, tail = digits_pair
    export_project(tail, "c-array", trunk=trunk, name="digits").write(tmp_path)
    options = ["-DEPOCHS=2", "-DLEARNING_RATE=0.01f", f"-I{tmp_path}"]
    check_syntax([ROOT / "stm32_example/main.cc"], "-std=c++17", *options)
    sketch = as_cpp(ROOT / "arduino_example/learn/learn.ino", tmp_path / "learn.ino.cpp")
    check_syntax([sketch], "-std=gnu++17", f"-I{tmp_path}", f"-I{ARDUINO}")


def test_what_does_not_belong_together_is_refused(digits_pair: Pair, digits_train: Model) -> None:
    trunk, tail = digits_pair
    with pytest.raises(DataError, match=r"does not take what digits_trunk\.tflite gives"):
        export_project(digits_train, "c-array", trunk=trunk)
    with pytest.raises((DataError, ModelError)):
        export_project(trunk, "c-array", trunk=tail)


def test_the_command(digits_pair: Pair, tmp_path: Path) -> None:
    paths = [tmp_path / model.name for model in digits_pair]
    for path, model in zip(paths, digits_pair, strict=True):
        path.write_bytes(model.source)
    trunk, tail = map(str, paths)
    command = [sys.executable, "-m", "tflm_train", "export", tail, "--trunk", trunk]
    command += ["--format", "c-array", "-o", str(tmp_path / "out"), "--json"]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    summary = json.loads(finished.stdout)
    assert summary["name"] == "digits_tail"
    assert 0 < summary["trunk_arena_bytes"] < summary["arena_bytes"]
    header = (tmp_path / "out" / "digits_tail.h").read_text()
    assert "digits_trunk.tflite and digits_tail.tflite" in header
