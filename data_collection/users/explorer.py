"""A user that wanders: random moves, clicks and pauses, with no goal."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np

from data_collection.events import Button, Event
from data_collection.users.hand import CALM, OWN_HAND, Gesture, Hand, own_habits
from data_collection.users.keyboard import ARROWS, BACKSPACE, LEFT_SHIFT, RETURN
from data_collection.users.view import Point, View, random_point

_TREMBLE_PX = 1.5
_SHARES = {
    "move": 0.44,
    "jump": 0.10,
    "rest": 0.13,
    "click": 0.12,
    "double_click": 0.08,
    "drag": 0.04,
    "right_click": 0.01,
    "wheel": 0.02,
    "keys": 0.04,
    "text": 0.02,
}
_KINDS = tuple(_SHARES)
_BURST_KEYS = (RETURN, BACKSPACE, LEFT_SHIFT, *ARROWS)
_TEXTS = ("hello", "notes", "ls", "the quick fox", "Window 7", "a b c", "2 + 2", "ok.")
_AIMED = 0.4
"""Share of moves that go to something on the screen, where the state tells what is there."""


class Explorer:
    """Moves like a hand, jumps, rests, clicks, drags, scrolls and types at random places.

    It needs no readable state; where there is one, it starts at the pointer and aims a
    part of its moves at icons, windows, their buttons and menu items. ``various``: the
    seed also chooses the hand's habits.
    """

    name = "explorer"
    goal = "explore"

    def __init__(self, various: bool = False) -> None:
        """Start with seed 0 before a screen of 512x384."""
        self.various = various
        self.reset(0, 512, 384)

    def reset(self, seed: int, width_px: int, height_px: int) -> None:
        """Start afresh before a screen of that size."""
        self._rng = np.random.Generator(np.random.Philox(seed))
        own = np.random.Generator(np.random.Philox(seed + OWN_HAND))
        habits = own_habits(own) if self.various else CALM
        self._hand = Hand(self._rng, width_px, height_px, habits)
        self._make = self._gestures()
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
        kind = _KINDS[int(self._rng.choice(len(_KINDS), p=list(_SHARES.values())))]
        if kind == "move" and state and self._rng.random() < _AIMED:
            target = self._target(View.from_state(state))
            move = self._hand.move(*target, noise_px=_TREMBLE_PX)
            return move + self._press_or_not()
        return self._make[kind]()

    def _gestures(self) -> dict[str, Callable[[], Gesture]]:
        hand, rng = self._hand, self._rng
        return {
            "move": lambda: hand.move(*self._anywhere(), noise_px=_TREMBLE_PX),
            "jump": lambda: hand.jump(*self._anywhere()),
            "rest": lambda: hand.rest(int(rng.integers(1, 20))),
            "click": hand.click,
            "double_click": hand.double_click,
            "drag": lambda: hand.drag(*self._anywhere()),
            "right_click": lambda: hand.click(Button.RIGHT),
            "wheel": lambda: hand.turn_wheel(int(rng.choice((-3, -2, -1, 1, 2, 3)))),
            "keys": lambda: hand.key_burst(_BURST_KEYS),
            "text": lambda: hand.type_text(_TEXTS[int(rng.integers(len(_TEXTS)))]),
        }

    def _press_or_not(self) -> Gesture:
        draw = self._rng.random()
        if draw < 0.3:
            return self._hand.double_click()
        return self._hand.click() if draw < 0.5 else []

    def _target(self, view: View) -> Point:
        rects = [*view.icons.values(), *(item.rect for item in view.menu_items.values())]
        for window in view.windows:
            rects += [*window.buttons, window.sheet]
            rects += [rect for rect in (window.grip, window.resize_corner) if rect is not None]
        if not rects:
            return self._anywhere()
        x_px, y_px = random_point(rects[int(self._rng.integers(len(rects)))], self._rng)
        return min(max(x_px, 0), self._width_px - 1), min(max(y_px, 0), self._height_px - 1)

    def _anywhere(self) -> Point:
        return int(self._rng.integers(self._width_px)), int(self._rng.integers(self._height_px))
