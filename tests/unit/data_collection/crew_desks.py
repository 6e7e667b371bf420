"""Desktops for the workers of a crew: one that counts, and ones that end badly."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from data_collection.desktops.process import DesktopDied
from data_collection.events import Event
from data_collection.trace import Frame

WIDTH_PX, HEIGHT_PX = 64, 48
EXITS, RAISES = 1, 2
"""Seeds with which the desktop's process ends, and with which the desktop dies."""
BAD_FRAME = 20


class CountingDesk:
    """Shows the number of its tick; ends badly at frame ``BAD_FRAME`` with some seeds."""

    name = "counting"
    label = "counting"
    width_px = WIDTH_PX
    height_px = HEIGHT_PX

    def __init__(self) -> None:
        self._seed = 0
        self._ticks = 0

    def reset(self, seed: int) -> Frame:
        self._seed, self._ticks = seed, 0
        return self._frame()

    def step(self, events: Sequence[Event]) -> Frame:
        self._ticks += 1
        if self._ticks == BAD_FRAME and self._seed == EXITS:
            os._exit(7)
        if self._ticks == BAD_FRAME and self._seed == RAISES:
            raise DesktopDied("its screen went dark")
        return self._frame()

    def state(self) -> dict[str, Any]:
        return {}

    def close(self) -> None:
        pass

    def _frame(self) -> Frame:
        return np.full((HEIGHT_PX, WIDTH_PX, 3), self._ticks % 256, np.uint8)


def make() -> CountingDesk:
    return CountingDesk()


def make_none() -> CountingDesk:
    raise DesktopDied("Xvfb is not installed")
