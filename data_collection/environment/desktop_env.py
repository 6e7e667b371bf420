"""A desktop as a Gymnasium environment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from data_collection.clock import Clock, SystemClock
from data_collection.desktops.desktop import Desktop
from data_collection.desktops.registry import make_desktop
from data_collection.environment.hand import KEYS, AgentHand
from data_collection.environment.task_goal import check_kind, draw_task
from data_collection.events import Event
from data_collection.recording.pace import NS_PER_S, Pace
from data_collection.trace import FPS
from data_collection.users.tasks import Task
from data_collection.users.view import View

Observation = npt.NDArray[np.uint8]
Info = dict[str, Any]

_SEEDS = 2**31


class DesktopEnv(gymnasium.Env[Observation, dict[str, Any]]):
    """One step is one frame period of 1/15 s.

    An observation is the screen, uint8 (height, width, 3). An action says where the pointer
    is and what is down at the end of the period; see ``AgentHand.events``. With a ``task``
    the reward is 1 and the episode terminated when its goal is reached, else 0; without one
    there is no reward and no end but the time limit of ``gymnasium.make``.

    Args:
        desktop: name of a desktop.
        width_px: of its screen.
        height_px: of its screen.
        task: a kind of task of the scripted users, such as ``open_home``.
        profile: what runs on an x11 desktop.
        render_mode: ``rgb_array`` or None.
        clock: keeps the pace of a desktop that runs by itself; the scripted one waits for
            its agent.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": FPS}  # noqa: RUF012

    def __init__(
        self,
        desktop: str = "scripted",
        width_px: int = 512,
        height_px: int = 384,
        task: str | None = None,
        profile: str = "lean",
        render_mode: str | None = None,
        clock: Clock | None = None,
    ) -> None:
        if task is not None:
            check_kind(task)
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise ValueError(f"no render mode {render_mode!r}; there is: rgb_array")
        self.render_mode = render_mode
        self._name = desktop
        self._size = (width_px, height_px)
        self._profile = profile
        self._kind = task
        self._clock = clock or SystemClock()
        self._pace = Pace(FPS) if desktop != "scripted" else None
        self._desktop: Desktop | None = None
        self._hand = AgentHand(*self._size)
        self._task: Task | None = None
        self._frame: Observation | None = None
        self.observation_space = spaces.Box(0, 255, (height_px, width_px, 3), np.uint8)
        self.action_space = spaces.Dict(
            {
                "pointer": spaces.Box(0.0, 1.0, (2,), np.float32),
                "buttons": spaces.MultiBinary(3),
                "wheel": spaces.Discrete(3, start=-1),
                "keys": spaces.MultiBinary(len(KEYS)),
            }
        )

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, Info]:
        """Start a fresh desktop with nothing held; the seed decides all that is random.

        A task that needs something, such as a window to close, finds it there.

        Args:
            seed: see ``gymnasium.Env.reset``.
            options: ``task`` names another kind of task from this episode on.

        Raises:
            UnknownKind: no kind of task goes by that name.
            ImpossibleTask: it cannot be begun on this desktop.
        """
        super().reset(seed=seed)
        if options and "task" in options:
            if options["task"] is not None:
                check_kind(options["task"])
            self._kind = options["task"]
        if self._desktop is None:
            self._desktop = make_desktop(self._name, *self._size, profile=self._profile)
        self._hand = AgentHand(*self._size)
        self._frame = self._desktop.reset(int(self.np_random.integers(_SEEDS)))
        if self._pace is not None:
            self._pace.start(self._clock.monotonic_ns())
        self._task = None
        if self._kind is not None:
            self._task = draw_task(self._kind, self._desktop, self._tick, self.np_random)
        return self._observation(), self._info(reached=False)

    def step(self, action: dict[str, Any]) -> tuple[Observation, float, bool, bool, Info]:
        """Take an action, let a frame period pass, and return what the screen shows then.

        Raises:
            gymnasium.error.ResetNeeded: there was no reset yet.
        """
        if self._desktop is None:
            raise gymnasium.error.ResetNeeded("call reset before step")
        self._tick(self._hand.events(action))
        reached = self._task is not None and self._task.reached(
            View.from_state(self._desktop.state())
        )
        return self._observation(), float(reached), reached, False, self._info(reached=reached)

    def render(self) -> Observation | None:
        """Return the screen, or None without a render mode."""
        return None if self.render_mode is None else self._observation()

    def close(self) -> None:
        """End the desktop; closing again does nothing."""
        if self._desktop is not None:
            self._desktop.close()
            self._desktop = None

    @property
    def desktop(self) -> Desktop:
        """The desktop itself, for its readable state.

        Raises:
            gymnasium.error.ResetNeeded: there was no reset yet.
        """
        if self._desktop is None:
            raise gymnasium.error.ResetNeeded("call reset first")
        return self._desktop

    def _tick(self, events: Sequence[Event]) -> None:
        """Let the desktop take one period's events, when the next frame is due."""
        if self._pace is not None:
            now_ns = self._clock.monotonic_ns()
            if now_ns < self._pace.due_ns:
                self._clock.sleep((self._pace.due_ns - now_ns) / NS_PER_S)
            self._pace.beat(self._clock.monotonic_ns())
        self._frame = self.desktop.step(events)

    def _observation(self) -> Observation:
        if self._frame is None:
            raise gymnasium.error.ResetNeeded("call reset first")
        # A copy that the agent may write to; the desktop keeps its own.
        return self._frame.copy()

    def _info(self, *, reached: bool) -> Info:
        return {"goal": "" if self._task is None else self._task.goal, "reached": reached}
