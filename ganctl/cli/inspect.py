"""ganctl inspect: what is in a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganctl.cli.networks import describe_networks, show_networks
from ganctl.cli.options import CheckpointArgument, JsonOption
from ganctl.cli.terminal import Terminal, count, size, sparkline
from ganctl.errors import listed

if TYPE_CHECKING:
    from ganctl.checkpoint import Checkpoint

_MAX_ROWS = 20
_SHOWN = {"g_loss": "G loss", "d_loss": "D loss", "d_real": "D(x)", "d_fake": "D(G(z))"}


def inspect(ckpt: CheckpointArgument, json: JsonOption = False) -> None:
    """Show what made a checkpoint, its networks layer by layer, its losses, and what is wrong.

    Examples:

    ganctl inspect runs/mnist-fast

    ganctl inspect ckpt.pt --json
    """
    from ganctl import store

    terminal = Terminal(json_wanted=json)
    path = store.checkpoint_path(ckpt)
    report = describe(store.read_checkpoint(path), path)
    if json:
        terminal.document(report)
    else:
        _show(report, terminal)


def describe(checkpoint: Checkpoint, path: Path) -> dict[str, Any]:
    """Everything that inspect tells, as plain values."""
    from ganctl import store
    from ganctl.classes import names_of
    from ganctl.cli.problems import problems
    from ganctl.config import settings
    from ganctl.errors import CheckpointError
    from ganctl.training.state import require_fit

    config = checkpoint.config
    try:
        require_fit(checkpoint)
    except CheckpointError as error:
        raise store.named(error, path) from None
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
        "problems": problems(checkpoint),
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
            ("data", f"{data['name']}: {count(data['num_images'], 'image')}, {shape}"),
            ("classes", _classes(report)),
            ("made by", f"ganctl {made.get('ganctl', '?')}, torch {made.get('torch', '?')}, "
                        f"Python {made.get('python', '?')}"),
            ("made on", f"{begun['date']}, {made.get('device', '?')}"),
            *([("last resumed", str(resumed["date"]))] if was_resumed else []),
            ("size", f"{size(report['bytes'])}, {_schema(report)}"),
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
    _show_history(report["history"], report["unfinished"], terminal)


def _classes(report: dict[str, Any]) -> str:
    names = report["classes"]
    if not names:
        return "none"
    use = "which both networks know" if report["conditional"] else "not used: unconditional"
    return f"{count(len(names), 'class', 'classes')}, {use}: {listed(names, _MAX_ROWS)}"


def _schema(report: dict[str, Any]) -> str:
    from ganctl.checkpoint import VERSION

    upgraded = ", upgraded when it is read" if report["schema"] < VERSION else ""
    return f"schema {report['schema']}{upgraded}"


def _progress(report: dict[str, Any]) -> str:
    epochs, steps = divmod(report["step"], report["steps_per_epoch"])
    inside = f", {steps} of {report['steps_per_epoch']} steps into the next" if steps else ""
    return f"step {report['step']:,} of {report['total_steps']:,}, epoch {epochs}{inside}"


def _show_history(
    history: list[dict[str, Any]], unfinished: dict[str, Any] | None, terminal: Terminal
) -> None:
    """The losses epoch by epoch, thinned out where there are many, and all of them as bars."""
    every = -(-len(history) // _MAX_ROWS)
    rows = [row for index, row in enumerate(history) if index % every == 0 or row is history[-1]]
    cells = [(row["epoch"], *_losses(row), _known(row["diversity"])) for row in rows]
    if unfinished:
        cells.append((f"{unfinished['epoch']} part", *_losses(unfinished), ""))
    if not cells:
        terminal.heading("losses: no step is done yet")
        return
    terminal.heading("losses")
    terminal.table(("epoch", *_SHOWN.values(), "diversity"), cells)
    if history:
        room = terminal.out.width - max(map(len, _SHOWN.values())) - 2
        terminal.lines(
            (label, sparkline([row[name] for row in history], room))
            for name, label in _SHOWN.items()
        )


def _losses(row: dict[str, Any]) -> list[str]:
    return [f"{row[name]:.3f}" for name in _SHOWN]


def _known(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
