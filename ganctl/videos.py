"""MP4 videos, through the extra `video` (PyAV)."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np

from ganctl.errors import PackageError
from ganctl.images import Pixels, over_white

_INSTEAD = "Or make a .gif, .webp or .apng."
_QUALITY = "15"
"""x264's constant rate factor: 0 is lossless, 18 nearly so, 23 the default."""


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


def mp4(frames: Sequence[Pixels], fps: int) -> bytes:
    """Encode pictures (H, W, C) of one size as an H.264 video that every player can show.

    Its colors have half the resolution (yuv420p), so sides are even: the last row or column of an
    odd side is repeated. RGBA pictures are shown over white. Raises PackageError without the extra.
    """
    require_encoder()
    import av

    height, width, _ = frames[0].shape
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=fps, options={"crf": _QUALITY})
        stream.height, stream.width = height + height % 2, width + width % 2
        stream.pix_fmt = "yuv420p"
        for picture in frames:
            even = np.pad(over_white(picture), ((0, height % 2), (0, width % 2), (0, 0)), "edge")
            rgb = np.ascontiguousarray(np.broadcast_to(even, (*even.shape[:2], 3)))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, "rgb24")))
        container.mux(stream.encode())
    return buffer.getvalue()
