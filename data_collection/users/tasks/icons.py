"""Tasks on the desktop itself: open what an icon stands for, create a folder."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data_collection.events import Button
from data_collection.users.hand import Gesture, Hand
from data_collection.users.keyboard import BACKSPACE, RETURN
from data_collection.users.tasks.steps import (
    click_at,
    click_in,
    close,
    escape,
    settle,
    uncover,
    wait,
)
from data_collection.users.view import View

CREATE_FOLDER_LABEL = "Create folder"
_PATIENCE_TICKS = 90
"""How long a window may take before the icon is tried again: real apps need seconds."""
_PATIENCE = {"menu": 20, "question": 45, "end": 20}
"""How many ticks each thing may take to come before the menu is asked for again."""
_EDIT_TICKS = 12


@dataclass(slots=True)
class OpenIcon:
    """Double-click an icon and wait until its window is there."""

    icon: str
    verb: str = "open"
    tried_at: int | None = None

    @property
    def goal(self) -> str:
        """The task in a few words."""
        return f"{self.verb} {self.icon}"

    def reached(self, view: View) -> bool:
        """Say whether the window is open."""
        return view.showing(self.icon) is not None

    def next(self, view: View, hand: Hand, rng: np.random.Generator) -> Gesture:
        """Double-click the icon, uncovering it first; wait while it is being launched."""
        tried = self.tried_at is not None and view.tick - self.tried_at < _PATIENCE_TICKS
        if tried or (view.launching or "").lower() == self.icon.lower():
            return wait(view, hand, rng)
        if view.menu is not None or view.naming is not None:
            return escape(hand, rng)
        rect = view.icons.get(self.icon)
        if rect is None:
            return wait(view, hand, rng)
        point = view.visible_point(rect, None, rng)
        if point is None:
            return uncover(rect, view, hand, rng)
        gesture = hand.move(*point) + hand.double_click() + hand.rest(1)
        self.tried_at = view.tick + len(gesture)
        return gesture


@dataclass(slots=True)
class CreateFolder:
    """Make a folder through the desktop's menu and type its name."""

    name: str
    awaited: str = ""
    """What the last gesture is to bring: ``menu``, ``question``, ``text`` or ``end``."""
    since: int = 0

    @property
    def goal(self) -> str:
        """The task in a few words."""
        return f"create a folder named {self.name}"

    def reached(self, view: View) -> bool:
        """Say whether there is a folder of that name, and nobody is typing any more."""
        return self.name in view.folders and view.naming is None

    def next(self, view: View, hand: Hand, rng: np.random.Generator) -> Gesture:
        """Open the menu on bare wallpaper, choose the item, type the name, press Return."""
        waited_ticks = view.tick - self.since
        if view.naming is not None:
            step = "end" if view.naming.text == self.name else "text"
            if self.awaited == step and waited_ticks < _EDIT_TICKS:
                return hand.rest(2)
            if step == "end":
                return self._await("end", hand.tap_key(RETURN) + settle(hand, rng), view)
            return self._await("text", self._typed(view.naming.text, hand), view)
        if view.menu is not None:
            if self.awaited == "question" and waited_ticks < _EDIT_TICKS:
                return hand.rest(2)
            return self._choose(view, hand, rng)
        if waited_ticks < _PATIENCE.get(self.awaited, 0):
            return hand.rest(int(rng.integers(2, 5)))
        point = view.free_point(rng)
        if point is None:
            top = view.windows[-1] if view.windows else None
            return hand.rest(3) if top is None else close(top, view, hand, rng)
        return self._await("menu", click_at(point, hand, rng, Button.RIGHT), view)

    def _await(self, what: str, gesture: Gesture, view: View) -> Gesture:
        """Note what a gesture is to bring, from its end on."""
        self.awaited, self.since = what, view.tick + len(gesture)
        return gesture

    def _choose(self, view: View, hand: Hand, rng: np.random.Generator) -> Gesture:
        """Choose the item, or the one that leads to it."""
        item = view.menu_items.get(CREATE_FOLDER_LABEL)
        if item is not None:
            return self._await("question", click_in(item.rect, hand, rng), view)
        ways = [way for way in view.menu_items.values() if CREATE_FOLDER_LABEL in way.leads_to]
        if not ways:
            return escape(hand, rng)
        return self._await("menu", click_in(ways[0].rect, hand, rng), view)

    def _typed(self, text: str, hand: Hand) -> Gesture:
        """Type the name over the proposed one; a name half typed is taken back first."""
        back: Gesture = []
        if text and self.name.startswith(text):
            for _ in text:
                back += hand.tap_key(BACKSPACE)
        return back + hand.type_text(self.name) + hand.rest(2)
