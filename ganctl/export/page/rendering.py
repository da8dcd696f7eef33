"""The page of a generator: everything in one HTML file, which makes no network requests."""

from __future__ import annotations

import base64
import gzip
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ganctl import latents, web_page
from ganctl.errors import UsageError
from ganctl.export.page.network import Step, steps_of
from ganctl.export.source import Source
from ganctl.steering.directions import principal
from ganctl.text import in_bytes

NUM_SEEDS = 1000
"""Number of seeds, from 0, whose latents are in a page."""
MAX_BYTES = 25_000_000
"""Maximum size of a page in bytes: as much as most mail servers accept."""
_NUM_DIRECTIONS = 8
_HERE = Path(__file__).parent


def encode(source: Source) -> bytes:
    """Return the content of an `.html` file that draws what the generator draws.

    Its weights are float16, its pictures at most two gray levels from those of `ganctl sample`.
    Raises UsageError for a generator too large for a page.
    """
    num_bytes = source.num_bytes // 2  # float16
    if num_bytes > MAX_BYTES:
        raise _too_large(num_bytes)
    points = _points(source)
    network = steps_of(source.generator)
    directions = principal(source.generator, source.network, "activations", _NUM_DIRECTIONS).vectors
    data = b"".join(each.tobytes() for each in (
        points.astype("<f4"), directions.astype("<f4"),
        np.concatenate(network.weights).astype("<f2"),
    ))  # fmt: skip
    style, png, script, library = (
        web_page.read(_HERE / name)
        for name in ("page.css", "png.js", "page.js", "vendor/tfjs.min.js")
    )
    content = web_page.render(
        _HERE / "template.html",
        style,
        {"png": png, "script": script, "library": library},
        images="data: blob:",
        has_wasm=True,
        provenance=source.provenance,
        values=_values(source, network.steps, len(directions)),
        wasm=base64.b64encode((_HERE / "vendor/tfjs-simd.wasm.gz").read_bytes()).decode(),
        data=base64.b64encode(gzip.compress(data, 9, mtime=0)).decode(),
    )
    if len(content) > MAX_BYTES:
        raise _too_large(len(content))
    return content


def _too_large(num_bytes: int) -> UsageError:
    return UsageError(
        f"the generator is too large for a page: {in_bytes(num_bytes)}, "
        f"and a page may have {in_bytes(MAX_BYTES)}",
        "Export an .onnx or a .pt2, or train a smaller generator.",
    )


def _points(source: Source) -> NDArray[np.float32]:
    """Return the latents of a page, (N, latent_dim): of the first seeds if none are given.

    Raises UsageError for too many.
    """
    if source.latents is None:
        return latents.from_seeds(range(NUM_SEEDS), source.network.latent_dim).numpy()
    points = source.latents.points
    if points.nbytes > MAX_BYTES // 2:
        raise UsageError(
            f"{len(points):,} latents are too many for a page: {in_bytes(points.nbytes)}, "
            f"and a page may have {in_bytes(MAX_BYTES // 2)} of them"
        )
    return points


def _values(source: Source, steps: list[Step], num_directions: int) -> dict[str, Any]:
    channels, height, width = source.network.image_shape
    given = source.latents
    return {
        "noun": "seed" if given is None else "latent",
        "labels": None if given is None or given.classes is None else given.classes.tolist(),
        "latents": None if given is None else given.text,
        "name": PurePath(source.data["name"]).name, "classes": source.classes,
        "latentDim": source.network.latent_dim,
        "numSeeds": NUM_SEEDS if given is None else len(given),
        "numDirections": num_directions, "height": height, "width": width, "channels": channels,
        "steps": steps, "version": source.origin["ganctl"],
        "digest": source.origin["checkpoint"], "step": source.origin["step"],
        "origin": source.origin["weights"],
        "weights": "moving average" if source.origin["weights"] == "ema" else "weights as trained",
    }  # fmt: skip
