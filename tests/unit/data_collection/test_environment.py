from __future__ import annotations

import re
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from trace_samples import StillClock

from data_collection.desktops.desktop import Desktop
from data_collection.desktops.scripted import ScriptedConfig, ScriptedDesktop
from data_collection.environment import KEYS, DesktopEnv, desktop_env
from data_collection.users.task import UnknownKind
from data_collection.users.tasks import KINDS

SMALL = {"width_px": 256, "height_px": 192}


def at_rest(env: gymnasium.Env[Any, Any], x_px: int, y_px: int, **changes: Any) -> dict[str, Any]:
    """Return the action that only points somewhere, with ``changes``."""
    height, width, _ = env.observation_space.shape or (0, 0, 0)
    return {
        "pointer": np.array([x_px / (width - 1), y_px / (height - 1)], np.float32),
        "buttons": np.zeros(3, np.int8),
        "wheel": np.int64(0),
        "keys": np.zeros(len(KEYS), np.int8),
        **changes,
    }


def key(*scancodes: int) -> np.ndarray:
    return np.isin(KEYS, scancodes).astype(np.int8)


def middle(rect: list[int]) -> tuple[int, int]:
    x_px, y_px, width_px, height_px = rect
    return x_px + width_px // 2, y_px + height_px // 2


@pytest.mark.parametrize("task", [None, "open_home"])
def test_gymnasium_checks_the_environment_without_a_warning(task: str | None) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env = gymnasium.make("Desktop-v0", desktop="scripted", task=task, **SMALL)
        check_env(env.unwrapped)
        env.close()


def test_same_seed_and_actions_give_the_same_episode() -> None:
    def episode(seed: int) -> list[Any]:
        env = gymnasium.make("Desktop-v0", task="create_folder", max_episode_steps=40, **SMALL)
        env.action_space.seed(3)
        frame, info = env.reset(seed=seed)
        seen: list[Any] = [(frame.tobytes(), info["goal"])]
        truncated = False
        while not truncated:
            frame, reward, _, truncated, _ = env.step(env.action_space.sample())
            seen.append((frame.tobytes(), reward))
        assert len(seen) == 41
        return seen

    assert episode(5) == episode(5)
    assert episode(5)[0] != episode(6)[0]


def test_opening_home_is_rewarded_and_ends_the_episode() -> None:
    env = gymnasium.make("Desktop-v0", task="open_home", render_mode="rgb_array", **SMALL)
    frame, info = env.reset(seed=1)
    assert info == {"goal": "open Home", "reached": False}
    desktop = env.unwrapped.desktop  # type: ignore[attr-defined]
    assert np.array_equal(env.render(), frame)
    (rect,) = [icon["rect"] for icon in desktop.state()["icons"] if icon["name"] == "Home"]
    rewards = []
    for press in (True, False, True, False, False):
        action = at_rest(env, *middle(rect), buttons=np.array([press, 0, 0], np.int8))
        frame, reward, terminated, truncated, info = env.step(action)
        rewards.append(float(reward))
        assert np.array_equal(env.render(), frame)
        if terminated:
            break
    assert rewards[-1] == 1.0
    assert not any(rewards[:-1])
    assert (terminated, truncated, info["reached"]) == (True, False, True)


def test_keys_type_as_on_a_us_keyboard() -> None:
    env = DesktopEnv(task="open_terminal", width_px=512, height_px=384)
    env.reset(seed=2)
    (rect,) = [icon["rect"] for icon in env.desktop.state()["icons"] if icon["name"] == "Terminal"]
    x_px, y_px = middle(rect)
    for press in (1, 0, 1, 0):
        env.step(at_rest(env, x_px, y_px, buttons=np.array([press, 0, 0], np.int8)))
    for _ in range(60):
        env.step(at_rest(env, x_px, y_px))
    # e, c, h, o, space, Shift + a, Shift + 1, Return; a held key is one press.
    for keys in ((8,), (6,), (11,), (18,), (44,), (225, 4), (225, 4), (225, 30), (40,)):
        env.step(at_rest(env, x_px, y_px, keys=key(*keys)))
    assert "A!" in env.desktop.state()["terminal"]["lines"]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_task_can_be_begun(kind: str) -> None:
    env = DesktopEnv(task=kind, width_px=512, height_px=384)
    _, info = env.reset(seed=4)
    assert info["goal"]
    _, _, terminated, _, info = env.step(at_rest(env, 500, 10))
    assert (terminated, info["reached"]) == (False, False)


