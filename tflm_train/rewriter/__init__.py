"""The compiler: an int8 model and a scheme in, a model that also trains out."""

from tflm_train.rewriter.rewrite import RewriteResult, rewrite

__all__ = ["RewriteResult", "rewrite"]
