"""The windows of a display, read through what window managers promise (EWMH)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

Rect = tuple[int, int, int, int]
"""x, y, width, height in px of the screen."""

_LEAST_BUTTON_PX = 7
_GRIP_PX = 10
_APP_OF_CLASS = {
    "xterm": "terminal",
    "xfce4-terminal": "terminal",
    "chromium": "browser",
    "pcmanfm": "folder",
    "thunar": "folder",
}
_NO_WINDOWS = ("_NET_WM_WINDOW_TYPE_DESKTOP", "_NET_WM_WINDOW_TYPE_DOCK")


@dataclass(frozen=True, slots=True)
class WindowInfo:
    """One window of a program, with the frame that the window manager put around it."""

    id: int
    app: str
    title: str
    rect: Rect
    client: Rect
    buttons: tuple[Rect, ...]
    """From left to right; the last three are minimise, maximise and close."""
    focused: bool
    minimised: bool
    dialog: bool
    pid: int

    @property
    def title_bar(self) -> Rect:
        """The strip above the program's own part."""
        x_px, y_px, width_px, _ = self.rect
        return x_px, y_px, width_px, self.client[1] - y_px

    def button(self, from_right: int) -> Rect | None:
        """Return a button by its place from the right; 1 is the close button."""
        return self.buttons[-from_right] if len(self.buttons) >= from_right else None

    def to_json(self, z: int) -> dict[str, Any]:
        """Return the window as it stands in a state."""
        x_px, y_px, width_px, height_px = self.rect
        full = not self.dialog
        return {
            "id": self.id,
            "app": self.app,
            "title": self.title,
            "rect": list(self.rect),
            "title_bar": list(self.title_bar),
            "close_button": _listed(self.button(1)),
            "maximise_button": _listed(self.button(2) if full else None),
            "minimise_button": _listed(self.button(3) if full else None),
            "resize_corner": [
                x_px + width_px - _GRIP_PX,
                y_px + height_px - _GRIP_PX // 2,
                _GRIP_PX,
                _GRIP_PX // 2,
            ],
            "z": z,
            "focused": self.focused,
            "minimised": self.minimised,
        }


def contains(rect: Rect | None, x_px: int, y_px: int) -> bool:
    """Say whether a point lies in a rectangle."""
    if rect is None:
        return False
    return rect[0] <= x_px < rect[0] + rect[2] and rect[1] <= y_px < rect[1] + rect[3]


def _listed(rect: Rect | None) -> list[int] | None:
    return None if rect is None else list(rect)


