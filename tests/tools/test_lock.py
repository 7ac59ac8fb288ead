"""requirements.lock pins what pyproject.toml asks for."""

from __future__ import annotations

import tomllib

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.requirements import ROOT
from tools import environment


def project() -> dict[str, list[str]]:
    table = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return {"": table["dependencies"], **table["optional-dependencies"]}


def test_everything_is_pinned() -> None:
    pins: dict[str, list[str]] = {}
    for line in environment.LOCK.read_text().splitlines():
        if not line.startswith("#"):
            pin = Requirement(line)
            (specifier,) = pin.specifier
            assert specifier.operator == "=="
            pins.setdefault(canonicalize_name(pin.name), []).append(specifier.version)
    asked = [Requirement(text) for texts in project().values() for text in texts]
    for wanted in asked:
        if canonicalize_name(wanted.name) != "tflm-train":
            for version in pins[canonicalize_name(wanted.name)]:
                assert wanted.specifier.contains(version, prereleases=True), wanted.name


def test_both_ends_of_tflm_s_range_are_tested() -> None:
    """The oldest in its own environment, the newest as the lock's."""
    (tflm,) = (Requirement(r) for r in project()[""] if r.startswith("tflite-micro"))
    ends = {s.operator: s.version for s in tflm.specifier if s.operator != "!="}
    assert ends.keys() == {">=", "<="}
    assert environment.first_tflm(project()[""]) == ends[">="]
    assert f"tflite-micro=={ends['<=']} " in environment.LOCK.read_text()
