"""The simulator as a desktop: the newest weights of a run, or those of one checkpoint."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from data_collection.action import Action, fold
from data_collection.events import Event
from data_collection.trace import Frame
from neuralos.data.encode import encode_action, encode_keys, enlarge_frame, reduce_frames
from neuralos.rollout import Player
from neuralos.shapes import SCREEN_HEIGHT_PX, SCREEN_WIDTH_PX
from neuralos.weights import ABOUT_FILE, PlayableSimulator, load_simulator

CHECKPOINTS_FOLDER = "checkpoints"
_POLL_S = 0.5
_WAITING_GREY = 64


class NewestSimulator:
    """Follows a run's checkpoints and loads the newest in a thread of its own."""

    def __init__(self, checkpoints: Path, period_s: float = _POLL_S) -> None:
        self._checkpoints = checkpoints
        self._period_s = period_s
        self._taken = ""
        self._ready: PlayableSimulator | None = None
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def start(self) -> None:
        """Load what there is now, then follow."""
        self.look()
        self._thread.start()

    def take(self) -> PlayableSimulator | None:
        """Return a simulator loaded since the last call, if there is one."""
        with self._lock:
            ready, self._ready = self._ready, None
        return ready

    def look(self) -> None:
        """Load the newest checkpoint unless that has been done."""
        newest = newest_checkpoint(self._checkpoints)
        if newest is None or newest.name == self._taken:
            return
        try:
            loaded = load_simulator(newest)
        except ValueError:
            # It may have been removed while it was read; the next look finds another.
            return
        self._taken = newest.name
        with self._lock:
            self._ready = loaded

    def close(self) -> None:
        """Stop following."""
        self._ended.set()

    def _follow(self) -> None:
        torch.set_num_threads(1)
        while not self._ended.wait(self._period_s):
            self.look()


class SimulatorDesktop:
    """Draws the next frame of a computer that does not exist.

    Until a simulator is there, it shows plain grey. New weights are taken between two
    frames; what the computer has done so far stays.
    """

    name = "simulator"
    width_px = SCREEN_WIDTH_PX
    height_px = SCREEN_HEIGHT_PX

    def __init__(self, newest: NewestSimulator | None, fixed: PlayableSimulator | None) -> None:
        self._newest = newest
        self._playable = fixed
        self._player: Player | None = None
        self._action = Action()
        self._frame = _grey()
        self._seed = 0

    @property
    def label(self) -> str:
        """A line for the HUD: which step is playing."""
        if self._playable is None:
            return "simulator: waiting for the first checkpoint"
        learning = ", still learning" if self._newest else ""
        return f"simulator: step {self._playable.step}{learning}"

    def reset(self, seed: int) -> Frame:
        """Begin at the first frame of the training data."""
        self._seed = seed
        self._action = Action(x_px=self.width_px // 2, y_px=self.height_px // 2)
        self._player = None
        self._frame = _grey()
        self._take_newest()
        return self._frame

    def step(self, events: Sequence[Event]) -> Frame:
        """Fold one period's events into an action and draw what comes of it."""
        self._take_newest()
        previous, self._action = self._action, fold(events, self._action)
        if self._player is not None:
            drawn = self._player.draw(
                encode_action(self._action), encode_keys(self._action, previous)
            )
            self._frame = enlarge_frame(drawn, self._player.simulator.screen)
        return self._frame

    def warm_start(self, frames: Sequence[Frame], actions: Sequence[Action]) -> None:
        """Take over from another desktop: its last frames and the actions that led to each."""
        self._take_newest()
        if not frames:
            return
        self._action = actions[-1]
        if self._playable is None:
            return
        screen = self._playable.simulator.screen
        small = reduce_frames(np.stack(frames), screen)
        self._player = Player.begin(
            self._playable.simulator, small[0], encode_action(actions[0]), self._seed
        )
        for index in range(1, len(small)):
            self._player.take(
                small[index],
                encode_action(actions[index]),
                encode_keys(actions[index], actions[index - 1]),
            )
        self._frame = enlarge_frame(small[-1], screen)

    def state(self) -> dict[str, Any]:
        """Return nothing: what the simulator believes cannot be read."""
        return {}

    def close(self) -> None:
        """Stop following the run."""
        if self._newest is not None:
            self._newest.close()

    def _take_newest(self) -> None:
        loaded = self._newest.take() if self._newest else None
        if loaded is not None:
            if self._player is not None and self._playable is not None:
                self._player.swap(loaded.simulator)
            self._playable = loaded
        if self._player is None and self._playable is not None:
            simulator = self._playable.simulator
            first = simulator.first_frame.numpy()
            self._player = Player.begin(
                self._playable.simulator, first, encode_action(self._action), self._seed
            )
            self._frame = enlarge_frame(first, simulator.screen)


def create(checkpoint: str = "", run_dir: str = "") -> SimulatorDesktop:
    """Return the simulator of one checkpoint folder, or the one that follows a run.

    Raises:
        ValueError: not exactly one of the two is given, or the checkpoint does not load.
    """
    torch.set_num_threads(1)
    if bool(checkpoint) == bool(run_dir):
        raise ValueError("give either checkpoint or run_dir")
    if checkpoint:
        desktop = SimulatorDesktop(None, load_simulator(Path(checkpoint)))
    else:
        newest = NewestSimulator(Path(run_dir) / CHECKPOINTS_FOLDER)
        newest.start()
        desktop = SimulatorDesktop(newest, None)
    desktop.reset(0)
    return desktop


def newest_checkpoint(checkpoints: Path) -> Path | None:
    """Return the checkpoint folder published last; half-written ones are hidden or partial."""
    found = [
        (path.stat().st_mtime_ns, path.name, path)
        for path in (checkpoints.iterdir() if checkpoints.is_dir() else ())
        if not path.name.startswith(".") and (path / ABOUT_FILE).is_file()
    ]
    return max(found)[2] if found else None


def _grey() -> Frame:
    return np.full((SCREEN_HEIGHT_PX, SCREEN_WIDTH_PX, 3), _WAITING_GREY, dtype=np.uint8)
