"""`tflm_train scheme`, and what holds for all commands behind a common word."""

from __future__ import annotations

import json

import pytest

from tests.cli.helpers import Run, assert_refused
from tflm_train.scheme import Scheme
from tflm_train.scheme.library import library_names, library_text


def test_list(run: Run) -> None:
    assert run("scheme", "list", "--json").json == {"schemes": library_names()}
    assert run("scheme", "list").out.splitlines() == library_names()


@pytest.mark.parametrize("name", library_names())
def test_show(run: Run, name: str) -> None:
    shown = run("scheme", "show", name)
    assert (shown.status, shown.out) == (0, library_text(name))
    told = run("scheme", "show", name, "--json").json
    assert told["name"] == name
    # JSON knows no tuples.
    scheme = Scheme.parse(library_text(name)).to_dict()
    assert told["scheme"] == json.loads(json.dumps(scheme))


def test_json_may_stand_before_the_action(run: Run) -> None:
    assert run("scheme", "--json", "list").json == run("scheme", "list", "--json").json


def test_refusals(run: Run) -> None:
    assert_refused(run("scheme", "show", "nothing"), "nothing", library_names()[0])
    assert_refused(run("scheme", "show"), "name", "--help")
    assert_refused(run("scheme"), "ACTION", "--help")
