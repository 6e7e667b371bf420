"""The windows of a display, read through what window managers promise (EWMH)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from data_collection.desktops.x11.asking import Asking
from data_collection.desktops.x11.popups import Popups
from data_collection.desktops.x11.windows import Rect, WindowInfo

_LEAST_BUTTON_PX = 7
_APP_OF_CLASS = {
    "xterm": "terminal",
    "xfce4-terminal": "terminal",
    "chromium": "browser",
    "pcmanfm": "folder",
    "thunar": "folder",
}
_NO_WINDOWS = ("_NET_WM_WINDOW_TYPE_DESKTOP", "_NET_WM_WINDOW_TYPE_DOCK")
_TITLE_SUFFIXES = (" - Chromium", " - Thunar")
_STACKING = "_NET_CLIENT_LIST_STACKING"


@dataclass(frozen=True, slots=True)
class _Facts:
    """What a window's properties say; read again only when one of them changes."""

    app: str
    title: str
    extents_px: tuple[int, int, int, int]
    """Of its frame: left, right, top, bottom."""
    minimised: bool
    maximised: bool
    dialog: bool
    pid: int


class WindowReader:
    """Reads windows; asks the server again only after it told of a change."""

    def __init__(self, asking: Asking) -> None:
        """Store the connection; ``watch`` comes first."""
        self._asking = asking
        self._stale = True
        self._windows: tuple[WindowInfo, ...] = ()
        self.mapping_order: tuple[int, ...] = ()
        """The windows' ids in the order in which they came."""
        self._facts: dict[int, _Facts | None] = {}
        self._buttons: dict[tuple[int, int, int], tuple[Rect, ...]] = {}
        self.popups = Popups(asking)

    def watch(self) -> None:
        """Ask the server to tell of windows that come, go, move or change."""
        from Xlib import X

        mask = X.SubstructureNotifyMask | X.PropertyChangeMask
        self._asking.root.change_attributes(event_mask=mask)

    def window_manager_up(self) -> bool:
        """Say whether a window manager answers for the display."""
        return bool(self._asking.values(self._asking.root, "_NET_SUPPORTING_WM_CHECK"))

    def desktop_up(self) -> bool:
        """Say whether the window with the desktop's icons is on the screen."""
        asking = self._asking
        kind = asking.atom("_NET_WM_WINDOW_TYPE_DESKTOP")
        return any(
            kind in asking.values(asking.window(window_id), "_NET_WM_WINDOW_TYPE")
            for window_id in asking.values(asking.root, _STACKING)
        )

    def work_area(self, width_px: int, height_px: int) -> Rect:
        """Return the part of the screen that no panel takes."""
        values = self._asking.values(self._asking.root, "_NET_WORKAREA")
        if len(values) < 4:
            return 0, 0, width_px, height_px
        return values[0], values[1], values[2], values[3]

    def read(self) -> tuple[WindowInfo, ...]:
        """Return the programs' windows from the lowest to the topmost."""
        self._take_events()
        if self._stale:
            self._stale = False
            asking = self._asking
            active = asking.values(asking.root, "_NET_ACTIVE_WINDOW")
            ids = asking.values(asking.root, _STACKING)
            # The number of a window that is gone may come back as another one's.
            self._facts = {i: facts for i, facts in self._facts.items() if i in ids}
            self._buttons = {key: found for key, found in self._buttons.items() if key[0] in ids}
            found = [self._inspect(window_id, window_id in active) for window_id in ids]
            self.mapping_order = asking.values(asking.root, "_NET_CLIENT_LIST")
            self._windows = tuple(window for window in found if window is not None)
        return self._windows

    def _take_events(self) -> None:
        from Xlib import X

        display = self._asking.display
        while display.pending_events():
            event = display.next_event()
            self._stale = True
            if event.type in (X.PropertyNotify, X.DestroyNotify):
                self._facts.pop(event.window.id, None)
            self.popups.note(event)

    def _inspect(self, window_id: int, focused: bool) -> WindowInfo | None:
        from Xlib import error

        window = self._asking.window(window_id)
        try:
            if window_id not in self._facts:
                self._facts[window_id] = self._read_facts(window)
            facts = self._facts[window_id]
            if facts is None:
                return None
            client = self._asking.place(window)
            left, right, top, bottom = facts.extents_px
            rect = (
                client[0] - left,
                client[1] - top,
                client[2] + left + right,
                client[3] + top + bottom,
            )
            return WindowInfo(
                id=window_id,
                app=facts.app,
                title=facts.title,
                rect=rect,
                client=client,
                buttons=self._buttons_of(window, rect, client),
                focused=focused,
                minimised=facts.minimised,
                maximised=facts.maximised,
                dialog=facts.dialog,
                pid=facts.pid,
            )
        except error.XError:
            # It went away while it was looked at; its going will have been told by now.
            self._stale = True
            return None

    def _read_facts(self, window: Any) -> _Facts | None:
        """Read a window's properties and watch them; None for a panel or the desktop."""
        from Xlib import X

        asking = self._asking
        window.change_attributes(event_mask=X.PropertyChangeMask | X.StructureNotifyMask)
        kinds = asking.values(window, "_NET_WM_WINDOW_TYPE")
        if any(asking.atom(name) in kinds for name in _NO_WINDOWS):
            return None
        left, right, top, bottom = asking.values(window, "_NET_FRAME_EXTENTS") or (0, 0, 0, 0)
        states = asking.values(window, "_NET_WM_STATE")
        return _Facts(
            app=_app(window.get_wm_class() or ("", "")),
            title=_short(asking.text(window, "_NET_WM_NAME", "WM_NAME")),
            extents_px=(left, right, top, bottom),
            minimised=asking.atom("_NET_WM_STATE_HIDDEN") in states,
            maximised=asking.atom("_NET_WM_STATE_MAXIMIZED_VERT") in states,
            dialog=asking.atom("_NET_WM_WINDOW_TYPE_DIALOG") in kinds,
            pid=(asking.values(window, "_NET_WM_PID") or (0,))[0],
        )

    def _buttons_of(self, window: Any, rect: Rect, client: Rect) -> tuple[Rect, ...]:
        """Return the small windows in the title bar, from left to right."""
        key = (window.id, rect[2], client[1] - rect[1])
        if key not in self._buttons:
            found = self._find_buttons(window, client)
            if not found:
                # The frame is not on the screen yet, or no longer.
                self._stale = self._stale or client[1] > rect[1]
                return ()
            self._buttons[key] = tuple((x - rect[0], y - rect[1], w, h) for x, y, w, h in found)
        return tuple((x + rect[0], y + rect[1], w, h) for x, y, w, h in self._buttons[key])

    def _find_buttons(self, window: Any, client: Rect) -> list[Rect]:
        from Xlib import X

        found = list[Rect]()
        frame = window
        while (parent := frame.query_tree().parent) and parent.id != self._asking.root.id:
            frame = parent
        below = [] if frame is window else list(frame.query_tree().children)
        while below:
            child = below.pop()
            if child.id == window.id or child.get_attributes().map_state != X.IsViewable:
                continue
            place = self._asking.place(child)
            _, y, width, height = place
            if y + height > client[1] + 1:
                continue
            if width >= _LEAST_BUTTON_PX and width <= 2 * height and height <= 2 * width:
                found.append(place)
            else:
                below += child.query_tree().children
        return sorted(found)


def _short(title: str) -> str:
    """Return a title without the name of the program that browsers and Thunar add."""
    for suffix in _TITLE_SUFFIXES:
        title = title.removesuffix(suffix)
    return title


def _app(names: tuple[str, str]) -> str:
    """Return which app a window's class (instance, class) belongs to."""
    for name in (names[1], names[0]):
        for known, app in _APP_OF_CLASS.items():
            if name.lower().startswith(known):
                return app
    return "other"