class WindowReader:
    """Reads windows and popups; asks the server again only after it told of a change."""

    def __init__(self, display: Any) -> None:
        """Store the open python-xlib display; ``watch`` comes first."""
        self._display = display
        self._root = display.screen().root
        self._atoms: dict[str, int] = {}
        self._stale = True
        self._watched: set[int] = set()
        self._windows: tuple[WindowInfo, ...] = ()
        self._popups: tuple[int, ...] = ()
        self._buttons: dict[tuple[int, Rect], tuple[Rect, ...]] = {}

    def watch(self) -> None:
        """Ask the server to tell of windows that come, go, move or change."""
        from Xlib import X

        self._root.change_attributes(event_mask=X.SubstructureNotifyMask | X.PropertyChangeMask)

    def window_manager_up(self) -> bool:
        """Say whether a window manager answers for the display."""
        return bool(self._values(self._root, "_NET_SUPPORTING_WM_CHECK"))

    def desktop_up(self) -> bool:
        """Say whether the window with the desktop's icons is on the screen."""
        for window_id in self._values(self._root, "_NET_CLIENT_LIST_STACKING"):
            window = self._window(window_id)
            if self._atom("_NET_WM_WINDOW_TYPE_DESKTOP") in self._values(
                window, "_NET_WM_WINDOW_TYPE"
            ):
                return True
        return False

    def read(self) -> tuple[WindowInfo, ...]:
        """Return the programs' windows from the lowest to the topmost."""
        self._refresh()
        return self._windows

    def popups(self) -> tuple[int, ...]:
        """Return the ids of the open menus and other popups, in the order of opening."""
        self._refresh()
        return self._popups

    def work_area(self, width_px: int, height_px: int) -> Rect:
        """Return the part of the screen that no panel takes."""
        values = self._values(self._root, "_NET_WORKAREA")
        if len(values) < 4:
            return 0, 0, width_px, height_px
        return values[0], values[1], values[2], values[3]

    def popup_rows(self, popup_id: int) -> tuple[Rect, list[Rect]]:
        """Return where a popup is, and its rows where they are windows of their own."""
        from Xlib import X, error

        try:
            popup = self._window(popup_id)
            rect = self._place(popup)
            rows, below = list[Rect](), list(popup.query_tree().children)
            while below:
                child = below.pop(0)
                attributes = child.get_attributes()
                if attributes.map_state != X.IsViewable:
                    continue
                if attributes.win_class == X.InputOnly:
                    rows.append(self._place(child))
                else:
                    below += child.query_tree().children
            return rect, sorted(rows, key=lambda row: row[1])
        except error.XError:
            return (0, 0, 0, 0), []

    def _refresh(self) -> None:
        # python-xlib reads what has come before it says how much that is.
        while self._display.pending_events():
            self._display.next_event()
            self._stale = True
        if not self._stale:
            return
        self._stale = False
        active = self._values(self._root, "_NET_ACTIVE_WINDOW")
        found = []
        for window_id in self._values(self._root, "_NET_CLIENT_LIST_STACKING"):
            window = self._inspect(window_id)
            if window is not None:
                found.append(replace(window, focused=window_id in active))
        self._windows = tuple(found)
        self._popups = tuple(self._read_popups())

    def _inspect(self, window_id: int) -> WindowInfo | None:
        from Xlib import X, error

        window = self._window(window_id)
        try:
            if window_id not in self._watched:
                window.change_attributes(event_mask=X.PropertyChangeMask | X.StructureNotifyMask)
                self._watched.add(window_id)
            kinds = self._values(window, "_NET_WM_WINDOW_TYPE")
            if any(self._atom(name) in kinds for name in _NO_WINDOWS):
                return None
            client = self._place(window)
            extents = self._values(window, "_NET_FRAME_EXTENTS") or (0, 0, 0, 0)
            left, right, top, bottom = extents
            rect = (
                client[0] - left,
                client[1] - top,
                client[2] + left + right,
                client[3] + top + bottom,
            )
            title, app = self._title(window), self._app(window)
            return WindowInfo(
                id=window_id,
                app=app,
                title=title,
                rect=rect,
                client=client,
                buttons=self._buttons_of(window, rect, client),
                focused=False,
                minimised=self._atom("_NET_WM_STATE_HIDDEN")
                in self._values(window, "_NET_WM_STATE"),
                dialog=self._atom("_NET_WM_WINDOW_TYPE_DIALOG") in kinds,
                pid=(self._values(window, "_NET_WM_PID") or (0,))[0],
            )
        except error.XError:
            # It went away while it was looked at; its going will have been told by now.
            self._stale = True
            return None

    def _buttons_of(self, window: Any, rect: Rect, client: Rect) -> tuple[Rect, ...]:
        """Return the small square windows in the title bar, from left to right."""
        from Xlib import X

        offset = (rect[0], rect[1])
        key = (window.id, (0, 0, rect[2], client[1] - rect[1]))
        if key not in self._buttons:
            found = list[Rect]()
            frame = window
            while (parent := frame.query_tree().parent) and parent.id != self._root.id:
                frame = parent
            below = [] if frame is window else list(frame.query_tree().children)
            while below:
                child = below.pop()
                if child.id == window.id or child.get_attributes().map_state != X.IsViewable:
                    continue
                x, y, width, height = self._place(child)
                in_bar = y + height <= client[1] + 1
                if in_bar and abs(width - height) <= 4 and width >= _LEAST_BUTTON_PX:
                    found.append((x - offset[0], y - offset[1], width, height))
                elif in_bar:
                    below += child.query_tree().children
            self._buttons[key] = tuple(sorted(found))
        return tuple((x + offset[0], y + offset[1], w, h) for x, y, w, h in self._buttons[key])

    def _read_popups(self) -> list[int]:
        from Xlib import X, error

        popups = []
        for child in self._root.query_tree().children:
            try:
                attributes = child.get_attributes()
                shown = attributes.map_state == X.IsViewable and attributes.override_redirect
                if shown and attributes.win_class == X.InputOutput:
                    kinds = self._values(child, "_NET_WM_WINDOW_TYPE")
                    if any(self._atom(f"_NET_WM_WINDOW_TYPE_{kind}") in kinds for kind in _MENUS):
                        popups.append(child.id)
            except error.XError:
                self._stale = True
        return popups

    def _app(self, window: Any) -> str:
        names = window.get_wm_class() or ("", "")
        for name in (names[1], names[0]):
            for known, app in _APP_OF_CLASS.items():
                if name.lower().startswith(known):
                    return app
        return "other"

    def _title(self, window: Any) -> str:
        for name in ("_NET_WM_NAME", "WM_NAME"):
            value = window.get_full_property(self._atom(name), 0)
            if value is not None and value.value:
                text = value.value
                return text.decode(errors="replace") if isinstance(text, bytes) else str(text)
        return ""

    def _place(self, window: Any) -> Rect:
        """Return where a window lies on the screen, its border left out."""
        geometry = window.get_geometry()
        origin = window.translate_coords(self._root, 0, 0)
        return -origin.x, -origin.y, geometry.width, geometry.height

    def _window(self, window_id: int) -> Any:
        return self._display.create_resource_object("window", window_id)

    def _atom(self, name: str) -> int:
        if name not in self._atoms:
            self._atoms[name] = self._display.intern_atom(name)
        return self._atoms[name]

    def _values(self, window: Any, name: str) -> tuple[int, ...]:
        value = window.get_full_property(self._atom(name), 0)
        return tuple(value.value) if value is not None else ()


_MENUS = ("POPUP_MENU", "DROPDOWN_MENU", "MENU")
