"""The hand of a scripted user: smooth moves, clicks and drags as events, tick by tick."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from data_collection.events import (
    Button,
    ButtonChanged,
    Event,
    KeyChanged,
    PointerMoved,
    TextTyped,
    WheelTurned,
)
from data_collection.users.keyboard import LEFT_SHIFT, LETTERS, SPACE, Key, key_of

Gesture = list[list[Event]]
"""The events of each tick that a gesture takes."""

_LONGEST_MOVE_TICKS = 20


@dataclass(frozen=True, slots=True)
class Habits:
    """How a hand moves and clicks; the first values are those of a calm hand.

    A move takes ``shortest_move_ticks`` and one more for every ``speed_px`` (give or take a
    third); the share ``leaps`` of moves is a single jump. The button is held for up to
    ``hold_ticks`` more ticks than one; the share ``quick`` of clicks comes and goes within
    one. Between a first click and a second lie up to ``gap_ticks``.
    """

    shortest_move_ticks: int = 5
    speed_px: float = 40.0
    leaps: float = 0.0
    hold_ticks: int = 1
    quick: float = 0.0
    gap_ticks: int = 1


CALM = Habits()
OWN_HAND = 2**32
"""Added to a user's seed for its habits, so that they do not depend on what it does."""


def own_habits(rng: np.random.Generator) -> Habits:
    """Return the habits of one of many people: slow or fast, smooth or in jumps."""
    return Habits(
        shortest_move_ticks=int(rng.integers(1, 7)),
        speed_px=float(20.0 * 10.0 ** rng.uniform(0.0, 1.0)),
        leaps=float(rng.choice((0.0, 0.1, 0.5))),
        hold_ticks=int(rng.integers(0, 3)),
        quick=float(rng.choice((0.0, 0.3))),
        gap_ticks=int(rng.integers(1, 4)),
    )


