"""TensorBoard: event files in the run directory."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ganctl.errors import PackageError, Setting
from ganctl.images import Pixels
from ganctl.store import TENSORBOARD
from ganctl.tracking.base import Tracker, described
from ganctl.training.callback import End, Start

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


class TensorBoard(Tracker):
    """A tracker that writes into the folder `tensorboard` of the run directory."""

    name = "tensorboard"
    _writer: SummaryWriter | None = None

    def open(self, start: Start, run_id: str | None) -> tuple[str, str]:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise PackageError.missing(
                Setting("track", self.name), "tensorboard", extra=self.name
            ) from None
        # What a run that was killed had logged past its last checkpoint is hidden.
        purge = start.step + 1 if start.resumed else None
        self._writer = SummaryWriter(str(start.folder / TENSORBOARD), purge_step=purge)
        rows = "\n".join(f"| {name} | `{value}` |" for name, value in described(start).items())
        self._writer.add_text("settings", f"| setting | value |\n| --- | --- |\n{rows}", start.step)
        self._writer.flush()
        return TENSORBOARD, f"tensorboard --logdir {shlex.quote(str(start.folder))}"

    def log_scalars(self, values: Mapping[str, float], step: int) -> None:
        assert self._writer is not None
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def log_picture(self, picture: Pixels, step: int) -> None:
        assert self._writer is not None
        self._writer.add_image("samples", picture, step, dataformats="HWC")
        self._writer.flush()

    def close(self, end: End) -> None:
        if self._writer is not None:
            self._writer.close()
