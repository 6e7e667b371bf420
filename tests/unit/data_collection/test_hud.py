"""The HUD: the strip tells how the recording stands, and hides nothing of the desktop."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pygame
import pytest

from data_collection.window.hotkeys import KEYS
from data_collection.window.hud import AMBER, RED, HudState, Recording, consent_lines, help_lines
from data_collection.window.window import Window, WindowConfig


@pytest.fixture(params=[1, 2])
def window(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Window]:
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    window = Window(WindowConfig(scale=request.param))
    window.open()
    yield window
    window.close()


def strip(window: Window, state: HudState) -> npt.NDArray[np.uint8]:
    window.show(np.full((384, 512, 3), 7, np.uint8), state)
    screen = pygame.surfarray.array3d(window.surface).transpose(1, 0, 2)
    left, top, width, height = window.viewport.hud
    assert (screen[:top] == 7).all(), "the HUD covers the desktop"
    return screen[top : top + height, left : left + width]


def has(picture: npt.NDArray[np.uint8], colour: tuple[int, int, int]) -> bool:
    return bool((picture == np.array(colour, np.uint8)).all(axis=2).any())


def test_the_dot_is_red_only_while_recording(window: Window) -> None:
    state = HudState(recording=Recording.ON, fps=15.0)
    assert has(strip(window, state), RED)
    assert not has(strip(window, HudState(fps=15.0)), RED)
    paused = strip(window, HudState(recording=Recording.PAUSED, fps=15.0))
    assert has(paused, AMBER)
    assert not has(paused, RED)


@pytest.mark.parametrize(
    "worry",
    [
        HudState(fps=9.0),
        HudState(fps=15.0, late=1),
        HudState(fps=15.0, dropped=1),
        HudState(fps=15.0, unacknowledged=40),
        HudState(fps=15.0, disk_left_bytes=900_000_000),
        HudState(fps=15.0, message="no checkpoint yet"),
    ],
)
def test_worries_are_amber(window: Window, worry: HudState) -> None:
    assert not has(strip(window, HudState(fps=15.0, disk_left_bytes=9_000_000_000)), AMBER)
    assert has(strip(window, worry), AMBER)


def test_clips_that_are_held_are_no_worry(window: Window) -> None:
    assert not has(strip(window, HudState(fps=15.0, unacknowledged=35, hold_s=30.0)), AMBER)


def test_source_label_and_training_change_the_strip(window: Window) -> None:
    plain = strip(window, HudState(fps=15.0, label="scripted"))
    assert (plain != strip(window, HudState(fps=15.0, label="step 240"))).any()
    assert (plain != strip(window, HudState(fps=15.0, label="scripted", training="7"))).any()
    simulator = HudState(fps=15.0, label="scripted", frame_source="simulator")
    assert (plain != strip(window, simulator)).any()


def test_consent_says_what_is_recorded_and_where_it_goes() -> None:
    text = "\n".join(consent_lines("http://somewhere:8000", "Menu"))
    for word in ("picture", "keys", "typed text", "pointer", "http://somewhere:8000"):
        assert word in text
    assert "Menu + F8" in text
    assert "deleted, also where it was sent" in text
    assert "learned from it by then remains" in text


@pytest.mark.parametrize(
    "state",
    [HudState(fps=15.0, redacting=True), HudState(fps=15.0, hold_s=30.0)],
    ids=["redacting", "hold"],
)
def test_the_strip_tells_of_redaction_and_of_what_is_held(window: Window, state: HudState) -> None:
    assert (strip(window, HudState(fps=15.0)) != strip(window, state)).any()


def test_help_names_every_key_and_the_host_key() -> None:
    text = "\n".join(help_lines("right ctrl"))
    assert "right ctrl" in text
    for name in KEYS:
        assert f"{name.upper()}\t" in text
