"""The names of the classes in firmware: every name as it is, and which of them the example says."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests import requirements
from tests.export.builds import ARDUINO, FIRMWARE, as_cpp, check_syntax, run
from tests.loss_models import loss_model
from tflm_train.errors import DataError
from tflm_train.export import export_project
from tflm_train.model import Model
from tflm_train.rewriter import rewrite
from tflm_train.scheme import Loss, Scheme

ODD = [
    'a "quote"', "back\\slash", "\\n is two characters", "a\nline", "tab\t7", "naïve7", "ключ",
    "猫", "??/ ??=", "100 %s",
]  # fmt: skip
_SHOW = """\
#include <cstdio>
#include <cstring>
#include "d_model.h"
int main() {
  for (const char* name : d::kClassNames) std::fwrite(name, std::strlen(name) + 1, 1, stdout);
}
"""


def names_in(model: Model, names: Sequence[str] | None = None) -> list[str] | None:
    """What the table holds; None where there is none."""
    files = export_project(model, "c-array", name="d", class_names=names).files
    found = re.search(r"kClassNames\[\] = \{(.*)\};", files["d_model.h"].decode())
    return None if found is None else re.findall(r'"((?:[^"\\]|\\.)*)"', found[1])


def example_in(model: Model, format: str = "c-array", names: Sequence[str] | None = None) -> str:
    files = export_project(model, format, name="d", class_names=names).files
    (path,) = [path for path in files if re.search(r"(main\.cc|\.ino)$", path)]
    return files[path].decode()


@pytest.mark.parametrize("model", ["digits_train", "digits_optimized"])
def test_every_name_comes_through_the_compiler(
    model: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    requirements.programs("c++")
    project = export_project(request.getfixturevalue(model), "c-array", name="d", class_names=ODD)
    assert project.class_names == tuple(ODD)
    project.write(tmp_path)
    (tmp_path / "show.cc").write_text(_SHOW)
    run("c++", "-std=c++14", *FIRMWARE, tmp_path / "show.cc", "-o", tmp_path / "show")
    shown = subprocess.run([tmp_path / "show"], capture_output=True, check=True).stdout
    assert shown.decode().split("\0") == [*ODD, ""]


def test_a_name_without_bytes_is_no_internal_error(digits_train: Model) -> None:
    names = ["\ud800", "nul\0", *"12345678"]
    assert (names_in(digits_train, names) or [])[:2] == ["\\?", "nul\\000"]


def test_a_model_that_trains_has_numbers_for_names(
    digits_train: Model, digits_optimized: Model
) -> None:
    assert names_in(digits_train) == list("0123456789")
    assert 'MicroPrintf("inference: %s", d::kClassNames[best]);' in example_in(digits_train)
    assert names_in(digits_optimized) is None
    files = export_project(digits_optimized, "cmake", name="d").files
    assert b"names" not in files["README.md"] and b"kClassNames" not in files["README.md"]
    assert 'MicroPrintf("largest output: %d", best);' in example_in(digits_optimized)


@pytest.mark.parametrize("model", ["digits_train", "digits_optimized"])
def test_the_examples_say_the_name(model: str, request: pytest.FixtureRequest) -> None:
    named = request.getfixturevalue(model)
    names = list("abcdefghij")
    assert "d::kClassNames[best]" in example_in(named, "c-array", names)
    assert "Serial.println(d::kClassNames[best]);" in example_in(named, "arduino", names)
    files = export_project(named, "cmake", name="d", class_names=names).files
    readme = files["README.md"].decode()
    assert "the names of the classes" in readme and "name is d::kClassNames[best]" in readme


def test_another_number_of_names_is_refused(digits_train: Model) -> None:
    words = r"2 class names \(yes, no\), but digits_train\.tflite has 10 classes"
    with pytest.raises(DataError, match=words):
        export_project(digits_train, "c-array", class_names=["yes", "no"])
    values = Model(loss_model("regression"), "values.tflite")
    scheme = Scheme(loss=Loss("mean_squared_error"), biases_last=1)
    values = Model(rewrite(values, scheme).model_bytes, "values.tflite")
    with pytest.raises(DataError, match=r"values\.tflite: its output has no classes to name"):
        export_project(values, "c-array", class_names=["a", "b", "c"])


@pytest.mark.parametrize("trains", [True, False], ids=["trains", "infers"])
def test_yes_and_no_have_two_names(trains: bool, tmp_path: Path) -> None:
    """Their only output is above even odds or not: its largest element says nothing."""
    model = Model(loss_model("detector"), "m.tflite")
    if trains:
        scheme = Scheme(loss=Loss("sigmoid_cross_entropy"), biases_last=1)
        model = Model(rewrite(model, scheme).model_bytes, "m.tflite")
    assert names_in(model) == (["0", "1"] if trains else None)
    assert names_in(model, ["no", "yes"]) == ["no", "yes"]
    with pytest.raises(DataError, match="has 2 classes"):
        export_project(model, "c-array", class_names=["yes"])
    export_project(model, "arduino", name="d", class_names=["no", "yes"]).write(tmp_path)
    assert "> 0.5f ? 1 : 0;" in (tmp_path / "src/d.h").read_text()
    (source,) = tmp_path.rglob("*.ino")
    sketch = as_cpp(source, tmp_path / "sketch.cpp")
    check_syntax([sketch], "-std=gnu++17", f"-I{tmp_path / 'src'}", f"-I{ARDUINO}")
