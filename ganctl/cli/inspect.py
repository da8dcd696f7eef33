"""ganctl inspect: what is in a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganctl.cli.networks import describe_networks, show_networks
from ganctl.cli.options import CheckpointArgument, JsonOption
from ganctl.cli.terminal import Terminal, size, sparkline

if TYPE_CHECKING:
    from ganctl.checkpoint import Checkpoint

_MAX_ROWS = 20


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
    from ganctl.checkpoint import VERSION
    from ganctl.config import settings
    from ganctl.errors import CheckpointError
    from ganctl.training.state import require_fit

    config = checkpoint.config
    try:
        require_fit(checkpoint)
    except CheckpointError as error:
        raise store.named(error, path) from None
    num_images = checkpoint.data["num_images"]
    return {
        "path": str(path),
        "bytes": path.stat().st_size,
        "digest": checkpoint.digest,
        "schema": VERSION,
        "made_by": checkpoint.made_by,
        "data": checkpoint.data,
        "config": settings(config),
        "step": checkpoint.step,
        "total_steps": config.total_steps(num_images),
        "epoch": checkpoint.step / config.steps_per_epoch(num_images),
        "ema": checkpoint.generator_ema is not None,
        **describe_networks(config.network),
        "optimizers": {
            name: {"kind": "Adam", "rate": rate, "betas": [config.beta1, config.beta2],
                   "rate_now": rate * config.learning_rate_factor(checkpoint.step)}
            for name, rate in (("generator", config.lr_g), ("discriminator", config.lr_d))
        },
        "history": checkpoint.history,
        "problems": [*_problems(checkpoint), *_signs(checkpoint.history)],
    }  # fmt: skip


def _problems(checkpoint: Checkpoint) -> list[str]:
    """Weights that are not numbers, and weights that are dead: all zero after training."""
    problems = []
    for part in ("generator", "generator_ema", "discriminator"):
        for name, tensor in (getattr(checkpoint, part) or {}).items():
            if not tensor.is_floating_point():
                continue
            if not bool(tensor.isfinite().all()):
                problems.append(f"{part} {name}: holds NaN or infinity")
            elif checkpoint.step and name.endswith("weight") and not bool(tensor.any()):
                problems.append(f"{part} {name}: dead, every weight is 0")
    for part in ("optimizer_g", "optimizer_d"):
        for moment, tensors in getattr(checkpoint, part).items():
            for name, tensor in tensors.items():
                if not bool(tensor.isfinite().all()):
                    problems.append(f"{part} {moment} {name}: holds NaN or infinity")
    return problems


def _signs(history: list[dict[str, Any]]) -> list[str]:
    """What went wrong in the training, and in which epochs."""
    from ganctl.training.health import signs

    epochs: dict[str, list[int]] = {}
    for row in history:
        for sign in signs(row):
            epochs.setdefault(sign.meaning, []).append(row["epoch"])
    return [
        f"{_epochs(found[0], found[-1])} ({len(found)} of {len(history)}): {meaning}"
        for meaning, found in epochs.items()
    ]


def _epochs(first: int, last: int) -> str:
    return f"epoch {first}" if first == last else f"epochs {first} to {last}"


def _show(report: dict[str, Any], terminal: Terminal) -> None:
    made, data, config = report["made_by"], report["data"], report["config"]
    terminal.heading(report["path"])
    shape = "x".join(map(str, data["image_shape"]))
    terminal.table(
        ("", ""),
        [
            ("state", "; ".join(report["problems"]) or "sound: every weight is a finite number"),
            ("progress", f"step {report['step']} of {report['total_steps']}, "
                         f"epoch {report['epoch']:.4g}"),
            ("preset", f"{config['preset']}, seed {config['seed']}, {config['precision']}"),
            ("data", f"{data['name']}: {data['num_images']} images, {shape}"),
            ("data digest", data["digest"]),
            ("made by", f"ganctl {made.get('ganctl', '?')}, torch {made.get('torch', '?')}, "
                        f"Python {made.get('python', '?')}"),
            ("made on", f"{made.get('date', '?')}, {made.get('device', '?')}"),
            ("command", made.get("command", "?")),
            ("size", f"{size(report['bytes'])}, schema {report['schema']}"),
            ("digest", report["digest"]),
        ],
        left=2,
    )  # fmt: skip
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
    _show_history(report["history"], terminal)


def _show_history(history: list[dict[str, Any]], terminal: Terminal) -> None:
    """The losses epoch by epoch, thinned out where there are many, with a sparkline each."""
    if not history:
        terminal.heading("losses: no epoch is finished yet")
        return
    names = ("g_loss", "d_loss", "d_real", "d_fake")
    terminal.heading("losses")
    every = -(-len(history) // _MAX_ROWS)
    rows = [row for index, row in enumerate(history) if index % every == 0 or row is history[-1]]
    terminal.table(
        ("epoch", "generator loss", "discriminator loss", "D(x)", "D(G(z))", "diversity"),
        [
            *(
                (row["epoch"], *(f"{row[name]:.3f}" for name in names), _known(row["diversity"]))
                for row in rows
            ),
            ("", *(sparkline([row[name] for row in rows]) for name in names), ""),
        ],
    )


def _known(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
