"""Images in memory, such as those of a built-in data set, as a source."""

from __future__ import annotations

from ganctl.datasets.decoding.decode import Pixels
from ganctl.datasets.sources.base import Contents, Entry, Source


class Memory(Source):
    """The images of an array, uint8 (N, H, W) or (N, H, W, C), called NAME[0], NAME[1], ..."""

    def __init__(self, name: str, images: Pixels) -> None:
        self._images = images
        self._numbers = {f"{name}[{number}]": number for number in range(len(images))}
        size = images[:1].nbytes
        self.contents = Contents([Entry(each, None, size) for each in self._numbers])

    def read(self, entry: Entry) -> Pixels:
        """Return uint8 (H, W) or (H, W, C)."""
        image: Pixels = self._images[self._numbers[entry.name]]
        return image
