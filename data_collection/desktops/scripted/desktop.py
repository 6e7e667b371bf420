"""The scripted desktop: takes one tick's events, gives one frame."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from data_collection.desktops.scripted.config import ScriptedConfig
from data_collection.desktops.scripted.drawing import paste
from data_collection.desktops.scripted.geometry import Rect
from data_collection.desktops.scripted.metrics import metrics_for
from data_collection.desktops.scripted.painter import Painter, Pane, Scene, Task
from data_collection.desktops.scripted.pointer import Pointer
from data_collection.desktops.scripted.readable import readable_state
from data_collection.desktops.scripted.session import Session
from data_collection.desktops.scripted.sprites import ARROW, HOURGLASS
from data_collection.desktops.scripted.windows import Window
from data_collection.events import (
    Button,
    ButtonChanged,
    Event,
    KeyChanged,
    PointerMoved,
    TextTyped,
    WheelTurned,
)
from data_collection.trace import Frame

_START_GRID_PX = 8


class ScriptedDesktop:
    """A small desktop drawn in Python.

    Same config, seed and events give the same pixels, bit for bit: its only clock is
    its tick, and the times on events are not read. The seed chooses where the pointer
    starts; nothing else varies.
    """

    name = "scripted"

    def __init__(self, config: ScriptedConfig | None = None) -> None:
        """Store the configuration and start with seed 0."""
        self.config = config or ScriptedConfig()
        self.width_px = self.config.width_px
        self.height_px = self.config.height_px
        self._metrics = metrics_for(self.width_px, self.height_px)
        self._area = Rect(0, 0, self.width_px, self.height_px - self._metrics.taskbar_px)
        self._painter = Painter(self.width_px, self.height_px, self._metrics)
        self.reset(0)

    @property
    def label(self) -> str:
        """A line for the HUD."""
        return f"scripted desktop {self.width_px}x{self.height_px}"

    def reset(self, seed: int) -> Frame:
        """Close everything, forget the files, and return the first frame."""
        self._session = Session(self.config, self._area, self._metrics)
        self._pointer = Pointer(self._session, self.width_px, self.height_px)
        rng = np.random.Generator(np.random.Philox(seed))
        x_px = _START_GRID_PX * int(rng.integers(self.width_px // _START_GRID_PX))
        y_px = _START_GRID_PX * int(rng.integers(self._area.height_px // _START_GRID_PX))
        self._pointer.move(x_px, y_px)
        self._scene = self._current_scene()
        self._background = self._painter.paint(self._scene)
        return self._frame()

    def step(self, events: Sequence[Event]) -> Frame:
        """Take one tick's events in order and return what the screen shows then."""
        changing = self._may_change(events)
        self._session.advance()
        for event in events:
            self._take(event)
            self._session.follow()
        if changing:
            scene = self._current_scene()
            if scene != self._scene:
                self._scene = scene
                self._background = self._painter.paint(scene)
        return self._frame()

    def state(self) -> dict[str, Any]:
        """Return what is on the screen as a JSON object; see ``readable_state``."""
        return readable_state(self._session, self._pointer, self.width_px, self.height_px)

    @property
    def bare_frame(self) -> Frame:
        """The last frame without its cursor, which nobody writes to; for measuring what moved."""
        frame = self._background.view()
        frame.flags.writeable = False
        return frame

    def close(self) -> None:
        """Release nothing: there is nothing to release."""

    def _may_change(self, events: Sequence[Event]) -> bool:
        """Say whether this tick may change more than where the cursor is."""
        session = self._session
        return (
            session.moving
            or session.menu is not None
            or self._pointer.drag is not None
            or any(not isinstance(event, PointerMoved) for event in events)
        )

    def _take(self, event: Event) -> None:
        session, pointer = self._session, self._pointer
        if isinstance(event, PointerMoved):
            pointer.move(event.x_px, event.y_px)
        elif isinstance(event, ButtonChanged):
            pointer.move(event.x_px, event.y_px)
            if event.button is Button.LEFT and event.down:
                pointer.press_left()
            elif event.button is Button.LEFT:
                pointer.release_left()
            elif event.button is Button.RIGHT and event.down:
                pointer.press_right()
        elif isinstance(event, WheelTurned):
            pointer.turn_wheel(event.dy)
        elif isinstance(event, KeyChanged):
            session.change_key(event.scancode, event.down)
        elif isinstance(event, TextTyped):
            session.type_text(event.text)

    def _current_scene(self) -> Scene:
        session = self._session
        naming = session.naming
        field = naming.field if naming is not None and naming.owner is None else None
        place = session.naming_rect() if field is not None else None
        selected = session.selected
        return Scene(
            icons=session.icons.icons,
            selected=None if selected is None else selected.name,
            naming=None if field is None or place is None else (place, field.look),
            panes=tuple(self._pane(window) for window in session.windows.shown),
            tasks=self._tasks(),
            menu=session.menu,
            pointed_row=self._pointer.pointed_row,
            field=field,
        )

    def _pane(self, window: Window) -> Pane:
        return Pane(
            rect=window.rect,
            buttons=(window.minimise_button, window.maximise_button, window.close_button),
            title=window.content.title,
            focused=window.id == self._session.windows.focused,
            maximised=window.maximised,
            look=window.content.look,
            content=window.content,
        )

    def _tasks(self) -> tuple[Task, ...]:
        windows, launch = self._session.windows, self._session.launch
        tasks: list[Task] = []
        for window in sorted(windows, key=lambda window: window.id):
            state = "minimised" if window.minimised else "open"
            focused = window.id == windows.focused
            tasks.append(Task(window.content.title, "focused" if focused else state))
        if launch is not None:
            tasks.append(Task(launch.app + "...", "starting"))
        return tuple(tasks)

    def _frame(self) -> Frame:
        """Draw the cursor last, on a copy that nobody writes to afterwards."""
        frame = self._background.copy()
        sprite = ARROW if self._session.launch is None else HOURGLASS
        paste(frame, sprite, self._pointer.x_px, self._pointer.y_px)
        frame.flags.writeable = False
        return frame
