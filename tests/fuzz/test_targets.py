"""Replays the seeds of the fuzz targets, and runs a few new inputs of each, under sanitizers.

The new inputs are the same each time. `make fuzz MINUTES=60` runs campaigns.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.fuzz.op_seeds import node_bytes
from tests.fuzz.readers import READERS
from tests.ops.op_samples import SAMPLES, sample
from tflm_train import ops

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
import fuzz_targets as fuzz  # noqa: E402

RUNS = {
    "state": 100_000,
    "journal": 50_000,
    "latent_store": 20_000,
    "latent_store_long": 10_000,
    "op": 5_000,
    "reader": 500,
}
MODELS = 50
"""Other tests do more with damaged models."""


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    folder = tmp_path_factory.mktemp("fuzz")
    return {name: fuzz.build(folder, name) for name in RUNS}


def test_every_reader_is_a_target() -> None:
    assert set(READERS) == set(fuzz.READERS)


def test_every_op_is_a_target() -> None:
    names = {target.name for target in fuzz.targets()}
    assert {f"op/{cls.OP}" for cls in ops.ALL} <= names


@pytest.mark.parametrize("target", fuzz.targets(), ids=lambda target: target.name)
def test_no_finding(target: fuzz.Target, programs: dict[str, list[str]], tmp_path: Path) -> None:
    program, found = programs[target.program], tmp_path / "found"
    seeds = sorted(target.seeds.iterdir()) if target.seeds.exists() else []
    finding = fuzz.replay(program, target, seeds)
    assert not finding, finding
    runs = MODELS if target.name == "reader/model" else RUNS[target.program]
    ended = fuzz.campaign(program, target, runs, 600, 1, tmp_path / "kept", found)
    assert not ended.finding, ended.finding
    assert ended.runs == runs and ended.deep > 0 and ended.kept > 0


def test_the_samples_are_seeds() -> None:
    """What the layout of an op's parameters changes is changed in its seeds."""
    for number, params in enumerate(SAMPLES):
        path = fuzz.SEEDS / "op" / params.OP / f"sample_{number}"
        assert path.read_bytes() == node_bytes(sample(params)), (
            f"{path} is not current: python -m tests.fuzz.op_seeds"
        )


def test_the_campaign_finds_a_planted_fault(tmp_path: Path) -> None:
    """A parser that trusts the length it is told is caught, and what did it is written down."""
    planted = tmp_path / "state_fuzz.cc"
    source = (ROOT / "tests/fuzz/state_fuzz.cc").read_text()
    correct = "StateLoad(model.state(), copy, size)"
    assert source.count(correct) == 1
    planted.write_text(source.replace(correct, "StateLoad(model.state(), copy, kBlobBytes)"))
    program, found = fuzz.build(tmp_path, "state", planted), tmp_path / "found"
    target = fuzz.Target("state")
    ended = fuzz.campaign(program, target, 10_000, 300, 1, tmp_path / "kept", found)
    assert "AddressSanitizer" in ended.finding
    assert "AddressSanitizer" in fuzz.replay(program, target, [found])
