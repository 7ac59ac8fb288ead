"""The one exception hierarchy: everything a user can cause derives from `TflmTrainError`."""


class TflmTrainError(Exception):
    """Base of all errors with a one-line message meant for the user."""


class ModelError(TflmTrainError):
    """The file is not a readable .tflite, or breaks a rule of the format."""


class SchemeError(TflmTrainError):
    """The scheme is malformed or does not fit the model."""


class UnsupportedError(TflmTrainError):
    """The model is valid, but something the scheme asks for cannot be trained."""


class BudgetError(TflmTrainError):
    """The arena of a rewritten model is larger than the target has."""


class DataError(TflmTrainError):
    """A data set, label or input array does not fit the model."""


class RuntimeFailure(TflmTrainError):
    """The TFLM interpreter or the host kernel library refused to go on."""
