"""The files of a source: which are images, in which split, and of which class.

Classes come from files beside the images (`samples`), or else from a file that lists them
(`labels`), or else from the folders (`layout`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

from ganctl import limits
from ganctl.datasets.dataset import NO_CLASSES
from ganctl.datasets.decoding.decode import BadImage
from ganctl.datasets.sources import labels
from ganctl.datasets.sources.base import (
    NOT_AN_IMAGE,
    Contents,
    Entry,
    Problem,
    Reason,
    class_order,
    too_long,
    why_unused,
)
from ganctl.datasets.sources.layout import Folder, Parts, common, folders_of, infer
from ganctl.errors import DataError
from ganctl.text import listed, printable

_NUM_EXAMPLES = 3

Place = TypeVar("Place")


class Listing(Generic[Place]):
    """The files of a source as they are found, and the place of each image."""

    def __init__(self, *, is_sharded: bool = False) -> None:
        """Make an empty listing; if `is_sharded`, names begin with that of an archive."""
        self.places: dict[str, Place] = {}
        """Place of each image, by its name."""
        self.problems: list[Problem] = []
        self._is_sharded = is_sharded
        self._sizes: dict[str, int] = {}
        self._lists: dict[str, Place] = {}
        self._doubts: list[str] = []
        """Reasons why lists give no classes, reported only if nothing else gives any."""

    def add(self, name: str, size: int, place: Place) -> None:
        """Add a file of `size` bytes, found at `place`. Raises DataError if there are too many."""
        reason: Reason | None = too_long(name) or why_unused(name, size)
        is_list = name.rpartition("/")[2] in labels.LISTS and reason == NOT_AN_IMAGE
        if is_list and size > limits.LABEL_LIST_BYTES:
            is_list, reason = False, (f"too large a list of labels: {size / 1e6:,.0f} MB", False)
        name = printable(name[: limits.NAME_CHARS])
        if reason is None and name in self.places:
            reason = ("a second file of that name", False)
        if is_list and name not in self._lists:
            self._lists[name] = place
        elif reason is not None:
            self.problems.append(Problem(name, *reason))
        else:
            self.places[name] = place
            self._sizes[name] = size
        if len(self.places) + len(self.problems) + len(self._lists) > limits.MEMBERS:
            raise DataError(f"there are more than {limits.MEMBERS:,} files, which is too many")

    def refuse(self, name: str, reason: str, *, harmless: bool = False) -> None:
        """Add a file that is not used."""
        self.problems.append(Problem(printable(name[: limits.NAME_CHARS]), reason, harmless))

    def leave_out(self, name: str, reason: str) -> None:
        """Remove an image that was added but is not wanted."""
        del self.places[name]
        self.problems.append(Problem(name, reason, harmless=True))

    def contents(
        self, read: Callable[[Place], bytes], beside: Mapping[str, str] | None = None
    ) -> Contents:
        """Return the images with their splits and classes; `problems` gets what is not used.

        `beside` has the classes from files beside the images, by the names of the images. If some
        images have a class, those without one are left out. `read` may raise BadImage.
        """
        first = 1 if self._is_sharded else 0
        paths = {name: folders_of(name)[first:] for name in sorted(self.places)}
        folders: dict[Parts, Folder] = {}
        for name, path in paths.items():
            folders.setdefault(path, Folder()).add(name.rpartition("/")[2])
        layout, notes, doubts = infer(folders)
        found = Contents(notes=notes, problems=self.problems)
        for name, path in paths.items():
            if layout.is_train(path):
                found.entries.append(Entry(name, None, self._sizes[name]))
            elif layout.is_held_out(path):
                found.held_out.append(Entry(name, None, self._sizes[name]))
        labeled = (labels.FILES_BESIDE, beside) if beside else self._from_list(paths, found, read)
        if labeled is None:
            found.notes += doubts
            by_folder = {entry.name: layout.class_of(paths[entry.name]) for entry in found.entries}
            labeled = labels.FOLDERS, {name: label for name, label in by_folder.items() if label}
        for name in self._lists:
            self.refuse(name, NOT_AN_IMAGE[0], harmless=True)
        labels_from, classes = labeled
        if not classes:
            found.notes += self._doubts
            return found
        found.labels_from = labels_from
        entries, found.entries = found.entries, []
        for entry in entries:
            if (label := classes.get(entry.name)) is not None:
                found.entries.append(Entry(entry.name, label, entry.size))
            else:
                self.refuse(entry.name, f"no class in {labels_from}")
        found.classes = class_order(entry.label for entry in found.entries if entry.label)
        return found

    def _from_list(
        self, paths: Mapping[str, Parts], found: Contents, read: Callable[[Place], bytes]
    ) -> tuple[str, Mapping[str, str]] | None:
        """Return (name of the nearest list of labels, {image: class}), or None if there is none.

        It must be in a folder that has all training images. Sharded archives have no lists.
        """
        shared = common(paths[entry.name] for entry in found.entries)
        for depth in range(len(shared), -1, -1) if not self._is_sharded else ():
            folder = "".join(f"{part}/" for part in shared[:depth])
            for name in (folder + name for name in labels.LISTS if folder + name in self._lists):
                try:
                    return name, self._classes(name, folder, found, read)
                except labels.NoLabels as none:
                    self.refuse(name, f"has no classes: {none}", harmless=True)
                    self._doubts.append(f"{NO_CLASSES}{name} has none: {none}.")
                except (labels.BadLabels, BadImage) as bad:
                    self.refuse(name, str(bad))
        return None

    def _classes(
        self, name: str, folder: str, found: Contents, read: Callable[[Place], bytes]
    ) -> dict[str, str]:
        """Return the classes in the list `name` in `folder`, by the names of the images."""
        parsed = labels.parse(name, read(self._lists.pop(name)))
        if not parsed:
            found.notes.append(f"{NO_CLASSES}{name} says that there are none.")
            return {}
        here = {
            labels.comparable(image.removeprefix(folder)): image
            for image in self.places
            if image.startswith(folder)
        }
        missing = [path for path in parsed if path not in here]
        classes = {here[path]: label for path, label in parsed.items() if path in here}
        if classes.keys().isdisjoint(entry.name for entry in found.entries):
            examples = listed(parsed, _NUM_EXAMPLES)
            raise labels.BadLabels(f"names none of the training images, but {examples}")
        if missing:
            examples = listed(missing, _NUM_EXAMPLES)
            found.notes.append(f"{name} names files that are not there: {examples}.")
        return classes
