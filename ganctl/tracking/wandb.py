"""Weights & Biases: runs on its server or, with WANDB_MODE=offline, in the folder `wandb`."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from typing import Any

from ganctl.errors import PackageError, RunError, Setting
from ganctl.images import Pixels, to_pil
from ganctl.tracking.base import Tracker, described
from ganctl.training.callback import End, Start


class WandB(Tracker):
    """A tracker that logs to Weights & Biases, configured by the environment variables WANDB_*."""

    name = "wandb"
    _run: Any = None

    def open(self, start: Start, run_id: str | None) -> tuple[str, str]:
        try:
            import wandb
        except ImportError:
            raise PackageError.missing(
                Setting("track", self.name), "wandb", extra=self.name
            ) from None
        self._wandb = wandb
        if wandb.setup().settings.mode == "online" and not wandb.login(prompt=False):
            raise RunError(
                "Weights & Biases has no API key here",
                "Log in with wandb login, or set WANDB_MODE=offline.",
            )
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", "ganctl"),
            name=os.environ.get("WANDB_NAME", start.folder.absolute().name),
            id=run_id,
            resume="allow" if run_id else None,
            config=described(start),
            reinit="create_new",  # a notebook may have a run of its own
            settings=wandb.Settings(console="off", silent=True),
        )
        # Not wandb's own steps: it drops those that a run repeats after it was killed.
        self._run.define_metric("*", step_metric="trained_steps")
        return self._run.id, self._address()

    def _address(self) -> str:
        if self._run.disabled:
            return "disabled by WANDB_MODE"
        if self._run.offline:
            return f"wandb sync {shlex.quote(self._run.settings.sync_dir)}"
        return str(self._run.url)

    def log_scalars(self, values: Mapping[str, float], step: int) -> None:
        self._run.log({**values, "trained_steps": step})

    def log_picture(self, picture: Pixels, step: int) -> None:
        self._run.log({"samples": self._wandb.Image(to_pil(picture)), "trained_steps": step})

    def close(self, end: End) -> None:
        if self._run is not None:
            self._run.finish(exit_code=1 if end.error else 0)
