"""The scripted desktop: what events do to icons, windows and the menu, tick by tick."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from data_collection.desktops.scripted.apps import APPS, App
from data_collection.desktops.scripted.config import ScriptedConfig
from data_collection.desktops.scripted.drawing import paste
from data_collection.desktops.scripted.geometry import Rect
from data_collection.desktops.scripted.icons import Icon, IconGrid
from data_collection.desktops.scripted.menu import Menu, MenuItem, menu_at
from data_collection.desktops.scripted.painter import (
    TASKBAR_PX,
    Painter,
    Scene,
    menu_button,
    task_rects,
)
from data_collection.desktops.scripted.sprites import ARROW, HOURGLASS
from data_collection.desktops.scripted.windows import Window, WindowStack
from data_collection.events import Button, ButtonChanged, Event, KeyChanged, PointerMoved
from data_collection.trace import Frame

_ESCAPE_SCANCODE = 41
_START_GRID_PX = 8


@dataclass(frozen=True, slots=True)
class _Press:
    """The last left press on an icon: half of a double click."""

    icon: str
    tick: int


@dataclass(frozen=True, slots=True)
class _Drag:
    """A window held by its title bar, and where in it the pointer took hold."""

    window_id: int
    grip_x_px: int
    grip_y_px: int


@dataclass(slots=True)
class _Launch:
    """A slow app on its way to its window."""

    icon: Icon
    ticks_left: int


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
        self._area = Rect(0, 0, self.width_px, self.height_px - TASKBAR_PX)
        self._painter = Painter(self.width_px, self.height_px)
        self.reset(0)

    @property
    def label(self) -> str:
        """A line for the HUD."""
        return f"scripted desktop {self.width_px}x{self.height_px}"

    def reset(self, seed: int) -> Frame:
        """Close everything, forget the folders, and return the first frame."""
        self._tick = 0
        self._icons = IconGrid(self.config.icons, self._area)
        self._windows = WindowStack(self._area, self.config.snap_px)
        self._menu: Menu | None = None
        self._selected: str | None = None
        self._press: _Press | None = None
        self._drag: _Drag | None = None
        self._launch: _Launch | None = None
        rng = np.random.Generator(np.random.Philox(seed))
        self._x_px = _START_GRID_PX * int(rng.integers(self.width_px // _START_GRID_PX))
        self._y_px = _START_GRID_PX * int(rng.integers(self._area.height_px // _START_GRID_PX))
        self._scene = self._current_scene()
        self._background = self._painter.paint(self._scene)
        return self._frame()

    def step(self, events: Sequence[Event]) -> Frame:
        """Take one tick's events in order and return what the screen shows then."""
        self._tick += 1
        self._advance_launch()
        for event in events:
            self._take(event)
        scene = self._current_scene()
        if scene != self._scene:
            self._scene = scene
            self._background = self._painter.paint(scene)
        return self._frame()

    def state(self) -> dict[str, Any]:
        """Return what is on the screen as a JSON object; rectangles are [x, y, w, h] in px.

        Keys: ``tick``, ``screen``, ``cursor``, ``launching`` (app and ticks left, or
        null), ``icons``, ``folders``, ``windows`` from the lowest to the topmost,
        ``dragging`` (window id or null), ``menu`` (or null).
        """
        launch = self._launch
        return {
            "tick": self._tick,
            "screen": {
                "width_px": self.width_px,
                "height_px": self.height_px,
                "work_area": self._area.to_json(),
            },
            "cursor": {
                "x_px": self._x_px,
                "y_px": self._y_px,
                "shape": "arrow" if launch is None else "busy",
            },
            "launching": launch and {"app": launch.icon.app.name, "ticks_left": launch.ticks_left},
            "icons": [icon.to_json() for icon in self._icons.icons],
            "folders": list(self._icons.folders),
            "windows": [
                window.to_json(z, window.id == self._windows.focused)
                for z, window in enumerate(self._windows)
            ],
            "dragging": self._drag and self._drag.window_id,
            "menu": self._menu and self._menu.to_json(),
        }

    def close(self) -> None:
        """Release nothing: there is nothing to release."""

    def _take(self, event: Event) -> None:
        if isinstance(event, PointerMoved):
            self._move_pointer(event.x_px, event.y_px)
        elif isinstance(event, ButtonChanged):
            self._move_pointer(event.x_px, event.y_px)
            if event.button is Button.LEFT and event.down:
                self._press_left()
            elif event.button is Button.LEFT:
                self._drag = None
            elif event.button is Button.RIGHT and event.down:
                self._press_right()
        elif isinstance(event, KeyChanged) and event.scancode == _ESCAPE_SCANCODE and event.down:
            self._menu = None

    def _move_pointer(self, x_px: int, y_px: int) -> None:
        self._x_px = min(max(x_px, 0), self.width_px - 1)
        self._y_px = min(max(y_px, 0), self.height_px - 1)
        if self._drag is not None:
            self._windows.move(
                self._drag.window_id,
                self._x_px - self._drag.grip_x_px,
                self._y_px - self._drag.grip_y_px,
            )

    def _press_left(self) -> None:
        x_px, y_px = self._x_px, self._y_px
        if self._menu is not None:
            item = self._menu.item_at(x_px, y_px)
            self._menu = None
            if item is not None:
                self._choose(item)
            return
        if y_px >= self._area.height_px:
            self._press_taskbar(x_px, y_px)
            return
        window = self._windows.at(x_px, y_px)
        if window is not None:
            self._press_window(window, x_px, y_px)
            return
        self._windows.focused = None
        self._press_icon(self._icons.at(x_px, y_px))

    def _press_right(self) -> None:
        x_px, y_px = self._x_px, self._y_px
        self._menu = None
        on_wallpaper = (
            self._area.contains(x_px, y_px)
            and self._windows.at(x_px, y_px) is None
            and self._icons.at(x_px, y_px) is None
        )
        if on_wallpaper:
            self._menu = menu_at(x_px, y_px, self._area, self.config.snap_px)

    def _press_window(self, window: Window, x_px: int, y_px: int) -> None:
        self._press = None
        self._windows.lift(window)
        if window.close_button.contains(x_px, y_px):
            self._windows.close(window)
        elif window.title_bar.contains(x_px, y_px):
            self._drag = _Drag(window.id, x_px - window.rect.x_px, y_px - window.rect.y_px)

    def _press_taskbar(self, x_px: int, y_px: int) -> None:
        button = menu_button(self.height_px)
        if button.contains(x_px, y_px):
            self._menu = menu_at(button.x_px, self._area.height_px, self._area, self.config.snap_px)
        windows = sorted(self._windows, key=lambda window: window.id)
        rects = task_rects(len(windows), self.width_px, self.height_px)
        for window, rect in zip(windows, rects, strict=False):
            if rect.contains(x_px, y_px):
                self._windows.lift(window)

    def _press_icon(self, icon: Icon | None) -> None:
        first = self._press
        self._press = None
        self._selected = None if icon is None else icon.name
        if icon is None:
            return
        in_time = first is not None and self._tick - first.tick <= self.config.double_click_ticks
        if first is not None and first.icon == icon.name and in_time:
            self._open(icon)
        else:
            self._press = _Press(icon.name, self._tick)

    def _choose(self, item: MenuItem) -> None:
        if item is MenuItem.CREATE_FOLDER:
            self._icons.add_folder()
        elif item is MenuItem.OPEN_HOME:
            self._show(APPS["Home"], "Home")

    def _open(self, icon: Icon) -> None:
        """Show an icon's window, after ``launch_frames`` where its app is slow."""
        self._selected = None
        is_open = self._windows.titled(icon.name) is not None
        if is_open or not icon.app.slow or self.config.launch_frames == 0:
            self._show(icon.app, icon.name)
        elif self._launch is None:
            self._launch = _Launch(icon, self.config.launch_frames)

    def _advance_launch(self) -> None:
        if self._launch is None:
            return
        self._launch.ticks_left -= 1
        if self._launch.ticks_left == 0:
            icon = self._launch.icon
            self._launch = None
            self._show(icon.app, icon.name)

    def _show(self, app: App, title: str) -> None:
        window = self._windows.titled(title)
        if window is None:
            self._windows.open(app, title)
        else:
            self._windows.lift(window)

    def _current_scene(self) -> Scene:
        return Scene(
            icons=self._icons.icons,
            selected=self._selected,
            windows=tuple(self._windows),
            focused=self._windows.focused,
            starting=None if self._launch is None else self._launch.icon.name,
            menu=self._menu,
        )

    def _frame(self) -> Frame:
        """Draw the cursor last, on a copy that nobody writes to afterwards."""
        frame = self._background.copy()
        paste(frame, ARROW if self._launch is None else HOURGLASS, self._x_px, self._y_px)
        frame.flags.writeable = False
        return frame
