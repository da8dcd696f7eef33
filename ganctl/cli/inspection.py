"""The documents of `ganctl.inspect` as tables."""

from __future__ import annotations

from typing import Any

from ganctl.cli.listed_runs import show_runs
from ganctl.cli.terminal import Terminal
from ganctl.config.schema import format_setting
from ganctl.history import COLUMNS, STEP_METRICS, best, quality_metric
from ganctl.text import counted, counted_images, in_bytes, listed, printable, sparkline

Document = dict[str, Any]

_MAX_ROWS = 20
_WIDE = 70
"""Columns of a terminal that the whole table of losses takes."""
_TAKEN = {
    "init_from_digest": "begun from",
    "init_from_taken": "taken there",
    "init_from_new": "begun anew",
}
"""What `made_by` says about the checkpoint that a run began with, and its labels."""
_COMPARED = [COLUMNS[name] for name in ("epoch", *STEP_METRICS, "diversity")]


def show(document: Document, terminal: Terminal) -> None:
    """Show a document of `ganctl.inspect`: a checkpoint, a comparison, runs, or another file."""
    if "made_with" in document:
        terminal.heading(document["path"])
        terminal.lines(document["made_with"].items())
    elif "runs" in document:
        show_runs(document, terminal)
    elif "a" in document:
        _show_comparison(document, terminal)
    elif "discriminator" not in document:
        _show_exported(document, terminal)
    else:
        _show_checkpoint(document, terminal)


def show_networks(document: Document, terminal: Terminal) -> None:
    """Show the layers of the document's networks, one table each."""
    for name in filter(document.__contains__, ("generator", "discriminator")):
        network = document[name]
        kept = network["parameters"] - network["trained"] - network["frozen"]
        average = " (and its moving average)" if name == "generator" and document.get("ema") else ""
        terminal.heading(
            f"{name}{average}: {network['parameters']:,} parameters"
            + (f", {kept:,} of them running statistics" if kept else "")
            + (f", {network['frozen']:,} of them frozen" if network["frozen"] else "")
        )
        terminal.table(
            ("layer", "kind", "output shape", "parameters"),
            [
                (row["name"], row["kind"], _shape(row["output_shape"]), f"{row['parameters']:,}")
                for row in network["layers"]
            ],
            left=3,
        )


def _show_checkpoint(document: Document, terminal: Terminal) -> None:
    made, data, config = document["made_by"], document["data"], document["config"]
    first = {name: made.get(name, "?") for name in ("date", "command")}
    last = {name: made.get(f"last_{name}", first[name]) for name in first}
    was_resumed = last != first
    terminal.heading(document["path"])
    images = counted_images(data["num_images"], data["num_held_out"])
    terminal.table(
        ("", ""),
        [
            ("state", "; ".join(document["problems"]) or "ok: all weights are finite"),
            ("progress", _progress(document)),
            ("preset", f"{config['preset']}, seed {config['seed']}, {config['precision']}"),
            ("data", f"{data['name']}: {images}, {_shape(data['image_shape'])}"),
            ("classes", _classes(document)),
            ("made by", f"ganctl {made.get('ganctl', '?')}, torch {made.get('torch', '?')}, "
                        f"Python {made.get('python', '?')}"),
            ("made on", f"{first['date']}, {made.get('device', '?')}"),
            *([("last resumed", str(last["date"]))] if was_resumed else []),
            *([("begun from", _origin(made))] if "init_from" in made else []),
            ("size", f"{in_bytes(document['bytes'])}, {_schema(document)}"),
        ],
        left=2,
    )  # fmt: skip
    terminal.lines(
        [
            ("command", str(first["command"])),
            *([("resumed by", str(last["command"]))] if was_resumed else []),
            ("digest", document["digest"]),
            ("data digest", data["digest"]),
            *((label, str(made[name])) for name, label in _TAKEN.items() if name in made),
        ]
    )
    terminal.heading("settings other than the preset's")
    terminal.table(
        ("setting", "value", "why"),
        [
            (name, format_setting(config[name]), reason)
            for name, reason in document["reasons"].items()
        ],
        left=3,
    )
    show_networks(document, terminal)
    terminal.heading("optimizers")
    terminal.table(
        ("", "kind", "rate", "rate now", "betas"),
        [
            (name, adam["kind"], f"{adam['rate']:g}", f"{adam['rate_now']:.3g}",
             ", ".join(f"{beta:g}" for beta in adam["betas"]))
            for name, adam in document["optimizers"].items()
        ],
    )  # fmt: skip
    _show_history(document, terminal)
    _show_evaluation(document, terminal)
    if "weights" in document:
        _show_weights(document["weights"], terminal)


