"""Makes int8 TensorFlow Lite Micro models trainable on microcontrollers.

import tflm_train as tt

model = tt.load("model.tflite")
result = tt.rewrite(model)  # the best preset for 256 KB; or give a tt.Scheme
interpreter = tt.Interpreter(result.model_bytes)
loss = interpreter.train_step(x_int8, label, learning_rate=1e-3)
updated = tt.merge(result.model_bytes, interpreter.state())  # for inference
"""

import sys

try:
    from tflm_train.data import Dataset, load_dataset
    from tflm_train.errors import TflmTrainError
    from tflm_train.model import Model, load
    from tflm_train.rewriter import RewriteResult
    from tflm_train.rewriter.asked import rewrite
    from tflm_train.runtime import Interpreter
    from tflm_train.scheme import Scheme
    from tflm_train.scheme.presets import preset_scheme
    from tflm_train.trained.merge import merge
except ModuleNotFoundError as error:
    # `python -m tflm_train...`, in a folder where nothing was installed, is read by people.
    if sys.argv[:1] == ["-m"]:
        sys.exit(f"tflm_train: {error}; install the packages: pip install '.[demo]'")
    raise

__all__ = [
    "Dataset",
    "Interpreter",
    "Model",
    "RewriteResult",
    "Scheme",
    "TflmTrainError",
    "load",
    "load_dataset",
    "merge",
    "preset_scheme",
    "rewrite",
]
