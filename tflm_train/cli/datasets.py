"""The arguments that say what data there are, and reading them."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

from tflm_train.cli import tables
from tflm_train.cli.command import Parser
from tflm_train.data import Dataset, Normalization, Reading, load_class_names, load_dataset
from tflm_train.data.front_end import find_front_end
from tflm_train.data.load import TEST_SHARE
from tflm_train.data.npz import MOST_BYTES
from tflm_train.data.preparation import Preparation
from tflm_train.data.tables import OF_FILE, TableOptions
from tflm_train.errors import DataError, SchemeError
from tflm_train.files import read_text
from tflm_train.model import Model
from tflm_train.rewriter.budget import parse_bytes

DATA_HELP = (
    "an .npz file with x_train, y_train, x_test, y_test, a folder of pictures, recordings or "
    "tables by class, or a table (.csv, .parquet); docs/DATA.md describes each"
)


def add_data(parser: Parser, what: str = DATA_HELP, required: bool = True) -> None:
    """Adds --data and what says how data are read, for `read_data`."""
    parser.add_argument("--data", required=required, help=what)
    group = parser.add_argument_group("how data are read (docs/DATA.md)")
    group.add_argument(
        "--max-data",
        default=MOST_BYTES,
        type=_size,
        metavar="SIZE",
        help=f"refuse arrays that take more memory (default: {MOST_BYTES >> 30}GB)",
    )
    group.add_argument(
        "--features",
        metavar="NAME",
        help="what makes features of recordings: a name that `features list` shows, or a file "
        "(default: what the model says)",
    )
    group.add_argument(
        "--mean",
        metavar="X,...",
        type=_numbers,
        help="what the model was trained on: it takes (value - mean) / std, of each channel or one "
        "for all; of pictures in pixels, 0 to 255 (default: what the model says)",
    )
    group.add_argument("--std", metavar="X,...", type=_numbers, help="likewise")
    _add_table(group)
    group.add_argument(
        "--test-share",
        type=float,
        default=TEST_SHARE,
        metavar="X",
        help=f"of data in one part, the share to test with (default: {TEST_SHARE:g})",
    )


def add_names(parser: Parser) -> None:
    """Adds --class-names and --data, for `read_names`."""
    parser.add_argument(
        "--class-names",
        metavar="A,B,...",
        help="names of the classes, or a file with one to a line (default: those of --data, else "
        "the labels in the model file, else numbers)",
    )
    parser.add_argument(
        "--data",
        help="what the model was trained on (docs/DATA.md), for the names of the classes alone: "
        "`class_names` of an .npz file, the folders, or the labels of a table",
    )
    _add_table(parser.add_argument_group("how tables of --data are read"))


def read_names(arguments: argparse.Namespace) -> tuple[str, ...] | None:
    """What --class-names and --data say; None where there is neither.

    Raises:
      TflmTrainError: They say nothing, or not one name for each class.
    """
    text, data = arguments.class_names, arguments.data
    if text is not None and data is not None:
        raise DataError("--class-names and --data both name the classes: leave out one of them")
    if data is not None:
        found = load_class_names(data, Reading(table=_table_options(arguments)))
        if not found:
            raise DataError(f"{data}: nothing in it names the classes; use --class-names A,B,...")
        return found
    if text is None:
        return None
    is_file = Path(text).is_file()
    if not is_file and "," not in text:
        raise DataError(f"--class-names {text!r}: no such file, and no names with commas")
    lines = read_text(Path(text)).rstrip().splitlines() if is_file else text.split(",")
    names = tuple(line.strip() for line in lines)
    if "" in names or len(set(names)) != len(names):
        how = "one to a line" if is_file else "with commas"
        raise DataError(f"--class-names {text!r}: give different names, {how}")
    return names


def _add_table(group: argparse._ArgumentGroup) -> None:
    """Adds what says how tables are read, for `_table_options`."""
    group.add_argument(
        "--columns",
        metavar="A,B,...",
        type=_names,
        help="of tables: those that are the sample (default: all but those of the other options)",
    )
    group.add_argument("--window", metavar="ROWS", type=int, help="of tables: rows of a sample")
    group.add_argument(
        "--stride",
        metavar="N",
        type=float,
        help="from one sample to the next: of tables in rows (default: the window), of recordings "
        "in ms (default: each gives one sample)",
    )
    group.add_argument("--label", metavar="COLUMN", help="of tables: the class")
    group.add_argument(
        "--target",
        metavar="A,B,...",
        type=_names,
        help="of tables: numbers to be predicted, those of a window's last row",
    )
    group.add_argument(
        "--group",
        metavar="COLUMN",
        help="what must not be divided between training and test (a person, a device): a column "
        f"of tables or the word {OF_FILE!r}; of files a regular expression that finds it in the "
        "path",
    )


def read_data(arguments: argparse.Namespace, model: Model) -> Dataset:
    """The data set that --data names, for a model.

    Args:
      arguments: Of the command line.
      model: Says how it wants its data, where the arguments do not.

    Raises:
      DataError: It cannot be read, or is larger than --max-data.
    """
    preparation = preparation_of(arguments).or_else(Preparation.of(model))
    table, stride = _table_options(arguments), arguments.stride
    if stride is not None and not stride > 0:
        raise DataError(f"--stride {stride:g} must be above 0")
    reading = Reading(
        test_share=arguments.test_share,
        most_bytes=arguments.max_data,
        front_end=preparation.front_end,
        table=table,
        stride_ms=stride,
        group=arguments.group,
    )
    dataset = load_dataset(arguments.data, reading)
    for note in () if arguments.json else dataset.notes:
        tables.error_console().print(f"note: {note}", soft_wrap=True)
    return dataclasses.replace(dataset, normalization=preparation.normalization)


def _table_options(arguments: argparse.Namespace) -> TableOptions | None:
    """What becomes a sample of a table; None where nothing is said."""
    if arguments.window is None:
        return None
    stride = arguments.stride
    if stride is not None and stride != int(stride):
        raise DataError(f"--stride {stride:g}: of tables a whole number of rows")
    return TableOptions(
        arguments.window,
        arguments.columns or (),
        None if stride is None else int(stride),
        arguments.label,
        arguments.target or (),
        arguments.group,
    )


def preparation_of(arguments: argparse.Namespace) -> Preparation:
    """What --features, --mean and --std say.

    Raises:
      TflmTrainError: One of them is wrong, or half is missing.
    """
    if (arguments.mean is None) != (arguments.std is None):
        raise DataError("--mean and --std belong together: give both")
    return Preparation(
        None if arguments.features is None else find_front_end(arguments.features),
        None if arguments.mean is None else Normalization(arguments.mean, arguments.std),
    )


def _size(text: str) -> int:
    try:
        return parse_bytes(text)
    except SchemeError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(","))


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(number) for number in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no number, nor several with commas between them"
        ) from None
