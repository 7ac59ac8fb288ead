"""What firmware is told of its life on the board: resets, threads, watchdogs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests import requirements
from tests.export.builds import COMPILER, FIRMWARE, GENERATIONS, M4, ROOT, check_syntax, run
from tflm_train.export import FORMATS, export_project
from tflm_train.model import Model, load

_BLOCK = re.compile(r"^```cpp\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def program_of(block: str, name: str, object: str = "trainer") -> str:
    """A block of a page as a source: classes stay as they are, statements go into a function."""
    lines = block.splitlines()
    includes = [line for line in lines if line.startswith("#include")]
    code = "\n".join(line for line in lines if line not in includes)
    owner = "Trainer" if object == "trainer" else "Predictor"
    parameters = "" if f" {object}(" in code else f"{name}::{owner}& {object}"
    head = [f'#include "{name}.h"', *includes, "void FeedWatchdog();"]
    if "static uint8_t arena" not in code:
        head.append(f"alignas(16) uint8_t arena[{name}::kArenaBytes];")
    if "class " not in code:
        head.append(f"void Use({parameters}) {{\n[[maybe_unused]] const int label = 1;")
        code += "\n}"
    return "\n".join([*head, code, ""])


@pytest.mark.parametrize("model", ["digits_train", "digits_optimized", "digits_latent"])
def test_the_readme_s_code_compiles(
    model: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    project = export_project(request.getfixturevalue(model), "c-array", name="digits")
    project.write(tmp_path)
    blocks = _BLOCK.findall(project.files["README.md"].decode())
    assert len(blocks) == (3 if project.trains else 2)
    for number, block in enumerate(blocks):
        source = tmp_path / f"block_{number}.cc"
        source.write_text(program_of(block, "digits", "trainer" if project.trains else "predictor"))
        check_syntax([source], "-std=c++17", f"-I{tmp_path}", "-Wno-unused")


@pytest.mark.parametrize("generation", GENERATIONS)
def test_a_watchdog_is_fed_with_every_tflm(
    generation: str, digits_train: Model, tmp_path: Path
) -> None:
    """The profiler of docs/TRAIN_ON_YOUR_BOARD.md."""
    page = (ROOT / "docs/TRAIN_ON_YOUR_BOARD.md").read_text(encoding="utf-8")
    (feeder,) = (block for block in _BLOCK.findall(page) if "class Feeder" in block)
    export_project(digits_train, "c-array", name="mymodel").write(tmp_path)
    source = tmp_path / "feeder.cc"
    source.write_text(program_of(feeder, "mymodel"))
    flags = [*M4, *FIRMWARE, "-Wno-unused", "-std=c++17", *GENERATIONS[generation].flags]
    run(COMPILER, *flags, f"-I{tmp_path}", "-fsyntax-only", source)


def test_streams_and_pairs_take_a_profiler(
    digits_pair: tuple[Model, Model], tmp_path: Path
) -> None:
    """Both interpreters of a pair, and one whose state of a stream is in resource variables."""
    trunk, tail = digits_pair
    projects = {"pair": export_project(tail, "c-array", trunk=trunk, name="pair")}
    streams = load(requirements.shared() / "cases/reports/01_call_once_streaming.tflite")
    projects["streams"] = export_project(streams, "c-array", name="streams")
    for name, project in projects.items():
        folder = tmp_path / name
        project.write(folder)
        owner = "Trainer" if project.trains else "Predictor"
        source = folder / "use.cc"
        source.write_text(
            f'#include "{name}.h"\n'
            f"void Use(uint8_t* arena, {name}::MicroProfilerInterface* profiler) {{\n"
            f"  {name}::{owner}(arena, {name}::kArenaBytes, profiler).Setup();\n}}\n"
        )
        check_syntax([source], "-std=c++17", f"-I{folder}")
        header = project.files[f"{name}.h"].decode()
        assert header.count("profiler)") == 2 + (name == "pair")


@pytest.mark.parametrize("format", FORMATS)
def test_the_readme_says_what_wipes_and_what_brings_back(
    format: str, digits_train: Model, digits_optimized: Model
) -> None:
    files = export_project(digits_train, format, name="digits").files
    header = next(data for path, data in files.items() if path.endswith("digits.h")).decode()
    readme = files["README.md"].decode()
    for text in (readme, header):
        for word in ("Reset()", "AllocateTensors()", "power-up", "StateLoad"):
            assert word in text
    wipes = readme.index("trainer.interpreter().Reset();")
    assert "StateLoad(" in readme[wipes:].splitlines()[1], "in the next line"
    infers = export_project(digits_optimized, format, name="digits").files["README.md"].decode()
    assert "StateLoad" not in infers and "FeedWatchdog" in infers


def test_the_stm32_example_runs_where_its_readme_says() -> None:
    """The board that is configured is the one that QEMU is told of."""
    text = (ROOT / "stm32_example/README.md").read_text(encoding="utf-8")
    boards = re.findall(
        r'BOARD STREQUAL "([^"]+)"', (ROOT / "stm32_example/boards.cmake").read_text("utf-8")
    )
    commands = text[text.index("    cmake -S stm32_example") :]
    built = re.search(r"-DBOARD=(\S+)", commands)
    run_on = re.search(r"qemu-system-arm -M (\S+)", commands)
    assert built is not None and run_on is not None and built[1] == run_on[1] in boards
    assert all(f"`{board}`" in text for board in boards)
