"""What `tflm_train.rewrite` does without options is what the command does."""

from __future__ import annotations

from pathlib import Path

import pytest

import tflm_train as tt
from tests.cli.helpers import SCHEME, Run
from tests.steps import DIGITS
from tflm_train.errors import BudgetError, SchemeError


@pytest.mark.parametrize(
    ("options", "settings"),
    [
        ([], {}),
        (["--scheme", "s.yaml"], {"scheme": tt.Scheme.parse(SCHEME)}),
        (["--preset", "light", "--classes", "4"], {"preset": "light", "classes": 4}),
        (["--classes", "4", "--budget", "20KB"], {"classes": 4, "budget": "20KB"}),
        (["--stream", "off", "--forward", "builtin"], {"stream": "off", "forward": "builtin"}),
        (["--preset", "full", "--max-slowdown", "9"], {"preset": "full", "max_slowdown": 9}),
    ],
)
def test_python_gives_what_the_command_gives(
    run: Run,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: list[str],
    settings: dict[str, object],
) -> None:
    monkeypatch.chdir(folder)
    done = run("rewrite", "digits.tflite", *options, "-o", "out.tflite", "--json")
    assert done.status == 0, done.err
    result = tt.rewrite(tt.load(DIGITS), **settings)  # type: ignore[arg-type]
    assert result.model_bytes == Path("out.tflite").read_bytes()
    is_chosen = not {"scheme", "preset"} & set(settings)
    assert (result.chosen is not None) == is_chosen == ("chosen" in done.json)


def test_a_budget_holds_for_a_named_scheme_too() -> None:
    with pytest.raises(BudgetError, match="to fit, give up"):
        tt.rewrite(tt.load(DIGITS), preset="full", budget="20KB")


def test_a_scheme_and_a_preset_contradict_each_other() -> None:
    with pytest.raises(SchemeError, match="not both"):
        tt.rewrite(tt.load(DIGITS), tt.Scheme.parse(SCHEME), preset="light")
