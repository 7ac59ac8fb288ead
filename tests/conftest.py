"""What all tests share."""

import importlib.util
import os
from collections.abc import Callable
from pathlib import Path

import hypothesis
import pytest

from tests import requirements
from tests.models import converted_model
from tests.steps import DIGITS
from tflm_train.model import Model, load

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Nothing that a test computes goes to, or comes from, the user's cache.
os.environ["TFLM_TRAIN_CACHE"] = "none"
if importlib.util.find_spec("tensorflow") is None:
    # The environment of the older interpreter generation; these compare with TensorFlow.
    collect_ignore_glob = ["backward_ops/*", "qas/*"]

# `make test` takes this one: the same examples every time. Plain pytest looks for new ones.
hypothesis.settings.register_profile("repeatable", derandomize=True)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--require", action="append", default=[], choices=requirements.NAMES,
        help="fail, do not skip, where this is missing (tests/requirements.py)",
    )  # fmt: skip


def pytest_configure(config: pytest.Config) -> None:
    requirements.required.update(config.getoption("--require"))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of models and data that lies beside the repository."""
    return requirements.shared()


@pytest.fixture(scope="session")
def converted() -> Callable[[str], Model]:
    """Gives a fresh `Model` of one of the converter-made models (`tests.models`)."""
    return lambda name: Model(converted_model(name), name)


@pytest.fixture
def digits() -> Model:
    """The demonstration's model."""
    return load(DIGITS)
