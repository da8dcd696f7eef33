"""The files of a source as they are found, and what they are told apart into."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

from ganctl import limits
from ganctl.datasets.base import NO_CLASSES
from ganctl.datasets.decoding import BadImage
from ganctl.datasets.sources import labels
from ganctl.datasets.sources.base import (
    OTHER,
    Contents,
    Entry,
    Problem,
    class_order,
    too_long,
    unused,
)
from ganctl.datasets.sources.layout import Folder, Parts, common, folders_of, understand
from ganctl.errors import DataError
from ganctl.text import listed, printable

_NAMED = 3
"""Files that are given as examples."""

Place = TypeVar("Place")


class Listing(Generic[Place]):
    """The files of a source: which are images, and where each is."""

    def __init__(self, *, is_sharded: bool = False) -> None:
        """`is_sharded`: every name begins with that of an archive, which is no folder."""
        self.places: dict[str, Place] = {}
        """Of each image, by its name."""
        self.problems: list[Problem] = []
        self._is_sharded = is_sharded
        self._sizes: dict[str, int] = {}
        self._lists: dict[str, Place] = {}
        self._doubts: list[str] = []
        """Why lists tell no classes, to be said where nothing else does."""

    def add(self, name: str, size: int, place: Place) -> None:
        """A file of `size` bytes, found at `place`. Raises DataError where there is no end."""
        problem = too_long(name) or unused(name, size)
        is_list = name.rpartition("/")[2] in labels.LISTS and problem == OTHER
        if is_list and size > limits.LABEL_LIST_BYTES:
            is_list, problem = False, (f"too large a list of labels: {size / 1e6:,.0f} MB", False)
        name = printable(name[: limits.NAME_CHARS])
        if problem is None and name in self.places:
            problem = ("a second file of that name", False)
        if is_list and name not in self._lists:
            self._lists[name] = place
        elif problem is not None:
            self.problems.append(Problem(name, *problem))
        else:
            self.places[name] = place
            self._sizes[name] = size
        if len(self.places) + len(self.problems) + len(self._lists) > limits.MEMBERS:
            raise DataError(f"there are more than {limits.MEMBERS:,} files, which is too many")

    def refuse(self, name: str, reason: str, *, harmless: bool = False) -> None:
        """A file that is not used."""
        self.problems.append(Problem(printable(name[: limits.NAME_CHARS]), reason, harmless))

    def leave_out(self, name: str, reason: str) -> None:
        """An image that was added, and is not wanted after all."""
        del self.places[name]
        self.problems.append(Problem(name, reason, harmless=True))

    def contents(
        self, read: Callable[[Place], bytes], beside: Mapping[str, str] | None = None
    ) -> Contents:
        """Tell the files apart; what is not used is added to `problems`.

        Classes are those that files `beside` the images tell, by the images' names, or else a file
        that lists them, or else the folders. Where some images have a
        class, those that have none are left out. `read` may raise BadImage.
        """
        first = 1 if self._is_sharded else 0
        paths = {name: folders_of(name)[first:] for name in sorted(self.places)}
        folders: dict[Parts, Folder] = {}
        for name, path in paths.items():
            folders.setdefault(path, Folder()).add(name.rpartition("/")[2])
        layout, notes, doubts = understand(folders)
        found = Contents(notes=notes, problems=self.problems)
        for name, path in paths.items():
            if layout.is_train(path):
                found.entries.append(Entry(name, None, self._sizes[name]))
            elif layout.is_held_out(path):
                found.held_out.append(Entry(name, None, self._sizes[name]))
        told = (labels.FILES_BESIDE, beside) if beside else self._listed(paths, found, read)
        if told is None:
            found.notes += doubts
            by_folder = {entry.name: layout.class_of(paths[entry.name]) for entry in found.entries}
            told = labels.FOLDERS, {name: label for name, label in by_folder.items() if label}
        for name in self._lists:
            self.refuse(name, OTHER[0], harmless=True)
        found.labels_from, classes = told
        if not classes:
            found.labels_from = None
            found.notes += self._doubts
            return found
        for entry in found.entries:
            if entry.name not in classes:
                self.refuse(entry.name, f"no class in {found.labels_from}")
        found.entries = [
            Entry(entry.name, classes[entry.name], entry.size)
            for entry in found.entries
            if entry.name in classes
        ]
        found.classes = class_order(classes[entry.name] for entry in found.entries)
        return found

    def _listed(
        self, paths: Mapping[str, Parts], found: Contents, read: Callable[[Place], bytes]
    ) -> tuple[str, Mapping[str, str]] | None:
        """What the list nearest to the images tells, by its name; None where there is none.

        It lies in a folder that all images to be trained on are in. The labels of several archives
        are beside their images.
        """
        shared = common(paths[entry.name] for entry in found.entries)
        for depth in range(len(shared), -1, -1) if not self._is_sharded else ():
            folder = "".join(f"{part}/" for part in shared[:depth])
            for name in (folder + name for name in labels.LISTS if folder + name in self._lists):
                try:
                    return name, self._classes(name, folder, found, read)
                except labels.NoLabels as no:
                    self.refuse(name, f"tells no classes: {no}", harmless=True)
                    self._doubts.append(f"{NO_CLASSES}{name} tells none: {no}.")
                except (labels.BadLabels, BadImage) as bad:
                    self.refuse(name, str(bad))
        return None

    def _classes(
        self, name: str, folder: str, found: Contents, read: Callable[[Place], bytes]
    ) -> dict[str, str]:
        """The classes that the list `name` in `folder` tells, by the images' names."""
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
            named = listed(parsed, _NAMED)
            raise labels.BadLabels(f"names none of the images to be trained on, but {named}")
        if missing:
            found.notes.append(f"{name} names files that are not there: {listed(missing, _NAMED)}.")
        return classes
