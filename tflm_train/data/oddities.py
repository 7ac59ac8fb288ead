"""What is odd about a data set: a sentence each, with what to do about it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from tflm_train.data.dataset import TEST, TRAIN, Dataset, Part, Samples
from tflm_train.data.labels import class_indices
from tflm_train.data.pictures import ImageFiles

_UNBALANCED = 5.0
"""Times as many samples of one class as of another are worth a sentence."""
_NAMED = 5
_CONSTANT_SHARE = 0.01
_MOST_CLASSES = 1 << 16
"""No label beyond is the index of a class: to count so many would take all memory there is."""


def oddities(dataset: Dataset, classes: int = 0) -> list[str]:
    """What people should know before they train.

    Args:
        dataset: what is used of their data.
        classes: how many the model tells apart; 0 where it does not, or where that is not known.
    """
    found = []
    labels = class_indices(dataset.y_train) if dataset.y_train.size else None
    is_labelled = labels is not None and (dataset.y_train.dtype == np.int64 or classes > 1)
    if labels is not None and is_labelled:
        found += _classes(dataset, labels, max(classes, len(dataset.class_names)))
    return [*found, *_in_both(dataset), *_constant(dataset)]


def _classes(dataset: Dataset, labels: npt.NDArray[np.int64], classes: int) -> list[str]:
    if labels.max() >= max(classes, _MOST_CLASSES):
        return []  # Training refuses it, and says what the model has.
    counts = np.bincount(labels, minlength=classes)
    there = np.flatnonzero(counts)
    if len(there) == 1:
        return [
            f"all {len(labels)} training samples are of class {_name(dataset, there[0])}: the "
            "model will learn to give that answer always; add samples of the other classes"
        ]
    found = []
    absent = [_name(dataset, label) for label in np.flatnonzero(counts == 0)]
    if absent:
        found.append(
            f"no training sample is of class {_listed(absent)}: the model unlearns it; add samples,"
            " or train a head for the classes that there are (`rewrite --classes`)"
        )
    rare, common = there[counts[there].argmin()], there[counts[there].argmax()]
    if counts[common] > _UNBALANCED * counts[rare]:
        weights = np.where(counts > 0, len(labels) / np.maximum(1, len(there) * counts), 0.0)
        told = f"[{', '.join(f'{weight:.3g}' for weight in weights)}]"
        found.append(
            f"class {_name(dataset, rare)} has {counts[rare]} of {len(labels)} training samples, "
            f"class {_name(dataset, common)} {counts[common]}: the model will prefer that one; a "
            f"scheme can weigh them, `loss: {{name: softmax_cross_entropy, class_weights: {told}}}`"
        )
    return found


def _in_both(dataset: Dataset) -> list[str]:
    """Samples, or groups, of the test part that are in another part as well."""
    found = []
    of_test = _digests(dataset.test)
    for name, part in dataset.parts():
        if name == TEST:
            continue
        digests = {digest: place for place, digest in enumerate(_digests(part))}
        pairs = [
            (place, digests[digest]) for place, digest in enumerate(of_test) if digest in digests
        ]
        if pairs:
            first, other = pairs[0]
            found.append(
                f"{len(pairs)} of {len(dataset.test)} test samples are in {name} too (the first: "
                f"{_place(dataset.test, TEST, first)} is {_place(part, name, other)}): the score "
                "is better than it will be on new samples; take them out of one part"
            )
        if part.groups is not None and dataset.group_test is not None:
            both = sorted({*map(str, part.groups)} & {*map(str, dataset.group_test)})
            if both:
                found.append(
                    f"group {_listed(both)} is in {name} and in test: the score is better than it "
                    "will be on new ones; put each into one part"
                )
    return found


def _constant(dataset: Dataset) -> list[str]:
    x = dataset.x_train
    if not isinstance(x, np.ndarray):
        return []
    flat = x.reshape(len(x), -1)
    blank = np.flatnonzero((flat == flat[:, :1]).all(axis=1)) if flat.shape[1] > 1 else np.empty(0)
    found = []
    if len(blank) > _CONSTANT_SHARE * len(x):
        found.append(
            f"{len(blank)} of {len(x)} training samples have the same value everywhere (the first: "
            f"{_place(dataset.train, TRAIN, int(blank[0]))}): blank pictures or silence; "
            "take them out, unless that is a class"
        )
    channels = x.reshape(-1, x.shape[-1])
    fixed = np.flatnonzero((channels == channels[0]).all(axis=0)) if x.ndim > 2 else np.empty(0)
    if 0 < len(fixed) < x.shape[-1]:
        found.append(
            f"channel {_listed([str(channel) for channel in fixed])} (of {x.shape[-1]}) never "
            "changes: a sensor that is not connected, or a column that says nothing"
        )
    return found


def _digests(part: Part) -> list[bytes]:
    return [hashlib.blake2b(content, digest_size=16).digest() for content in _contents(part.x)]


def _contents(x: Samples) -> Iterator[bytes]:
    """What the samples are, one at a time: files may be larger than all else."""
    if isinstance(x, ImageFiles):
        return (path.read_bytes() for path in x.paths)
    return (np.ascontiguousarray(sample).tobytes() for sample in x)


def _place(part: Part, name: str, index: int) -> str:
    return f"x_{name}[{index}]" if part.files is None else str(part.files[index])


def _name(dataset: Dataset, label: np.int64) -> str:
    names = dataset.class_names
    return names[label] if label < len(names) else str(label)


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
