"""The lock files pin what pyproject.toml asks for, at both ends of its ranges."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.requirements import ROOT
from tools import environment


def pins(lock: Path) -> dict[str, list[str]]:
    """The versions of each package: several where they differ by platform."""
    found: dict[str, list[str]] = {}
    for line in lock.read_text().splitlines():
        if not line.startswith("#"):
            pin = Requirement(line)
            (specifier,) = pin.specifier
            assert specifier.operator == "=="
            found.setdefault(canonicalize_name(pin.name), []).append(specifier.version)
    return found


def asked(*extras: str) -> Iterator[Requirement]:
    """What pyproject.toml asks for, without the package itself."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    texts = list(project["dependencies"])
    for extra in extras or project["optional-dependencies"]:
        texts += project["optional-dependencies"][extra]
    return (r for text in texts if (r := Requirement(text)).name != "tflm_train")


@pytest.mark.parametrize("lock", [environment.LOCK, environment.OLDEST_LOCK])
def test_everything_is_pinned(lock: Path) -> None:
    extras = () if lock == environment.LOCK else ("demo", "interpreter-test")
    versions = pins(lock)
    for wanted in asked(*extras):
        for version in versions[canonicalize_name(wanted.name)]:
            assert wanted.specifier.contains(version, prereleases=True), wanted.name


def test_the_oldest_are_the_oldest() -> None:
    versions = pins(environment.OLDEST_LOCK)
    for wanted in asked("demo", "interpreter-test"):
        (lowest,) = (s.version for s in wanted.specifier if s.operator == ">=")
        for version in versions[canonicalize_name(wanted.name)]:
            assert version == lowest or version.startswith(f"{lowest}."), wanted.name


def test_the_newest_tflm_is_tested() -> None:
    (tflm,) = (r for r in asked() if r.name == "tflite-micro")
    (highest,) = (s.version for s in tflm.specifier if s.operator == "<=")
    assert pins(environment.LOCK)["tflite-micro"] == [highest]
