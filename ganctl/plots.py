"""The loss plot."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence

from ganctl import palette, private_folders
from ganctl.history import COLUMNS, STEP_METRICS, Row


def losses_png(history: Sequence[Row], title: str) -> bytes:
    """Return a PNG of both losses and, below them, D(x) and D(G(z)) over the epochs."""
    private_folders.use_private_matplotlib_folder()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(8, 6), dpi=100)
    FigureCanvasAgg(figure)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[2, 1])
    # Fixed margins: a layout engine would take longer than everything else.
    figure.subplots_adjust(left=0.09, right=0.98, top=0.9, bottom=0.08, hspace=0.2)
    epochs = [row["epoch"] for row in history]
    marker = "o" if len(epochs) < 30 else None
    for axes, name in zip((upper, upper, lower, lower), STEP_METRICS, strict=True):
        axes.plot(epochs, [row[name] for row in history], color=palette.color(name).light,
                  label=COLUMNS[name].legend, marker=marker, markersize=4)  # fmt: skip
    lower.axhline(0.5, color="0.5", linewidth=1, linestyle="--", label="ideal: 0.5")
    lower.set_ylim(0, 1)
    upper.set_ylabel("loss")
    lower.set_ylabel("probability")
    lower.set_xlabel("epoch")
    lower.xaxis.set_major_locator(MaxNLocator(integer=True))
    # A path can contain dollar signs, characters without a glyph, and bytes that are not UTF-8.
    title = title.encode(errors="replace").decode()
    upper.set_title(title, pad=24, parse_math=False)
    for axes in (upper, lower):
        axes.grid(alpha=0.25)
        # Above the axes, where it covers no data.
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, fontsize="small",
                    frameon=False, borderaxespad=0.2)  # fmt: skip
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from")
        figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()
