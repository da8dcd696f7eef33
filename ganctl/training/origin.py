"""The checkpoint that a new run begins from: what is taken from it, and what is recorded of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ganctl import store
from ganctl.checkpoint import Checkpoint
from ganctl.classes import names_of
from ganctl.config import presets
from ganctl.config.image_settings import format_size
from ganctl.config.schema import TrainConfig, settings
from ganctl.errors import CheckpointError, Setting, Text, UsageError
from ganctl.networks import first_layers
from ganctl.networks.transfer import Transfer, transfer
from ganctl.text import listed, printable
from ganctl.training.state import TrainState, require_fit

_MAX_LISTED = 12
"""Number of tensors that a notice lists per network."""


@dataclass(frozen=True)
class Origin:
    """A checkpoint whose weights a new run begins with."""

    path: Path
    """The path as given: a file or a run directory."""
    checkpoint: Checkpoint

    @property
    def preset(self) -> str | None:
        """The checkpoint's preset, if it is known here."""
        name = self.checkpoint.config.preset
        return name if name in presets.PRESETS else None

    def fill(self, state: TrainState, classes: Sequence[str]) -> Beginning:
        """Copy the checkpoint's weights to a new `state` wherever they fit.

        `classes` are the names of the images' classes; those of the same name in the checkpoint are
        continued. Raises UsageError if nothing fits, or a layer that is to be frozen does not.
        """
        old, new = self.checkpoint.config.network, state.config.network
        known = names_of(old.num_classes, self.checkpoint.data["classes"])
        names = names_of(new.num_classes, classes)
        same = {number: known.index(name) for number, name in enumerate(names) if name in known}
        copies = {
            "generator": (state.generator, self.checkpoint.generator),
            "discriminator": (state.discriminator, self.checkpoint.discriminator),
        }
        transfers = {
            part: transfer(part, network, new, weights, old, same)
            for part, (network, weights) in copies.items()
        }
        if not any(each.taken for each in transfers.values()):
            raise self._nothing_fits(state.config)
        for name in first_layers(new, state.config.freeze_d):
            if name in transfers["discriminator"].new:
                raise UsageError(
                    f"the discriminator's {name} does not fit that of {self.path}: it begins anew "
                    "and cannot be frozen",
                    Text("Leave out {}.", Setting("freeze_d")),
                )
        if state.ema is not None:
            average = self.checkpoint.generator_ema or self.checkpoint.generator
            transfer("generator", state.ema, new, average, old, same)
        return Beginning(self, transfers, tuple(names[number] for number in same))

    def _nothing_fits(self, config: TrainConfig) -> UsageError:
        theirs, ours = settings(self.checkpoint.config), settings(config)
        decisive = (
            ("preset" if theirs["preset"] != ours["preset"] else "architecture"),
            "base_channels",
        )
        names = [name for name in decisive if theirs[name] != ours[name]]
        return UsageError(
            Text(
                "no weights of {} fit: " + ", ".join(["{} there, {} here"] * len(names)),
                self.path,
                *(Setting(name, each[name]) for name in names for each in (theirs, ours)),
            ),
            "Leave out these settings: the run then takes them from the checkpoint.",
        )


@dataclass(frozen=True)
class Beginning:
    """What a run began with: an origin, and the tensors that were taken from it."""

    origin: Origin
    transfers: dict[str, Transfer]
    """By the network's name."""
    continued: tuple[str, ...] = ()
    """Names of the classes whose weights were taken from classes of the same name."""

    def facts(self) -> dict[str, str | int]:
        """Return which checkpoint it was, and what was taken from it."""
        checkpoint = self.origin.checkpoint
        return {
            "path": str(self.origin.path),
            "digest": checkpoint.digest,
            "step": checkpoint.step,
            "data": printable(checkpoint.data["name"], 300),
            "data_digest": str(checkpoint.data["digest"]),
            "taken": self._taken(),
            "new": "; ".join(self._new()) or "nothing",
        }

    def record(self) -> dict[str, str | int]:
        """Return what a checkpoint's `made_by` keeps, so that the origin is not needed again."""
        path, *others = self.facts().items()
        return {"init_from": path[1], **{f"init_from_{name}": value for name, value in others}}

    def notice(self) -> str:
        """Return a line for the user: what was taken, and what begins anew."""
        checkpoint = self.origin.checkpoint
        network, data = checkpoint.config.network, printable(checkpoint.data["name"], 80)
        new = "; ".join(self._new(_MAX_LISTED))
        return (
            f"Begins from {self.origin.path} (step {checkpoint.step:,}, {data} "
            f"at {format_size(network.height, network.width)}): {self._taken()}. "
            + (f"New: {new}." if new else "Nothing begins anew.")
            + self._about_classes()
        )

    def _about_classes(self) -> str:
        """Return which classes continue others, if any do."""
        if not self.continued:
            return ""
        what = "number" if all(map(str.isdecimal, self.continued)) else "name"
        return f" Classes that continue those of the same {what}: {listed(self.continued)}."

    def _taken(self) -> str:
        counts = (
            f"{len(each.taken)} of {len(each.taken) + len(each.new)} tensors of the {part}"
            for part, each in self.transfers.items()
        )
        return ", ".join(counts)

    def _new(self, at_most: int | None = None) -> Iterator[str]:
        """Yield the names of the tensors that begin anew, of each network that has any."""
        for part, each in self.transfers.items():
            classes = [f"the classes of {name}" for name in each.with_new_classes]
            if names := [*each.new, *classes]:
                yield f"{part} {listed(names, at_most or len(names))}"


def read(path: Path) -> Origin:
    """Return the checkpoint at `path`, a file or a run directory, to begin from.

    Raises CheckpointError, also if a weight is not finite.
    """
    file = store.checkpoint_path(path)
    checkpoint = store.read_checkpoint(file)
    with store.errors_about(file):
        require_fit(checkpoint)
        for part in ("generator", "generator_ema", "discriminator"):
            for name, tensor in (getattr(checkpoint, part) or {}).items():
                if not bool(tensor.isfinite().all()):
                    raise CheckpointError(f"cannot be begun from: {part} {name} is not finite")
    return Origin(path, checkpoint)
