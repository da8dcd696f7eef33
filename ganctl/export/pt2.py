"""Generators as programs of torch.export, which torch runs without ganctl."""

from __future__ import annotations

import io
import json
import warnings

import torch

from ganctl.export.reading import PT2_MEMBER
from ganctl.export.source import Source


def program(source: Source) -> torch.export.ExportedProgram:
    """Return the generator as a program for any batch size."""
    batch = torch.export.Dim("N", min=1)
    example = source.example()
    shapes = tuple({0: batch} for _ in example)
    with torch.no_grad():
        found = torch.export.export(source.module(), example, dynamic_shapes=shapes)
    for node in found.graph.nodes:  # the paths and lines of this program
        node.meta.pop("stack_trace", None)
    return found


def encode(source: Source) -> bytes:
    """Return the content of a `.pt2` file, whose extra file `ganctl.json` holds the metadata."""
    buffer = io.BytesIO()
    text = json.dumps(source.metadata)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about weights that share storage on a GPU
        torch.export.save(program(source), buffer, extra_files={PT2_MEMBER: text})
    return buffer.getvalue()
