"""`search` as it is typed; fine-tunes take no time (tests/search/test_search.py)."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from tests.cli.helpers import Run, assert_refused
from tests.search.test_search import PLAN, instant_result
from tflm_train.model import load
from tflm_train.scheme import Scheme
from tflm_train.search.fine_tune import FineTune, FineTuned, FineTuner


@dataclasses.dataclass
class Hurry:
    """Stands for real fine-tunes; somebody presses Ctrl-C after some.

    Attributes:
      left: How many.
    """

    left: int = 1 << 30

    def run(self, _: FineTuner, task: FineTune) -> FineTuned:
        if self.left == 0:
            raise KeyboardInterrupt
        self.left -= 1
        return instant_result(task)


@pytest.fixture
def hurry(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Hurry:
    hurry = Hurry()
    monkeypatch.setattr(FineTuner, "run", lambda self, task: hurry.run(self, task))
    monkeypatch.setattr("tflm_train.cli.search.make_plan", lambda *_: PLAN)
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (40, 16, 16, 1)).astype(np.uint8), np.arange(40) % 10
    np.savez(folder / "d.npz", x_train=x, y_train=y, x_test=x[:10], y_test=y[:10])
    return hurry


def words(folder: Path, *more: object) -> tuple[object, ...]:
    return (
        "search", folder / "digits.tflite", "--data", folder / "d.npz", "--cache",
        folder / "cache", "--workers", 1, "--budget", "9000", *more,
    )  # fmt: skip


def test_a_scheme_and_a_report(run: Run, folder: Path, hurry: Hurry) -> None:
    output = folder / "found.yaml"
    done = run(*words(folder, "-o", output, "--report", folder / "report.html", "--json"))
    assert done.status == 0, done.err
    found = done.json["found"][0]
    assert found["output"] == str(output) and found["proved"]
    assert found["ranked"][0]["arena_bytes"] <= 9000
    assert Scheme.load(output).bias_layers or Scheme.load(output).head.train
    assert done.json["report"] == [str(folder / f"report.{x}") for x in ("html", "csv", "png")]
    assert all(Path(path).exists() for path in done.json["report"])
    rewritten = run("rewrite", folder / "digits.tflite", "--scheme", output, "--budget", "9000")
    assert rewritten.status == 0
    again = run(*words(folder, "-o", output))
    assert again.status == 0 and "optimum" in again.out


def test_ctrl_c_keeps_what_is_known(run: Run, folder: Path, hurry: Hurry) -> None:
    output = folder / "found.yaml"
    hurry.left = 5
    broken = run(*words(folder, "-o", output))
    assert broken.status == 130 and "goes on" in broken.err
    assert "Preset" in output.read_text() and Scheme.load(output)
    hurry.left = 1 << 30
    assert run(*words(folder, "-o", output)).status == 0
    whole = output.read_text()
    (folder / "cache" / "x").mkdir()
    for path in (folder / "cache").glob("*.fine_tuned"):
        path.unlink()
    assert run(*words(folder, "-o", output)).status == 0
    assert output.read_text() == whole


def test_what_is_wrong_is_said(run: Run, folder: Path, hurry: Hurry) -> None:
    before = {path.name for path in folder.iterdir()}
    assert_refused(run(*words(folder, "--minutes", 0)), "--minutes", "above 0")
    assert_refused(run(*words(folder, "--step-ms", -1)), "--step-ms")
    assert_refused(run(*words(folder, "--contributions", folder / "s.yaml")), "analyze")
    assert_refused(run(*words(folder, "-o", folder / "digits.tflite")), "input model")
    assert_refused(run(*words(folder, "-o", folder / "s.yaml")), "s.yaml", "--force")
    assert {path.name for path in folder.iterdir()} - {"cache"} == before
    assert load(folder / "digits.tflite").graph.ops
