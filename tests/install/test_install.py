"""What works without the interpreter, without a compiler, off Linux: all but running a model."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import numpy as np
import pytest
from packaging.requirements import Requirement

import tflm_train as tt
from tests.install.conftest import ROOT, Installation, build_wheel
from tests.steps import DIGITS, train
from tflm_train.model import load
from tflm_train.rewriter import rewrite

TRAIN = "digits_train.tflite"
STATE = "trained.state"


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the demonstration's model, its scheme, data, and a trained state."""
    folder = tmp_path_factory.mktemp("workplace")
    scheme = tt.Scheme.load(DIGITS.with_name("scheme.yaml"))
    (folder / "digits.tflite").write_bytes(DIGITS.read_bytes())
    (folder / "scheme.yaml").write_bytes(DIGITS.with_name("scheme.yaml").read_bytes())
    (folder / TRAIN).write_bytes(rewrite(load(DIGITS), scheme).model_bytes)
    interpreter = tt.Interpreter(folder / TRAIN)
    train(interpreter, 2)
    (folder / STATE).write_bytes(interpreter.state())
    x = np.zeros((4, *interpreter.model.graph.inputs[0].shape[1:]), np.uint8)
    y = np.arange(4)
    np.savez(folder / "data.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    (folder / "names.txt").write_text("\n".join([*"012345678", "größer"]), encoding="utf-8")
    return folder


COMMANDS = (
    "inspect digits.tflite",
    "rewrite digits.tflite --scheme scheme.yaml -o again.tflite --stream auto --forward auto",
    "memory digits.tflite",
    f"memory {TRAIN}",
    "scheme list",
    "scheme show mcunet-5fps-99kb",
    f"state info {STATE}",
    f"state diff {STATE} {STATE}",
    f"state reset factory.state --model {TRAIN}",
    f"state average {STATE} {STATE} --model {TRAIN} -o average.state",
    f"merge {TRAIN} --state {STATE} -o merged.tflite",
    f"export {TRAIN} --format zephyr --class-names names.txt -o firmware",
    "doctor",
    "completion bash",
)
RUNNING = (
    f"train {TRAIN} --data data.npz",
    f"evaluate {TRAIN} --data data.npz",
    "evaluate digits.tflite --data data.npz",
    "optimize digits.tflite -o optimized.tflite",
)


@pytest.mark.parametrize("command", COMMANDS)
def test_what_runs_no_model_works(command: str, bare: Installation, workplace: Path) -> None:
    finished = bare.run(*command.split(), cwd=workplace)
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout and not finished.stderr
    writes = ["--force"] if " -o " in command else []
    finished = bare.run(*command.split(), "--json", *writes, cwd=workplace)
    assert finished.returncode == 0, finished.stderr
    assert isinstance(json.loads(finished.stdout), dict)


def test_the_results_are_the_usual(bare: Installation, workplace: Path) -> None:
    builtin = "--stream off --forward builtin"
    names = {"again.tflite": f"rewrite digits.tflite --scheme scheme.yaml {builtin}"}
    names |= {"merged.tflite": f"merge {TRAIN} --state {STATE}"}
    for name, command in names.items():
        finished = bare.run(*command.split(), "--force", "-o", name, cwd=workplace)
        assert finished.returncode == 0, finished.stderr
    assert (workplace / "again.tflite").read_bytes() == (workplace / TRAIN).read_bytes()
    expected = tt.merge((workplace / TRAIN).read_bytes(), (workplace / STATE).read_bytes())
    assert (workplace / "merged.tflite").read_bytes() == expected


@pytest.mark.parametrize("command", RUNNING)
def test_what_runs_a_model_says_what_it_needs(
    command: str, bare: Installation, workplace: Path
) -> None:
    finished = bare.run(*command.split(), cwd=workplace)
    assert finished.returncode == 1
    (line,) = finished.stderr.splitlines()
    assert line.startswith("tflm_train: error: this needs the TFLM interpreter")
    assert "pip install 'tflite-micro" in line
    assert not (workplace / "optimized.tflite").exists()


def test_without_the_library_training_says_so(
    without_library: Installation, workplace: Path
) -> None:
    finished = without_library.run(*RUNNING[0].split(), cwd=workplace)
    assert finished.returncode == 1
    (line,) = finished.stderr.splitlines()
    assert "left out because there was no C++ compiler" in line


def test_a_wheel_without_a_compiler(without_compiler: tuple[Path, str]) -> None:
    wheel, output = without_compiler
    assert wheel.name.endswith("-py3-none-any.whl")
    assert not any(name.endswith(".so") for name in zipfile.ZipFile(wheel).namelist())
    assert "the host library is left out, there is no C++ compiler: 'nonexistent'" in output


def test_a_compiler_that_fails_is_an_error(tmp_path: Path) -> None:
    """It would be a broken installation: the library is left out knowingly or not at all."""
    with pytest.raises(subprocess.CalledProcessError) as raised:
        build_wheel(tmp_path, "false")
    assert "false failed on the training kernels" in raised.value.stdout


def test_every_source_is_compiled(tmp_path: Path) -> None:
    """By a compiler that writes down what it is given."""
    compiler = tmp_path / "compiler"
    compiler.write_text(
        '#!/bin/sh\nprintf "%s\\n" "$@" > "$0.log"\nexec touch "$(tail -1 "$0.log")"\n'
    )
    compiler.chmod(0o755)
    wheel, _ = build_wheel(tmp_path / "wheel", str(compiler))
    assert "linux" in wheel.name
    given = {line for line in compiler.with_suffix(".log").read_text().split() if ".cc" in line}
    expected = {path.relative_to(ROOT).as_posix() for path in ROOT.glob("tflm_kernels/**/*.cc")}
    assert given == expected


@pytest.mark.parametrize("system", ["darwin", "win32", "linux"])
def test_other_platforms_need_no_interpreter(system: str) -> None:
    """On those (and Linux on Arm) pip does not ask for it: PyPI has it for Linux on x86-64 only."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (tflm,) = (Requirement(r) for r in project["dependencies"] if r.startswith("tflite-micro"))
    assert tflm.marker is not None
    for machine in ("x86_64", "aarch64", "arm64", "AMD64"):
        wanted = tflm.marker.evaluate({"sys_platform": system, "platform_machine": machine})
        assert wanted == ((system, machine) == ("linux", "x86_64"))


def test_other_platforms_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    from tflm_train.errors import RuntimeFailure
    from tflm_train.runtime.host_library import tflm_runtime

    monkeypatch.setitem(sys.modules, "tflite_micro", None)
    monkeypatch.setitem(sys.modules, "tflite_micro.python.tflite_micro", None)
    monkeypatch.setattr("platform.machine", lambda: "arm64")
    with pytest.raises(RuntimeFailure, match="which there is for Linux on x86-64 only"):
        tflm_runtime()
