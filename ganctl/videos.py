"""MP4 videos, through the extra `video` (PyAV)."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

import numpy as np

from ganctl.errors import PackageError
from ganctl.images import Pixels, over_white
from ganctl.provenance import as_json

_INSTEAD = "Or make a .gif, .webp or .apng."
_QUALITY = "15"
"""x264's constant rate factor: 0 is lossless, 18 nearly so, 23 the default."""
_INDEX_BYTES, _INDEX_BYTES_PER_FRAME = 2048, 24
"""Bytes that are kept free for the index of an MP4, which lists each frame's size, time and place;
13 bytes per frame were measured. Too few would be an error."""


def require_encoder() -> None:
    """Raise PackageError if videos cannot be made."""
    try:
        import av
    except ImportError:
        raise PackageError.missing("an .mp4", "PyAV", "video", _INSTEAD) from None
    if "libx264" not in av.codecs_available:
        raise PackageError(
            "this installation of PyAV cannot encode H.264",
            f"Install the one from PyPI. {_INSTEAD}",
        )


def mp4(frames: Sequence[Pixels], fps: int, text: Mapping[str, str] | None = None) -> bytes:
    """Encode pictures (H, W, C) of one size as an H.264 video that every player can show.

    Its colors have half the resolution (yuv420p), so sides are even: the last row or column of an
    odd side is repeated. They are those of ITU-R BT.709, and the file says so. The index comes
    before the frames, so that a browser plays the video while it loads. RGBA pictures are shown
    over white. `text` is stored as `provenance` describes. Raises PackageError without the extra.
    """
    require_encoder()
    import av
    from av.video.reformatter import (
        ColorPrimaries,
        ColorRange,
        Colorspace,
        ColorTrc,
        VideoReformatter,
    )

    height, width, _ = frames[0].shape
    comment = as_json(text) if text else ""
    room = _INDEX_BYTES + len(comment) + _INDEX_BYTES_PER_FRAME * len(frames)
    buffer, to_yuv = io.BytesIO(), VideoReformatter()
    with av.open(buffer, "w", format="mp4", options={"moov_size": str(room)}) as container:
        container.metadata["comment"] = comment
        stream = container.add_stream("libx264", rate=fps, options={"crf": _QUALITY})
        stream.height, stream.width = height + height % 2, width + width % 2
        stream.pix_fmt = "yuv420p"
        stream.codec_context.color_range = ColorRange.MPEG
        stream.codec_context.colorspace = Colorspace.ITU709
        stream.codec_context.color_primaries = ColorPrimaries.BT709
        stream.codec_context.color_trc = ColorTrc.BT709
        for picture in frames:
            even = np.pad(over_white(picture), ((0, height % 2), (0, width % 2), (0, 0)), "edge")
            rgb = np.ascontiguousarray(np.broadcast_to(even, (*even.shape[:2], 3)))
            frame = av.VideoFrame.from_ndarray(rgb, "rgb24")
            yuv = to_yuv.reformat(
                frame, format="yuv420p", dst_colorspace=Colorspace.ITU709, threads=1
            )
            container.mux(stream.encode(yuv))
        container.mux(stream.encode())
    return buffer.getvalue()
