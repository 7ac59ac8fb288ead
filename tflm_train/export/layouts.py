"""Which files each format of export consists of, and where."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tflm_train.export.front_end import KIND
from tflm_train.export.kernel_sources import kernel_sources, license_text
from tflm_train.export.needed_kernels import needed_kernels
from tflm_train.export.training import TRAINS

Values = dict[str, str]
Files = dict[str, bytes]

ALL_KERNELS = "ALL_KERNELS"
"""The value that is not empty where a project is to hold the kernels of every op."""

_TEMPLATES = Path(__file__).with_name("templates")
_PLACEHOLDER = re.compile(r"@([A-Z_]+)@")
# A line break right behind a directive belongs to it.
_SECTION = re.compile(r"@if ([A-Z_]+)@\n?(.*?)(?:@else@\n?(.*?))?@end@\n?", re.DOTALL)
_MAIN = """\
int main() {
  const bool done = Run();
  MicroPrintf(done ? "done" : "failed");
  return done ? 0 : 1;
}"""
_IDF_MAIN = 'extern "C" void app_main() { MicroPrintf(Run() ? "done" : "failed"); }'
# PlatformIO's board runs Arduino.
_ARDUINO_MAIN = """\
void setup() { MicroPrintf(Run() ? "done" : "failed"); }

void loop() {}"""


def fill(template: str, values: Values) -> bytes:
    """A template with its `@NAME@`s replaced.

    Of `@if NAME@...@else@...@end@` the first part stays where the value is not empty, else the
    second one.
    """
    text = (_TEMPLATES / f"{template}.in").read_text(encoding="utf-8")
    text = _SECTION.sub(lambda match: match[2] if values[match[1]] else match[3] or "", text)
    return _PLACEHOLDER.sub(lambda match: values[match[1]], text).encode()


def c_array(values: Values) -> Files:
    """Plain sources in one folder, `main.cc` among them: for a build of one's own."""
    return {**_core(values), "main.cc": _example(values, _MAIN)}


def cmake(values: Values) -> Files:
    """A CMake project: a library, and an example where a TFLM library is given."""
    return {
        **_below("src", _core(values)),
        "CMakeLists.txt": fill("cmake", values | {"SOURCES": _source_list("src", values)}),
        "example/main.cc": _example(values, _MAIN),
    }


def arduino(values: Values) -> Files:
    """An Arduino library (1.5 format)."""
    sketch = values["EXAMPLE"].capitalize()
    return {
        **_below("src", _core(values)),
        "library.properties": fill("library.properties", values),
        "keywords.txt": fill("keywords.txt", values),
        f"examples/{sketch}/{sketch}.ino": fill("example.ino", values),
        "LICENSE": license_text(),
    }


def platformio(values: Values) -> Files:
    """A PlatformIO library."""
    example = f"examples/{values['EXAMPLE']}"
    return {
        **_below("src", _core(values)),
        "library.json": fill("library.json", values),
        f"{example}/platformio.ini": fill("platformio.ini", values),
        f"{example}/src/main.cpp": _example(values, _ARDUINO_MAIN),
        "LICENSE": license_text(),
    }


def esp_idf(values: Values) -> Files:
    """An ESP-IDF component; the name of its folder is the component's."""
    example = f"examples/{values['EXAMPLE']}"
    return {
        **_below("src", _core(values)),
        "CMakeLists.txt": fill("idf_cmake", values | {"SOURCES": _source_list("src", values)}),
        "idf_component.yml": fill("idf_component.yml", values),
        f"{example}/CMakeLists.txt": fill("idf_example_cmake", values),
        f"{example}/main/CMakeLists.txt": fill("idf_main_cmake", values),
        f"{example}/main/main.cc": _example(values, _IDF_MAIN),
        "LICENSE": license_text(),
    }


def zephyr(values: Values) -> Files:
    """A Zephyr module."""
    kind = "TRAINABLE_MODEL" if values[TRAINS] else "MODEL"
    values = values | {"KCONFIG": f"{values['NAME'].upper()}_{kind}"}
    sample = f"samples/{values['EXAMPLE']}"
    return {
        **_below("src", _core(values)),
        "zephyr/module.yml": fill("zephyr_module.yml", values),
        "zephyr/Kconfig": fill("zephyr_kconfig", values),
        "zephyr/CMakeLists.txt": fill(
            "zephyr_cmake", values | {"SOURCES": _source_list("../src", values)}
        ),
        f"{sample}/CMakeLists.txt": fill("zephyr_sample_cmake", values),
        f"{sample}/prj.conf": fill("zephyr_prj.conf", values),
        f"{sample}/sample.yaml": fill("zephyr_sample.yaml", values),
        f"{sample}/src/main.cc": _example(values, _MAIN),
        "LICENSE": license_text(),
    }


