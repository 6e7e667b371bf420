"""The pictures that may lie beside a log: one per line, named by its time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from data_collection.imports.demo_events import HEIGHT_PX, WIDTH_PX
from data_collection.imports.demo_lines import LogLine
from data_collection.imports.demo_segments import LogSegment
from data_collection.imports.importer import ImportProblem
from data_collection.trace import Frame


class Pictures:
    """The pictures of one log.

    Args:
        folder: where they are, if anywhere.
        file: name of the log, for problems.
        problems: what is odd about them goes here.
    """

    def __init__(self, folder: Path, file: str, problems: list[ImportProblem]) -> None:
        self._folder = folder
        self._file = file
        self._problems = problems
        self._names = {path.name for path in folder.glob("*.png")} if folder.is_dir() else set()

    def has_any(self, segment: LogSegment) -> bool:
        """Tell whether a line of the segment has a picture."""
        return any(_name(line) in self._names for line in segment.lines)

    def read(self, line: LogLine) -> Frame | None:
        """Return a line's picture; None, and a problem, where it is missing or none."""
        name = _name(line)
        if name not in self._names:
            self._note(line, "no_picture", f"{name} is missing; the one before is shown on")
            return None
        try:
            with Image.open(self._folder / name) as image:
                # The size stands in the head: nothing large is unpacked.
                if image.size != (WIDTH_PX, HEIGHT_PX):
                    raise ValueError(f"{image.width}x{image.height} pixels")
                frame = np.asarray(image.convert("RGB"), np.uint8)
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            self._note(line, "bad_picture", f"{name}: {error}; the one before is shown on"[:200])
            return None
        return frame

    def _note(self, line: LogLine, code: str, hint: str) -> None:
        self._problems.append(ImportProblem(self._file, line.number, code, hint))


def _name(line: LogLine) -> str:
    return f"{line.end_s:.6f}.png"