def test_options_change_the_task() -> None:
    env = DesktopEnv(**SMALL)
    assert env.reset(seed=0)[1]["goal"] == ""
    assert env.reset(seed=0, options={"task": "open_trash"})[1]["goal"] == "open Trash"
    with pytest.raises(UnknownKind, match="did you mean 'open_trash'"):
        env.reset(options={"task": "open_tras"})
    with pytest.raises(UnknownKind):
        DesktopEnv(task="win")
    with pytest.raises(ValueError, match="rgb_array"):
        DesktopEnv(render_mode="human")


def test_its_spec_can_be_written_down_and_made_again() -> None:
    env = gymnasium.make("data_collection.environment:Desktop-v0", task="open_home", **SMALL)
    assert env.spec is not None
    again = gymnasium.make(gymnasium.envs.registration.EnvSpec.from_json(env.spec.to_json()))
    assert again.reset(seed=3)[1]["goal"] == "open Home"
    assert np.array_equal(env.reset(seed=3)[0], again.reset(seed=3)[0])


def test_before_a_reset_nothing_is_started() -> None:
    env = DesktopEnv(desktop="x11")
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step(env.action_space.sample())
    with pytest.raises(gymnasium.error.ResetNeeded):
        _ = env.desktop
    env.close()


class _Clock(StillClock):
    def sleep(self, duration_s: float) -> None:
        self.now_mono_ns += round(duration_s * 1e9)


@pytest.fixture
def drawn_x11(monkeypatch: pytest.MonkeyPatch) -> None:
    """A drawn desktop in the real one's place."""

    def make(name: str, width_px: int, height_px: int, profile: str) -> Desktop:
        assert (name, profile) == ("x11", "xfce")
        return ScriptedDesktop(ScriptedConfig(width_px=width_px, height_px=height_px))

    monkeypatch.setattr(desktop_env, "make_desktop", make)


@pytest.mark.usefixtures("drawn_x11")
def test_a_desktop_that_runs_by_itself_is_stepped_at_its_pace() -> None:
    clock = _Clock()
    env = DesktopEnv(desktop="x11", profile="xfce", clock=clock, **SMALL)
    env.reset(seed=0)
    start_ns = clock.now_mono_ns
    for _ in range(30):
        env.step(at_rest(env, 5, 5))
    assert clock.now_mono_ns - start_ns == pytest.approx(2e9, rel=1e-6)


@pytest.mark.needs("Xvfb", "openbox", "pcmanfm", "xterm", "dbus-daemon", "chromium")
def test_a_task_on_a_real_desktop_is_rewarded() -> None:
    env = gymnasium.make("Desktop-v0", desktop="x11", task="open_home")
    frame, info = env.reset(seed=1)
    assert (frame.shape, info["goal"]) == ((384, 512, 3), "open Home")
    desktop = env.unwrapped.desktop  # type: ignore[attr-defined]
    assert desktop.name == "x11-lean"
    (rect,) = [icon["rect"] for icon in desktop.state()["icons"] if icon["name"] == "Home"]
    presses = [0, 1, 0, 1, *[0] * 120]
    for pressed in presses:
        action = at_rest(env, *middle(rect), buttons=np.array([pressed, 0, 0], np.int8))
        _, reward, terminated, _, _ = env.step(action)
        if terminated:
            break
    assert (float(reward), terminated) == (1.0, True)
    env.close()


def test_without_gymnasium_the_line_that_installs_it_is_named() -> None:
    program = (
        "import sys; sys.modules['gymnasium'] = None\n"
        "try:\n    import data_collection.environment\n"
        "except ImportError as error:\n    print(type(error).__name__, error.hint)"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ran.stdout.strip() == "ExtraMissing pip install 'neuralos-interactive[gym]'", ran.stderr


def test_the_example_of_the_documentation_runs() -> None:
    text = (Path(__file__).parents[3] / "docs" / "desktops.md").read_text("utf-8")
    section = text.split("\n## Gymnasium\n")[1].split("\n## ")[0]
    (example,) = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    exec(compile(example, "docs/desktops.md", "exec"), {})
