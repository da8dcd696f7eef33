"""The speed of images: sampled by a generator, and decoded from files."""

from __future__ import annotations

import functools
import io
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image

from ganctl import devices, machine
from ganctl.bench.steps import CASES, Way, config_of
from ganctl.bench.timing import Rate, Repeat, alternate, part_of
from ganctl.config.image_settings import ImageSettings
from ganctl.datasets import workers
from ganctl.datasets.dataset import Progress
from ganctl.datasets.decoding.decode import decode
from ganctl.networks import build_generator
from ganctl.sampling import sample_seeds

FILE_SIDE, DECODED_SIDE = 256, 64
_NUM_SAMPLES = 256
_FILES_PER_TASK = 32
Pool = workers.Map[Sequence[bytes], int]
Sampled = tuple[str, tuple[int, int, int]]
"""A preset, and the shape (C, H, W) of its images."""


def sampled_cases(*, quick: bool) -> list[Sampled]:
    """Return the presets whose generators are timed, and the shapes of their images."""
    return [case for case in CASES if not (quick and case[0] == "guided")]


def time_sampling(
    cases: Sequence[Sampled],
    device: torch.device,
    seconds: float,
    num_rounds: int,
    progress: Progress,
) -> list[Rate]:
    """Return the images per second of each generator, from seeds to pixels."""
    works = [functools.partial(_prepare_sampling, *case, device) for case in cases]
    rates = alternate(works, seconds, num_rounds, part_of(progress, "timing sampling"))
    return [_times(rate, _NUM_SAMPLES) for rate in rates]


def _prepare_sampling(name: str, shape: tuple[int, int, int], device: torch.device) -> Repeat:
    network = config_of(Way(name, shape, "fp32", None, None)).network
    generator = build_generator(network, torch.Generator().manual_seed(0)).to(device)

    def repeat(count: int) -> None:
        for _ in range(count):
            for pixels in sample_seeds(generator, range(_NUM_SAMPLES), network):
                assert pixels.shape[1:] == (*shape[1:], shape[0])
        devices.synchronize(device)

    return repeat


def numbers_of_processes() -> list[int]:
    """Return one process, and one per core."""
    return sorted({1, machine.num_cores()})


def time_decoding(
    numbers: Sequence[int], seconds: float, num_rounds: int, progress: Progress
) -> list[Rate]:
    """Return the JPEGs per second that each number of processes decodes and reduces."""
    jpeg = _jpeg(FILE_SIDE)
    rates = []
    for done, number in enumerate(numbers):
        progress("timing decoding", done, len(numbers))
        with workers.parallel_map(_decode_all, number) as pool:

            def repeat(count: int, number: int = number, pool: Pool = pool) -> None:
                for _ in pool([jpeg] * _FILES_PER_TASK for _ in range(count * number)):
                    pass

            share = seconds / len(numbers)
            (rate,) = alternate([lambda work=repeat: work], share, num_rounds, lambda *_: None)  # type: ignore[misc]
            rates.append(_times(rate, _FILES_PER_TASK * number))
    return rates


def _decode_all(files: Sequence[bytes]) -> int:
    settings = ImageSettings((DECODED_SIDE, DECODED_SIDE), channels=3)
    return sum(len(decode(content, settings)) > 0 for content in files)


def _jpeg(side: int) -> bytes:
    """Return a JPEG that is smooth with fine noise, as photographs are, about 20 KB."""
    rows, columns = np.mgrid[:side, :side]
    noise = (rows * 7919 + columns * 104729) * 2654435761 % 2**32 >> 28
    planes = [rows // 2 + noise, columns // 2 + noise, (rows + columns) // 4 + noise]
    file = io.BytesIO()
    Image.fromarray(np.stack(planes, 2).astype(np.uint8)).save(file, "JPEG", quality=88)
    return file.getvalue()


def _times(rate: Rate, factor: int) -> Rate:
    return rate if rate.per_sec is None else Rate(rate.per_sec * factor)
