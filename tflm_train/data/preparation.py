"""How raw data become a model's input, as a model file carries it from command to command.

It is a metadata entry of ours, in JSON. Where a model has none, the normalization of TFLite
Metadata (`NormalizationOptions`) counts.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from tflm_train.data.front_end import FrontEnd
from tflm_train.data.normalization import Normalization
from tflm_train.errors import ModelError, TflmTrainError
from tflm_train.model import Model
from tflm_train.model.metadata import normalization_options
from tflm_train.records import parse_json

METADATA_NAME = "tflm_train.preparation"


@dataclass(frozen=True)
class Preparation:
    """What a model was trained on.

    Attributes:
        front_end: What makes its input of recordings; None where it takes none.
        normalization: By what samples are brought to it; None where they are that already, and
            where pictures follow the rule that the input's range tells.
    """

    front_end: FrontEnd | None = None
    normalization: Normalization | None = None

    @staticmethod
    def of(model: Model) -> Preparation:
        """What a model says of itself.

        Raises:
            ModelError: its entry cannot be read.
        """
        data = model.metadata(METADATA_NAME)
        if data is None:
            options = normalization_options(model, 0)
            return Preparation(None, None if options is None else Normalization(*options))
        try:
            return Preparation.from_dict(parse_json(data))
        except (ValueError, TypeError, KeyError, AttributeError, TflmTrainError) as error:
            raise ModelError(
                f"{model.name}: its metadata {METADATA_NAME} is damaged ({error}); make the model "
                "anew"
            ) from error

    @staticmethod
    def from_dict(found: dict[str, Any]) -> Preparation:
        """The inverse of `to_dict`."""
        front_end, norm = (found.get(key) for key in ("front_end", "normalization"))
        return Preparation(
            # JSON is YAML.
            None if front_end is None else FrontEnd.parse(json.dumps(front_end), "front end"),
            None if norm is None else Normalization(tuple(norm["mean"]), tuple(norm["std"])),
        )

    def noted_in(self, model: Model) -> Model:
        """A model that says it, besides what it says already; itself where nothing is new."""
        known = Preparation.of(model)
        whole = self.or_else(known)
        if whole == known:
            return model
        noted = Model(model.source, model.name)
        noted.set_metadata(METADATA_NAME, json.dumps(whole.to_dict()).encode())
        made = Model(noted.to_bytes(), model.name)
        made.notes = model.notes
        return made

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        found: dict[str, Any] = {}
        if self.front_end is not None:
            found["front_end"] = self.front_end.to_dict()
        if self.normalization is not None:
            found["normalization"] = asdict(self.normalization)
        return found

    def said(self) -> list[str]:
        """For people, a line each."""
        lines = []
        if self.front_end is not None:
            lines.append(f"recordings become its input by: {self.front_end.said()}")
        if self.normalization is not None:
            mean, std = (
                ", ".join(f"{value:g}" for value in values)
                for values in (self.normalization.mean, self.normalization.std)
            )
            lines.append(f"samples become its input by: mean {mean}; std {std}")
        return lines

    def or_else(self, other: Preparation) -> Preparation:
        """This, and what the other says where this says nothing."""
        return Preparation(
            self.front_end or other.front_end, self.normalization or other.normalization
        )
