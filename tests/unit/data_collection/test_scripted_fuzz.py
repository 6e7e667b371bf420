"""Whatever is done to the scripted desktop, it goes on, and its picture is the true one."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from data_collection.desktops.scripted import ScriptedConfig, ScriptedDesktop
from data_collection.desktops.scripted.drawing import paste
from data_collection.desktops.scripted.metrics import metrics_for
from data_collection.desktops.scripted.painter import Painter
from data_collection.desktops.scripted.sprites import ARROW, HOURGLASS
from data_collection.events import Event
from tests.unit.data_collection.desk_fuzz import check, events_of

CONFIGS = (
    ScriptedConfig(),
    ScriptedConfig(128, 96, launch_frames=3),
    ScriptedConfig(257, 193, launch_frames=0, snap_px=1),
    ScriptedConfig(400, 300, launch_frames=5, snap_px=16, double_click_ticks=20),
    ScriptedConfig(129, 240, icons=("Terminal",)),
)


def use(config: ScriptedConfig, seed: int, ticks: int) -> list[list[Event]]:
    """Use a desktop at random, check it after each tick, and return what was done."""
    desktop = ScriptedDesktop(config)
    rng = np.random.Generator(np.random.Philox(seed))
    desktop.reset(seed)
    done = []
    for _ in range(ticks):
        done.append(events_of(rng, desktop.state()))
        frame = desktop.step(done[-1])
        assert frame.shape == (config.height_px, config.width_px, 3)
        check(desktop)
    return done


def digest(desktop: ScriptedDesktop, seed: int, done: list[list[Event]]) -> str:
    sha = hashlib.sha256(desktop.reset(seed).tobytes())
    for events in done:
        sha.update(desktop.step(events).tobytes())
    return sha.hexdigest()


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: f"{c.width_px}x{c.height_px}")
@pytest.mark.parametrize("seed", range(2))
def test_random_use_keeps_the_desktop_whole(config: ScriptedConfig, seed: int) -> None:
    done = use(config, seed, 160)
    desktop = ScriptedDesktop(config)
    first = digest(desktop, seed, done)
    assert digest(desktop, seed, done) == first
    assert digest(ScriptedDesktop(config), seed, done) == first


@pytest.mark.nightly
@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: f"{c.width_px}x{c.height_px}")
@pytest.mark.parametrize("seed", range(2, 40))
def test_much_random_use_keeps_the_desktop_whole(config: ScriptedConfig, seed: int) -> None:
    done = use(config, seed, 2000)
    assert digest(ScriptedDesktop(config), seed, done) == digest(
        ScriptedDesktop(config), seed, done
    )


@pytest.mark.parametrize("config", CONFIGS[:3], ids=lambda c: f"{c.width_px}x{c.height_px}")
def test_kept_pictures_are_the_ones_that_would_be_painted(config: ScriptedConfig) -> None:
    """What a window's picture depends on is in its look, or a stale one would show here."""
    desktop = ScriptedDesktop(config)
    rng = np.random.Generator(np.random.Philox(11))
    for _ in range(250):
        frame = desktop.step(events_of(rng, desktop.state()))
        metrics = metrics_for(config.width_px, config.height_px)
        fresh = Painter(config.width_px, config.height_px, metrics).paint(desktop._current_scene())
        cursor = desktop.state()["cursor"]
        sprite = HOURGLASS if cursor["shape"] == "busy" else ARROW
        paste(fresh, sprite, cursor["x_px"], cursor["y_px"])
        assert np.array_equal(frame, fresh)
