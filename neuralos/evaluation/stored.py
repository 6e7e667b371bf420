"""Passages of a trace store: what was recorded, whoever acted and whatever the desktop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data_collection.action import Action, fold
from data_collection.exports.episodes import Episode as Stretch
from data_collection.storage.codec import decode_meta
from data_collection.storage.reading import read_body, read_clip
from neuralos.data.encode import Frames, reduce_frames
from neuralos.evaluation.passage import Passage, pointer_box
from neuralos.evaluation.scoring import GENERAL, LONG
from neuralos.evaluation.transitions import CHANGE, Transition, settled
from neuralos.shapes import SCREEN_HEIGHT_PX, SCREEN_WIDTH_PX, Screen

WARM = 16
_GENERATED = {GENERAL: 64, LONG: 256}
_MOST = {GENERAL: 40, LONG: 8}
_CHANGED_LEVELS = 8
_CHANGED_SHARE = 0.005
"""Where so much of the screen changes at once, beside the cursor, something happened."""


class NothingToEvaluate(ValueError):
    """No stretch of these traces is long enough, or all have another size."""

    hint = "A passage needs 80 frames in a row (5.3 s) of 512×384, real and not withdrawn."


@dataclass(frozen=True, slots=True)
class Window:
    """Frames ``start`` to ``start + frames`` of a stretch, to become a passage."""

    group: str
    stretch: Stretch
    start: int
    frames: int

    @property
    def id(self) -> str:
        """A name of its own."""
        return f"{self.group}-{self.stretch.name}-{self.start}"


class StoredSource:
    """Passages of stored traces: up to 40 of 80 frames and 8 of 272, spread over all of them.

    A transition is where much of the screen changes, since clips hold the readable state of
    their last frame alone. What lies under the cursor is taken from the nearest frame in time
    whose cursor is elsewhere.

    Args:
        name: what the store is called.
        root: its folder.
        stretches: consecutive clips of traces.
        twins: for a trace's id, another replay of the same events, if there is one.
        screen: what the simulator shows.

    Raises:
        NothingToEvaluate: nothing is long enough.
    """

    def __init__(
        self,
        name: str,
        root: Path,
        stretches: Sequence[Stretch],
        twins: Callable[[str], Stretch | None],
        screen: Screen,
    ) -> None:
        self.name = name
        self._root = root
        self._twins = twins
        self._screen = screen
        size = (SCREEN_WIDTH_PX, SCREEN_HEIGHT_PX)
        fitting = [s for s in stretches if (s.header.width_px, s.header.height_px) == size]
        self._windows = [window for group in (GENERAL, LONG) for window in _windows(group, fitting)]
        if not self._windows:
            raise NothingToEvaluate(f"{name} has no passage to evaluate on")

    @property
    def lengths(self) -> Sequence[int]:
        """How many frames of each passage are generated."""
        return [window.frames - WARM for window in self._windows]

    def passage(self, number: int) -> Passage:
        """Return a passage.

        Raises:
            ClipCorrupt: a clip's bytes are damaged.
        """
        window = self._windows[number]
        frames, done = self._cut(window.stretch, window)
        twin = self._twins(window.stretch.header.trace_id)
        bare = without_cursor(frames, done[1:], self._screen.reduction)
        return Passage(
            id=window.id,
            group=window.group,
            frames=frames,
            bare_frames=bare,
            bare_index=np.arange(len(frames)),
            done=tuple(done),
            reduction=self._screen.reduction,
            warm=WARM,
            transitions=seen_transitions(bare, done[1:], self._screen.reduction),
            twin=self._cut(twin, window)[0] if twin and _covers(twin, window) else None,
        )

    def _cut(self, stretch: Stretch, window: Window) -> tuple[Frames, list[Action]]:
        """Return a window's frames, and the action before them and that of each."""
        end = window.start + window.frames
        action, frames = Action(), []
        done: list[Action] = []
        for row in stretch.rows:
            if row.first_frame >= end:
                break
            if row.first_frame + row.frames <= window.start:
                for events in decode_meta(read_body(self._root, row)).events:
                    action = fold(events, action)
                continue
            clip = read_clip(self._root, row)
            for index, events in enumerate(clip.events, start=row.first_frame):
                before, action = action, fold(events, action)
                if window.start <= index < end:
                    done += [before, action] if not done else [action]
            first = max(0, window.start - row.first_frame)
            frames.append(reduce_frames(clip.frames[first : end - row.first_frame], self._screen))
        return np.concatenate(frames), done


def without_cursor(frames: Frames, done: Sequence[Action], reduction: int) -> Frames:
    """Return frames in which the neighbourhood of the pointer is that of another moment.

    Of the nearest in time, that is, whose own pointer is elsewhere; where the pointer never
    left, it stays as it is.
    """
    boxes = [pointer_box((action.x_px, action.y_px), reduction) for action in done]
    bare = frames.copy()
    for t, (left, top, right, bottom) in enumerate(boxes):
        others = [u for u, box in enumerate(boxes) if not _meet(box, boxes[t])]
        if others:
            nearest = min(others, key=lambda u: (abs(u - t), u))
            part = (slice(max(0, top), bottom), slice(max(0, left), right))
            bare[t][part] = frames[nearest][part]
    return bare


def seen_transitions(
    bare: Frames, done: Sequence[Action], reduction: int
) -> tuple[Transition, ...]:
    """Return the changes of a large part of the screen among the generated frames."""
    boxes = [pointer_box((action.x_px, action.y_px), reduction) for action in done]
    ticks = []
    for t in range(WARM, len(bare)):
        changed = np.abs(bare[t].astype(np.int16) - bare[t - 1]).max(-1) > _CHANGED_LEVELS
        for left, top, right, bottom in boxes[t - 1 : t + 1]:
            changed[max(0, top) : bottom, max(0, left) : right] = False
        if changed.mean() >= _CHANGED_SHARE:
            ticks.append((CHANGE, t))
    return tuple(settled(ticks, len(bare)))


def _windows(group: str, stretches: Sequence[Stretch]) -> list[Window]:
    """Return a group's windows: as many as are wanted, spread over all that there are."""
    frames = WARM + _GENERATED[group]
    found = [
        Window(group, stretch, start, frames)
        for stretch in stretches
        for start in range(
            stretch.rows[0].first_frame,
            stretch.rows[0].first_frame + stretch.frames - frames + 1,
            frames,
        )
    ]
    most = _MOST[group]
    if len(found) <= most:
        return found
    return [found[index * len(found) // most] for index in range(most)]


def _covers(stretch: Stretch, window: Window) -> bool:
    first = stretch.rows[0].first_frame
    return first <= window.start and window.start + window.frames <= first + stretch.frames


def _meet(one: tuple[int, int, int, int], other: tuple[int, int, int, int]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
