"""What `tflm_train rewrite` trains where nobody names layers: presets, labels, budgets, cores."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import tflm_train as tt
from tests.cli.helpers import SCHEME, Run, assert_refused, listing
from tests.steps import DIGITS
from tflm_train.model import Model, load
from tflm_train.rewriter import rewrite
from tflm_train.rewriter.trials import Way
from tflm_train.scheme import Scheme
from tflm_train.scheme.presets import Preset, preset_scheme


def test_labels_on_the_command_line(run: Run, folder: Path) -> None:
    arguments = ["rewrite", folder / "digits.tflite", "--preset", "head", "--labels"]
    assert run(*arguments, "cat, dog,cow").status == 0
    assert tt.Interpreter(folder / "digits_train.tflite").classes == 3
    assert_refused(run(*arguments, "cat,dog", "--classes", "3"), "2 names for 3 new classes")
    assert_refused(run(*arguments, "cat,cat"), "give different names")
    assert run(*arguments, "cat,dog", "--classes", "+2").status == 0
    assert tt.Interpreter(folder / "digits_train.tflite").classes == 12


def test_what_all_leaves_out_is_named(
    run: Run, folder: Path, converted: Callable[[str], Model]
) -> None:
    model = folder / "opaque.tflite"
    model.write_bytes(converted("opaque").source)
    (folder / "s.yaml").write_text("version: 1\nupdate: {biases: all}\n")
    told = run("rewrite", model, "--scheme", folder / "s.yaml", "--json").json
    assert [(layer["index"], "SPACE_TO_DEPTH" in layer["why"]) for layer in told["left_out"]] == [
        (0, True), (1, True),
    ]  # fmt: skip
    assert "left out: layers 0, 1: op 2 (SPACE_TO_DEPTH" in run(
        "rewrite", model, "--scheme", folder / "s.yaml"
    ).out.replace("\n", " ")


def test_builtin_forward_layers_remain_an_option(run: Run, folder: Path) -> None:
    arguments = ["rewrite", folder / "digits.tflite", "--scheme", folder / "s.yaml", "--json"]
    told = run(*arguments, "--stream", "off", "--forward", "builtin").json
    assert "STREAM" not in told["ops"] and told["slowdown"] == 1
    plain = rewrite(load(DIGITS), Scheme.parse(SCHEME)).model_bytes
    assert (folder / "digits_train.tflite").read_bytes() == plain
    assert told["arena"]["total_bytes"] > run(*arguments).json["arena"]["total_bytes"]


def test_without_a_choice_the_best_preset_that_fits(run: Run, folder: Path) -> None:
    model, written = folder / "digits.tflite", folder / "digits_train.tflite"
    arenas: list[int] = []
    for preset in Preset:
        told = run("rewrite", model, "--preset", preset, "--json").json
        assert "chosen" not in told
        arenas.append(told["arena"]["minimum_bytes"])
    for place, preset in enumerate(Preset):
        if preset is Preset.FULL:
            continue  # nobody gets it without asking
        chosen = run("rewrite", model, "--budget", arenas[place], "--json").json["chosen"]
        assert (chosen["preset"], chosen["residual_bits"]) == (preset, 8)
        assert chosen["budget_bytes"] == arenas[place]
        eight = [trial for trial in chosen["tried"] if trial["residual_bits"] == 8]
        tried = {trial["preset"]: trial["arena_bytes"] for trial in eight}
        assert list(tried.values()) == arenas[: len(tried)]
        assert written.read_bytes() == Way().rewrite(
            load(DIGITS), preset_scheme(preset, load(DIGITS))
        ).model_bytes  # fmt: skip
    chosen, tried, other = run("rewrite", model).out.splitlines()[:3]
    assert chosen == "preset medium: trains the most of those that fit 262,144 bytes of RAM."
    assert tried.startswith("each takes, in bytes of RAM: head ")
    assert "`full` is only taken on request" in other


def test_the_budget_lowers_residuals_before_the_preset(run: Run, folder: Path) -> None:
    model = folder / "digits.tflite"
    needed = run("rewrite", model, "--preset", "medium", "--json").json["arena"]["minimum_bytes"]
    chosen = run("rewrite", model, "--budget", needed - 16, "--json").json["chosen"]
    assert (chosen["preset"], chosen["residual_bits"]) == ("medium", 4)
    arguments = ["rewrite", model, "--budget", needed - 16, "--residual-bits", "8", "--json"]
    assert run(*arguments).json["chosen"]["preset"] == "light"


def test_a_budget_that_nothing_fits(run: Run, folder: Path) -> None:
    before = listing(folder)
    done = run("rewrite", folder / "digits.tflite", "--budget", "1KB")
    assert_refused(done, "with preset head needs", "the least of it that trains needs")
    assert listing(folder) == before


def test_a_core_where_the_builtin_kernels_are_faster(run: Run, folder: Path) -> None:
    arguments = ["rewrite", folder / "digits.tflite", "--preset", "biases", "--json", "--core"]
    slow, fast = run(*arguments, "m55").json, run(*arguments, "m4").json
    assert (slow["kernels"], fast["kernels"]) == ("cmsis_nn_helium", "cmsis_nn")
    assert slow["slowdown"] <= 1 and fast["slowdown"] < 1
    free = run(*arguments, "m55", "--max-slowdown", "9").json
    assert free["slowdown"] > 1
    assert free["arena"]["total_bytes"] < slow["arena"]["total_bytes"]
    # What does not fit otherwise may be slower.
    budget = str(free["arena"]["minimum_bytes"])
    told = run(*arguments, "m55", "--budget", budget).json
    assert told["arena"] == free["arena"]
    assert_refused(run(*arguments, "m55", "--budget", budget, "--max-slowdown", "1"), "slowdown 1`")
    assert_refused(run(*arguments, "m55", "--max-slowdown", "-1"), "must be at least 0")


def test_the_budget_counts_latents(run: Run, folder: Path) -> None:
    arguments = ["rewrite", folder / "digits.tflite", "--json", "--budget"]
    light = run(*arguments, "1MB", "--preset", "light", "--latent").json["arena"]["minimum_bytes"]
    plain = run(*arguments, "1MB", "--preset", "light").json["arena"]["minimum_bytes"]
    told = run(*arguments, light, "--latent").json
    assert told["chosen"]["tried"][2]["arena_bytes"] == light > plain
    assert told["arena"]["minimum_bytes"] <= light
    assert_refused(run(*arguments, light - 16, "--preset", "light", "--latent"), f"{light:,} bytes")


def test_an_older_tflm_refuses_what_it_computes_wrong(run: Run, folder: Path) -> None:
    done = run("rewrite", folder / "digits.tflite", "--tflm", "2024")
    assert_refused(done, "FULLY_CONNECTED with a scale for each output channel, op 14")
    assert not (folder / "digits_train.tflite").exists()
    assert run("rewrite", folder / "digits.tflite", "--tflm", "2026").status == 0
