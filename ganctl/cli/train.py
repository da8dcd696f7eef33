"""ganctl train: from images to a generator of images like them."""

from __future__ import annotations

import os
import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from ganctl.cli import processes
from ganctl.cli import training_options as options
from ganctl.cli.options import (
    BackgroundOption,
    ChannelsOption,
    FitOption,
    ImageKeyOption,
    SizeOption,
    image_settings,
    parse_bytes,
    parse_settings,
)
from ganctl.cli.signals import Stopped
from ganctl.cli.spelling import pasteable
from ganctl.cli.terminal import Terminal
from ganctl.config import images, schema
from ganctl.config.presets import TUNABLE
from ganctl.config.sources import resolve
from ganctl.errors import Setting, StoppedError, Text, UsageError
from ganctl.text import counted

_MAX_TIMEOUT = 86_400
_ASKED_TO_STOP = 143
"""The exit code of a process that stops because another one was told to."""

if TYPE_CHECKING:
    from ganctl.history import Row
    from ganctl.training.session import Session


def train(
    context: typer.Context,
    data: options.DataOption = None,
    size: SizeOption = None,
    channels: ChannelsOption = None,
    fit: FitOption = None,
    background: BackgroundOption = None,
    image_key: ImageKeyOption = None,
    mirror: options.MirrorOption = None,
    augment: options.AugmentOption = None,
    limit: options.LimitOption = None,
    skip_bad: options.SkipBadOption = None,
    preset: options.PresetOption = None,
    out: options.OutOption = None,
    epochs: options.EpochsOption = None,
    steps: options.StepsOption = None,
    seed: options.SeedOption = None,
    resume: options.ResumeOption = False,
    dry_run: options.DryRunOption = False,
    batch_size: options.BatchSizeOption = None,
    accumulate: options.AccumulateOption = None,
    lr_g: options.LrGOption = None,
    lr_d: options.LrDOption = None,
    latent_dim: options.LatentDimOption = None,
    conditional: options.ConditionalOption = None,
    file: options.TrainConfigOption = None,
    settings: options.TrainSetOption = None,
    device: options.DeviceOption = "auto",
    precision: options.PrecisionOption = None,
    threads: options.ThreadsOption = None,
    num_processes: options.NumProcessesOption = 1,
    timeout: options.TimeoutOption = 300.0,
    compile_: options.CompileOption = None,
    cache_memory: options.CacheMemoryOption = None,
    save_every: options.SaveEveryOption = 120.0,
    snapshot_every: options.SnapshotEveryOption = None,
    keep: options.KeepOption = None,
    num_samples: options.NumSamplesOption = None,
    no_preview: options.NoPreviewOption = False,
    quiet: options.TrainQuietOption = False,
    json: options.TrainJsonOption = False,
) -> None:
    """Train a generator. Without options: on MNIST, in minutes, into runs/mnist-fast.

    Ctrl-C saves the run at the next step; --resume continues it as if it had never stopped.

    Examples:

    ganctl train

    ganctl train --preset dcgan --out classic

    ganctl train --resume --epochs 40

    ganctl train --config run.toml --seed 3
    """
    given = {
        "data": data, "skip_bad": skip_bad, "mirror": mirror,
        "augment": augment if augment is None else images.parse_augment(augment),
        "epochs": epochs, "steps": steps, "batch_size": batch_size, "accumulate": accumulate,
        "latent_dim": latent_dim, "conditional": conditional, "lr_g": lr_g, "lr_d": lr_d,
        "seed": seed, "precision": precision, "threads": threads, "limit": limit,
        "compile": compile_, "num_samples": num_samples,
        "snapshot_every": snapshot_every, "keep": keep,
        **image_settings(size, channels, fit, background, image_key),
    }  # fmt: skip
    changes = {name: value for name, value in given.items() if value is not None}
    for name, value in parse_settings(settings).items():
        if name in changes:
            raise UsageError(Text("{} is set both by --set and by its option", Setting(name)))
        changes[name] = value
    if not save_every > 0:  # NaN too
        raise UsageError(f"--save-every must be more than 0 seconds, not {save_every:g}")
    if not 1 <= timeout <= _MAX_TIMEOUT:
        raise UsageError(f"--timeout must be from 1 second to a day, not {timeout:g} seconds")
    if dry_run and max(num_processes, processes.world_size()) > 1:
        raise UsageError("--dry-run is done by one process", "Leave out --num-processes.")
    how = {} if cache_memory is None else {"cache_memory": parse_bytes(cache_memory)}
    # A run that is resumed has settings of its own, which an environment says nothing against.
    environment = {} if resume else os.environ
    resolved = resolve(preset, changes, file=file, environment=environment)
    config, changes = resolved.config, resolved.changes

    from ganctl.datasets import loading
    from ganctl.datasets.detection import require_color

    require_color(config.background)
    if "data" in changes:
        changes["data"] = loading.resolve(changes["data"])
        config = schema.override(config, {"data": changes["data"]})
    folder = out or Path("runs") / f"{loading.stem(config.data)}-{config.preset}"
    if num_processes > 1 and processes.world_size() == 1:
        code = processes.launch(num_processes, context.obj)
        raise Stopped(code, is_reported=True)

    # Everything above is cheap; torch is loaded from here on.
    with Terminal(json_wanted=json, quiet=quiet or processes.world_size() > 1).progress():
        from ganctl.distributed.group import join_group
        from ganctl.store import RunDirectory
        from ganctl.training import session as sessions

    stopped: StoppedError | None = None
    with join_group(device) as group:
        if not group.is_first:
            processes.silence_stdout()
            json, quiet = False, True
        terminal = Terminal(json_wanted=json, quiet=quiet)
        if processes.num_restarts():  # one of them had failed: all go on from what was saved
            resume = group.broadcast(RunDirectory(folder).is_run())
        with terminal.progress() as progress:
            if resume:
                preset_given = {"preset": config.preset} if resolved.preset_given else {}
                session = sessions.resume(
                    folder, {**changes, **preset_given}, device, group=group, progress=progress,
                    **how,
                )  # fmt: skip
            else:
                session = sessions.new(
                    config, folder, device, group=group, to_write=not dry_run, progress=progress,
                    needs_classes=changes.get("conditional") is True,
                    tunable=TUNABLE.difference(changes), **how,
                )  # fmt: skip
        terminal.notes([*session.notices, *session.warnings])
        if dry_run:
            from ganctl.cli.dry_run import dry_run as show_dry_run

            show_dry_run(session, terminal)
        else:
            command = shlex.join(["ganctl", *context.obj])
            stopped = _run(session, terminal, save_every, timeout, command, preview=not no_preview)
    # Out here nobody is a failure to the others any more.
    if stopped and not group.is_first:
        raise Stopped(stopped.exit_code, is_reported=True)
    if stopped:
        raise stopped


