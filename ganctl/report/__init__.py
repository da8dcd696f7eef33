"""A self-contained HTML file about one run, or several side by side."""

from ganctl.report.page import MAX_BYTES, MAX_RUNS, render
from ganctl.report.runs import Run, read

__all__ = ["MAX_BYTES", "MAX_RUNS", "Run", "read", "render"]
