"""A JPEG without its end is used if, and only if, its picture is complete."""

import io

import numpy as np
import pytest
from PIL import Image

from ganctl.config.image_settings import ImageSettings
from ganctl.datasets.decoding.decode import BadImage, Found, decode, examine, measure
from ganctl.datasets.decoding.jpeg import with_endings

AS_IT_IS = ImageSettings((56, 72), 3)
PIXELS = np.random.default_rng(0).integers(0, 256, (56, 72, 3), dtype=np.uint8)
KINDS = {
    "plain": {},
    "progressive": {"progressive": True},
    "full color": {"subsampling": 0, "quality": 95},
    "restarts": {"restart_marker_rows": 1},
    "gray": {"mode": "L"},
}


def jpeg(mode="RGB", **options):
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).convert(mode).save(buffer, "JPEG", **options)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("missing", [1, 2])
def test_a_jpeg_that_lacks_only_its_end_is_used_and_reported(kind, missing):
    whole = jpeg(**KINDS[kind])
    pixels, found = examine(whole[:-missing], AS_IT_IS)
    np.testing.assert_array_equal(pixels, decode(whole, AS_IT_IS))
    assert found.lacks_end
    assert not examine(whole, AS_IT_IS)[1].lacks_end
    assert measure(whole[:-missing]) == measure(whole)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("left", [0.5, 0.9, -12, -5])
def test_a_jpeg_that_lacks_some_of_its_picture_is_truncated(kind, left):
    whole = jpeg(**KINDS[kind])
    cut = whole[: int(left * len(whole)) if left > 0 else left]
    with pytest.raises(BadImage, match=r"^truncated$"):
        decode(cut, AS_IT_IS)


def test_a_progressive_jpeg_cut_between_two_scans_is_truncated():
    """The picture is complete but blurred, since the later scans are missing."""
    whole = jpeg(progressive=True)
    scans = [place for place in range(len(whole)) if whole.startswith(b"\xff\xda", place)]
    tables = [place for place in range(len(whole)) if whole.startswith(b"\xff\xc4", place)]
    assert len(scans) > 5
    for scan in scans[1:]:
        between = max((place for place in tables if place < scan), default=scan)
        assert list(with_endings(whole[:between])) == []
        with pytest.raises(BadImage, match=r"^truncated$"):
            decode(whole[:between], AS_IT_IS)


def test_a_large_jpeg_is_compared_at_its_reduced_size():
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).resize((720, 560)).save(buffer, "JPEG")
    content = buffer.getvalue()
    pixels, found = examine(content[:-1], AS_IT_IS)
    np.testing.assert_array_equal(pixels, decode(content, AS_IT_IS))
    assert found == Found(int(pixels.max()), lacks_end=True)


def test_other_files_get_no_ending():
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).save(buffer, "PNG")
    for content in (buffer.getvalue(), b"", b"\xff\xd8", b"\xff\xd8\xff\xc0\0", jpeg()[:300]):
        assert list(with_endings(content)) == []
