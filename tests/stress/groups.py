"""Processes of one training run without a launcher, so that torch is loaded once for all."""

from __future__ import annotations

import contextlib
import io
import multiprocessing
import os
import subprocess
import time
from concurrent.futures import ProcessPoolExecutor
from datetime import timedelta
from typing import NamedTuple

import numpy as np

_CONTEXT = multiprocessing.get_context("forkserver") if os.name == "posix" else None
_SECONDS = 60


def together(job, arguments):
    """Return `job(*each)` for each of `arguments`, all at the same time.

    `job` is a function of a module that processes can import.
    """
    _CONTEXT.set_forkserver_preload(["ganctl.training.session", "ganctl.cli.app"])
    others = set(multiprocessing.active_children())
    with ProcessPoolExecutor(len(arguments), _CONTEXT) as processes:
        futures = [processes.submit(_quietly, job, *each) for each in arguments]
        try:
            return [future.result(_SECONDS) for future in futures]
        except BaseException:  # one may wait forever for another
            for child in set(multiprocessing.active_children()) - others:
                child.kill()
            raise


def command(arguments_of_each):
    """Run `ganctl ARGUMENTS` in processes as torchrun does; return each exit code and stderr.

    `arguments_of_each` has a list of arguments for each process.
    """
    from torch.distributed import TCPStore

    store = TCPStore("localhost", 0, is_master=True, timeout=timedelta(seconds=_SECONDS))
    size = len(arguments_of_each)
    return together(_command, [(rank, size, store.port, arguments_of_each[rank])
                               for rank in range(size)])  # fmt: skip


def _quietly(job, *arguments):
    import torch

    torch.set_num_threads(1)
    return job(*arguments)


def _command(rank, size, port, arguments):
    from ganctl.cli import main

    os.environ.update(
        RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(size), LOCAL_WORLD_SIZE=str(size),
        MASTER_ADDR="localhost", MASTER_PORT=str(port), TORCHELASTIC_USE_AGENT_STORE="True",
    )  # fmt: skip
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        code = main([str(argument) for argument in arguments])
    return code, said.getvalue()


class Seen(NamedTuple):
    """The parts of a training run that are compared."""

    metrics: list[list[float]]
    """Metrics of each step."""
    tensors: dict[str, np.ndarray]
    """Tensors of the final state."""
    sent: list[list[tuple[str, int]]]
    """For each step, the collective operations and how many numbers this process sent."""


def steps(path, rank, size, cases):
    """Train in double precision as one of `size` processes; return what was Seen of each case.

    A case is a config, images and labels. `path` is a file for the group to meet in.
    """
    import torch
    from torch import distributed as dist

    from ganctl.distributed.group import SINGLE, Processes

    torch.Tensor.float = (
        torch.Tensor.double
    )  # where the computation is to be in fp32, if not in bf16
    torch.set_default_dtype(torch.float64)
    group = SINGLE
    if size > 1:
        group = Processes(dist.FileStore(str(path), size), rank, size, torch.device("cpu"))
        group.start(20)
    sent = _counting()
    return [_training(group, *case, sent) for case in cases]


def slow_work(path, rank, timeout=1.5):
    """Let the first of two work for longer than `timeout`, and then not respond for as long.

    Returns what this process got of the work, and the message of its GroupError, if any. `path` is
    as in `steps`.
    """
    import torch
    from torch import distributed as dist

    from ganctl.distributed.group import Processes
    from ganctl.errors import GroupError

    group = Processes(dist.FileStore(str(path), 2), rank, 2, torch.device("cpu"))
    group.start(timeout)
    got = [group.run_on_first(lambda: time.sleep(2 * timeout) or "worked")]
    if rank == 0:
        time.sleep(2 * timeout)
        return got, None
    try:
        group.run_on_first(lambda: None)
    except GroupError as error:
        return got, error.message
    return got, None


def _counting():
    """Return a list in which collective operations are recorded from now on."""
    from torch import distributed as dist

    sent = []

    def noting(name, function):
        def call(*tensors, **how):
            sent.append((name, tensors[-1].numel()))
            return function(*tensors, **how)

        return call

    for name in ("all_reduce", "all_gather"):
        setattr(dist, name, noting(name, getattr(dist, name)))
    return sent


def _training(group, config, images, labels, sent):
    import torch

    from ganctl.batch import MicroBatch
    from ganctl.datasets.dataset import Dataset
    from ganctl.latents import with_classes
    from ganctl.training.noise import NoiseSource
    from ganctl.training.state import create
    from ganctl.training.step import train_step

    dataset = Dataset.from_arrays("mnist", images, labels)
    state = create(config, torch.device("cpu"), group)
    for network in (state.generator, state.ema, state.discriminator):
        if network is not None:
            network.double()
    share, noise, seen = group.share, NoiseSource(config, state.device), Seen([], {}, [])
    numbers, count = range(config.steps_per_epoch(len(dataset))), config.network.num_classes
    for epoch in range(config.epochs):
        for batch in dataset.batches(config.batch_size, numbers, seed=0, epoch=epoch, share=share):
            drawn = noise.draw(state.step)
            part = MicroBatch.whole(batch.size, len(drawn.latents)).share(share)
            latents = part.fake_rows.select(drawn.latents).double()
            if count:
                beyond = torch.tensor(part.extra, dtype=torch.int64) % count
                latents = with_classes(latents, torch.cat([batch.labels, beyond]), count)
            sent.clear()
            reals = batch.images(drawn.mirrored).double()
            measured = train_step(state, reals, latents, drawn.seed, part)
            seen.sent.append([*sent])
            seen.metrics.append(measured.metrics.tolist())
    seen.tensors.update((name, tensor.numpy().copy()) for name, tensor in state.tensors())
    return seen


def end_equal(folder, other):
    """Return whether the latest checkpoints of two runs have the same step and bits."""
    import torch

    one, two = saved(folder), saved(other)
    return one.step == two.step and all(map(torch.equal, _tensors(one), _tensors(two)))


def _tensors(found):
    parts = (found.generator, found.generator_ema, found.discriminator)
    moments = (*found.optimizer_g.values(), *found.optimizer_d.values())
    return [tensor for part in (*parts, *moments) for tensor in part.values()]


def saved(folder):
    """Return the latest checkpoint of a run."""
    from ganctl import store

    return store.read_checkpoint(folder)


def begun(process, folder, step=1):
    """Wait until the run has been saved at `step` or later."""
    deadline = time.monotonic() + 2 * _SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if (folder / "ckpt.pt").exists() and saved(folder).step >= step:
            return
        time.sleep(0.05)
    process.kill()
    raise AssertionError(process.communicate())


def members(process):
    """Return the ids of the processes that `process` has started."""
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(process.pid)],
                            capture_output=True, text=True, check=False)  # fmt: skip
    return [int(pid) for pid in listed.stdout.split() if _is_member(int(pid))]


def _is_member(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:  # noqa: PTH123
            return b"ganctl" in file.read()
    except (FileNotFoundError, ProcessLookupError):  # it has ended since it was listed
        return False