def _run(
    session: Session,
    terminal: Terminal,
    save_every: float,
    timeout: float,
    command: str,
    *,
    preview: bool,
) -> StoppedError | None:
    """Train, and show how it went, which one process does; what stopped it, if anything did."""
    from ganctl import devices
    from ganctl.cli.signals import StopSignals
    from ganctl.cli.watch import observer, show_summary

    config, folder, first_step = session.config, session.run.path, session.state.step
    steps_per_epoch = _steps_per_epoch(session)
    again = f"To go on: ganctl train --resume --out {pasteable(folder)}"
    if session.state.step >= session.total_steps:
        terminal.note(
            f"The run in {folder} is complete: step {session.state.step} of {session.total_steps}. "
            f"To go on, give more, for example --epochs {_more_epochs(session)}."
        )
        if not session.group.is_first:
            return None
        with observer(terminal, steps_per_epoch) as watcher:
            outcome = session.conclude(watcher)
        if terminal.json_wanted:
            _document_end(session, outcome.history, terminal)
        return None
    begun = f", from step {first_step} on" if first_step else ""
    terminal.note(
        f"Training '{config.preset}' on {config.data} ({counted(len(session.dataset), 'image')}), "
        f"{counted(session.total_steps, 'step')} of {config.batch_size}{begun}; "
        f"{devices.describe(session.state.device)}, {config.precision}; into {folder}"
    )
    started = time.monotonic()
    try:
        with (
            StopSignals(interrupts=session.group.size == 1) as stop,
            observer(
                terminal,
                steps_per_epoch,
                title=f"{config.preset} on {config.data} → {folder}",
                history=session.history,
                preview=preview,
            ) as watcher,
        ):
            outcome = session.train(
                watcher,
                command=command,
                save_every=save_every,
                should_stop=stop,
                timeout=timeout,
            )
    except KeyboardInterrupt:
        hint = f"The state that was saved last is whole. {again}"
        raise StoppedError("stopped at once", hint, exit_code=130) from None
    stopped = None
    if not outcome.finished:
        code = stop.exit_code or _ASKED_TO_STOP
        stopped = StoppedError(f"stopped and saved at step {session.state.step}", again, code)
    if not session.group.is_first:
        return stopped
    if terminal.json_wanted:
        _document_end(session, outcome.history, terminal)
    elif outcome.finished:
        show_summary(
            outcome.history, config, terminal, steps_per_epoch=steps_per_epoch,
            seconds=time.monotonic() - started, since_step=first_step,
        )  # fmt: skip
        _show_files(session, terminal)
    return stopped


def _document_end(session: Session, history: list[Row], terminal: Terminal) -> None:
    from ganctl.history import with_state

    terminal.document(
        {
            "event": "end",
            "finished": session.state.step >= session.total_steps,
            "out": str(session.run.path),
            "step": session.state.step,
            "total_steps": session.total_steps,
            "last": with_state(history[-1], _steps_per_epoch(session)) if history else None,
        }
    )


def _more_epochs(session: Session) -> int:
    done = -(-session.state.step // _steps_per_epoch(session))
    return 2 * done


def _steps_per_epoch(session: Session) -> int:
    return session.config.steps_per_epoch(len(session.dataset))


def _show_files(session: Session, terminal: Terminal) -> None:
    run = session.run
    quoted = pasteable(run.path)
    terminal.heading("files")
    terminal.table(
        ("", ""),
        [
            ("samples, epoch by epoch", str(run.path / "samples")),
            ("the same as an animation", str(run.animation)),
            ("losses as a plot", str(run.losses_plot)),
            ("losses as a table", str(run.losses_table)),
            ("checkpoint", str(run.latest)),
            *([("the best epoch's", str(run.best))] if run.best.exists() else []),
        ],
        left=2,
    )
    terminal.heading("next")
    for command in (
        f"ganctl sample {quoted} -n 100 -o grid.png",
        f"ganctl interpolate {quoted} --loop -o walk.gif",
        f"ganctl inspect {quoted}",
        f"ganctl evaluate {quoted}",
    ):
        terminal.result(f"  {command}")
