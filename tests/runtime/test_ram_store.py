"""What firmware with a store in RAM links: no log, no flash."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted((ROOT / "tflm_kernels/state").glob("*.cc"))
FLAGS = "-std=c++17 -Os -ffunction-sections -fdata-sections -fno-exceptions -fno-rtti".split()
PROGRAM = """\
#include "tflm_kernels/state/latent_store.h"
#include "tflm_kernels/state/replay.h"
using namespace tflm_train;
constexpr LatentFormat kFormat = {1, 2, 16, 4, true};
alignas(4) uint8_t memory[1024];
uint8_t contents[4096];
int main() {
  RamStorage flash(contents, {4096, 1024, 4});
  LatentStore store(kFormat, {4, 2}, %s memory, sizeof(memory));
  Replay replay(&store, 1);
  uint8_t latent[16] = {};
  int32_t label = 0;
  return store.Open() == LatentStatus::kEmpty &&
                 store.Add(latent, &label, 0) == LatentStatus::kOk && replay.Draw() == 0 &&
                 store.Checkpoint() == LatentStatus::kOk && store.Clear() == LatentStatus::kOk
             ? 0
             : 1;
}
"""


def linked(tmp_path: Path, storage: str) -> str:
    """The symbols of a program that has run."""
    source, program = tmp_path / "main.cc", tmp_path / "main"
    source.write_text(PROGRAM % storage)
    command = ["c++", *FLAGS, f"-I{ROOT}", source, *SOURCES, "-Wl,--gc-sections", "-o", program]
    subprocess.run(command, check=True)
    subprocess.run([program], check=True)
    names = subprocess.run(["nm", "-C", program], check=True, capture_output=True, text=True)
    return names.stdout


@pytest.mark.parametrize(("storage", "has_log"), [("", False), ("flash.storage(),", True)])
def test_only_a_store_in_flash_links_the_log(storage: str, has_log: bool, tmp_path: Path) -> None:
    symbols = linked(tmp_path, storage)
    assert "tflm_train::LatentStore::Add" in symbols and "tflm_train::Replay::Draw" in symbols
    assert ("tflm_train::LatentLog::" in symbols) is has_log
    assert ("tflm_train::UpdateCrc32" in symbols) is has_log
