"""ganctl train: from images to a generator of images like them."""

from __future__ import annotations

import os
import shlex
from dataclasses import replace
from typing import Any

import typer

from ganctl import tracking
from ganctl.cli import processes
from ganctl.cli import training_options as options
from ganctl.cli.options import ConfigOption, QuietOption, parse_bytes
from ganctl.cli.signals import Stopped
from ganctl.cli.terminal import Terminal
from ganctl.config.schema import override
from ganctl.config.sources import Merged, merge, require_one_beginning
from ganctl.errors import UsageError


@options.with_settings
def train(
    context: typer.Context,
    preset: options.PresetOption = None,
    out: options.OutOption = None,
    resume: options.ResumeOption = False,
    init_from: options.InitFromOption = None,
    dry_run: options.DryRunOption = False,
    file: ConfigOption = None,
    device: options.DeviceOption = "auto",
    num_processes: options.NumProcessesOption = 1,
    timeout: options.TimeoutOption = 300.0,
    cache_memory: options.CacheMemoryOption = "4GiB",
    no_graphs: options.NoGraphsOption = False,
    save_every: options.SaveEveryOption = 120.0,
    track: options.TrackOption = None,
    no_preview: options.NoPreviewOption = False,
    quiet: QuietOption = False,
    json: options.JsonLinesOption = False,
    *,
    settings: dict[str, Any],
) -> None:
    """Train a generator. Without options: on MNIST, in minutes, into runs/mnist-fast.

    Ctrl-C saves the run at the next step; --resume continues it as if it had never stopped.

    Examples:

    ganctl train

    ganctl train --preset dcgan --out classic

    ganctl train --resume --epochs 40

    ganctl train --config run.toml --seed 3

    ganctl train --data photos --init-from runs/heads

    ganctl train --track tensorboard
    """
    if not save_every > 0:  # NaN too
        raise UsageError(f"--save-every must be more than 0 seconds, not {save_every:g}")
    if dry_run and max(num_processes, processes.world_size()) > 1:
        raise UsageError("--dry-run is done by one process", "Leave out --num-processes.")
    tracking.require_known(track or ())
    cache_bytes = parse_bytes(cache_memory)
    require_one_beginning(resume, init_from)
    # A resumed run keeps its settings, whatever the environment says.
    sources: Any = {"file": file, "environment": {} if resume else os.environ}
    merged = _merged(preset, settings, **sources)
    if num_processes > 1 and processes.world_size() == 1:
        raise Stopped(processes.launch(num_processes, context.obj), is_reported=True)

    # Everything above is quick; torch is loaded from here on.
    with Terminal(json_wanted=json, quiet=quiet or processes.world_size() > 1).progress():
        from ganctl.cli import running
        from ganctl.datasets import loading
        from ganctl.distributed.group import join_group
        from ganctl.store import RunDirectory
        from ganctl.training import origin as origins
        from ganctl.training import session as sessions

    with join_group(device) as group:
        if not group.is_first:
            processes.silence_stdout()
            json, quiet = False, True
        terminal = Terminal(json_wanted=json, quiet=quiet)
        origin = None if init_from is None else origins.read(init_from)
        if origin and not merged.is_preset_given:
            merged = _merged(origin.preset, settings, **sources)
        config, changes, is_chosen = merged.config, merged.changes, merged.is_preset_given
        folder = out or loading.default_run_folder(config, is_preset_chosen=is_chosen)
        if processes.num_restarts():  # one of them had failed: all resume from what was saved
            resume = group.broadcast(RunDirectory(folder).is_run())
        with terminal.progress() as progress:
            how: Any = {"group": group, "cache_memory": cache_bytes, "progress": progress}
            if resume:
                named = {"preset": config.preset} if is_chosen else {}
                session = sessions.resume(folder, changes | named, device, **how)
            else:
                how |= {"chosen": changes, "origin": origin, "to_write": not dry_run}
                how |= {"is_preset_chosen": is_chosen}
                session = sessions.new(config, folder, device, **how)
        terminal.notes(session.notices)
        if group.is_first:
            terminal.warnings(session.warnings)
        if dry_run:
            from ganctl.cli.dry_run import show_dry_run

            if not resume:
                merged = _merged(session.config.preset, settings, **sources)
            show_dry_run(session, terminal, merged)
            return
        stopped = running.run(
            session, terminal, trackers=track, preview=not no_preview, save_every=save_every,
            timeout=timeout, use_graphs=not no_graphs, command=shlex.join(["ganctl", *context.obj]),
        )  # fmt: skip
    # Out here a failure no longer reaches the other processes.
    if stopped:
        raise stopped if group.is_first else Stopped(stopped.exit_code, is_reported=True)


def _merged(preset: str | None, settings: dict[str, Any], **sources: Any) -> Merged:
    """Return the settings from all sources, with the path of the images resolved."""
    merged = merge(preset, settings, **sources)

    from ganctl.datasets import loading
    from ganctl.datasets.detection import require_color

    require_color(merged.config.background)
    if "data" not in merged.changes:
        return merged
    data = {"data": loading.resolve(merged.changes["data"])}
    return replace(merged, config=override(merged.config, data), changes=merged.changes | data)
