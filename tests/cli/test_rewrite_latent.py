"""`tflm_train rewrite --latent` and `--split`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

import tflm_train as tt
from tests.cli.helpers import SCHEME, Run, assert_refused, listing
from tests.steps import DIGITS, RATE, random_inputs
from tflm_train.model import Model, load
from tflm_train.ops.reading import is_ours
from tflm_train.rewriter.trials import Way
from tflm_train.scheme import Scheme


def test_latent(run: Run, folder: Path) -> None:
    arguments = ["rewrite", folder / "digits.tflite", "--scheme", folder / "s.yaml"]
    plain = run(*arguments, "--json").json
    assert "latent" not in plain and "split" not in plain
    done = run(*arguments, "--latent", "--json").json
    latent = done["latent"]
    written = load(folder / "digits_train.tflite")
    assert written.graph.inputs[-1].name == "train/source"
    assert tuple(latent["shape"]) == written.graph.outputs[-1].shape
    assert latent["bytes"] == written.graph.outputs[-1].nbytes
    assert latent["per_kilobyte"] == round(1024 / latent["bytes"], 2)
    assert latent["ram_bytes"] == done["arena"]["total_bytes"] - plain["arena"]["total_bytes"]
    assert 0.3 < latent["saved"] < 1
    (folder / "l.yaml").write_text(SCHEME + "latent: true\n")
    same = run("rewrite", folder / "digits.tflite", "--scheme", folder / "l.yaml", "--json").json
    assert same == done
    shown = run(*arguments, "--latent").out
    assert f"latent: {latent['bytes']:,} bytes" in shown and "fewer instructions" in shown


def test_split(run: Run, folder: Path) -> None:
    arguments = ["rewrite", folder / "digits.tflite", "--scheme", folder / "s.yaml", "--split"]
    done = run(*arguments, "--json").json
    trunk, tail = (load(folder / f"digits_train_{part}.tflite") for part in ("trunk", "tail"))
    assert not (folder / "digits_train.tflite").exists()
    split = done["split"]
    assert split["trunk"]["output"].endswith("digits_train_trunk.tflite")
    assert [split[p]["bytes"] for p in ("trunk", "tail")] == [len(trunk.source), len(tail.source)]
    assert tuple(split["latent_shape"]) == trunk.graph.outputs[0].shape
    assert not any(is_ours(op) for op in trunk.graph.ops)
    whole = tt.Interpreter(Way().rewrite(load(DIGITS), Scheme.parse(SCHEME)).model_bytes)
    first, second = tt.Interpreter(trunk), tt.Interpreter(tail)
    assert second.fingerprint == whole.fingerprint
    for label, sample in enumerate(random_inputs(load(DIGITS).graph, 4)):
        latent = first.infer(sample)
        np.testing.assert_array_equal(second.infer(latent), whole.infer(sample))
        expected = whole.train_step(sample, label, RATE)
        assert second.train_step(latent, label, RATE) == expected
    assert second.state() == whole.state()
    assert run(*arguments).status == 0, "earlier results are replaced"


def test_the_tail_trains_on_samples_through_the_trunk(
    run: Run, folder: Path, rewritten: Path
) -> None:
    """The same numbers and the same state as of the model in one piece."""
    split = ["rewrite", folder / "digits.tflite", "--scheme", folder / "s.yaml", "--split"]
    assert run(*split).status == 0
    trunk, tail = (folder / f"digits_train_{part}.tflite" for part in ("trunk", "tail"))
    options = ["--data", folder / "d.npz", "--epochs", 2, "--lr", 0.01, "--limit", 7]
    options += ["--cache", "none", "--json"]
    whole = run("train", rewritten, *options, "--save-state", folder / "whole.bin").json
    parts = ["train", tail, "--trunk", trunk, *options, "--save-state", folder / "tail.bin"]
    summary = run(*parts).json
    assert summary["epochs"] == whole["epochs"]
    assert (folder / "tail.bin").read_bytes() == (folder / "whole.bin").read_bytes()
    refused = run("train", rewritten, "--trunk", trunk, *options)
    assert_refused(refused, "r.tflite does not take what digits_train_trunk.tflite gives")


def test_split_writes_both_or_none(run: Run, folder: Path) -> None:
    mine = folder / "out_tail.tflite"
    mine.write_bytes(b"mine")
    before = listing(folder)
    arguments = ["rewrite", folder / "digits.tflite", "--scheme", folder / "s.yaml", "--split"]
    arguments += ["-o", folder / "out.tflite", "--report", folder / "r.json"]
    assert_refused(run(*arguments), "out_tail.tflite exists and was not made by this command")
    assert listing(folder) == before
    assert run(*arguments, "--force").status == 0
    assert sorted(set(listing(folder)) - set(before)) == ["out_trunk.tflite", "r.json"]


def test_split_without_anything_frozen(run: Run, folder: Path) -> None:
    (folder / "all.yaml").write_text("version: 1\nupdate:\n  biases: all\n")
    done = run("rewrite", folder / "digits.tflite", "--scheme", folder / "all.yaml", "--split")
    assert_refused(done, "nothing is frozen before what trains", "leave out --split")


def test_a_frozen_layer_without_a_form(
    run: Run, folder: Path, converted: Callable[[str], Model]
) -> None:
    (folder / "k.tflite").write_bytes(converted("keyword").source)
    (folder / "head.yaml").write_text("version: 1\n")
    arguments = ["rewrite", folder / "k.tflite", "--scheme", folder / "head.yaml"]
    before = listing(folder)
    refused = run(*arguments, "--latent")
    assert_refused(refused, "(FULLY_CONNECTED, '", "is frozen", "`rewrite --split` writes")
    assert listing(folder) == before
    assert run(*arguments, "--split").status == 0
    assert {"k_train_trunk.tflite", "k_train_tail.tflite"} <= set(listing(folder))


def test_split_never_replaces_the_model_itself(run: Run, folder: Path) -> None:
    source = (folder / "digits.tflite").rename(folder / "m_tail.tflite")
    before = listing(folder)
    arguments = ["rewrite", source, "--scheme", folder / "s.yaml", "--split", "--force"]
    refused = run(*arguments, "-o", folder / "m.tflite")
    assert_refused(refused, "m_tail.tflite is the input model itself")
    assert listing(folder) == before


def test_split_keeps_both_parts_within_the_budget(run: Run, folder: Path) -> None:
    (folder / "head.yaml").write_text("version: 1\n")
    arguments = ["rewrite", folder / "digits.tflite", "--scheme", folder / "head.yaml"]
    parts = run(*arguments, "--split", "--json").json["split"]
    needed = max(parts[part]["arena"]["minimum_bytes"] for part in ("trunk", "tail"))
    before = listing(folder)
    budget = ["--budget", needed - 1]
    refused = run(*arguments, "--split", *budget, "-o", folder / "b.tflite")
    assert_refused(refused, "b_trunk.tflite would need", "1 more than the budget", "--split")
    assert listing(folder) == before
    assert run(*arguments, *budget).status == 0, "in one piece it fits"
    assert run(*arguments, "--split", "--budget", needed).status == 0


def test_what_was_rewritten_is_not_rewritten_again(run: Run, folder: Path) -> None:
    arguments = ["rewrite", folder / "digits.tflite", "--scheme", folder / "s.yaml", "--latent"]
    assert run(*arguments).status == 0
    for options in ([], ["--preset", "head"], ["--split"]):
        again = run("rewrite", folder / "digits_train.tflite", *options, "-o", folder / "x.tflite")
        assert_refused(again, "digits_train.tflite holds training ops already")
