"""`tflm_train doctor`, `completion` and `--version`: what surrounds the work."""

from __future__ import annotations

import importlib.metadata
import shlex
import subprocess
from pathlib import Path

import pytest

from tests import requirements
from tests.cli.helpers import Run
from tflm_train.cli import doctor
from tflm_train.errors import RuntimeFailure
from tflm_train.version import VERSION


def test_version(run: Run) -> None:
    done = run("--version")
    assert done.status == 0 and done.out == f"tflm_train {VERSION}\n"


def test_what_is_here(run: Run) -> None:
    found = run("doctor", "--json").json
    assert found["healthy"] is True and found["version"] == VERSION
    checks = {check["name"]: check for check in found["checks"]}
    interpreter = checks["TFLM interpreter"]
    assert interpreter["state"] == "ok"
    assert importlib.metadata.version("tflite-micro") in interpreter["found"]
    assert checks["a model in it"]["found"].startswith("digits.tflite answers ")
    for check in found["checks"]:
        assert check["state"] in ("ok", "missing") and check["found"] and check["needed_for"]
    shown = run("doctor").out
    for name in checks:
        assert name in shown


def test_what_is_missing_and_what_is_broken(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        if name == "soxr":
            raise importlib.metadata.PackageNotFoundError(name)
        return "1.0"

    def broken() -> None:
        raise RuntimeFailure("the kernels were not built")

    requires = ["numpy>=1", 'soundfile>=0.12; extra == "audio"', 'soxr>=0.3; extra == "audio"']
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: requires)
    monkeypatch.setattr(importlib.metadata, "version", version)
    monkeypatch.setattr(doctor, "host_library", broken)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("TFLM_TRAIN_CACHE", "none")
    found = run("doctor", "--json").json
    assert found["healthy"] is False
    checks = {check["name"]: check for check in found["checks"]}
    assert checks["extra audio"] == {
        "name": "extra audio",
        "state": "missing",
        "found": "soundfile 1.0, no soxr",
        "needed_for": "folders of recordings",
        "advice": "pip install 'tflm_train[audio]'",
    }
    assert checks["host kernels"]["state"] == "broken"
    assert checks["host kernels"]["found"] == "the kernels were not built"
    assert checks["cmake"]["state"] == checks["cache of latents"]["state"] == "missing"
    shown = run("doctor").out
    assert "broken  host kernels       the kernels were not built (for train" in shown
    assert "no model runs here" in shown


def completed(script: str, folder: Path, *words: str) -> set[str]:
    """What bash offers for the last word."""
    requirements.programs("bash")
    (folder / "script").write_text(script)
    line = " ".join(map(shlex.quote, ["tflm_train", *words]))
    asked = (
        f"source ./script; COMP_WORDS=({line}); COMP_CWORD={len(words)}; _tflm_train; "
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(
        ["bash", "-c", asked], capture_output=True, text=True, check=True, cwd=folder
    )
    assert not done.stderr
    return set(done.stdout.split())


def test_completion(run: Run, tmp_path: Path) -> None:
    script = run("completion", "bash").out
    assert {"train", "state", "completion"} <= completed(script, tmp_path, "")
    assert completed(script, tmp_path, "tra") == {"train"}
    assert completed(script, tmp_path, "state", "") >= {"info", "diff", "reset", "average"}
    assert completed(script, tmp_path, "state", "info", "--mo") == {"--model"}
    assert completed(script, tmp_path, "train", "m.tflite", "--sched") == {"--schedule"}
    offered = completed(script, tmp_path, "train", "m.tflite", "--schedule", "")
    assert offered == {"warmup", "linear", "cosine", "constant", "plateau"}
    assert completed(script, tmp_path, "train", "--json", "--schedule", "l") == {"linear"}
    assert completed(script, tmp_path, "train", "m.tflite", "--data", "") == set()  # A file.
    assert completed(script, tmp_path, "completion", "z") == {"zsh"}
    assert run("completion", "zsh").out.startswith("autoload -U +X bashcompinit")
    assert run("completion", "bash", "--json").json["script"].rstrip("\n") == script.rstrip("\n")
