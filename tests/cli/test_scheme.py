"""`tflm_train scheme`, and what holds for all commands behind a common word."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.helpers import Run, assert_refused
from tflm_train.model import Model, load
from tflm_train.scheme import Head, Scheme
from tflm_train.scheme.library import library_names, library_text
from tflm_train.scheme.presets import Preset, preset_scheme


def test_list(run: Run) -> None:
    presets = {str(preset): preset.summary for preset in Preset}
    told = run("scheme", "list", "--json").json
    assert told == {"presets": presets, "schemes": library_names()}
    listed = run("scheme", "list").out
    for name in (*Preset, *library_names()):
        assert f"  {name}" in listed


@pytest.mark.parametrize("preset", Preset)
def test_what_is_shown_of_a_preset_is_a_scheme(run: Run, folder: Path, preset: Preset) -> None:
    model, saved = folder / "digits.tflite", folder / "preset.yaml"
    arguments = ["scheme", "show", preset, "--model", model, "--labels", "yes,no,3"]
    saved.write_text(run(*arguments).out)
    head = Head(classes=3, labels=("yes", "no", "3"))
    expected = preset_scheme(preset, load(model), head)
    assert Scheme.load(saved) == expected
    told = run(*arguments, "--json").json
    assert told["scheme"] == json.loads(json.dumps(expected.to_dict()))
    by_scheme, by_preset = folder / "s.tflite", folder / "p.tflite"
    assert run("rewrite", model, "--scheme", saved, "-o", by_scheme).status == 0
    chosen = run("rewrite", model, "--preset", preset, "--labels", "yes,no,3", "-o", by_preset)
    assert chosen.status == 0
    assert by_scheme.read_bytes() == by_preset.read_bytes()


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


def test_what_is_shown_of_a_preset_explains_it(
    run: Run, folder: Path, converted: Callable[[str], Model]
) -> None:
    model = folder / "digits.tflite"
    lines = run("scheme", "show", "light", "--model", model).out.splitlines()
    arena = run("rewrite", model, "--preset", "light", "--json").json["arena"]["minimum_bytes"]
    assert f"an arena of {arena:,} bytes" in lines[1]
    layers = run("inspect", model, "--json").json["layers"]
    for layer in preset_scheme(Preset.LIGHT, load(model)).weights:
        told = layers[int(layer.layer)]
        size = told["weight_kept_bytes"] - told["bias_kept_bytes"]
        words = f"{told['op']} {told['name']}: keeps {size:,} bytes more"
        assert f"    - {{layer: {layer.layer}}}  # {words}" in lines
    (folder / "opaque.tflite").write_bytes(converted("opaque").source)
    shown = run("scheme", "show", "full", "--model", folder / "opaque.tflite").out
    assert "# layer 0 (CONV_2D" in shown and "cannot train: op 2 (SPACE_TO_DEPTH" in shown


def test_a_ready_scheme_names_its_model(run: Run, folder: Path) -> None:
    model, name = folder / "digits.tflite", library_names()[0]
    words = ("this scheme is for MobileNetV2-w0.35", "for your model use `--preset light`")
    assert_refused(run("scheme", "show", name, "--model", model), *words)
    assert_refused(run("rewrite", model, "--scheme", name), *words)


def test_refusals(run: Run) -> None:
    assert_refused(run("scheme", "show", "nothing"), "nothing", "light", library_names()[0])
    assert_refused(run("scheme", "show", "light"), "--model")
    assert_refused(run("scheme", "show"), "name", "--help")
    assert_refused(run("scheme"), "ACTION", "--help")
