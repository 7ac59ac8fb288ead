"""Every way to build the kernels links: CMake's own, and the build files of each export format.

The build systems of ESP-IDF and Zephyr are stand-ins for real CMake in `link/`; Arduino's and
PlatformIO's rules are applied here. Each builds the format's example, and `link/all_ops.cc`, which
calls every op, with all kernels; a project that only infers has just those of its model, all of
which are linked.
"""

from __future__ import annotations

import configparser
import dataclasses
import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.export.builds import (
    ARDUINO,
    BARE_METAL,
    COMPILER,
    FIRMWARE,
    GENERATIONS,
    LINK,
    M4,
    NEW_NAMES,
    OLD_NAMES,
    OLD_REGISTRATION,
    ROOT,
    Tflm,
    as_cpp,
    check_syntax,
    cmake,
    link,
    objects_of,
    run,
    tflms,
)
from tflm_train.export import export_project
from tflm_train.model import Model
from tflm_train.rewriter.trials import Way
from tflm_train.scheme.presets import Preset, preset_scheme

ALL_OPS = LINK / "all_ops.cc"


@dataclass(frozen=True)
class Exported:
    """What is exported, and linked beside the example.

    Attributes:
      model: The model.
      example: What its example is called.
      program: Of `link/`.
    """

    model: Model
    example: str
    program: Path

    def write(self, format: str, folder: Path) -> Path:
        """Writes the project."""
        all_kernels = self.program == ALL_OPS
        export_project(self.model, format, name="digits", all_kernels=all_kernels).write(folder)
        return folder


@pytest.fixture(params=["trains", "infers"])
def exported(
    request: pytest.FixtureRequest, digits_train: Model, digits_optimized: Model
) -> Exported:
    if request.param == "trains":
        return Exported(digits_train, "train", ALL_OPS)
    return Exported(digits_optimized, "infer", LINK / "no_ops.cc")


@pytest.fixture(params=[0, 1], ids=["old names", "new names"])
def each_tflm(request: pytest.FixtureRequest) -> Tflm:
    """Each generation of the stub; twice the same TFLM where one is given."""
    return tflms()[min(request.param, len(tflms()) - 1)]


@pytest.fixture
def tflm() -> Tflm:
    return tflms()[-1]


@pytest.mark.parametrize("generation", GENERATIONS)
def test_the_kernels_on_the_host(generation: str, tmp_path: Path) -> None:
    cmake(
        GENERATIONS[generation], LINK, tmp_path, on_host=True,
        SUBPROJECT=ROOT / "tflm_kernels", LIBRARY="tflm_train",
    )  # fmt: skip
    run(tmp_path / "all_ops")


def test_the_kernels_as_firmware(tflm: Tflm, tmp_path: Path) -> None:
    cmake(tflm, LINK, tmp_path, SUBPROJECT=ROOT / "tflm_kernels", LIBRARY="tflm_train")
    (library,) = tmp_path.rglob("libtflm_train.a")
    assert_no_globals(library)


def assert_no_globals(library: Path) -> None:
    """What is written lies in an arena or on a stack: interpreters in two tasks share nothing."""
    symbols = subprocess.run(
        ["arm-none-eabi-nm", library], capture_output=True, text=True, check=True
    ).stdout
    kinds = {kind: line for line in symbols.splitlines() for kind in line.split()[-2:-1]}
    assert {"T", "R"} <= {kind.upper() for kind in kinds}
    assert not {"B", "D", "C", "S", "G"} & {kind.upper() for kind in kinds}, kinds


@pytest.mark.parametrize("preset", [None, *Preset])
def test_an_example_needs_no_other_kernels(
    tflm: Tflm, digits: Model, digits_train: Model, preset: Preset | None, tmp_path: Path
) -> None:
    """The kernels of a project are those of its ops, whatever trains; fewer than all."""
    model = digits_train
    if preset is not None:
        scheme = preset_scheme(preset, digits)
        scheme = dataclasses.replace(scheme, latent=preset is Preset.LIGHT)
        model = Model(Way().rewrite(digits, scheme).model_bytes)
    project = export_project(model, "cmake", name="digits")
    everything = export_project(model, "cmake", name="digits", all_kernels=True)
    assert set(project.files) < set(everything.files)
    project.write(tmp_path / "digits")
    cmake(tflm, tmp_path / "digits", tmp_path / "alone")
    assert (tmp_path / "alone" / "digits_example").exists()


def test_a_cmake_export(tflm: Tflm, exported: Exported, tmp_path: Path) -> None:
    project = exported.write("cmake", tmp_path / "digits")
    cmake(tflm, project, tmp_path / "alone")
    assert (tmp_path / "alone" / "digits_example").exists()
    cmake(
        tflm, LINK, tmp_path / "below",
        SUBPROJECT=project, LIBRARY="digits", PROGRAM=exported.program.name,
    )  # fmt: skip


def test_an_esp_idf_export(tflm: Tflm, exported: Exported, tmp_path: Path) -> None:
    component = exported.write("esp-idf", tmp_path / "digits")
    example = component / "examples" / exported.example
    cmake(tflm, example, tmp_path / "build", PROGRAM=exported.program.name)
    assert (tmp_path / "build" / "app").exists() and (tmp_path / "build" / "all_ops").exists()


