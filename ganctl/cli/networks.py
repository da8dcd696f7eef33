"""Both networks layer by layer, as plain values and as tables."""

from __future__ import annotations

from typing import Any

from ganctl.cli.terminal import Terminal
from ganctl.config.schema import NetworkConfig


def describe_networks(config: NetworkConfig) -> dict[str, Any]:
    """The generator and the discriminator of `config`, a row a layer; counts as Keras counts."""
    from ganctl.networks import layer_tables

    report = {}
    for name, rows in layer_tables(config).items():
        report[name] = {
            "layers": [
                {
                    "name": row.name,
                    "kind": row.kind,
                    "output_shape": list(row.output_shape),
                    "parameters": row.parameters,
                }
                for row in rows
            ],
            "parameters": sum(row.parameters for row in rows),
            "trained": sum(row.trained for row in rows),
        }
    return report


def show_networks(report: dict[str, Any], terminal: Terminal, *, ema: bool = False) -> None:
    """What `describe_networks` gave, a table a network."""
    for name in ("generator", "discriminator"):
        network = report[name]
        kept = network["parameters"] - network["trained"]
        average = " (and a moving average of it)" if ema and name == "generator" else ""
        terminal.heading(
            f"{name}{average}: {network['parameters']:,} parameters"
            + (f", {kept:,} of them running statistics" if kept else "")
        )
        terminal.table(
            ("layer", "kind", "output shape", "parameters"),
            [
                (
                    layer["name"],
                    layer["kind"],
                    "x".join(map(str, layer["output_shape"])),
                    f"{layer['parameters']:,}",
                )
                for layer in network["layers"]
            ],
            left=3,
        )
