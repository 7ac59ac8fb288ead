"""Fuzzes the parsers of stored bytes under AddressSanitizer and UndefinedBehaviorSanitizer.

The inputs come from a fixed generator (`driver.cc`); the sources are libFuzzer targets too.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
RUNS = 200_000
FLAGS = (
    "-std=c++17 -g -O1 -fsanitize=address,undefined -fno-sanitize-recover=all "
    "-fno-omit-frame-pointer -Wall -Wextra -Werror"
).split()
KERNELS = sorted((ROOT / "tflm_kernels/state").glob("*.cc"))


def build(folder: Path, target: Path, *more_flags: str) -> Path:
    program = folder / target.stem
    sources = [target, ROOT / "tests/fuzz/driver.cc", *KERNELS]
    flags = [*FLAGS, *more_flags, f"-I{ROOT}"]
    subprocess.run(["c++", *flags, *map(str, sources), "-o", str(program)], check=True)
    return program


@pytest.mark.parametrize(
    ("name", "flags"),
    [
        ("state_fuzz", ()),
        ("journal_fuzz", ()),
        ("latent_store_fuzz", ()),
        ("latent_store_fuzz", ("-DLATENT_BYTES=44",)),
    ],
    ids=["state", "journal", "latent store", "latent store, long records"],
)
def test_no_finding(name: str, flags: tuple[str, ...], tmp_path: Path) -> None:
    program = build(tmp_path, ROOT / f"tests/fuzz/{name}.cc", *flags)
    finished = subprocess.run([program, str(RUNS)], capture_output=True, text=True, timeout=300)
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout == f"{RUNS} runs, no finding\n"


def test_the_fuzzer_finds_a_planted_fault(tmp_path: Path) -> None:
    """A parser that trusts the length it is told is caught."""
    planted = tmp_path / "planted.cc"
    source = (ROOT / "tests/fuzz/state_fuzz.cc").read_text()
    correct = "StateLoad(model.state(), copy, size)"
    assert source.count(correct) == 1
    planted.write_text(source.replace(correct, "StateLoad(model.state(), copy, kBlobBytes)"))
    program = build(tmp_path, planted)
    finished = subprocess.run([program, "10000"], capture_output=True, text=True, timeout=300)
    assert finished.returncode != 0
    assert "AddressSanitizer" in finished.stderr
    assert "in run " in finished.stderr
