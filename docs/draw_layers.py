"""Draw docs/images/layers.svg from the import contract: python docs/draw_layers.py [OUT].

CI compares.
"""

from __future__ import annotations

import sys
import tomllib
from html import escape
from pathlib import Path

_ROOT = Path(__file__).parents[1]
_WIDTH, _MARGIN, _LINE, _CHARACTER = 900, 12, 22, 7.3
"""Pixels: of the picture, around it, from line to line, per character."""


def layers() -> list[list[str]]:
    """Return the modules of each layer of the import contract, from the top down."""
    settings = tomllib.loads((_ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]
    (contract,) = (
        each for each in settings["contracts"] if each["name"] == "Imports point down only"
    )
    return [
        sorted(name.strip().removeprefix("ganctl.") for name in layer.split("|"))
        for layer in contract["layers"]
    ]


def svg(layers: list[list[str]]) -> str:
    """Return a picture with one box per layer. Modules side by side do not import one another."""
    parts, top = [], _MARGIN
    for names in layers:
        lines = _wrapped(names)
        height = _LINE * len(lines) + 8
        parts.append(
            f'<rect x="{_MARGIN}" y="{top}" width="{_WIDTH - 2 * _MARGIN}" height="{height}" '
            'rx="5" fill="#e8eaf6" stroke="#5c6bc0"/>'
        )
        for i, line in enumerate(lines):
            y = top + _LINE * (i + 1) - 2
            parts.append(
                f'<text x="{_WIDTH // 2}" y="{y}" text-anchor="middle">{escape(line)}</text>'
            )
        top += height + 8
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {top + 4}" '
        'font-family="monospace" font-size="12" fill="#1a1a1a" role="img">\n'
        "<title>The layers of ganctl: each imports only from layers below it</title>\n"
        f'<rect width="{_WIDTH}" height="{top + 4}" fill="#ffffff"/>\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def _wrapped(names: list[str]) -> list[str]:
    lines = [""]
    for name in names:
        longer = f"{lines[-1]} · {name}" if lines[-1] else name
        if len(longer) * _CHARACTER > _WIDTH - 4 * _MARGIN:
            lines.append(name)
        else:
            lines[-1] = longer
    return lines


if __name__ == "__main__":
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else _ROOT / "docs/images/layers.svg"
    out.write_text(svg(layers()), "utf-8")
