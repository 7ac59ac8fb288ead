"""Firmware projects from a rewritten model: the model, its op resolver, a trainer, kernels."""

from tflm_train.export.project import FORMATS, Project, export_project

__all__ = ["FORMATS", "Project", "export_project"]
