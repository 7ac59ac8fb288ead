"""`tflm_train rewrite`: what it writes, what it leaves alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import tflm_train as tt
from tests.cli.helpers import SCHEME, Run, assert_refused, listing
from tests.steps import DIGITS
from tflm_train.model import load
from tflm_train.rewriter.trials import Way
from tflm_train.scheme import Scheme


def test_json_and_report(run: Run, folder: Path) -> None:
    model, report = folder / "digits.tflite", folder / "report.json"
    done = run("rewrite", model, "--scheme", folder / "s.yaml", "--report", report, "--json")
    output = folder / "digits_train.tflite"
    assert done.err == "" and done.json["output"] == str(output)
    assert done.json["arena"]["total_bytes"] > done.json["arena_before"]["total_bytes"] > 0
    assert [layer["index"] for layer in done.json["layers"]] == [8, 9, 10, 11]
    assert json.loads(report.read_text()) == done.json
    assert output.read_bytes() == Way().rewrite(load(DIGITS), Scheme.parse(SCHEME)).model_bytes
    assert 0 < done.json["slowdown"] <= 1
    assert sorted(listing(folder)) == [
        "d.npz", "digits.tflite", "digits_train.tflite", "report.json", "s.yaml",
    ]  # fmt: skip
    assert model.read_bytes() == DIGITS.read_bytes()


def test_tables(run: Run, folder: Path) -> None:
    output = folder / "out.tflite"
    done = run("rewrite", folder / "digits.tflite", "--scheme", folder / "s.yaml", "-o", output)
    assert done.status == 0 and done.err == ""
    for words in ("head", "ops added: 1 RESTORE", "flash: ", "activations", "written: "):
        assert words in done.out
    assert output.exists() and not (folder / "digits_train.tflite").exists()


def test_an_earlier_result_is_replaced(run: Run, folder: Path) -> None:
    arguments = [
        "rewrite", folder / "digits.tflite", "--scheme", folder / "s.yaml",
        "--report", folder / "r.json",
    ]  # fmt: skip
    assert run(*arguments).status == 0
    first = listing(folder)
    (folder / "s.yaml").write_text(SCHEME + "seed: 4\n")
    assert run(*arguments).status == 0
    assert listing(folder)["digits_train.tflite"] != first["digits_train.tflite"]


@pytest.mark.parametrize("content", [b"", b"my notes", b"\x1c\0\0\0TFL3 somebody's model"])
def test_a_foreign_file_stays(run: Run, folder: Path, content: bytes) -> None:
    output = folder / "digits_train.tflite"
    output.write_bytes(content)
    before = listing(folder)
    arguments = ["rewrite", folder / "digits.tflite", "--scheme", folder / "s.yaml"]
    assert_refused(run(*arguments), str(output), "was not made by this command", "--force")
    assert listing(folder) == before
    assert run(*arguments, "--force").status == 0
    assert output.read_bytes() != content


def test_a_foreign_report_stays(run: Run, folder: Path) -> None:
    report = folder / "notes.json"
    report.write_text('{"mine": 1}')
    arguments = ["rewrite", folder / "digits.tflite", "--scheme", folder / "s.yaml"]
    done = run(*arguments, "--report", report)
    assert_refused(done, "notes.json", "was not made by this command")
    assert report.read_text() == '{"mine": 1}'


def test_the_input_is_not_the_output(run: Run, folder: Path) -> None:
    model = folder / "digits.tflite"
    before = listing(folder)
    done = run("rewrite", model, "--scheme", folder / "s.yaml", "-o", model, "--force")
    assert_refused(done, "is the input model itself")
    assert listing(folder) == before


@pytest.mark.parametrize(
    ("scheme", "words"),
    [
        (
            "version: 1\nupdate: {weights: [{layer: 99}]}",
            ["layer 99 does not", "0 to 11"],
        ),
        ("version: 1\nupdaet: {}", ["s.yaml, line 2", "did you mean 'update'"]),
        ("version: 1\nupdate: {biases: {last: 12}}", ["use at most 11"]),
        ("{", ["s.yaml, line 1", "not YAML"]),
    ],
)
def test_bad_schemes(run: Run, folder: Path, scheme: str, words: list[str]) -> None:
    (folder / "s.yaml").write_text(scheme)
    before = listing(folder)
    done = run("rewrite", folder / "digits.tflite", "--scheme", folder / "s.yaml")
    assert_refused(done, *words)
    assert listing(folder) == before


def test_bad_models(run: Run, folder: Path, rewritten: Path) -> None:
    scheme = folder / "s.yaml"
    for content in (b"", b"garbage", DIGITS.read_bytes()[:9000]):
        (folder / "bad.tflite").write_bytes(content)
        before = listing(folder)
        done = run("rewrite", folder / "bad.tflite", "--scheme", scheme)
        assert_refused(done, "bad.tflite")
        assert listing(folder) == before
    assert_refused(run("rewrite", rewritten, "--scheme", scheme), "training ops already")
    assert_refused(run("rewrite", folder, "--scheme", scheme), "is a folder, not a file")
    assert_refused(run("rewrite", folder / "digits.tflite", "--scheme", folder / "no.yaml"))
    assert_refused(run("rewrite", folder / "digits.tflite", "--scheme", scheme, "--preset", "head"))


def test_a_place_that_cannot_be_written(run: Run, folder: Path) -> None:
    for place in (folder / "no" / "such" / "o.tflite", folder):
        arguments = ["rewrite", folder / "digits.tflite", "--scheme", folder / "s.yaml"]
        before = {p.name for p in folder.iterdir()}
        assert_refused(run(*arguments, "-o", place), str(place))
        assert {p.name for p in folder.iterdir()} == before


@pytest.mark.parametrize(("classes", "count"), [("4", 4), ("+2", 12)])
def test_classes_on_the_command_line(run: Run, folder: Path, classes: str, count: int) -> None:
    (folder / "s.yaml").write_text("version: 1\n")
    arguments = ["rewrite", folder / "digits.tflite", "--scheme", folder / "s.yaml", "--classes"]
    assert run(*arguments, classes).status == 0
    assert tt.Interpreter(folder / "digits_train.tflite").classes == count
    assert_refused(run(*arguments, "many"), "--classes must be a number from 1 to 4096, or +N")
