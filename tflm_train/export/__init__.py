"""Firmware projects from a rewritten model: the model, its op resolver, a trainer, kernels."""

from tflm_train.export.project import FORMATS, LEARNING_RATE, TFLM_HEADER, Project, export_project

__all__ = ["FORMATS", "LEARNING_RATE", "TFLM_HEADER", "Project", "export_project"]
