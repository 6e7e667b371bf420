"""Tasks in the terminal: type a command and see that it did something."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from data_collection.users.hand import Gesture, Hand
from data_collection.users.keyboard import RETURN
from data_collection.users.tasks.icons import OpenIcon
from data_collection.users.tasks.steps import click_at, escape, raise_window
from data_collection.users.view import View
from data_collection.users.view_parts import WindowView

_WORDS = ("blue", "window", "garden", "small", "open", "folder", "rain", "seven", "paper", "light")
_FIRST = ("ls", "pwd", "help", "ls ~")
_PATIENCE_TICKS = 45
FOLDER_PLACE = "~/Desktop"


@dataclass(slots=True)
class TypeInTerminal:
    """Open the terminal if need be, type commands, and wait for the last one's effect.

    The effect is a new line that says ``prints``, or a new folder on the desktop.
    """

    commands: tuple[str, ...]
    prints: str = ""
    makes: str = ""
    typed_at: int | None = None
    opening: OpenIcon = field(default_factory=lambda: OpenIcon("Terminal"))
    clicked: bool = False

    @property
    def goal(self) -> str:
        """The task in a few words."""
        return f"type {self.commands[-1]} in the terminal"

    def reached(self, view: View) -> bool:
        """Say whether the last command did what it should."""
        if self.makes:
            return self.makes in view.folders
        lines = view.terminal.lines if view.terminal else ()
        return any(line == self.prints or line.endswith(self.commands[-1]) for line in lines)

    def next(self, view: View, hand: Hand, rng: np.random.Generator) -> Gesture:
        """Open the terminal, put it in front, type; then wait."""
        window = view.showing("Terminal")
        if window is None:
            self.clicked = False
            return self.opening.next(view, hand, rng)
        if view.menu is not None:
            return escape(hand, rng)
        if not self.clicked or window.focused is False:
            return self._focus(window, view, hand, rng)
        if self.typed_at is not None and view.tick - self.typed_at < _PATIENCE_TICKS:
            return hand.rest(int(rng.integers(2, 7)))
        gesture: Gesture = hand.tap_key(RETURN) if self.typed_at is not None else []
        for command in self.commands:
            gesture += hand.type_text(command) + hand.tap_key(RETURN)
            gesture += hand.rest(int(rng.integers(2, 8)))
        self.typed_at = view.tick + len(gesture)
        return gesture

    def _focus(
        self, window: WindowView, view: View, hand: Hand, rng: np.random.Generator
    ) -> Gesture:
        """Give the keys to the terminal; one that has them needs no click."""
        if window.focused:
            self.clicked = True
            return hand.rest(2)
        point = view.visible_point(window.sheet, window, rng)
        if point is None:
            return raise_window(window, view, hand, rng)
        self.clicked = True
        return click_at(point, hand, rng)


def begin_typing(view: View, name: str, rng: np.random.Generator) -> TypeInTerminal | None:
    """Return a task whose effect is not there yet; None on a desktop without a terminal.

    Args:
        view: what is on the screen.
        name: a folder's name that may be made on the desktop; empty for none.
        rng: draws the commands.
    """
    if "Terminal" not in view.icons and view.showing("Terminal") is None:
        return None
    first = (_FIRST[int(rng.integers(len(_FIRST)))],) if rng.random() < 0.4 else ()
    if name and rng.random() < 0.4:
        return TypeInTerminal((*first, f"mkdir {FOLDER_PLACE}/{name}"), makes=name)
    words = [_WORDS[int(index)] for index in rng.integers(len(_WORDS), size=2)]
    text = " ".join([*words, str(int(rng.integers(100, 1000)))])
    task = TypeInTerminal((*first, f"echo {text}"), prints=text)
    return None if task.reached(view) else task
