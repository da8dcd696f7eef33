"""The display of a training run on the whole screen of a terminal."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from rich.text import Text

from ganctl import palette
from ganctl.cli.displays import Warnings
from ganctl.cli.live.curves import Curves, Trace
from ganctl.cli.live.panels import WIDTHS, Bars, Lines, table_head, table_line
from ganctl.cli.live.preview import Preview
from ganctl.cli.live.screen import Panel, Region, Screen
from ganctl.cli.option_names import spelled
from ganctl.history import COLUMNS, epoch_label
from ganctl.text import printable

if TYPE_CHECKING:
    from ganctl import errors
    from ganctl.cli.terminal import Terminal
    from ganctl.history import Row
    from ganctl.images import Pixels
    from ganctl.training.callback import End, Progress, Start

_SIDE_BY_SIDE = 76
"""Width of a terminal from which on the samples are beside everything else."""
_TABLE_WIDTH = 61


class LiveScreen(Warnings):
    """A display with progress bars, curves, the last epochs and, where there is room, samples.

    The screen is shown during the run; afterwards all epochs and warnings are printed.
    """

    def __init__(self, terminal: Terminal, *, preview: bool) -> None:
        super().__init__(terminal)
        self.wants_samples = preview
        self._heading = ""
        self._quality = "frechet_distance"
        self._steps_per_epoch = 0
        self._title = Lines(lambda width: [_title(self._heading, width)])
        self._trace = Trace()
        self._losses = Curves(self._trace, _styles("g_loss", "d_loss"))
        self._probabilities = Curves(self._trace, _styles("d_fake", "d_real"), (0.0, 1.0))
        self._table = Lines(lambda width: [self._head(width)])
        self._preview = Preview()
        self._warnings = Lines()
        self._bars = Bars()
        self._screen = Screen(terminal.err, self._layout)
        self._afterwards: list[Callable[[], None]] = [lambda: self._print(self._head)]

    def on_start(self, start: Start) -> None:
        self._describe(start)
        self._screen.__enter__()

    def _describe(self, start: Start) -> None:
        """Show what is trained, and the epochs of earlier sessions."""
        settings = start.settings
        self._heading = f"{settings['preset']} on {settings['data']} → {start.folder}"
        self._quality, self._steps_per_epoch = start.quality, start.steps_per_epoch
        for row in start.history:
            self._trace.add(row["step"], row)
            self._table.add(self._line(row))

    def on_end(self, end: End) -> None:
        self._screen.__exit__()
        for print_one in self._afterwards:
            print_one()
        if self._screen.failure is not None:
            super().on_warning(
                f"the live screen failed: {self._screen.failure}",
                "Training continued without it; --quiet shows nothing.",
            )

    def on_step(self, progress: Progress) -> None:
        with self._screen.lock:
            self._bars.update(progress)
            self._trace.add(progress.step, progress.recent)

    def on_samples(self, pixels: Pixels, step: int) -> None:
        with self._screen.lock:
            self._preview.show(pixels, step)

    def on_epoch(self, row: Row, samples: Pixels | None) -> None:
        line = self._line(row)
        self._afterwards.append(lambda: self._print(line))
        with self._screen.lock:
            self._table.add(line)

    def on_warning(self, message: str | errors.Text, hint: str | errors.Text) -> None:
        """Show a warning at once, and print it again after the run."""
        self._afterwards.append(lambda: super(LiveScreen, self).on_warning(message, hint))
        with self._screen.lock:
            for line in (f"warning: {spelled(message)}", f"  {spelled(hint)}"):
                self._warnings.add(functools.partial(_warning, line))

    def _head(self, width: int) -> Text:
        return table_head(width, self._quality)

    def _line(self, row: Row) -> Callable[[int], Text]:
        cells = {name: COLUMNS[name].text(row[name]) for name in WIDTHS}
        cells["frechet_distance"] = COLUMNS[self._quality].text(row.get(self._quality))
        cells["epoch"] = epoch_label(row, self._steps_per_epoch)
        return lambda width: table_line(cells, width)

    def _print(self, line: Callable[[int], Text]) -> None:
        console = self._terminal.err
        console.print(line(console.width), highlight=False, no_wrap=True)

    def _layout(self, width: int, height: int) -> Mapping[Panel, Region]:
        """Return each panel's region. A small terminal omits the samples first, then the curves."""
        regions: dict[Panel, Region] = {}
        bottom = max(0, height - 2)
        regions[self._bars] = Region(bottom, 0, width, height - bottom)
        if self._warnings.version and bottom >= 6:
            bottom -= 2
            regions[self._warnings] = Region(bottom, 0, width, 2)
        gap = 1 if height >= 24 else 0
        top, bottom = 0, bottom - gap
        if height >= 10:
            regions[self._title] = Region(0, 0, width, 1)
            top = 1 + gap
        left = width
        if self.wants_samples and width >= _SIDE_BY_SIDE and bottom - top >= 8:
            left = min(_TABLE_WIDTH, width * 9 // 16)
            regions[self._preview] = Region(top, left + 3, width - left - 3, bottom - top)
        elif self.wants_samples and bottom - top >= 25:
            rows = (bottom - top) // 2
            bottom -= rows + gap
            regions[self._preview] = Region(bottom + gap, 0, width, rows)
        curves = self._curves_layout(top, bottom, left, gap)
        regions |= curves
        top = max((region.top + region.height + gap for region in curves.values()), default=top)
        regions[self._table] = Region(top, 0, left, max(0, bottom - top))
        return regions

    def _curves_layout(self, top: int, bottom: int, width: int, gap: int) -> dict[Panel, Region]:
        """Return the regions of both curves, or of one or none if the table needs the room."""
        height = bottom - top
        half = (width - 2) // 2
        if width >= 44 and height < 26:
            rows = min(10, height // 3)
            places = [(top, 0, half), (top, half + 2, width - half - 2)]
        elif height >= 16:
            rows = min(9, height // 4)
            places = [(top, 0, width), (top + rows + gap, 0, width)]
        else:
            rows = min(6, height // 3)
            places = [(top, 0, width)]
        if rows < 4:
            return {}
        panels = (self._losses, self._probabilities)
        return {
            panel: Region(row, column, columns, rows)
            for panel, (row, column, columns) in zip(panels, places, strict=False)
        }


def _styles(*metrics: str) -> dict[str, tuple[str, str]]:
    """Return each metric's color and label."""
    return {name: (palette.color(name).terminal, COLUMNS[name].short) for name in metrics}


def _warning(line: str, width: int) -> Text:
    return Text(printable(line)[:width], "yellow")


def _title(title: str, width: int) -> Text:
    """Return the line that says what is trained and how to stop it."""
    hint = "Ctrl-C saves and stops"
    room = width - len(hint) - 2
    if room < 10:
        return Text(hint, "dim")
    return Text.assemble((f"{printable(title, room):<{room}}  ", "bold"), (hint, "dim"))
