"""The budget: what fits is let through, what does not is refused with the numbers."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from tests.steps import full_scheme
from tflm_train.cli.main import execute, parse
from tflm_train.cost.cores import Core
from tflm_train.errors import BudgetError, SchemeError
from tflm_train.model import Model
from tflm_train.ops.builtin import KernelSet
from tflm_train.rewriter.budget import fitting_way, parse_bytes
from tflm_train.rewriter.coins import Budget
from tflm_train.rewriter.give_up import least_of
from tflm_train.rewriter.optimize import Forward, Streaming
from tflm_train.rewriter.trials import Trials, Way
from tflm_train.scheme import Scheme

BUILTIN = Way(stream=Streaming.OFF, forward=Forward.BUILTIN)


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
    needed = BUILTIN.rewrite(digits, scheme).memory.minimum_bytes
    assert fitting_way(digits, scheme, BUILTIN, Budget(needed)) == BUILTIN
    with pytest.raises(BudgetError):
        fitting_way(digits, scheme, BUILTIN, Budget(needed - 1))


def refusal_of(model: Model, scheme: Scheme, way: Way, budget: int) -> str:
    with pytest.raises(BudgetError) as caught:
        fitting_way(model, scheme, way, Budget(budget))
    message = str(caught.value)
    assert "\n" not in message
    return message


def numbers_after(message: str, words: str) -> int:
    found = re.search(rf"{re.escape(words)} \(([\d,]+) bytes then\)", message)
    assert found is not None, message
    return int(found[1].replace(",", ""))


def test_streams_are_advised_first(digits: Model) -> None:
    scheme = Scheme()
    builtin = BUILTIN.rewrite(digits, scheme).memory.minimum_bytes
    streamed = Way().smallest().rewrite(digits, scheme).memory.minimum_bytes
    message = refusal_of(digits, scheme, BUILTIN, streamed)
    assert f"needs {builtin:,} bytes" in message
    assert f"{builtin - streamed:,} more than the budget of {streamed:,}" in message
    words = "other than `--stream auto --forward auto`"
    assert numbers_after(message, words) == streamed
    assert message.endswith("bytes then)") and "residual" not in message


def test_then_smaller_residuals(digits: Model) -> None:
    way = Way().smallest()
    scheme = full_scheme(digits)
    arenas = {
        bits: way.rewrite(digits, dataclasses.replace(scheme, residual_bits=bits)).memory
        for bits in (8, 4, 0)
    }
    for bits in (4, 0):
        message = refusal_of(digits, scheme, way, arenas[bits].minimum_bytes)
        found = numbers_after(message, f"residual_bits 8 -> {bits}")
        assert found == arenas[bits].minimum_bytes
        assert "layer" not in message.split("to fit, give up")[1]


def test_a_part_of_the_head(digits: Model) -> None:
    least = least_of(Trials(digits), full_scheme(digits), Way()).arena_bytes
    message = refusal_of(digits, full_scheme(digits), Way(), least)
    assert numbers_after(message, "of the head's input channels (`ratio: 1/16`)") == least
    message = refusal_of(digits, full_scheme(digits), Way(), least - 16)
    assert f"the least of it that trains needs {least:,}" in message
    assert "inference alone" in message and "use a smaller model" in message


def test_a_limit_of_time_may_be_left(digits: Model) -> None:
    way = Way(KernelSet.CMSIS_NN_HELIUM, core=Core.M55)
    scheme = Scheme()
    limited, free = (w.rewrite(digits, scheme).memory.minimum_bytes for w in (way, way.smallest()))
    assert free < limited
    assert fitting_way(digits, scheme, way, Budget(free), may_be_slower=True) == way.smallest()
    assert numbers_after(refusal_of(digits, scheme, way, free), "`--max-slowdown 1`") == free


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
