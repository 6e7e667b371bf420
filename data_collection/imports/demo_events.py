"""The inputs of a segment as events: clamped, balanced, on a US keyboard."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from data_collection.events import (
    Button,
    ButtonChanged,
    Event,
    KeyChanged,
    PointerMoved,
    TextTyped,
    WheelTurned,
)
from data_collection.imports.browser_keys import (
    KEYS,
    MODIFIERS,
    SHIFT,
    SHIFTS,
    PhysicalKey,
    text_of,
)
from data_collection.imports.demo_lines import Inputs
from data_collection.imports.demo_segments import TimedLine
from data_collection.imports.importer import ImportProblem

WIDTH_PX, HEIGHT_PX = 512, 384
NOTCH_PX = 100.0
"""What a browser scrolls by for one notch of a wheel."""
MAX_NOTCHES = 100


@dataclass(frozen=True, slots=True)
class LineEvents:
    """The events of a line, without times and numbers."""

    timed: TimedLine
    events: tuple[Event, ...]


class Hand:
    """What the log's hand holds, and where its pointer is.

    Args:
        file: name of the log, for problems.
        problems: what is odd about the lines goes here.
    """

    def __init__(self, file: str, problems: list[ImportProblem]) -> None:
        self._file = file
        self._problems = problems
        self._line = 0
        self._point: tuple[int, int] | None = None
        self._held: dict[int, tuple[PhysicalKey, str]] = {}
        self._added_shift: set[int] = set()
        self._wheel_notches = [0.0, 0.0]

    def take(self, timed: Sequence[TimedLine], end_line: int) -> list[LineEvents]:
        """Return the events of a segment's lines; what is still held goes up with the last.

        Args:
            timed: the lines, in order.
            end_line: the line that ended the segment, named for what was still held.
        """
        taken = []
        for one in timed:
            self._line = one.line.number
            assert one.line.inputs is not None
            taken.append(LineEvents(one, tuple(self._events(one.line.inputs))))
        self._line = end_line
        if taken and self._held:
            released = (*taken[-1].events, *self._let_go())
            taken[-1] = LineEvents(taken[-1].timed, released)
        return taken

    def _events(self, inputs: Inputs) -> list[Event]:
        events: list[Event] = []
        point = self._at(inputs)
        if point != self._point and point is not None:
            self._point = point
            events.append(PointerMoved(*point))
        for name in inputs.keys_down:
            events += self._press(name)
        for name in inputs.keys_up:
            events += self._release(name)
        for button, clicked in (
            (Button.LEFT, inputs.is_left_click),
            (Button.RIGHT, inputs.is_right_click),
        ):
            if clicked:
                events += self._click(button)
        dx, dy = (
            self._turn(axis, value)
            for axis, value in enumerate((inputs.wheel_delta_x, inputs.wheel_delta_y))
        )
        if dx or dy:
            # A browser counts downwards, an event upwards.
            events.append(WheelTurned(dx, -dy))
        return events

    def _at(self, inputs: Inputs) -> tuple[int, int] | None:
        """Return the pixel of a line as the demo took it: clamped, then cut to whole ones."""
        x, y = inputs.x, inputs.y
        if x is None or y is None or not (math.isfinite(x) and math.isfinite(y)):
            self._note("null_coordinates", "no position: the pointer stays where it was")
            return self._point
        point = int(min(max(x, 0), WIDTH_PX - 1)), int(min(max(y, 0), HEIGHT_PX - 1))
        # The last pixel is as wide as any other: 511.5 lies in it.
        if not (0 <= x < WIDTH_PX and 0 <= y < HEIGHT_PX):
            self._note("out_of_range", f"({x:g}, {y:g}) lies outside; taken as {point}")
        return point

    def _click(self, button: Button) -> list[Event]:
        x_px, y_px = self._point or (0, 0)
        return [ButtonChanged(button, down, x_px, y_px) for down in (True, False)]

    def _press(self, name: str) -> list[Event]:
        key = KEYS.get(name)
        if key is None:
            self._note("unknown_key", f"{name!r} went down: no key of a US keyboard; left out")
            return []
        text = text_of(name)
        events: list[Event] = []
        if key.scancode in self._held:
            self._note("auto_repeat", f"{name!r} was down already")
        else:
            if key.shifted and not self._shift_held():
                self._note("shift_unseen", f"{name!r} without Shift: Shift is pressed for it")
                events.append(KeyChanged(SHIFT.scancode, SHIFT.keysym, True))
                self._held[SHIFT.scancode] = (SHIFT, "Shift")
                self._added_shift.add(key.scancode)
            self._held[key.scancode] = (key, name)
            events.append(KeyChanged(key.scancode, key.keysym, True))
        if text and not MODIFIERS & self._held.keys():
            # As a window system does, for a repeated key as well.
            events.append(TextTyped(text))
        return events

    def _release(self, name: str) -> list[Event]:
        key = KEYS.get(name)
        if key is None:
            self._note("unknown_key", f"{name!r} went up: no key of a US keyboard; left out")
            return []
        held = self._held.pop(key.scancode, None)
        if held is None:
            self._note("release_without_press", f"{name!r} was not down; left out")
            return []
        if held[1] != name:
            self._note("renamed_key", f"{name!r} is the key that went down as {held[1]!r}")
        events: list[Event] = [KeyChanged(key.scancode, key.keysym, False)]
        if key.scancode in self._added_shift:
            self._added_shift.discard(key.scancode)
            if not self._added_shift and SHIFT.scancode in self._held:
                del self._held[SHIFT.scancode]
                events.append(KeyChanged(SHIFT.scancode, SHIFT.keysym, False))
        return events

    def _shift_held(self) -> bool:
        return bool(SHIFTS & self._held.keys())

    def _let_go(self) -> list[Event]:
        """Return the releases of everything held, last pressed first."""
        events: list[Event] = []
        for key, name in reversed(self._held.values()):
            self._note("stuck_key", f"{name!r} was never released; released at the end")
            events.append(KeyChanged(key.scancode, key.keysym, False))
        self._held.clear()
        self._added_shift.clear()
        return events

    def _turn(self, axis: int, pixels: float | None) -> int:
        """Return the whole notches that a wheel has turned, and keep the rest for later."""
        if not pixels or not math.isfinite(pixels):
            return 0
        notches = self._wheel_notches[axis] + pixels / NOTCH_PX
        if abs(notches) > MAX_NOTCHES:
            self._note("out_of_range", f"a wheel turned by {pixels} pixels; taken as less")
            notches = math.copysign(MAX_NOTCHES, notches)
        whole = math.floor(abs(notches) + 0.5) * (1 if notches > 0 else -1)
        self._wheel_notches[axis] = notches - whole
        return whole

    def _note(self, code: str, hint: str) -> None:
        self._problems.append(ImportProblem(self._file, self._line, code, hint))