@dataclass(frozen=True)
class Layout:
    """A format of export.

    Attributes:
      make: Gives its files, but for the README.
      add: How to add the folder to a build; Markdown.
    """

    make: Callable[[Values], Files]
    add: str

    def files(self, values: Values) -> Files:
        """All files of a project."""
        files = self.make(values)
        example = next(p for p in files if re.search(r"(main\.(cc|cpp)|\.ino)$", p))
        header = next(p for p in files if p.endswith(f"{values['NAME']}.h"))
        said = "" if values[ALL_KERNELS] else ", those that this model needs"
        about = values | {
            "ADD": self.add.replace("EXAMPLE", values["EXAMPLE"]).replace("NAME", values["NAME"]),
            "EXAMPLE_FILE": example,
            "FOLDER": header.removesuffix(f"{values['NAME']}.h"),
            "KERNELS_SAID": said,
        }
        return {"README.md": fill("readme.md", about), **files}


LAYOUTS = {
    "arduino": Layout(
        arduino,
        "Put this folder into the sketchbook's `libraries/`, a TFLM library beside it (Library "
        "Manager: Chirale_TensorFlowLite). The example is in the IDE's menu File, Examples, NAME.",
    ),
    "cmake": Layout(
        cmake,
        "```cmake\nadd_subdirectory(path/to/this/folder)\n"
        "target_link_libraries(your_firmware PRIVATE NAME)\n```\n\n"
        'and configure with `-DTFLM_INCLUDE="/path/tflite-micro;/path/flatbuffers/include;..."`.',
    ),
    "platformio": Layout(
        platformio,
        "Put this folder into your project's `lib/`, or name it (`lib_deps = "
        "symlink:///path/to/folder`), and TFLM beside it. In `platformio.ini`, for all sources "
        "(flags of a library are for its own alone):\n\n```ini\n"
        "build_unflags = -std=gnu++11 -std=gnu++14\n"
        "build_flags = -std=gnu++17 -DTF_LITE_STATIC_MEMORY\n```",
    ),
    "esp-idf": Layout(
        esp_idf,
        "Put this folder into your project's `components/` and name it in `REQUIRES`; TFLM "
        "(`espressif/esp-tflite-micro`) comes from the registry.",
    ),
    "zephyr": Layout(
        zephyr,
        "Build with `-DEXTRA_ZEPHYR_MODULES=/path/to/this/folder`, and in `prj.conf` set "
        "`CONFIG_TENSORFLOW_LITE_MICRO=y`. See `samples/EXAMPLE`.",
    ),
    "c-array": Layout(
        c_array,
        "Compile all `.cc` files but `main.cc`, with this folder and TFLM's headers on the include "
        "path.",
    ),
}


def _core(values: Values) -> Files:
    """The model, what belongs to it, and the kernels."""
    name = values["NAME"]
    files = {
        f"{name}.h": fill("interface.h", values),
        f"{name}_model.h": fill("model.h", values),
        f"{name}_model.cc": fill("model.cc", values),
        f"{name}_ops.h": fill("ops.h", values),
    }
    if values[TRAINS]:
        files[f"{name}_training.h"] = fill("training.h", values)
    kind = values[KIND]
    if kind:
        files[f"{name}_front_end.h"] = fill("front_end.h", values)
        files[f"{name}_front_end.cc"] = fill(f"{kind}_front_end.cc", values)
    kernels = kernel_sources(kind)
    if not values[ALL_KERNELS]:
        users = [*files.values(), _example(values, "")]
        kernels = needed_kernels(kernels, users, keeps_states=bool(values[TRAINS]))
    return files | kernels | {"tflm_kernels/LICENSE": license_text()}


def _example(values: Values, entry: str) -> bytes:
    return fill("example.cc", values | {"ENTRY": entry})


def _below(folder: str, files: Files) -> Files:
    return {f"{folder}/{path}": data for path, data in files.items()}


def _source_list(folder: str, values: Values) -> str:
    paths = [path for path in _core(values) if path.endswith(".cc")]
    return "\n".join(f"  {folder}/{path}" for path in sorted(paths))
