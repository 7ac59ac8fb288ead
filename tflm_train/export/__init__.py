"""Firmware projects from a rewritten model: the model, its op resolver, a trainer, kernels."""

from tflm_train.export.project import FORMATS, TFLM_HEADER, Project, export_project

__all__ = ["FORMATS", "TFLM_HEADER", "Project", "export_project"]
