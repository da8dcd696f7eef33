"""ganctl inspect: what is in a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ganctl.cli.completion import among, checkpoints
from ganctl.cli.networks import describe_networks, show_networks
from ganctl.cli.options import JsonOption, QuietOption
from ganctl.cli.spelling import pasteable
from ganctl.cli.terminal import Terminal
from ganctl.errors import UsageError
from ganctl.text import counted, in_bytes, listed, nearest, sparkline

if TYPE_CHECKING:
    from ganctl.checkpoint import Checkpoint

_SORTS = ("quality", "date", "name")
_MAX_ROWS = 20
_WIDE = 70
"""Columns of a terminal that the whole table of losses takes."""
_MAX_HEIGHT = 120
"""Pixels that samples take from top to bottom, two a line."""
_SHOWN = {"g_loss": "G loss", "d_loss": "D loss", "d_real": "D(x)", "d_fake": "D(G(z))"}


def inspect(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="CKPT [OTHER]", show_default=False, autocompletion=checkpoints,
            help="A .pt file, or a run directory (its latest); two are compared. Or a folder of "
            "runs, which are listed.",
        ),
    ],
    weights: Annotated[
        bool,
        typer.Option(
            "--weights",
            help="Every tensor's mean, deviation, range, norms, dead units and histogram, too.",
        ),
    ] = False,
    samples: Annotated[
        bool, typer.Option("--samples", help="Show four samples, at a terminal that has colours.")
    ] = False,
    sort: Annotated[
        str | None,
        typer.Option(
            "--sort", metavar="|".join(_SORTS), show_default="quality",
            autocompletion=among(_SORTS),
            help="Runs in this order: the lowest Frechet distance first, the newest, by name.",
        ),
    ] = None,
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> None:  # fmt: skip
    """Show what made a checkpoint, its networks layer by layer, its losses, and what is wrong.

    Of two checkpoints, show in what they differ; of a folder of runs, a table of them.

    Examples:

    ganctl inspect runs/mnist-fast --weights

    ganctl inspect runs/mnist-fast/best.pt runs/mnist-fast

    ganctl inspect runs --sort date

    ganctl inspect ckpt.pt --json
    """
    if sort is not None and sort not in _SORTS:
        raise UsageError(f"unknown order '{sort[:40]}'", nearest(sort, _SORTS))
    if len(paths) > 2:
        raise UsageError(
            f"{len(paths)} checkpoints are too many: one is shown, two are compared",
            "To see many runs side by side, give the folder that they are in.",
        )
    if samples and json:
        raise UsageError("--samples shows pictures, which --json cannot hold")

    terminal = Terminal(json_wanted=json, quiet=quiet)
    if len(paths) == 1 and paths[0].is_dir():
        with terminal.progress():
            from ganctl.cli.runs import find_runs

            runs = find_runs(paths[0])
        if runs:
            _refuse("for a folder of runs", {"--weights": weights, "--samples": samples})
            _list(paths[0], runs, sort or _SORTS[0], terminal)
            return
    _refuse("of a folder of runs only", {"--sort": sort is not None})
    if len(paths) == 2:
        _refuse("for two checkpoints", {"--weights": weights, "--samples": samples})
        _compare(paths[0], paths[1], terminal)
    else:
        _inspect(paths[0], terminal, weights=weights, samples=samples)


def _refuse(where: str, given: dict[str, bool]) -> None:
    for option in (name for name, is_given in given.items() if is_given):
        if where.endswith("only"):
            raise UsageError(f"{option} sorts a folder of runs, and this is not one")
        raise UsageError(f"{option} is not available {where}", "Inspect a single checkpoint.")


def _inspect(path: Path, terminal: Terminal, *, weights: bool, samples: bool) -> None:
    with terminal.progress():
        path, checkpoint = _read(path)
        report = describe(checkpoint, path)
        if weights:
            from ganctl.cli.weights import describe_weights

            report["weights"] = describe_weights(checkpoint)
    if terminal.json_wanted:
        terminal.document(report)
        return
    _show(report, terminal)
    if weights:
        from ganctl.cli.weights import show_weights

        show_weights(report["weights"], terminal)
    if samples:
        _show_samples(path, terminal)


def _compare(first: Path, second: Path, terminal: Terminal) -> None:
    with terminal.progress():
        from ganctl.cli.compare import compare, show_comparison

        report = compare(_read(first), _read(second))
    if terminal.json_wanted:
        terminal.document(report)
    else:
        show_comparison(report, terminal)


def _list(folder: Path, runs: list[Path], sort: str, terminal: Terminal) -> None:
    from ganctl.cli.runs import describe_runs, show_runs

    with terminal.progress() as progress:
        rows = describe_runs(runs, sort, progress)
    if terminal.json_wanted:
        terminal.document({"path": str(folder), "sort": sort, "runs": rows})
    else:
        show_runs(folder, rows, terminal)


def _read(path: Path) -> tuple[Path, Checkpoint]:
    """The checkpoint at `path` and its file; its weights fit its networks. CheckpointError."""
    from ganctl import store
    from ganctl.errors import CheckpointError
    from ganctl.training.state import require_fit

    file = store.checkpoint_path(path)
    checkpoint = store.read_checkpoint(file)
    try:
        require_fit(checkpoint)
    except CheckpointError as error:
        raise store.named(error, file) from None
    return file, checkpoint


def _show_samples(path: Path, terminal: Terminal) -> None:
    """Seeds 0 to 3, as large as the terminal is wide."""
    if not terminal.shows_pictures:
        terminal.note(
            "No samples shown: pictures take a terminal that has colours. "
            f"Try 'ganctl sample {pasteable(path)}'."
        )
        return
    from ganctl import model
    from ganctl.cli.live.preview import HalfBlocks, contact_sheet

    pixels = model.load(path).sample(range(4)).pixels
    terminal.heading("samples: seeds 0 to 3")
    picture, shown = contact_sheet(pixels, terminal.out.width, _MAX_HEIGHT)
    height = -(-shown.any(axis=1).sum() // 2) * 2
    terminal.picture(HalfBlocks(picture[:height], shown[:height]))


def describe(checkpoint: Checkpoint, path: Path) -> dict[str, Any]:
    """Everything that inspect tells, as plain values."""
    from ganctl import evaluations
    from ganctl.classes import names_of
    from ganctl.cli.problems import problems
    from ganctl.config.schema import settings
    from ganctl.store import RunDirectory

    config = checkpoint.config
    num_images, known = checkpoint.data["num_images"], checkpoint.data["classes"]
    steps_per_epoch = config.steps_per_epoch(num_images)
    return {
        "path": str(path),
        "bytes": path.stat().st_size,
        "digest": checkpoint.digest,
        "schema": checkpoint.schema,
        "made_by": checkpoint.made_by,
        "data": checkpoint.data,
        "config": settings(config),
        "step": checkpoint.step,
        "total_steps": config.total_steps(num_images),
        "steps_per_epoch": steps_per_epoch,
        "epoch": checkpoint.step / steps_per_epoch,
        "conditional": config.network.num_classes > 0,
        "classes": names_of(config.network.num_classes or len(known), known),
        "ema": checkpoint.generator_ema is not None,
        **describe_networks(config.network),
        "optimizers": {
            name: {"kind": "Adam", "rate": rate, "betas": [config.beta1, config.beta2],
                   "rate_now": rate * config.learning_rate_factor(checkpoint.step)}
            for name, rate in (("generator", config.lr_g), ("discriminator", config.lr_d))
        },
        "history": checkpoint.history,
        "unfinished": _unfinished(checkpoint),
        "evaluations": evaluations.described(RunDirectory(path.parent), checkpoint.digest),
        "problems": [problem.text for problem in problems(checkpoint)],
    }  # fmt: skip


def _unfinished(checkpoint: Checkpoint) -> dict[str, Any] | None:
    """The losses of the epoch that the checkpoint is inside of, over the steps that it has."""
    from ganctl.training.meter import Meter

    meter = Meter.from_dict(checkpoint.partial)
    if not meter.steps:
        return None
    per_epoch = checkpoint.config.steps_per_epoch(checkpoint.data["num_images"])
    return {"epoch": checkpoint.step // per_epoch + 1, "steps": meter.steps, **meter.means()}


def _show(report: dict[str, Any], terminal: Terminal) -> None:
    made, data, config = report["made_by"], report["data"], report["config"]
    begun = {name: made.get(name, "?") for name in ("date", "command")}
    resumed = {name: made.get(f"last_{name}", begun[name]) for name in begun}
    was_resumed = resumed != begun
    terminal.heading(report["path"])
    shape = "x".join(map(str, data["image_shape"]))
    terminal.table(
        ("", ""),
        [
            ("state", "; ".join(report["problems"]) or "sound: every weight is a finite number"),
            ("progress", _progress(report)),
            ("preset", f"{config['preset']}, seed {config['seed']}, {config['precision']}"),
            ("data", f"{data['name']}: {counted(data['num_images'], 'image')}, {shape}"),
            ("classes", _classes(report)),
            ("made by", f"ganctl {made.get('ganctl', '?')}, torch {made.get('torch', '?')}, "
                        f"Python {made.get('python', '?')}"),
            ("made on", f"{begun['date']}, {made.get('device', '?')}"),
            *([("last resumed", str(resumed["date"]))] if was_resumed else []),
            ("size", f"{in_bytes(report['bytes'])}, {_schema(report)}"),
        ],
        left=2,
    )  # fmt: skip
    terminal.lines(
        [
            ("command", str(begun["command"])),
            *([("resumed by", str(resumed["command"]))] if was_resumed else []),
            ("digest", report["digest"]),
            ("data digest", data["digest"]),
        ]
    )
    show_networks(report, terminal, ema=report["ema"])
    terminal.heading("optimizers")
    terminal.table(
        ("", "kind", "rate", "rate now", "betas"),
        [
            (
                name,
                adam["kind"],
                f"{adam['rate']:g}",
                f"{adam['rate_now']:.3g}",
                ", ".join(f"{beta:g}" for beta in adam["betas"]),
            )
            for name, adam in report["optimizers"].items()
        ],
    )
    _show_history(report, terminal)
    _show_evaluation(report, terminal)


def _classes(report: dict[str, Any]) -> str:
    names = report["classes"]
    if not names:
        return "none"
    use = "which both networks know" if report["conditional"] else "not used: unconditional"
    return f"{counted(len(names), 'class', 'classes')}, {use}: {listed(names, _MAX_ROWS)}"


def _schema(report: dict[str, Any]) -> str:
    from ganctl.checkpoint import VERSION

    upgraded = ", upgraded when it is read" if report["schema"] < VERSION else ""
    return f"schema {report['schema']}{upgraded}"


def _progress(report: dict[str, Any]) -> str:
    epochs, steps = divmod(report["step"], report["steps_per_epoch"])
    inside = (
        f", {steps} of {counted(report['steps_per_epoch'], 'step')} into the next" if steps else ""
    )
    return f"step {report['step']:,} of {report['total_steps']:,}, epoch {epochs}{inside}"


def _show_history(report: dict[str, Any], terminal: Terminal) -> None:
    """The losses epoch by epoch, thinned out where there are many, and all of them as bars."""
    history, unfinished = report["history"], report["unfinished"]
    every = -(-len(history) // _MAX_ROWS)
    rows = [row for index, row in enumerate(history) if index % every == 0 or row is history[-1]]
    further = {"diversity": "diversity", "frechet_distance": "Frechet"}
    if not any(row["frechet_distance"] is not None for row in history):
        del further["frechet_distance"]
    elif terminal.shows_pictures and terminal.out.width < _WIDE:
        del further["diversity"]
    cells = [
        (row["epoch"], *_losses(row), *(_known(row[name]) for name in further)) for row in rows
    ]
    if unfinished:
        cells.append((f"{unfinished['epoch']} part", *_losses(unfinished), *("" for _ in further)))
    if not cells:
        terminal.heading("losses: no step is done yet")
        return
    samples = report["config"]["eval_samples"]
    measured = f"; Frechet distance of {counted(samples, 'sample')}"
    terminal.heading("losses" + (measured if "frechet_distance" in further else ""))
    terminal.table(("epoch", *_SHOWN.values(), *further.values()), cells)
    if history:
        room = terminal.out.width - max(map(len, _SHOWN.values())) - 2
        terminal.lines(
            (label, sparkline([row[name] for row in history], room))
            for name, label in _SHOWN.items()
        )


def _show_evaluation(report: dict[str, Any], terminal: Terminal) -> None:
    """What `evaluate` found last, if it was kept."""
    from ganctl import evaluations
    from ganctl.cli.evaluations import show_evaluation
    from ganctl.store import RunDirectory

    run = RunDirectory(Path(report["path"]).parent)
    found = evaluations.best_known(run, report["digest"])
    if found is not None:
        is_current = found.digest == report["digest"]
        other = "" if is_current else f" of another checkpoint of this run, {found.checkpoint}"
        show_evaluation(found, terminal, heading=f"evaluation{other}")


def _losses(row: dict[str, Any]) -> list[str]:
    return [f"{row[name]:.3f}" for name in _SHOWN]


def _known(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
