"""Random nodes come to the same on a PC, with the DSP extension and with Helium."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from tests import requirements
from tests.fuzz import node_runs
from tests.fuzz.random_nodes import random_nodes
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


def test_a_difference_is_seen(programs: dict[str, list[str]], tmp_path: Path) -> None:
    """What one core computes of another node is not taken for the same."""
    first, *others = itertools.islice(random_nodes(1), 40)
    shifted = {"host": programs["host"], "other": ["sh", "-c", "{} | tail -n +2; echo I 0"]}
    shifted["other"][2] = shifted["other"][2].format(programs["host"][0])
    found = node_runs.compare([first, *others], shifted, tmp_path)
    assert len(found.differing) > 20