def test_a_zephyr_export(tflm: Tflm, exported: Exported, tmp_path: Path) -> None:
    module = exported.write("zephyr", tmp_path / "digits")
    cmake(
        tflm, module / "samples" / exported.example, tmp_path / "build",
        EXTRA_ZEPHYR_MODULES=module, Zephyr_DIR=LINK / "zephyr", PROGRAM=exported.program.name,
    )  # fmt: skip
    assert (tmp_path / "build" / "app").exists() and (tmp_path / "build" / "all_ops").exists()


def test_a_c_array_export(each_tflm: Tflm, exported: Exported, tmp_path: Path) -> None:
    """As docs/TRAIN_ON_YOUR_BOARD.md says: compile all, the folder on the path."""
    project = exported.write("c-array", tmp_path / "digits")
    mains = [project / "main.cc", exported.program]
    link(each_tflm, tmp_path / "build", project, mains, "-std=c++17", f"-I{project}")


def test_an_arduino_export(each_tflm: Tflm, exported: Exported, tmp_path: Path) -> None:
    """The 1.5 layout: everything below src, src alone on the path, the dialect of the cores."""
    library = exported.write("arduino", tmp_path / "digits")
    sketch = exported.example.capitalize()
    source = library / f"examples/{sketch}/{sketch}.ino"
    mains = [as_cpp(source, tmp_path / f"{sketch}.ino.cpp"), exported.program]
    # Newer TFLM trees want C++17.
    dialect = "-std=gnu++14" if each_tflm in (OLD_NAMES, NEW_NAMES) else "-std=gnu++17"
    src = library / "src"
    link(each_tflm, tmp_path / "build", src, mains, dialect, f"-I{src}")


def test_an_arduino_export_with_the_libraries_of_arduino(
    digits_train: Model, tmp_path: Path
) -> None:
    """The ports of TFLM for Arduino are of early 2023: see arduino_example/README.md."""
    library = tmp_path / "digits"
    export_project(digits_train, "arduino", name="digits", all_kernels=True).write(library)
    sketch = as_cpp(library / "examples/Train/Train.ino", tmp_path / "Train.ino.cpp")
    src = library / "src"
    link(OLD_REGISTRATION, tmp_path / "build", src, [sketch, ALL_OPS], "-std=gnu++14", f"-I{src}")


def test_two_models_in_one_sketch(digits_train: Model, tmp_path: Path) -> None:
    """Both have the kernels; from archives (`dot_a_linkage`) the program takes one copy."""
    compiler = [COMPILER, *M4, *FIRMWARE, "-std=gnu++14", *OLD_NAMES.flags]
    archives, includes, lines = [], [], []
    for name in ("first", "second"):
        project = export_project(digits_train, "arduino", name=name)
        assert b"dot_a_linkage=true" in project.files["library.properties"]
        project.write(tmp_path / name)
        src = tmp_path / name / "src"
        includes.append(f"-I{src}")
        sources = sorted(path for path in src.rglob("*") if path.suffix == ".cc")
        objects = objects_of(sources, tmp_path / f"{name}_objects", [*compiler, f"-I{src}"])
        archives.append(tmp_path / f"{name}.a")
        run("arm-none-eabi-ar", "rcs", archives[-1], *objects)
        lines += [f"#include <{name}.h>", f"alignas(16) uint8_t {name}_arena[{name}::kArenaBytes];"]
        lines.append(f"{name}::Trainer {name}_one({name}_arena, sizeof({name}_arena));")
    lines.append("int main() { return first_one.Setup() + second_one.Setup(); }")
    main = tmp_path / "both.cpp"
    main.write_text("\n".join(lines) + "\n", encoding="utf-8")
    (program,) = objects_of([main], tmp_path / "main", [*compiler, *includes])
    stub = OLD_NAMES.link_with(tmp_path, COMPILER, *M4)
    run(COMPILER, *M4, *BARE_METAL, program, *archives, stub, "-o", tmp_path / "both.elf")


def test_a_platformio_export(tflm: Tflm, exported: Exported, tmp_path: Path) -> None:
    """As PlatformIO builds: the project's flags for all sources, the library's for its own."""
    library = exported.write("platformio", tmp_path / "digits")
    settings = json.loads((library / "library.json").read_text())["build"]
    folder = library / "examples" / exported.example
    example = configparser.ConfigParser()
    example.read(folder / "platformio.ini")
    for_all = example[f"env:{exported.example}"]["build_flags"].split()
    for_all.append(f"-I{library / settings['includeDir']}")
    assert "-DTF_LITE_STATIC_MEMORY" in for_all, "main.cpp includes TFLM's headers"
    mains = [folder / "src/main.cpp", exported.program]
    check_syntax([folder / "src/main.cpp"], *for_all, f"-I{ARDUINO}")
    link(
        tflm, tmp_path / "build", library / settings["srcDir"], mains,
        *settings["flags"], *for_all,
    )  # fmt: skip
