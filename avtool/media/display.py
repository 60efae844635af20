"""From decoded frames to the displayed picture: deinterlaced, upright, in square pixels, standard range."""

from __future__ import annotations

from collections.abc import Iterator

import av
import numpy as np
from av.error import BlockingIOError, EOFError
from av.filter import Graph
from av.video.reformatter import Colorspace, Interpolation, VideoReformatter

from avtool.media import hdr
from avtool.media.container import MICROSECONDS
from avtool.media.probe import VideoStream, microseconds

_UNSPECIFIED = 2  # AVCOL_SPC_UNSPECIFIED
_HD = 720  # lines from which an unmarked picture is BT.709, as players take it
_THUMBNAIL = 100  # lines and columns of the thumbnail at least
_LUMA = np.array([0.2126, 0.7152, 0.0722], np.float32)  # BT.709


class Screen:
    """Shows frames of one film at any size, through one shared reformatter a size and colour.

    Small sizes are averaged from one thumbnail of every n-th pixel and line: for 27 x 48 of a 720p frame that is
    three times quicker than averaging all of it and hardly to be told from it (2.9 of 255 apart from bicubic, 2.0
    for full averaging), where the quicker FAST_BILINEAR is off centre by half a pixel of the small picture (20).
    """

    def __init__(self, video: VideoStream) -> None:
        self._video = video
        self._unmarked = Colorspace.ITU709 if video.coded_height >= _HD else Colorspace.ITU601
        self._reformatters: dict[tuple[int, int, str], VideoReformatter] = {}
        self._thumbnail: tuple[av.VideoFrame, av.VideoFrame] | None = (
            None  # of which frame, and the thumbnail
        )

    def show(self, frame: av.VideoFrame, size: tuple[int, int] | None, gray: bool) -> np.ndarray:
        """The displayed picture: RGB uint8 (height, width, 3), or its luma (height, width) if `gray`.

        `size` is (height, width); None is the size as displayed.
        """
        height, width = size or (self._video.height, self._video.width)
        if self._video.rotation % 180:
            height, width = width, height
        if self._video.hdr:
            picture = hdr.to_sdr(self._pixels(frame, height, width, "rgb48le"), self._video.hdr)
            picture = (picture @ _LUMA).astype(np.uint8) if gray else picture
        else:
            picture = self._pixels(frame, height, width, "gray" if gray else "rgb24")
        return np.rot90(picture, self._video.rotation // 90)

    def _pixels(self, frame: av.VideoFrame, height: int, width: int, form: str) -> np.ndarray:
        nth = min(frame.height, frame.width) // _THUMBNAIL
        if nth > 1 and height <= frame.height // nth and width <= frame.width // nth:
            frame = self._small(frame, nth)
        shrinks = height * width < frame.height * frame.width
        way = Interpolation.AREA if shrinks else Interpolation.BILINEAR
        plane = self._scaled(frame, height, width, form, way).planes[0]
        rows = np.frombuffer(memoryview(plane), np.uint16 if form == "rgb48le" else np.uint8).reshape(
            height, -1
        )
        return rows[:, :width] if form == "gray" else rows[:, : 3 * width].reshape(height, width, 3)

    def _small(self, frame: av.VideoFrame, nth: int) -> av.VideoFrame:
        if self._thumbnail is None or self._thumbnail[0] is not frame:
            form = "rgb24" if frame.format.is_rgb or frame.format.has_palette else frame.format.name
            height, width = frame.height // nth, frame.width // nth
            self._thumbnail = frame, self._scaled(frame, height, width, form, Interpolation.POINT)
        return self._thumbnail[1]

    def _scaled(
        self, frame: av.VideoFrame, height: int, width: int, form: str, way: Interpolation
    ) -> av.VideoFrame:
        # A picture that stays in its own colours must not be taken through others.
        matrix = None if form == frame.format.name or frame.colorspace != _UNSPECIFIED else self._unmarked
        return self._reformatters.setdefault((height, width, form), VideoReformatter()).reformat(
            frame,
            width,
            height,
            form,
            src_colorspace=matrix,
            interpolation=way,
            threads=1,  # the decoder has the others; slices of small pictures cost more than they save
        )


class Deinterlacer:
    """Passes progressive frames on as they are; from the first interlaced one on, all go through bwdif.

    Frames come and go with their times in microseconds; bwdif holds one back until it has seen the next.
    """

    def __init__(self) -> None:
        self._graph: Graph | None = None
        self._kind: tuple[int, int, str] | None = None  # size and pixel format that the graph is made for

    def feed(self, time: int, frame: av.VideoFrame) -> Iterator[tuple[int, av.VideoFrame]]:
        kind = (frame.width, frame.height, frame.format.name)
        if self._graph is not None and kind != self._kind:
            yield from self.flush()
        if self._graph is None:
            if not frame.interlaced_frame:
                yield time, frame
                return
            self._graph, self._kind = _bwdif(frame), kind
        frame.pts, frame.time_base = time, MICROSECONDS
        self._graph.push(frame)
        yield from _pulled(self._graph)

    def flush(self) -> Iterator[tuple[int, av.VideoFrame]]:
        """What is held back, at the end."""
        if self._graph is not None:
            self._graph.push(None)
            yield from _pulled(self._graph)
            self._graph = None


def _pulled(graph: Graph) -> Iterator[tuple[int, av.VideoFrame]]:
    while True:
        try:
            frame = graph.pull()
        except (BlockingIOError, EOFError):
            return
        assert isinstance(frame, av.VideoFrame) and frame.pts is not None and frame.time_base is not None
        yield microseconds(frame.pts, frame.time_base), frame


def _bwdif(frame: av.VideoFrame) -> Graph:
    graph = Graph()
    graph.link_nodes(
        graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=MICROSECONDS),
        graph.add("bwdif", "mode=send_frame:deint=interlaced"),
        graph.add("buffersink"),
    ).configure()
    return graph