def _show_exported(document: Document, terminal: Terminal) -> None:
    data, config = document["data"], document["config"]
    weights = "moving average" if document["ema"] else "weights as trained"
    shape = _shape(document["generator"]["layers"][-1]["output_shape"])
    terminal.heading(document["path"])
    terminal.table(
        ("", ""),
        [
            ("kind", f"exported generator: {weights}, all finite"),
            ("trained for", counted(document["step"], "step")),
            ("preset", f"{config['preset']}, seed {config['seed']}, {config['precision']}"),
            ("data", f"{data['name']}: {shape}"),
            ("classes", _classes(document)),
            ("exported by", f"ganctl {document['ganctl']}"),
            ("size", in_bytes(document["bytes"])),
        ],
        left=2,
    )
    terminal.lines(
        [
            ("digest", document["digest"]),
            ("checkpoint", document["checkpoint"]),
            ("data digest", data["digest"]),
        ]
    )
    show_networks({**document, "ema": False}, terminal)
    if "weights" in document:
        _show_weights(document["weights"], terminal)


def _origin(made: Document) -> str:
    """Return the checkpoint that a run began with the weights of."""
    data, step = (made.get(f"init_from_{name}", "?") for name in ("data", "step"))
    return f"{made['init_from']}, step {step}, trained on {data}"


def _progress(document: Document) -> str:
    epochs, steps = divmod(document["step"], document["steps_per_epoch"])
    inside = f", {steps} of {counted(document['steps_per_epoch'], 'step')} into the next"
    return (
        f"step {document['step']:,} of {document['total_steps']:,}, "
        f"epoch {epochs}{inside if steps else ''}"
    )


def _classes(document: Document) -> str:
    names = document["classes"]
    if not names:
        return "none"
    use = "conditional" if document["conditional"] else "not used: unconditional"
    return f"{counted(len(names), 'class', 'classes')} ({use}): {listed(names, _MAX_ROWS)}"


def _schema(document: Document) -> str:
    from ganctl.checkpoint import VERSION

    upgraded = ", upgraded when it is read" if document["schema"] < VERSION else ""
    return f"schema {document['schema']}{upgraded}"