class Hand:
    """Moves one pointer inside the screen; each method returns the gesture it made."""

    def __init__(
        self, rng: np.random.Generator, width_px: int, height_px: int, habits: Habits = CALM
    ) -> None:
        """Start with the pointer in the middle, until ``find`` says where it is."""
        self._habits = habits
        self._rng = rng
        self._width_px = width_px
        self._height_px = height_px
        self.x_px = width_px // 2
        self.y_px = height_px // 2

    def find(self, x_px: int, y_px: int) -> Gesture:
        """Take over the pointer where it is, and say so with one event."""
        self._place(x_px, y_px)
        return [[self._moved()]]

    def rest(self, ticks: int) -> Gesture:
        """Do nothing for a while."""
        return [[] for _ in range(ticks)]

    def jump(self, x_px: int, y_px: int) -> Gesture:
        """Put the pointer elsewhere in one tick."""
        self._place(x_px, y_px)
        return [[self._moved()]]

    def move(self, x_px: int, y_px: int, noise_px: float = 0.0) -> Gesture:
        """Move along a Bézier curve with a slow start and end, and stop at the point.

        Args:
            x_px: where to stop.
            y_px: where to stop.
            noise_px: standard deviation of the tremble on the way.
        """
        gesture: Gesture = []
        if self._habits.leaps and self._rng.random() < self._habits.leaps:
            return self.jump(x_px, y_px)
        for way_x_px, way_y_px in self._way(x_px, y_px):
            tremble_px = self._rng.normal(0.0, noise_px, 2) if noise_px else (0.0, 0.0)
            self._place(round(way_x_px + tremble_px[0]), round(way_y_px + tremble_px[1]))
            gesture.append([self._moved()])
        return gesture + self.jump(x_px, y_px)

    def click(self, button: Button = Button.LEFT) -> Gesture:
        """Press and release where the pointer is."""
        if self._quick():
            return [[self._pressed(button), self._released(button)]]
        hold_ticks = int(self._rng.integers(0, self._habits.hold_ticks + 1))
        return [[self._pressed(button)], *self.rest(hold_ticks), [self._released(button)]]

    def double_click(self) -> Gesture:
        """Press twice: a calm hand two or three ticks apart, no hand more than five."""
        quick = self._quick()
        gap_ticks = int(self._rng.integers(0, self._habits.gap_ticks + 1))
        down, up = self._pressed(Button.LEFT), self._released(Button.LEFT)
        press: Gesture = [[down, up]] if quick else [[down], [up]]
        return press + self.rest(gap_ticks) + press

    def drag(self, x_px: int, y_px: int) -> Gesture:
        """Press here, move with the button held, release there."""
        press: Gesture = [[self._pressed(Button.LEFT)]]
        move = self.move(x_px, y_px)
        return press + move + [[self._released(Button.LEFT)]]

    def turn_wheel(self, notches: int) -> Gesture:
        """Turn the wheel notch by notch, up where positive."""
        step = 1 if notches > 0 else -1
        return [[WheelTurned(0, step)] for _ in range(abs(notches))]

    def tap_key(self, key: Key) -> Gesture:
        """Press and release a key."""
        return [[_down(key)], [_up(key)]]

    def chord(self, held: Key, key: Key) -> Gesture:
        """Press a key while another one is held."""
        return [[_down(held)], [_down(key)], [_up(key), _up(held)]]

    def type_text(self, text: str) -> Gesture:
        """Type a text: each key goes down with its character, and up a tick later.

        Raises:
            NoSuchKey: the keyboard lacks a character.
        """
        gesture: Gesture = []
        for character in text:
            key, shifted = key_of(character)
            hit: list[Event] = [_down(key), TextTyped(character)]
            if shifted:
                gesture += [[_down(LEFT_SHIFT)], hit, [_up(key), _up(LEFT_SHIFT)]]
            else:
                gesture += [hit, [_up(key)]]
            if self._rng.random() < 0.2:
                gesture += self.rest(int(self._rng.integers(1, 4)))
        return gesture

    def key_burst(self, others: Sequence[Key]) -> Gesture:
        """Hit a few keys at random, some held while the next go down; all are up at the end.

        Args:
            others: keys without a character that may be among them.
        """
        gesture: Gesture = []
        until: dict[Key, int] = {}
        count = int(self._rng.integers(2, 9))
        tick = 0
        while count or until:
            events: list[Event] = [_up(key) for key, last in until.items() if last <= tick]
            until = {key: last for key, last in until.items() if last > tick}
            if count and self._rng.random() < 0.7:
                count -= 1
                key, character = self._any_key(others)
                if key not in until:
                    until[key] = tick + int(self._rng.integers(1, 9))
                    events += [_down(key), *([TextTyped(character)] if character else [])]
            gesture.append(events)
            tick += 1
        return gesture

    def _quick(self) -> bool:
        quick = self._habits.quick
        return quick > 0.0 and float(self._rng.random()) < quick

    def _any_key(self, others: Sequence[Key]) -> tuple[Key, str]:
        if others and self._rng.random() < 0.25:
            return others[int(self._rng.integers(len(others)))], ""
        if self._rng.random() < 0.15:
            return SPACE, " "
        letter = LETTERS[int(self._rng.integers(len(LETTERS)))]
        return key_of(letter)[0], letter

    def _way(self, x_px: int, y_px: int) -> Iterator[tuple[float, float]]:
        """Yield the points of a move before its last one, one per tick."""
        dx_px, dy_px = x_px - self.x_px, y_px - self.y_px
        distance_px = max(abs(dx_px), abs(dy_px))
        habits = self._habits
        extra_ticks = distance_px / habits.speed_px * self._rng.uniform(0.7, 1.3)
        wanted = habits.shortest_move_ticks + extra_ticks
        ticks = min(_LONGEST_MOVE_TICKS, round(wanted))
        bends = self._rng.uniform(-0.2, 0.2, 2)
        start_x_px, start_y_px = self.x_px, self.y_px
        control = [
            (
                start_x_px + along * dx_px - bend * dy_px,
                start_y_px + along * dy_px + bend * dx_px,
            )
            for along, bend in zip((1 / 3, 2 / 3), bends, strict=True)
        ]
        for tick in range(1, ticks):
            u = tick / ticks
            s = u * u * u * (10 - 15 * u + 6 * u * u)
            weights = ((1 - s) ** 3, 3 * s * (1 - s) ** 2, 3 * s * s * (1 - s), s**3)
            points = ((start_x_px, start_y_px), *control, (x_px, y_px))
            yield (
                sum(w * point[0] for w, point in zip(weights, points, strict=True)),
                sum(w * point[1] for w, point in zip(weights, points, strict=True)),
            )

    def _place(self, x_px: int, y_px: int) -> None:
        self.x_px = min(max(x_px, 0), self._width_px - 1)
        self.y_px = min(max(y_px, 0), self._height_px - 1)

    def _moved(self) -> Event:
        return PointerMoved(self.x_px, self.y_px)

    def _pressed(self, button: Button) -> Event:
        return ButtonChanged(button, True, self.x_px, self.y_px)

    def _released(self, button: Button) -> Event:
        return ButtonChanged(button, False, self.x_px, self.y_px)


def _down(key: Key) -> Event:
    return KeyChanged(key.scancode, key.keysym, True)


def _up(key: Key) -> Event:
    return KeyChanged(key.scancode, key.keysym, False)
