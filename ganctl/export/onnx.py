"""Generators as ONNX models, through the extra `onnx`."""

from __future__ import annotations

import warnings

import torch

from ganctl.errors import PackageError, UsageError
from ganctl.export.source import OUTPUT, Source
from ganctl.text import in_bytes

_MAX_BYTES = 2**31 - 2**20
"""Maximum size of the weights: a protobuf message cannot exceed 2 GiB."""


def encode(source: Source) -> bytes:
    """Return the content of an `.onnx` file, for any batch size.

    Raises PackageError without the extra, and UsageError if the weights do not fit.
    """
    try:
        import onnx
        import onnxscript  # noqa: F401
    except ImportError as error:
        instead = "Or export a .pt2, which needs no extra."
        missing = error.name or "onnx"
        raise PackageError.missing("an .onnx", missing, "onnx", instead) from None
    if source.num_bytes > _MAX_BYTES:
        raise UsageError(
            f"the weights take {in_bytes(source.num_bytes)}, more than an .onnx can hold (2 GiB)",
            "Export a .pt2 instead.",
        )
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # both inputs share the axis N, as they should
        program = torch.onnx.export(
            source.module(), source.example(), dynamo=True, verbose=False,
            input_names=list(source.inputs), output_names=[OUTPUT],
            dynamic_shapes=tuple({0: "N"} for _ in source.inputs),
        )  # fmt: skip
    assert program is not None
    model = program.model_proto
    model.producer_name, model.producer_version = "ganctl", source.origin["ganctl"]
    for node in model.graph.node:  # the paths and lines of this program
        del node.metadata_props[:]
    onnx.helper.set_model_props(model, source.metadata)
    onnx.checker.check_model(model)
    content: bytes = model.SerializeToString()
    return content
