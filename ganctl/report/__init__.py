"""A run, or several beside one another, as one HTML file that asks for nothing else."""

from ganctl.report.page import MAX_BYTES, MAX_RUNS, render
from ganctl.report.runs import Run, find

__all__ = ["MAX_BYTES", "MAX_RUNS", "Run", "find", "render"]
