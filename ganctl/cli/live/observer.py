"""A training that a person watches, on the whole of a terminal."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from rich.text import Text

from ganctl import palette
from ganctl.cli.live.curves import Curves, Trace
from ganctl.cli.live.panels import WIDTHS, Bars, Lines, table_head, table_line
from ganctl.cli.live.preview import Preview
from ganctl.cli.live.screen import Part, Region, Screen
from ganctl.cli.observers import QuietObserver
from ganctl.cli.spelling import spelled
from ganctl.history import COLUMNS, epoch_label
from ganctl.text import printable

if TYPE_CHECKING:
    from ganctl import errors
    from ganctl.cli.terminal import Terminal
    from ganctl.history import Row
    from ganctl.images import Pixels
    from ganctl.training.loop import Progress

_SIDE_BY_SIDE = 76
"""From so many columns on the samples are beside all else."""
_TABLE_WIDTH = 61


class LiveObserver(QuietObserver):
    """While entered: bars, curves, the table's last rows, and the samples where there is room.

    They leave nothing on the screen; then the whole table is printed, and what was warned of.
    """

    def __init__(
        self,
        terminal: Terminal,
        steps_per_epoch: int,
        *,
        title: str = "",
        history: Sequence[Row] = (),
        preview: bool = True,
    ) -> None:
        super().__init__(terminal, steps_per_epoch)
        self.wants_samples = preview
        self._title = Lines(lambda width: [_title(title, width)])
        self._trace = Trace()
        self._losses = Curves(self._trace, _styled("g_loss", "d_loss"))
        self._answers = Curves(self._trace, _styled("d_fake", "d_real"), (0.0, 1.0))
        self._table = Lines(lambda width: [table_head(width)])
        self._preview = Preview()
        self._warnings = Lines()
        self._bars = Bars()
        self._screen = Screen(terminal.err, self._arrange)
        self._afterwards: list[Callable[[], None]] = [lambda: self._print(table_head)]
        for row in history:
            self._trace.add(row["step"], row)
            self._table.add(self._line(row))

    def __enter__(self) -> LiveObserver:
        self._screen.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._screen.__exit__()
        for say in self._afterwards:
            say()
        if self._screen.failure is not None:
            super().warn(
                f"the training could not be shown any more: {self._screen.failure}",
                "It went on all the same; --quiet shows nothing.",
            )

    def on_step(self, progress: Progress) -> None:
        with self._screen.lock:
            self._bars.update(progress)
            self._trace.add(progress.step, progress.recent)

    def on_samples(self, pixels: Pixels, step: int) -> None:
        with self._screen.lock:
            self._preview.show(pixels, step)

    def on_epoch(self, row: Row) -> None:
        line = self._line(row)
        self._afterwards.append(lambda: self._print(line))
        with self._screen.lock:
            self._table.add(line)

    def warn(self, message: str, hint: str | errors.Text) -> None:
        """Say it at once, and again where it stays to be read."""
        self._afterwards.append(lambda: super(LiveObserver, self).warn(message, hint))
        with self._screen.lock:
            for line in (f"warning: {message}", f"  {spelled(hint)}"):
                self._warnings.add(functools.partial(_warning, line))

    def _line(self, row: Row) -> Callable[[int], Text]:
        cells = {name: COLUMNS[name].text(row[name]) for name in WIDTHS}
        cells["epoch"] = epoch_label(row, self._steps_per_epoch)
        return lambda width: table_line(cells, width)

    def _print(self, line: Callable[[int], Text]) -> None:
        console = self._terminal.err
        console.print(line(console.width), highlight=False, no_wrap=True)

    def _arrange(self, width: int, height: int) -> Mapping[Part, Region]:
        """Where everything is. In a small terminal the samples go first, then the curves."""
        regions: dict[Part, Region] = {}
        bottom = max(0, height - 2)
        regions[self._bars] = Region(bottom, 0, width, height - bottom)
        if self._warnings.version and bottom >= 6:
            bottom -= 2
            regions[self._warnings] = Region(bottom, 0, width, 2)
        space = 1 if height >= 24 else 0
        top, bottom = 0, bottom - space
        if height >= 10:
            regions[self._title] = Region(0, 0, width, 1)
            top = 1 + space
        left = width
        if self.wants_samples and width >= _SIDE_BY_SIDE and bottom - top >= 8:
            left = min(_TABLE_WIDTH, width * 9 // 16)
            regions[self._preview] = Region(top, left + 3, width - left - 3, bottom - top)
        below = self.wants_samples and self._preview not in regions and bottom - top >= 25
        if below:
            rows = (bottom - top) // 2
            bottom -= rows + space
            regions[self._preview] = Region(bottom + space, 0, width, rows)
        top += self._arrange_curves(regions, top, bottom, left, space)
        regions[self._table] = Region(top, 0, left, max(0, bottom - top))
        return regions

    def _arrange_curves(
        self, regions: dict[Part, Region], top: int, bottom: int, width: int, space: int
    ) -> int:
        """Both curves where they leave rows to the table; the height that they take."""
        room = bottom - top
        half = (width - 2) // 2
        if width >= 44 and room < 26:
            rows = min(10, room // 3)
            places = [(top, 0, half), (top, half + 2, width - half - 2)]
        elif room >= 16:
            rows = min(9, room // 4)
            places = [(top, 0, width), (top + rows + space, 0, width)]
        else:
            rows = min(6, room // 3)
            places = [(top, 0, width)]
        if rows < 4:
            return 0
        for curves, (row, column, columns) in zip(
            (self._losses, self._answers), places, strict=False
        ):
            regions[curves] = Region(row, column, columns, rows)
        return places[-1][0] + rows + space - top


def _styled(*metrics: str) -> dict[str, tuple[str, str]]:
    """Return each metric's color and label."""
    return {name: (palette.color(name).terminal, COLUMNS[name].short) for name in metrics}


def _warning(line: str, width: int) -> Text:
    return Text(printable(line)[:width], "yellow")


def _title(title: str, width: int) -> Text:
    """What is trained, and how it is stopped."""
    hint = "Ctrl-C saves and stops"
    title, room = printable(title), width - len(hint) - 2
    if room < 10:
        return Text(hint, "dim")
    name = title if len(title) <= room else f"{title[: room - 1]}…"
    return Text.assemble((f"{name:<{room}}  ", "bold"), (hint, "dim"))
