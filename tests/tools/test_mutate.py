"""tools/mutate.py: what hangs is ended, and what was killed is known again."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from tools.mutate import KILLED, LEAST_LIMIT, Outcome, limit_of, run_to_end

_SLEEPS = "import subprocess, sys; subprocess.run([sys.executable, '-c', {!r}])"


def test_what_hangs_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    late = tmp_path / "late"
    child = f"import pathlib, time; time.sleep(3); pathlib.Path({str(late)!r}).touch()"
    started = time.monotonic()
    assert run_to_end([sys.executable, "-c", _SLEEPS.format(child)], tmp_path, 1) is None
    # The child has the pipe to us open: had it gone on, so would we until its end.
    assert time.monotonic() - started < 3
    time.sleep(max(0.0, started + 4 - time.monotonic()))
    assert not late.exists()


def test_what_ends_in_time_is_returned(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import sys; print('out'); sys.exit('error')"]
    finished = run_to_end(command, tmp_path, 60)
    assert finished is not None
    assert (finished.returncode, sorted(finished.stdout.split())) == (1, ["error", "out"])


def test_a_limit_grows_with_the_time_without_a_change() -> None:
    assert limit_of(0.1) == LEAST_LIMIT
    assert limit_of(LEAST_LIMIT) > 2 * LEAST_LIMIT


def test_a_run_is_continued_from_what_it_printed() -> None:
    outcomes = [
        Outcome("killed: yes", 1, "host a_test"),
        Outcome("survived", 1),
        Outcome("broken", 1, problem="x.cc: error"),
    ]
    lines = [f"[{i}/3] {outcome}" for i, outcome in enumerate(outcomes)]
    assert KILLED.findall("\n".join(lines)) == ["killed: yes"]
