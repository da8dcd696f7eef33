"""ganctl train: from images to a generator of images like them."""

from __future__ import annotations

import os
import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ganctl import config as configs
from ganctl.cli import completion, processes
from ganctl.cli.options import (
    BackgroundOption,
    ChannelsOption,
    ConfigOption,
    FitOption,
    JsonOption,
    SetOption,
    SizeOption,
    image_settings,
    parse_bytes,
    parse_settings,
)
from ganctl.cli.signals import ToldStopped
from ganctl.cli.terminal import Terminal, count, pasteable
from ganctl.errors import StoppedError, UsageError
from ganctl.settings import resolve
from ganctl.tuning import TUNABLE

_MOST_PATIENCE = 86_400
_ASKED_TO_STOP = 143
"""The exit code of a process that stops because another one was told to."""

if TYPE_CHECKING:
    from ganctl.training.loop import Row
    from ganctl.training.session import Session


def _option(
    help_text: str, metavar: str = "N", default: str | bool = False, complete: Any = None
) -> Any:
    """An option that is not given is None: the preset, or a resumed run, decides."""
    return typer.Option(
        metavar=metavar, help=help_text, show_default=default, autocompletion=complete
    )


def _by_preset(setting: str) -> str:
    """Each preset's own value of a setting, for the help."""
    values = {name: configs.settings(config)[setting] for name, config in configs.PRESETS.items()}
    shown = {True: "yes", False: "no"}
    return ", ".join(
        f"{name}: {shown[value] if isinstance(value, bool) else value}"
        for name, value in values.items()
    )


