"""What is scored: an episode's frames as the simulator would see them, and what is known of it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from data_collection.action import Action
from neuralos.data.encode import Floats, Frames, Keys, encode_action, encode_keys
from neuralos.evaluation.transitions import Transition

COMPARED_REDUCTION = 4
"""Distances are told in pixels of a 128×96 screen: those of 4×4 screen pixels."""


@dataclass(frozen=True, slots=True)
class Passage:
    """A stretch of frames (N, Y, P, 3), the first ``warm`` of them known to the simulator.

    ``bare_frames`` are the different pictures without a cursor, ``bare_index`` (N,) says which
    of them lies under each frame. ``done`` (N + 1) are the action before the first frame and
    that which led to each. ``decisive`` and ``event`` are set for tasks and count from the
    passage's first frame.
    """

    id: str
    group: str
    frames: Frames
    bare_frames: Frames
    bare_index: npt.NDArray[np.int64]
    done: tuple[Action, ...]
    reduction: int
    warm: int
    transitions: tuple[Transition, ...] = ()
    decisive: int = 0
    event: int = 0
    twin: Frames | None = None
    """The frames of another replay of the same events on the real desktop, if there is one."""

    @property
    def actions(self) -> Floats:
        """The actions as the simulator reads them, (N, A)."""
        return np.stack([encode_action(action) for action in self.done[1:]])

    @property
    def keys(self) -> Keys:
        """The key slots of the actions, (N, K)."""
        return np.stack(
            [encode_keys(*pair) for pair in zip(self.done[1:], self.done, strict=False)]
        )

    @property
    def generated(self) -> int:
        """How many frames are generated."""
        return len(self.frames) - self.warm

    @property
    def real(self) -> Frames:
        """The real frames of the generated part."""
        return self.frames[self.warm :]

    def compared(self) -> Passage:
        """Return the passage on the screen on which measures are taken: 128×96, if it is finer."""
        if self.reduction >= COMPARED_REDUCTION:
            return self
        return replace(
            self,
            frames=compared_frames(self.frames, self.reduction),
            bare_frames=compared_frames(self.bare_frames, self.reduction),
            twin=None if self.twin is None else compared_frames(self.twin, self.reduction),
            reduction=COMPARED_REDUCTION,
        )

    def bare(self, index: int) -> Frames:
        """Return frame ``index`` without its cursor."""
        picture: Frames = self.bare_frames[self.bare_index[index]]
        return picture

    def pointer(self, index: int) -> tuple[int, int]:
        """Return where the pointer is in frame ``index``, in screen pixels."""
        action = self.done[index + 1]
        return action.x_px, action.y_px

    def clear_of_pointer(self, index: int) -> npt.NDArray[np.bool_]:
        """Return where the cursor of frame ``index`` cannot be, (Y, P)."""
        clear = np.ones(self.frames.shape[1:3], dtype=np.bool_)
        left_px, top_px, right_px, bottom_px = pointer_box(self.pointer(index), self.reduction)
        clear[max(0, top_px) : bottom_px, max(0, left_px) : right_px] = False
        return clear


def compared_frames(frames: Frames, reduction: int) -> Frames:
    """Return frames of a finer screen at 128×96, each pixel the rounded mean of its own."""
    if reduction >= COMPARED_REDUCTION:
        return frames
    size_px = COMPARED_REDUCTION // reduction
    count, height_px, width_px, _ = frames.shape
    sums = np.zeros((count, height_px // size_px, width_px // size_px, 3), dtype=np.uint16)
    for row in range(size_px):
        for column in range(size_px):
            sums += frames[:, row::size_px, column::size_px]
    result: Frames = ((sums + size_px**2 // 2) // size_px**2).astype(np.uint8)
    return result


_CURSOR_WIDTH_PX, _CURSOR_HEIGHT_PX = 20, 24
"""Room for a cursor right of and below its point, in screen pixels."""
_MARGIN_PX = 4


def cursor_size(reduction: int) -> tuple[int, int]:
    """Return width and height of the look around a pointer, in simulated pixels."""
    return -(-_CURSOR_WIDTH_PX // reduction), -(-_CURSOR_HEIGHT_PX // reduction)


def pointer_box(pointer_px: tuple[int, int], reduction: int) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom of a cursor's neighbourhood, in simulated pixels."""
    x_px, y_px = pointer_px
    return (
        (x_px - _MARGIN_PX) // reduction,
        (y_px - _MARGIN_PX) // reduction,
        -(-(x_px + _CURSOR_WIDTH_PX) // reduction),
        -(-(y_px + _CURSOR_HEIGHT_PX) // reduction),
    )
