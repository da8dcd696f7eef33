"""Both networks layer by layer, as plain values."""

from __future__ import annotations

from typing import Any

from ganctl.config.schema import NetworkConfig
from ganctl.networks.summary import summarize


def describe_networks(config: NetworkConfig) -> dict[str, Any]:
    """Return the layers of both networks of `config`, with parameters counted as Keras does."""
    return {
        name: {
            "layers": [
                {"name": layer.name, "kind": layer.kind, "output_shape": [*layer.output_shape],
                 "parameters": layer.parameters}
                for layer in layers
            ],
            "parameters": sum(layer.parameters for layer in layers),
            "trained": sum(layer.trained for layer in layers),
        }
        for name, layers in summarize(config).items()
    }  # fmt: skip
