"""Random nodes come to the same on a PC, with the DSP extension and with Helium."""

from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path

import pytest

from tests import requirements
from tests.fuzz import node_runs
from tests.fuzz.op_seeds import node_bytes
from tests.fuzz.random_nodes import random_nodes
from tests.ops.op_samples import SAMPLES, sample
from tflm_train import ops

NODES = 2000
CORES = ("host", "cortex_m4", "cortex_m55")


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    requirements.programs(*requirements.FIRMWARE_TOOLS)
    folder = tmp_path_factory.mktemp("nodes")
    return {core: node_runs.build(core, folder) for core in CORES}


def test_all_cores_agree(programs: dict[str, list[str]], tmp_path: Path) -> None:
    nodes = list(itertools.islice(random_nodes(2026), NODES))
    found = node_runs.compare(nodes, programs, tmp_path)
    assert not found.differing, [lines for _, lines in found.differing[:5]]
    assert set(found.ran) == {cls.OP for cls in ops.ALL}
    assert found.ran.total() > 0.9 * NODES


def test_each_failing_allocation_is_a_refusal(
    programs: dict[str, list[str]], tmp_path: Path
) -> None:
    """Of all that Prepare asks TFLM for; the fuzz targets do the same under the sanitizers."""
    asked = Counter[str]()
    for number in range(1, 6):
        nodes = [_failing(node_bytes(sample(params)), number) for params in SAMPLES]
        found = node_runs.compare(nodes, {"host": programs["host"]}, tmp_path)
        asked += found.not_run
    assert not found.not_run, "an op asks more often"
    silent = {cls.OP for cls in ops.ALL} - asked.keys()
    assert silent == {
        "ACCUMULATE", "BIAS_UPDATE", "CHANNEL_SAVE", "CLAMP_MASK", "FINISH", "MOVE_GRAD",
    }  # fmt: skip


def _failing(node: bytes, number: int) -> bytes:
    """The node where of TFLM's allocations this one fails."""
    at = 1 + node[0]
    return node[:at] + bytes([number]) + node[at + 1 :]


def test_a_difference_is_seen(programs: dict[str, list[str]], tmp_path: Path) -> None:
    """What one core computes of another node is not taken for the same."""
    first, *others = itertools.islice(random_nodes(1), 40)
    shifted = {"host": programs["host"], "other": ["sh", "-c", "{} | tail -n +2; echo I 0"]}
    shifted["other"][2] = shifted["other"][2].format(programs["host"][0])
    found = node_runs.compare([first, *others], shifted, tmp_path)
    assert len(found.differing) > 20
