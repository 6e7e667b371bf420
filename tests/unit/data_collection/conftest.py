"""The window of the recorder's tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from recorder_desk import Desk
from window_fakes import (
    HEIGHT_PX,
    WIDTH_PX,
)

from data_collection.window.window import Window, WindowConfig


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    window = Window(WindowConfig(width_px=WIDTH_PX, height_px=HEIGHT_PX, scale=2))
    window.open()
    window.pump(0)
    yield Desk(window)
    window.close()
