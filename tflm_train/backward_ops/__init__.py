"""Gradients of TFLite operators: one file per operator, over `numerics` and `geometry`."""
