"""Measure the speed and memory of streaming an epoch of shards.

python tests/benchmarks/streaming.py make FOLDER --gigabytes 3     # JPEGs of 256x256 pixels
python tests/benchmarks/streaming.py read FOLDER/index.json --workers 1
python tests/benchmarks/streaming.py watch ganctl train --data FOLDER/index.json ...
"""

from __future__ import annotations

import argparse
import io
import itertools
import json
import os
import subprocess
import threading
import time
from pathlib import Path

import numpy as np
from PIL import Image

from ganctl.config.image_settings import ImageSettings
from ganctl.datasets.streaming import packing, stream
from ganctl.datasets.streaming.index import Index, write

_DIFFERENT = 1000
"""Number of different images; the shards repeat them, which does not speed up reading."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    made = commands.add_parser("make")
    made.add_argument("folder", type=Path)
    made.add_argument("--gigabytes", type=float, default=3.0)
    read = commands.add_parser("read")
    read.add_argument("index")
    read.add_argument("--workers", type=int, default=0)
    read.add_argument("--size", type=int, default=64)
    read.add_argument("--batch-size", type=int, default=64)
    watched = commands.add_parser("watch")
    watched.add_argument("words", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    if options.command == "make":
        make(options.folder, options.gigabytes)
    elif options.command == "read":
        with Memory(os.getpid()) as memory:
            read_all(options)
        print(json.dumps(memory.summary()))
    else:
        with subprocess.Popen(options.words) as process, Memory(process.pid) as memory:
            process.wait()
        print(json.dumps(memory.summary()))


def make(folder: Path, gigabytes: float) -> None:
    drawn = [_jpeg(number) for number in range(_DIFFERENT)]
    count = int(gigabytes * 1e9 / (sum(map(len, drawn)) / len(drawn)))
    samples = ({"jpg": jpeg} for jpeg in itertools.islice(itertools.cycle(drawn), count))
    pattern = packing.Pattern.parse(str(folder / "{000..}.tar"))
    shards = packing._write(samples, pattern, [], 256_000_000, None)
    index = Index(pattern.index, tuple(shards), (), (64, 64), 3)
    write(index)
    print(f"{count} images, {sum(shard.size for shard in shards)} bytes, {len(shards)} shards")


def _jpeg(number: int) -> bytes:
    """Return a drawing with as much detail and as many bytes as a photograph."""
    rng = np.random.default_rng(number)
    image = Image.fromarray(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8))
    buffer = io.BytesIO()
    image.resize((256, 256), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=92)
    return buffer.getvalue()


def read_all(options: argparse.Namespace) -> None:
    stream._num_processes = lambda _: options.workers  # type: ignore[assignment]
    data = stream.load(options.index, ImageSettings((options.size, options.size), 3))
    started = time.perf_counter()
    steps = range(-(-len(data) // options.batch_size))
    first = seen = 0.0
    for batch in data.batches(options.batch_size, steps, seed=0, epoch=0):
        seen += len(batch.labels)
        first = first or time.perf_counter() - started
    seconds = time.perf_counter() - started
    print(f"{seen:.0f} images in {seconds:.1f} s, {seen / seconds:.0f}/s; the first batch after "
          f"{first:.2f} s")  # fmt: skip


class Memory:
    """A watcher that measures the memory of a process and its children twice a second."""

    def __init__(self, process: int) -> None:
        self._process = process
        self._sums: list[float] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Memory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.5):
            try:
                self._sums.append(sum(map(_private_megabytes, _family(self._process))))
            except OSError:
                continue

    def summary(self) -> dict[str, list[float]]:
        """Return the MB of all processes, without shared memory, at each tenth of the time."""
        places = np.linspace(0, len(self._sums) - 1, 11).astype(int)
        return {"megabytes": [round(self._sums[place]) for place in places],
                "largest": [round(max(self._sums))]}  # fmt: skip


def _family(process: int) -> list[int]:
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return [process, *itertools.chain(*(_family(int(child)) for child in children))]


def _private_megabytes(process: int) -> float:
    lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) / 1000


if __name__ == "__main__":
    main()
