"""MP4, through the extra `video`."""

from __future__ import annotations

import io
import sys

import numpy as np
import pytest

from ganctl import videos
from ganctl.errors import PackageError


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_mp4_round_trip(channels):
    av = pytest.importorskip("av")
    shades = [0, 80, 160, 240]
    frames = [np.full((15, 16, channels), shade, np.uint8) for shade in shades]
    if channels == 4:  # black, the less opaque the lighter: over white it is as bright
        frames = [(255 - frame) * np.array([0, 0, 0, 1], np.uint8) for frame in frames]
    with av.open(io.BytesIO(videos.mp4(frames, 10))) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height, stream.average_rate) == (16, 16, 10)
        assert stream.pix_fmt == "yuv420p"
        shown = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
    assert [abs(image.mean() - shade) < 8 for image, shade in zip(shown, shades, strict=True)] == [
        True
    ] * 4


def test_a_browser_can_play_it_at_once_and_knows_its_colors():
    av = pytest.importorskip("av")
    colors = [(255, 0, 0), (0, 200, 40), (30, 60, 250), (250, 240, 20)]
    frames = [np.full((16, 16, 3), color, np.uint8) for color in colors]
    content = videos.mp4(frames, 10, {"seeds": "3,7"})
    assert content.index(b"moov") < content.index(b"mdat")
    with av.open(io.BytesIO(content)) as container:
        assert container.metadata["comment"] == '{"seeds": "3,7"}'
        stream = container.streams.video[0]
        shown = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
        coded = stream.codec_context
        tags = (coded.color_primaries, coded.color_trc, coded.colorspace, coded.color_range)
    assert tags == (1, 1, 1, 1)  # BT.709 and the range of MPEG
    for image, color in zip(shown, colors, strict=True):
        assert np.abs(image.reshape(-1, 3).mean(0) - color).max() < 8


def test_the_index_of_many_frames_has_its_room():
    noise = np.random.default_rng(0).integers(0, 256, (300, 2, 2, 1), np.uint8)
    content = videos.mp4([*noise], 50)
    assert content.index(b"moov") < content.index(b"mdat")


def test_missing_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(PackageError, match="PyAV") as raised:
        videos.mp4([np.zeros((4, 4, 1), np.uint8)], 10)
    assert "ganctl[video]" in raised.value.hint
