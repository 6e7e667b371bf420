"""Open menus and the rows in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from data_collection.desktops.x11.asking import Asking
from data_collection.desktops.x11.windows import Rect

_KINDS = ("POPUP_MENU", "DROPDOWN_MENU", "MENU")


@dataclass(frozen=True, slots=True)
class Popup:
    """An open menu: its program's class, its place, and its rows where they can be seen.

    They can with GTK 2 under ``GDK_NATIVE_WINDOWS``: each row has a window for its input.
    """

    program: str
    rect: Rect
    rows: tuple[Rect, ...]


class Popups:
    """The menus that are open, in the order of opening; told of by the server's events."""

    def __init__(self, asking: Asking) -> None:
        self._asking = asking
        self._open: list[int] = []

    @property
    def ids(self) -> tuple[int, ...]:
        """The windows of the open menus."""
        return tuple(self._open)

    def note(self, event: Any) -> None:
        """Take an event of the root window's children."""
        from Xlib import X

        if event.type == X.MapNotify and event.override:
            if self._is_menu(event.window):
                self._open.append(event.window.id)
        elif event.type in (X.UnmapNotify, X.DestroyNotify) and event.window.id in self._open:
            self._open.remove(event.window.id)

    def read(self, popup_id: int) -> Popup:
        """Return what can be seen of an open menu; one that is gone has no size."""
        from Xlib import X, error

        asking = self._asking
        try:
            popup = asking.window(popup_id)
            rect = asking.place(popup)
            rows, below = list[Rect](), list(popup.query_tree().children)
            while below:
                child = below.pop(0)
                attributes = child.get_attributes()
                if attributes.map_state != X.IsViewable:
                    continue
                if attributes.win_class == X.InputOnly:
                    rows.append(asking.place(child))
                else:
                    below += child.query_tree().children
            program = (popup.get_wm_class() or ("", ""))[0]
            return Popup(program, rect, tuple(sorted(rows, key=lambda row: row[1])))
        except error.XError:
            return Popup("", (0, 0, 0, 0), ())

    def _is_menu(self, window: Any) -> bool:
        from Xlib import error

        try:
            kinds = self._asking.values(window, "_NET_WM_WINDOW_TYPE")
        except error.XError:
            return False
        return any(self._asking.atom(f"_NET_WM_WINDOW_TYPE_{kind}") in kinds for kind in _KINDS)
