"""What turns recordings into the input of a model."""

from tflm_train.data.front_end.spec import FrontEnd, find_front_end, library_names, library_text

__all__ = ["FrontEnd", "find_front_end", "library_names", "library_text"]
