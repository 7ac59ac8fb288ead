"""What `make test` counts: no skip goes unnamed, and none that is required goes unfailed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests import requirements

ROOT = requirements.ROOT
# Skips where no TFLM is named, before it looks for models.
NEEDS_TFLM = "tests/target/test_stm32_example.py"


@pytest.fixture
def run_tests(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(ROOT / "tools")
    import run_tests

    return run_tests


def report_of(folder: Path, *options: str) -> tuple[int, Path]:
    report = folder / "report.xml"
    environment = {key: value for key, value in os.environ.items() if not key.startswith("TFLM_")}
    command = [sys.executable, "-m", "pytest", "-q", f"--junitxml={report}", *options, NEEDS_TFLM]
    finished = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=False)
    return finished.returncode, report


def test_a_skip_is_counted_by_its_reason(run_tests: Any, tmp_path: Path) -> None:
    status, report = report_of(tmp_path)
    outcome = run_tests.read_junit(report)
    assert status == 0
    assert (outcome.passed, outcome.failed) == (0, 0)
    ((reason, count),) = outcome.skipped.items()
    assert reason.startswith("needs tflm: TFLM_LIB names no TFLM")
    assert run_tests.counts(outcome) == f"0 passed, 0 failed, {count} skipped"


def test_what_is_required_fails(run_tests: Any, tmp_path: Path) -> None:
    status, report = report_of(tmp_path, "--require=shared", "--require=tflm")
    outcome = run_tests.read_junit(report)
    assert status == 1
    assert outcome.failed > 0 and outcome.passed == 0 and not outcome.skipped


def test_another_skip_is_a_failure(
    run_tests: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = tmp_path / "report.xml"
    report.write_text("""\
<testsuites><testsuite tests="4" failures="1" errors="0" skipped="2">
  <testcase name="a"/>
  <testcase name="b"><skipped type="pytest.skip" message="no time today"/></testcase>
  <testcase name="c"><skipped type="pytest.skip" message="needs shared: the models"/></testcase>
  <testcase name="d"><failure message="assert 1 == 2"/></testcase>
</testsuite></testsuites>""")
    outcome = run_tests.read_junit(report)
    assert (outcome.passed, outcome.failed) == (1, 2)
    assert outcome.skipped == {"needs shared: the models": 1}
    assert "does not declare: no time today" in capsys.readouterr().out


def test_all_skips_are_declared() -> None:
    """No test skips by itself: `tests/requirements.py` is the only place."""
    for path in sorted(ROOT.glob("tests/**/*.py")):
        if path not in (Path(__file__), Path(requirements.__file__)):
            text = path.read_text()
            for way in ("pytest.skip", "mark.skip", "importorskip", "mark.xfail", "unittest"):
                assert way not in text, f"{path.relative_to(ROOT)}: {way}"


@pytest.mark.parametrize(
    ("text", "status", "passed", "failed"),
    [
        ("=== cross\n\nskipped 2: needs x: y\n5 passed, 0 failed, 2 skipped\n", 0, 5, 0),
        ("5 passed, 3 failed, 0 skipped\n", 1, 5, 3),
        ("5 passed, 0 failed, 0 skipped\n", -9, 5, 1),
        ("5 passed, 0 failed, 0 skipped\nKilled\n", 1, 0, 1),
        ("", 0, 0, 1),
    ],
)
def test_what_ran_beside_is_added(
    run_tests: Any, text: str, status: int, passed: int, failed: int
) -> None:
    outcome = run_tests.read_output(text, status)
    assert (outcome.passed, outcome.failed) == (passed, failed)
    assert outcome.skipped == ({"needs x: y": 2} if "needs" in text else {})
