"""A user that wanders: random moves, clicks and pauses, with no goal."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np

from data_collection.events import Button, Event
from data_collection.users.hand import Gesture, Hand
from data_collection.users.view import Point, View

_TREMBLE_PX = 1.5
_GESTURES = ("move", "jump", "rest", "click", "double_click", "drag", "right_click")
_SHARES = (0.48, 0.10, 0.15, 0.12, 0.10, 0.04, 0.01)
_AIMED = 0.4
"""Share of moves that go to something on the screen, where the state tells what is there."""


class Explorer:
    """Moves like a hand, jumps, rests, clicks and drags at random places.

    It needs no readable state; where there is one, it starts at the pointer and aims a
    part of its moves at icons, title bars, close buttons and menu items.
    """

    name = "explorer"
    goal = "explore"

    def __init__(self) -> None:
        """Start with seed 0 before a screen of 512x384."""
        self.reset(0, 512, 384)

    def reset(self, seed: int, width_px: int, height_px: int) -> None:
        """Start afresh before a screen of that size."""
        self._rng = np.random.Generator(np.random.Philox(seed))
        self._hand = Hand(self._rng, width_px, height_px)
        self._width_px = width_px
        self._height_px = height_px
        self._todo: deque[list[Event]] = deque()
        self._started = False

    def act(self, state: dict[str, Any]) -> list[Event]:
        """Return the next tick's events."""
        if not self._started:
            self._started = True
            cursor = state.get("cursor", {"x_px": self._hand.x_px, "y_px": self._hand.y_px})
            self._todo.extend(self._hand.find(cursor["x_px"], cursor["y_px"]))
        if not self._todo:
            self._todo.extend(self._gesture(state))
        return self._todo.popleft()

    def reached(self, state: dict[str, Any]) -> bool:
        """Say yes: an explorer has nowhere to arrive."""
        return True

    def _gesture(self, state: dict[str, Any]) -> Gesture:
        kind = _GESTURES[int(self._rng.choice(len(_GESTURES), p=_SHARES))]
        if kind == "move":
            if state and self._rng.random() < _AIMED:
                target = self._target(View.from_state(state))
                move = self._hand.move(*target, noise_px=_TREMBLE_PX)
                return move + self._press_or_not()
            return self._hand.move(*self._anywhere(), noise_px=_TREMBLE_PX)
        if kind == "jump":
            return self._hand.jump(*self._anywhere())
        if kind == "rest":
            return self._hand.rest(int(self._rng.integers(1, 20)))
        if kind == "click":
            return self._hand.click()
        if kind == "double_click":
            return self._hand.double_click()
        if kind == "drag":
            return self._hand.drag(*self._anywhere())
        return self._hand.click(Button.RIGHT)

    def _press_or_not(self) -> Gesture:
        draw = self._rng.random()
        if draw < 0.3:
            return self._hand.double_click()
        return self._hand.click() if draw < 0.5 else []

    def _target(self, view: View) -> Point:
        rects = [*view.icons.values(), *view.menu_items.values()]
        for window in view.windows:
            rects += [window.grip, window.close_button]
        if not rects:
            return self._anywhere()
        rect = rects[int(self._rng.integers(len(rects)))]
        return (
            rect.x_px + int(self._rng.integers(rect.width_px)),
            rect.y_px + int(self._rng.integers(rect.height_px)),
        )

    def _anywhere(self) -> Point:
        return int(self._rng.integers(self._width_px)), int(self._rng.integers(self._height_px))
