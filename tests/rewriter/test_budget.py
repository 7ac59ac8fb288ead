"""The budget: what fits is let through, what does not is refused with the numbers."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

import tflm_train as tt
from tests.steps import full_scheme
from tflm_train.cli.main import execute, parse
from tflm_train.errors import BudgetError, SchemeError
from tflm_train.memory import memory_report
from tflm_train.model import Model
from tflm_train.rewriter.budget import parse_bytes, require_fit


@pytest.mark.parametrize(
    ("text", "size"),
    [("256KB", 262144), ("1.5 MB", 1572864), ("65536", 65536), ("12b", 12), ("0.5kib", 512)],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_bytes(text) == size


@pytest.mark.parametrize("text", ["", "KB", "-3KB", "12 parsecs", "0", "1e5"])
def test_not_a_size(text: str) -> None:
    with pytest.raises(SchemeError):
        parse_bytes(text)


def test_what_fits_is_let_through(digits: Model) -> None:
    scheme = full_scheme(digits)
    memory = tt.rewrite(digits, scheme).memory
    require_fit(digits, scheme, memory, memory.minimum_bytes)
    with pytest.raises(BudgetError):
        require_fit(digits, scheme, memory, memory.minimum_bytes - 1)


def test_advice_is_true(digits: Model) -> None:
    """Each proposal saves what it says, and what is enough together is enough."""
    scheme = full_scheme(digits)
    memory = tt.rewrite(digits, scheme).memory
    inference = memory_report(digits).minimum_bytes
    budget = (memory.minimum_bytes + inference) // 2
    with pytest.raises(BudgetError) as caught:
        require_fit(digits, scheme, memory, budget)
    message = str(caught.value)
    assert f"needs {memory.minimum_bytes:,} bytes" in message
    assert f"{memory.minimum_bytes - budget:,} more than the budget of {budget:,}" in message
    saved = re.search(r"residual_bits 8 -> 0 saves ([\d,]+)", message)
    assert saved is not None
    bare = tt.rewrite(digits, dataclasses.replace(scheme, residual_bits=0)).memory
    assert int(saved[1].replace(",", "")) == memory.minimum_bytes - bare.minimum_bytes
    enough = re.search(r"Enough together: .*\(([\d,]+) bytes\)", message)
    assert enough is not None and int(enough[1].replace(",", "")) <= budget


def test_when_inference_alone_does_not_fit(digits: Model) -> None:
    scheme = full_scheme(digits)
    memory = tt.rewrite(digits, scheme).memory
    with pytest.raises(BudgetError, match=r"inference alone needs .* no scheme fits"):
        require_fit(digits, scheme, memory, 2000)


def test_the_command_writes_nothing(
    tmp_path: Path, digits: Model, capsys: pytest.CaptureFixture[str]
) -> None:
    model, scheme = tmp_path / "m.tflite", tmp_path / "s.yaml"
    model.write_bytes(digits.source)
    scheme.write_text("version: 1\nupdate:\n  biases: {last: 3}\n")
    output, report = tmp_path / "out.tflite", tmp_path / "report.json"
    arguments = ["rewrite", model, "--scheme", scheme, "-o", output, "--report", report]

    def run(budget: str) -> int:
        return execute(parse(["tflm_train", *map(str, arguments), "--budget", budget]))

    assert run("1KB") == 1
    assert "more than the budget of 1,024" in capsys.readouterr().err
    assert not output.exists() and not report.exists()
    assert run("64 stones") == 1
    assert not output.exists()
    assert run("1MB") == 0
    assert output.exists() and report.exists()
