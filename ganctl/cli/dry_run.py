"""ganctl train --dry-run: the resolved settings, and an estimate of time and memory."""

from __future__ import annotations

from typing import Any

from ganctl import devices
from ganctl.cli.inspection import show_networks
from ganctl.cli.terminal import Terminal
from ganctl.config.schema import format_setting, settings
from ganctl.config.sources import Merged
from ganctl.inspection.checkpoint import describe_networks
from ganctl.text import counted_images, duration, in_bytes
from ganctl.training.estimate import estimate
from ganctl.training.session import Session


def show_dry_run(session: Session, terminal: Terminal, merged: Merged) -> None:
    """Show the settings and why each has its value, the networks, and the estimated cost."""
    reasons = merged.sources | session.reasons
    if session.resumed_from:
        chosen = {name: merged.sources[name] for name in merged.changes}
        reasons = dict.fromkeys(settings(session.config), "checkpoint") | chosen
    report = {
        "config": settings(session.config),
        "reasons": reasons,
        "device": devices.describe(session.state.device, session.num_threads),
        "out": str(session.run.path),
        "data": {
            "name": session.dataset.name,
            "num_images": len(session.dataset),
            "num_held_out": session.dataset.num_held_out,
        },
        "init_from": session.beginning.facts() if session.beginning else None,
        "steps": session.total_steps - session.state.step,
        "steps_per_epoch": session.steps_per_epoch,
        **describe_networks(session.config),
        "estimate": estimate(session),
    }
    if terminal.json_wanted:
        terminal.document(report)
    else:
        _show(report, terminal)


def _show(report: dict[str, Any], terminal: Terminal) -> None:
    terminal.heading("configuration")
    terminal.table(
        ("setting", "value", "why"),
        [
            (name, format_setting(value), report["reasons"].get(name, ""))
            for name, value in report["config"].items()
        ],
        left=3,
    )
    show_networks(report, terminal)
    data, found = report["data"], report["estimate"]
    memory = found["peak_memory_bytes"]
    terminal.heading("estimate (from a short trial run, discarded)")
    rows = {
        "device": report["device"],
        "data": f"{data['name']}, {counted_images(data['num_images'], data['num_held_out'])}",
        "steps": f"{report['steps']:,} ({report['steps_per_epoch']:,} per epoch)",
        "time": f"{duration(found['seconds'])}, {found['images_per_sec']:,.0f} images/s",
        "memory": in_bytes(memory) if memory else "unknown on this system",
        "of it, samples": f"at most {in_bytes(found['samples_memory_bytes'])}",
        "disk": f"{in_bytes(found['checkpoint_bytes'])} per checkpoint, in {report['out']}",
    }
    terminal.table(("", ""), rows.items(), left=2)
    terminal.note("Dry run: nothing was trained, nothing was written.")