def train(
    context: typer.Context,
    data: Annotated[
        str | None,
        _option("Your own images: a folder, a .zip, .tar or .npz, or tar shards as "
                "'shards/{000..127}.tar'; or, streamed, the index of shards, also as "
                "s3://bucket/index.json. Or a name: mnist and stacked-mnist ship with ganctl; "
                "fashion-mnist, kmnist, emnist and cifar10 are downloaded.", "PATH|NAME", "mnist",
                completion.data),
    ] = None,
    size: SizeOption = None,
    channels: ChannelsOption = None,
    fit: FitOption = None,
    background: BackgroundOption = None,
    skip_bad: Annotated[
        bool | None,
        typer.Option("--skip-bad", show_default=False,
                     help="Train without the files that cannot be read, instead of not at all."),
    ] = None,
    mirror: Annotated[
        bool | None,
        typer.Option("--mirror/--no-mirror", show_default="no",
                     help="Show each image as it is or mirrored left to right, by chance."),
    ] = None,
    augment: Annotated[
        str | None,
        _option("auto, none, or any of color,translation,cutout: changes to real and generated "
                "images alike, for small sets; auto: all of them under 5,000 images.", "LIST",
                _by_preset("augment")),
    ] = None,
    preset: Annotated[
        str | None,
        _option("fast, or dcgan: the classic recipe to the letter.", "NAME", "fast",
                completion.presets),
    ] = None,
    out: Annotated[
        Path | None, _option("The run's folder; runs/DATA-PRESET unless given.", "DIR")
    ] = None,
    epochs: Annotated[
        int | None, _option("How often each image is seen.", "N", _by_preset("epochs"))
    ] = None,
    steps: Annotated[int | None, _option("The run's length in updates instead.")] = None,
    batch_size: Annotated[
        int | None, _option("Images in an update.", "N", _by_preset("batch_size"))
    ] = None,
    accumulate: Annotated[
        int | None, _option("Take a batch in N parts, for as much less memory.", "N", "1")
    ] = None,
    latent_dim: Annotated[
        int | None, _option("Length of the generator's input.", "N", _by_preset("latent_dim"))
    ] = None,
    conditional: Annotated[
        bool | None,
        typer.Option("--conditional/--unconditional", show_default=_by_preset("conditional"),
                     help="Tell both networks the class of each image, where images have any."),
    ] = None,
    lr_g: Annotated[
        float | None, _option("Learning rate of the generator.", "F", _by_preset("lr_g"))
    ] = None,
    lr_d: Annotated[
        float | None, _option("Learning rate of the discriminator.", "F", _by_preset("lr_d"))
    ] = None,
    seed: Annotated[int | None, _option("Decides all of the run's chance.", "N", "0")] = None,
    device: Annotated[
        str, typer.Option(metavar="NAME", help="auto, cpu, cuda, cuda:N or mps.",
                          autocompletion=completion.devices)
    ] = "auto",
    precision: Annotated[
        str | None,
        _option("fp32, bf16, or auto: bf16 where this device gains by it.", "NAME", "auto",
                completion.precisions),
    ] = None,
    threads: Annotated[
        int | None, _option("Of a CPU.", "N", "as many as prove quickest")
    ] = None,
    num_processes: Annotated[
        int,
        typer.Option(metavar="N", min=1, help="Share each batch out over N processes: one a GPU, "
                     "or some of a CPU's cores each. For more machines: torchrun.")
    ] = 1,
    patience: Annotated[
        float,
        typer.Option(metavar="SECONDS", help="How long processes wait for one that is silent.")
    ] = 300.0,
    limit: Annotated[
        int | None,
        _option("Train on N images only: of a data set the first, of your own some by chance.", "N",
                "all"),
    ] = None,
    compile_: Annotated[
        bool | None,
        typer.Option("--compile/--no-compile", show_default="no",
                     help="Run the networks through torch.compile."),
    ] = None,
    cache_memory: Annotated[
        str | None,
        _option("Images that take more than this stay on disk, mapped, and are read batch by "
                "batch.", "SIZE", "4GiB"),
    ] = None,
    num_samples: Annotated[
        int | None, _option("Samples drawn after every epoch.", "N", _by_preset("num_samples"))
    ] = None,
    snapshot_every: Annotated[
        int | None, _option("Keep a checkpoint every N epochs; 0: only the latest.", "N", "5")
    ] = None,
    keep: Annotated[int | None, _option("How many of those to keep; 0: none.", "N", "3")] = None,
    settings: SetOption = None,
    file: ConfigOption = None,
    save_every: Annotated[
        float,
        typer.Option(metavar="SECONDS", help="Save at least so often: what a crash can cost."),
    ] = 120.0,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run in --out where it stopped.")
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Show settings, networks, time and memory; train nothing."),
    ] = False,
    no_preview: Annotated[
        bool, typer.Option("--no-preview", help="Show no samples while it trains.")
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", help="Say nothing on stderr but what is wrong.")
    ] = False,
    json: JsonOption = False,
) -> None:  # fmt: skip
    """Train a generator. Without options: on MNIST, in minutes, into runs/mnist-fast.

    Ctrl-C saves at the next step and says how to go on; --resume goes on as if never stopped.

    Examples:

    ganctl train

    ganctl train --preset dcgan --out classic

    ganctl train --resume --epochs 40

    ganctl train --config run.toml --seed 3
    """
    given = {
        "data": data, "skip_bad": skip_bad, "mirror": mirror,
        "augment": augment if augment is None else configs.parse_augment(augment),
        "epochs": epochs, "steps": steps, "batch_size": batch_size, "accumulate": accumulate,
        "latent_dim": latent_dim, "conditional": conditional, "lr_g": lr_g, "lr_d": lr_d,
        "seed": seed, "precision": precision, "threads": threads, "limit": limit,
        "compile": compile_, "num_samples": num_samples,
        "snapshot_every": snapshot_every, "keep": keep,
        **image_settings(size, channels, fit, background),
    }  # fmt: skip
    changes = {name: value for name, value in given.items() if value is not None}
    for name, value in parse_settings(settings).items():
        if name in changes:
            raise UsageError(f"{name} is given twice")
        changes[name] = value
    if not save_every > 0:  # NaN too
        raise UsageError(f"--save-every must be more than 0 seconds, not {save_every:g}")
    if not 1 <= patience <= _MOST_PATIENCE:
        raise UsageError(f"--patience must be from 1 second to a day, not {patience:g} seconds")
    if dry_run and max(num_processes, processes.number()) > 1:
        raise UsageError("--dry-run is done by one process", "Leave out --num-processes.")
    how = {} if cache_memory is None else {"cache_memory": parse_bytes(cache_memory)}
    # A run that is resumed has settings of its own, which an environment says nothing against.
    environment = {} if resume else os.environ
    resolved = resolve(preset, changes, file=file, environment=environment)
    config, changes = resolved.config, resolved.changes

    from ganctl import datasets

    datasets.require_colour(config.background)
    if "data" in changes:
        changes["data"] = datasets.resolve(changes["data"])
        config = configs.override(config, {"data": changes["data"]})
    folder = out or Path("runs") / f"{datasets.stem(config.data)}-{config.preset}"
    if num_processes > 1 and processes.number() == 1:
        code = processes.start(num_processes, context.obj)
        raise ToldStopped(code)

    # Everything above is cheap; torch is loaded from here on.
    from ganctl.store import RunDirectory
    from ganctl.training import session as sessions
    from ganctl.training.group import joined

    stopped: StoppedError | None = None
    with joined(device) as group:
        if not group.is_first:
            processes.hush()
            json, quiet = False, True
        terminal = Terminal(json_wanted=json, quiet=quiet)
        if processes.restarts():  # one of them had failed: all go on from what was saved
            resume = group.agreed(RunDirectory(folder).is_run())
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
        for notice in session.notices:
            terminal.note(notice)
        if dry_run:
            from ganctl.cli.dry_run import dry_run as show_dry_run

            show_dry_run(session, terminal)
        else:
            command = shlex.join(["ganctl", *context.obj])
            stopped = _run(session, terminal, save_every, patience, command, preview=not no_preview)
    # Out here nobody is a failure to the others any more.
    if stopped and not group.is_first:
        raise ToldStopped(stopped.exit_code)
    if stopped:
        raise stopped


def _run(
    session: Session,
    terminal: Terminal,
    save_every: float,
    patience: float,
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
        f"Training '{config.preset}' on {config.data} ({len(session.dataset):,} images), "
        f"{count(session.total_steps, 'step')} of {config.batch_size}{begun}; "
        f"{devices.describe(session.state.device)}, {config.precision}; into {folder}"
    )
    started = time.monotonic()
    try:
        with (
            StopSignals(at_once=session.group.size == 1) as stop,
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
                patience=patience,
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
    from ganctl.cli.watch import with_state

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
