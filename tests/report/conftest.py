"""Run directories as training leaves them, made without training."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from ganctl import images
from ganctl.checkpoint import encode
from ganctl.report import Run
from ganctl.store import RunDirectory


@pytest.fixture
def row(tiny_checkpoint):
    """An epoch's row of the history."""
    measured = {"frechet_distance": 2.0, "precision": 0.5, "recall": 0.4}

    def make(epoch, **changes):
        counts = {"epoch": epoch, "step": 3 * epoch, "images": 40 * epoch,
                  "elapsed_seconds": 0.5 * epoch}  # fmt: skip
        return {**tiny_checkpoint.history[0], **counts, **measured, **changes}

    return make


@pytest.fixture
def make_run(tiny_checkpoint, row, tmp_path):
    """A run in a folder of its own, with pictures that differ from epoch to epoch."""

    def make(
        name="tiny", *, epochs=3, pictures=None, starts=(), commands=(), sheet=None, **changes
    ):
        folder = tmp_path / name
        (folder / "samples").mkdir(parents=True)
        history = [row(n, g_loss=1 / n) for n in range(1, epochs + 1)]
        whole = {"history": history, "step": 3 * epochs, **changes}
        checkpoint = dataclasses.replace(tiny_checkpoint, **whole)
        (folder / "ckpt.pt").write_bytes(encode(checkpoint))
        (folder / "config.json").write_text(json.dumps({"starts": list(starts)}))
        for epoch in range(1, (epochs if pictures is None else pictures) + 1):
            RunDirectory(folder).sample(epoch).write_bytes(picture(checkpoint.config, epoch))
        return Run(folder, folder / "ckpt.pt", checkpoint, commands=commands, sheet=sheet)

    return make


def picture(config, epoch) -> bytes:
    network = config.network
    shape = (config.num_samples, network.height, network.width, network.channels)
    pixels = np.full(shape, (60 * epoch) % 256, np.uint8)
    return images.png(images.enlarge(images.grid(pixels), images.preview_factor(network.height)))
