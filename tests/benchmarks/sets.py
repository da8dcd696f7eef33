"""Build datasets from Python packages, as folders of PNGs, for docs/gallery.md.

    pip install scikit-learn scikit-image==0.26.0 python-avatars==1.4.1 resvg-py==0.5.0
    pip install --no-deps trdg==1.8.0
    python tests/benchmarks/sets.py avatars sets/avatars

No two images of a set are equal, and the same versions of the packages give the same images.

digits: ten digits in the handwriting of 13 people, one folder per digit, grayscale, 8x8 and an edge
of two pixels; scikit-learn's, from Alpaydin & Kaynak 1998, UCI, CC BY 4.0.
letters: A to Z in the hundred fonts of trdg (MIT), each under its maker's license; one folder per
letter, grayscale, 32x32.
avatars: heads of cartoon people, RGB, 128x128; python-avatars (MIT), drawings by Pablo Stanley.
sky: parts of the Hubble eXtreme Deep Field, RGB, 64x64; scikit-image; NASA, public domain.
tissue: parts of a stained slice of colon, RGB, 64x64; scikit-image; no known restrictions.
textures: parts of photographs of brick, grass and gravel, one folder per texture, grayscale, 64x64;
scikit-image; CC0.
"""

from __future__ import annotations

import argparse
import io
import random
import string
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

Named = Iterator[tuple[str, Image.Image]]
"""Images, each with its path in the set, without a suffix."""

_NUM_AVATARS = 6000


def digits() -> Named:
    """Return scikit-learn's digits, with 17 shades scaled to 256 and a black edge."""
    from sklearn.datasets import load_digits

    found = load_digits()
    for index, (pixels, digit) in enumerate(zip(found.images, found.target, strict=True)):
        shades = np.rint(pixels * (255 / 16)).astype(np.uint8)
        yield f"{digit}/{index:04}", Image.fromarray(np.pad(shades, 2))


def letters() -> Named:
    """Return A to Z in every font, as large as fits, white on black like MNIST's digits."""
    import importlib.util

    spec = importlib.util.find_spec("trdg")  # itself it would import more than fonts
    assert spec is not None
    assert spec.origin is not None
    for path in sorted((Path(spec.origin).parent / "fonts" / "latin").glob("*.ttf")):
        font = ImageFont.truetype(path, 96)
        for letter in string.ascii_uppercase:
            left, top, right, bottom = font.getbbox(letter)
            side = max(right - left, bottom - top)
            margin = side // 7
            canvas = Image.new("L", (int(side + 2 * margin),) * 2)
            corner = (canvas.width - right - left) / 2, (canvas.height - bottom - top) / 2
            ImageDraw.Draw(canvas).text(corner, letter, 255, font)
            yield f"{letter}/{path.stem}", canvas.resize((32, 32), Image.Resampling.BOX)


def avatars() -> Named:
    """Return heads on white, each with random hair, eyes, mouth, beard, glasses and clothes."""
    import python_avatars as parts
    import resvg_py

    random.seed(0)  # what the package draws with
    for index in range(_NUM_AVATARS):
        avatar = parts.Avatar.random(
            style=parts.AvatarStyle.TRANSPARENT,
            top=parts.HairType.pick_random(),
            clothing=random.choice([c for c in parts.ClothingType if c.name != "GRAPHIC_SHIRT"]),
        )
        drawn = resvg_py.svg_to_bytes(svg_string=avatar.render(), background="white", width=132)
        image = Image.open(io.BytesIO(drawn)).convert("RGB")
        yield f"{index:05}", image.crop((2, 2, 130, 130))


def sky() -> Named:
    """Return overlapping squares of the Hubble eXtreme Deep Field."""
    return _parts("hubble_deep_field", step=16)


def tissue() -> Named:
    """Return overlapping squares of a slice of colon, in which a protein is stained brown."""
    return _parts("immunohistochemistry", step=8)


def textures() -> Named:
    """Return overlapping squares of three photographs, each of which is a class."""
    for name in ("brick", "grass", "gravel"):
        for path, image in _parts(name, step=14):
            yield f"{name}/{path}", image


def _parts(name: str, *, step: int, side: int = 64) -> Named:
    import skimage.data

    photo = Image.fromarray(getattr(skimage.data, name)())
    for top in range(0, photo.height - side + 1, step):
        for left in range(0, photo.width - side + 1, step):
            yield f"{top:04}-{left:04}", photo.crop((left, top, left + side, top + side))


SETS: dict[str, Callable[[], Named]] = {
    make.__name__: make for make in (digits, letters, avatars, sky, tissue, textures)
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("set", choices=SETS)
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    seen: set[bytes] = set()
    for path, image in SETS[arguments.set]():
        pixels = np.asarray(image).tobytes()
        if pixels in seen:
            continue
        seen.add(pixels)
        to = arguments.folder / f"{path}.png"
        to.parent.mkdir(parents=True, exist_ok=True)
        image.save(to)
    print(f"{len(seen)} images in {arguments.folder}")


if __name__ == "__main__":
    main()
