"""What all tests share."""

import importlib.util
import os
from collections.abc import Callable
from pathlib import Path

import hypothesis
import pytest

from tests.models import converted_model
from tests.steps import DIGITS
from tflm_train.model import Model, load

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
if importlib.util.find_spec("tensorflow") is None:
    # The environment of the older interpreter generation; these compare with TensorFlow.
    collect_ignore_glob = ["backward_ops/*", "qas/*"]

# `make test` takes this one: the same examples every time. Plain pytest looks for new ones.
hypothesis.settings.register_profile("repeatable", derandomize=True)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of models and data that lies beside the repository."""
    path = Path(__file__).resolve().parents[2] / "shared"
    if not path.is_dir():
        pytest.skip(f"needs the shared models and data in {path}")
    return path


@pytest.fixture(scope="session")
def converted() -> Callable[[str], Model]:
    """Gives a fresh `Model` of one of the converter-made models (`tests.models`)."""
    return lambda name: Model(converted_model(name), name)


@pytest.fixture
def digits() -> Model:
    """The demonstration's model."""
    return load(DIGITS)
