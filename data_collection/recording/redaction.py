"""What is stored in place of frames and events while a person redacts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from enum import Enum

import numpy as np

from data_collection.events import ButtonChanged, Event, KeyChanged, Marker, PointerMoved
from data_collection.trace import Frame
from data_collection.window.held import Held
from data_collection.window.viewport import Point

BLANK = 96
"""The grey of a redacted frame."""
_OPENING_KINDS = ("reset", "resume", "consent")


class _Phase(Enum):
    OFF = "off"
    BEGINS = "begins"
    ON = "on"
    ENDS = "ends"


class Redaction:
    """Follows what is stored of a trace, and blanks it where it is told to.

    Of the events of a blanked frame nothing is stored, save markers and the release of what
    the stored events left down; so a trace never ends with something held, and no release
    is stored whose press was not.
    """

    def __init__(self) -> None:
        self._phase = _Phase.OFF
        self._held = Held()
        self._pointer: Point = (0, 0)

    @property
    def on(self) -> bool:
        """Whether frames are blanked."""
        return self._phase is not _Phase.OFF

    def begin(self) -> None:
        """Blank every frame from the next one on."""
        self._phase = _Phase.BEGINS

    def mark_end(self) -> None:
        """Say in the next frame's events that it is the last one blanked."""
        self._phase = _Phase.ENDS

    def end(self) -> None:
        """Blank no more."""
        self._phase = _Phase.OFF

    def begin_trace(self) -> None:
        """Begin with nothing held; a redaction that goes on begins in each trace anew."""
        self._held = Held()
        if self.on:
            self._phase = _Phase.BEGINS

    def blank(
        self, frame: Frame, group: Sequence[Event], opens_clip: bool, due_ns: int
    ) -> tuple[Frame, list[Event]]:
        """Return what is stored in place of a frame and of its events.

        Args:
            frame: (height, width, 3); only its shape is used.
            group: its events; of them only the markers that open a trace remain.
            opens_clip: whether it is the first of its clip, which then says that it is redacted.
            due_ns: when the frame was due; the events get that time.
        """
        markers = {
            _Phase.BEGINS: [Marker("redact_start", "", due_ns)],
            _Phase.ENDS: [Marker("redact_end", "", due_ns)],
        }
        redacted = [Marker("redacted", "", due_ns)] if opens_clip else []
        events: list[Event] = [
            replace(event, t_mono_ns=due_ns)
            for event in group
            if isinstance(event, Marker) and event.kind in _OPENING_KINDS
        ]
        events += self._held.let_go(self._pointer, due_ns)
        events += markers.get(self._phase, redacted)
        if self._phase is _Phase.BEGINS:
            self._phase = _Phase.ON
        return np.full_like(frame, BLANK), events

    def follow(self, group: Sequence[Event]) -> None:
        """Keep in mind what stored events leave down, and where the pointer is."""
        for event in group:
            if isinstance(event, PointerMoved):
                self._pointer = (event.x_px, event.y_px)
            elif isinstance(event, ButtonChanged):
                self._pointer = (event.x_px, event.y_px)
                change = self._held.press_button if event.down else self._held.release_button
                change(event.button)
            elif isinstance(event, KeyChanged) and event.down:
                self._held.press_key(event.scancode, event.keysym)
            elif isinstance(event, KeyChanged):
                self._held.release_key(event.scancode)
