"""The simulator as a desktop: the newest weights of a run, or those of one checkpoint."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from data_collection.action import Action, fold
from data_collection.events import Event
from data_collection.trace import Frame
from neuralos.data.encode import encode_action, encode_keys, enlarge_frame, reduce_frames
from neuralos.runtime.capture import DevicePlan, plan_for
from neuralos.runtime.engine import Engine, Known, make_engine
from neuralos.runtime.inputs import controls_of, usable_action
from neuralos.runtime.sessions import Session
from neuralos.runtime.swap import StagedWeights, SwapRefused
from neuralos.shapes import SCREEN_HEIGHT_PX, SCREEN_WIDTH_PX
from neuralos.weights import ABOUT_FILE, PlayableSimulator, load_simulator

CHECKPOINTS_FOLDER = "checkpoints"
_POLL_S = 0.5
_WAITING_GREY = 64
_SESSION = "the window's session"


@dataclass(frozen=True, slots=True)
class Arrival:
    """A checkpoint that can be played from now on.

    ``weights`` are for the engine that plays; None where it begins with them. ``refusal``
    says why they cannot be played.
    """

    step: int
    weights: StagedWeights | None = None
    refusal: str = ""


class NewestSimulator:
    """Follows a run's checkpoints in a thread of its own.

    Loading, checking and bringing weights to the device happen there: who plays them only
    has to copy them in.
    """

    def __init__(
        self, checkpoints: Path, period_s: float = _POLL_S, plan: DevicePlan | None = None
    ) -> None:
        self.engine: Engine | None = None
        self._checkpoints = checkpoints
        self._period_s = period_s
        self._plan = plan
        self._taken = ""
        self._arrival: Arrival | None = None
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def start(self) -> None:
        """Load what there is now, then follow."""
        self.look()
        self._thread.start()

    def take(self) -> Arrival | None:
        """Return what arrived since the last call, if there is something; ``engine`` plays it."""
        with self._lock:
            arrival, self._arrival = self._arrival, None
        return arrival

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
        arrival = self._receive(loaded)
        with self._lock:
            self._arrival = arrival

    def close(self) -> None:
        """Stop following."""
        self._ended.set()

    def _receive(self, loaded: PlayableSimulator) -> Arrival:
        if self.engine is None:
            self.engine = make_engine(loaded.simulator, 1, self._plan)
            return Arrival(loaded.step)
        try:
            return Arrival(loaded.step, self.engine.stage(loaded.simulator))
        except SwapRefused as refused:
            return Arrival(loaded.step, refusal=str(refused))

    def _follow(self) -> None:
        torch.set_num_threads(1)
        while not self._ended.wait(self._period_s):
            self.look()


class SimulatorDesktop:
    """Draws the next frame of a computer that does not exist: the one session of an engine.

    Until a simulator is there, it shows plain grey. New weights are taken between two
    frames; what the computer has done so far stays.
    """

    name = "simulator"
    width_px = SCREEN_WIDTH_PX
    height_px = SCREEN_HEIGHT_PX

    def __init__(
        self,
        newest: NewestSimulator | None,
        fixed: PlayableSimulator | None,
        plan: DevicePlan | None = None,
    ) -> None:
        self.counters: Counter[str] = Counter()
        self._newest = newest
        self._engine = make_engine(fixed.simulator, 1, plan) if fixed else None
        self._step = fixed.step if fixed else 0
        self._session: Session | None = None
        self._trouble = ""
        self._action = Action()
        self._frame = _grey()
        self._seed = 0

    @property
    def label(self) -> str:
        """A line for the HUD: which step is playing, and what went wrong."""
        if self._engine is None:
            return "simulator: waiting for the first checkpoint"
        learning = ", still learning" if self._newest else ""
        odd = sum(self.counters.values())
        put_right = f", {odd} odd inputs put right" if odd else ""
        return f"simulator: step {self._step}{learning}{put_right}{self._trouble}"

    def reset(self, seed: int) -> Frame:
        """Begin at the first frame of the training data."""
        self._seed = seed
        self._action = Action(x_px=self.width_px // 2, y_px=self.height_px // 2)
        self._trouble = ""
        self._leave()
        self._frame = _grey()
        self._take_newest()
        return self._frame

    def step(self, events: Sequence[Event]) -> Frame:
        """Fold one period's events into an action and draw what comes of it."""
        self._take_newest()
        previous = self._action
        self._action = usable_action(fold(events, previous), self.counters)
        engine, session = self._engine, self._session
        if engine is None or session is None:
            return self._frame
        drawn = engine.step({session: controls_of(self._action, previous)})
        if drawn.failed:
            self._trouble = f"; began again: {session.failure}"
            self._begin_fresh(engine)
        else:
            self._frame = enlarge_frame(drawn.frames[session], engine.simulator.screen)
        return self._frame

    def warm_start(self, frames: Sequence[Frame], actions: Sequence[Action]) -> None:
        """Take over from another desktop: its last frames and the actions that led to each."""
        self._take_newest()
        if not frames:
            return
        actions = [usable_action(action, self.counters) for action in actions]
        self._action = actions[-1]
        if self._engine is None:
            return
        small = reduce_frames(np.stack(frames), self._engine.simulator.screen)
        befores = (actions[0], *actions[:-1])
        keys = [encode_keys(*pair) for pair in zip(actions, befores, strict=True)]
        self._leave()
        known = Known(small, np.stack([encode_action(one) for one in actions]), np.stack(keys))
        self._session = self._engine.join(self._engine.board(_SESSION, self._seed, known))
        self._frame = enlarge_frame(small[-1], self._engine.simulator.screen)

    def state(self) -> dict[str, Any]:
        """Return nothing: what the simulator believes cannot be read."""
        return {}

    def close(self) -> None:
        """Stop following the run."""
        if self._newest is not None:
            self._newest.close()

    def _take_newest(self) -> None:
        arrival = self._newest.take() if self._newest else None
        if self._newest is not None and arrival is not None:
            self._engine = self._newest.engine
            self._accept(arrival)
        if self._session is None and self._engine is not None:
            self._begin_fresh(self._engine)

    def _accept(self, arrival: Arrival) -> None:
        if arrival.refusal:
            self._trouble = f"; step {arrival.step} refused: {arrival.refusal}"
            return
        if self._engine is not None and arrival.weights is not None:
            self._engine.swap(arrival.weights)
        self._step, self._trouble = arrival.step, ""

    def _begin_fresh(self, engine: Engine) -> None:
        said = controls_of(self._action, self._action)
        self._session = engine.join(engine.board_fresh(_SESSION, self._seed, said))
        first = engine.simulator.first_frame.cpu().numpy()
        self._frame = enlarge_frame(first, engine.simulator.screen)

    def _leave(self) -> None:
        if self._engine is not None and self._session is not None:
            self._engine.leave(self._session)
        self._session = None


def create(checkpoint: str = "", run_dir: str = "", device: str = "cpu") -> SimulatorDesktop:
    """Return the simulator of one checkpoint folder, or the one that follows a run.

    Raises:
        ValueError: not exactly one of the two is given, or the checkpoint does not load.
        DeviceMissing: there is no such device here.
    """
    torch.set_num_threads(1)
    if bool(checkpoint) == bool(run_dir):
        raise ValueError("give either checkpoint or run_dir")
    plan = plan_for(device)
    if checkpoint:
        desktop = SimulatorDesktop(None, load_simulator(Path(checkpoint)), plan)
    else:
        newest = NewestSimulator(Path(run_dir) / CHECKPOINTS_FOLDER, plan=plan)
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