def _show_history(document: Document, terminal: Terminal) -> None:
    """Show the losses by epoch, at most _MAX_ROWS of them, and all of them as sparklines."""
    history, unfinished = document["history"], document["unfinished"]
    every = -(-len(history) // _MAX_ROWS)
    rows = [row for index, row in enumerate(history) if index % every == 0 or row is history[-1]]
    quality = quality_metric(history)
    columns = [*(COLUMNS[name] for name in (*STEP_METRICS, "diversity")), quality]
    if not (was_measured := best(history) is not None):
        columns.pop()
    elif terminal.shows_pictures and terminal.out.width < _WIDE:
        columns.remove(COLUMNS["diversity"])
    cells = [(row["epoch"], *(c.text(row[c.name]) for c in columns)) for row in rows]
    if unfinished:
        values = (column.text(unfinished.get(column.name)) for column in columns)
        cells.append((f"{unfinished['epoch']} part", *values))
    if not cells:
        terminal.heading("losses: no step is done yet")
        return
    samples = counted(document["config"]["eval_samples"], "sample")
    measured = f"; {quality.label} of {samples}" if was_measured else ""
    terminal.heading(f"losses{measured}")
    terminal.table(("epoch", *(column.short for column in columns)), cells)
    if history:
        curves = columns[: len(STEP_METRICS)]
        room = terminal.out.width - max(len(column.short) for column in curves) - 2
        terminal.lines(
            (column.short, sparkline([row[column.name] for row in history], room))
            for column in curves
        )


def _show_evaluation(document: Document, terminal: Terminal) -> None:
    """Show the newest evaluation of this checkpoint, or else of another one of its run."""
    from ganctl.cli.evaluations import show_evaluation
    from ganctl.evaluation.results import Evaluation

    if saved := document["evaluations"]:
        found = next((each for each in saved if each["current"]), saved[0])
        other = f" of another checkpoint of this run, {found['checkpoint']}"
        heading = f"evaluation{'' if found['current'] else other}"
        show_evaluation(Evaluation.from_dict(found), terminal, heading=heading)


def _show_weights(rows: list[Document], terminal: Terminal) -> None:
    """Show each tensor's statistics, in two tables per network so that each fits 80 columns."""
    for part in dict.fromkeys(row["part"] for row in rows):
        shown = [row for row in rows if row["part"] == part]
        terminal.heading(part.replace("generator_ema", "moving average of the generator"))
        statistics = ("mean", "std", "min", "max", "norm")
        terminal.table(
            ("tensor", *statistics),
            [(row["name"], *(_number(row[name], ".3g") for name in statistics)) for row in shown],
        )
        terminal.table(
            ("tensor", "spectral norm", "dead units", "histogram"),
            [
                (row["name"], _number(row["spectral_norm"], ".3g"),
                 "" if row["units"] is None else f"{row['dead_units']} of {row['units']}",
                 sparkline(row["histogram"], low=0) if row["histogram"] else "")
                for row in shown
            ],
        )  # fmt: skip
    terminal.note("Spectral norms are those of each weight as a matrix with one row per unit.")


def _show_comparison(document: Document, terminal: Terminal) -> None:
    """Show how two checkpoints differ, with the largest differences of weights first."""
    a, b, differing = document["a"], document["b"], document["tensors"]
    terminal.result(_verdict(document))
    terminal.lines([("A", a["path"]), ("B", b["path"])])
    terminal.heading("checkpoints")
    rows: list[tuple[str, ...]] = [("step", f"{a['step']:,}", f"{b['step']:,}")]
    rows += [
        (column.label, *(column.text(each["last"].get(column.name)) for each in (a, b)))
        for column in _COMPARED
    ]
    for name in ("frechet_distance", "patch_distance"):
        column = COLUMNS[name]
        best_values = [column.text(each[f"best_{name}"]) for each in (a, b)]
        if any(best_values):
            last = (column.text(each["last"].get(name)) for each in (a, b))
            rows += [(column.label, *last), (f"best {column.label}", *best_values)]
    terminal.table(("last epoch", "A", "B"), rows)
    equal = document["losses_equal_epochs"]
    terminal.result(f"epochs with equal metrics, from the first one on: {equal:,}")
    for title, pairs in (("configuration", document["config"]), ("data", document["data"])):
        if pairs:
            terminal.heading(title)
            terminal.table(
                ("", "A", "B"),
                [(name, *(printable(format_setting(value), 60) for value in pair))
                 for name, pair in pairs.items()],
            )  # fmt: skip
    if not differing:
        return
    terminal.heading(f"weights: {len(differing):,} of {document['num_tensors']:,} tensors differ")
    unknown = [row for row in differing if row["relative"] is None]
    known = [row for row in differing if row["relative"] is not None]
    differing = unknown + sorted(known, key=lambda row: -row["relative"])
    terminal.table(
        ("tensor", "|B - A| / |A|"),
        [
            (f"{row['part']} {row['name']}",
             row["difference"] if row["relative"] is None else f"{row['relative']:.3g}")
            for row in differing[:_MAX_ROWS]
        ],
    )  # fmt: skip
    if len(differing) > _MAX_ROWS:
        terminal.result(f"... and {len(differing) - _MAX_ROWS:,} more, which --json lists")


def _verdict(document: Document) -> str:
    tensors = document["tensors"]
    differences = {
        counted(len(document["config"]), "setting"): document["config"],
        "the data": document["data"],
        f"{len(tensors)} of {document['num_tensors']} tensors": tensors,
        "the step": document["a"]["step"] != document["b"]["step"],
    }
    parts = [text for text, differs in differences.items() if differs]
    return f"They differ in {', '.join(parts)}." if parts else "The same settings and weights."


def _shape(lengths: list[int]) -> str:
    return "x".join(map(str, lengths))


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)
