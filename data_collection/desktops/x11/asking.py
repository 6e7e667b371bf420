"""Questions to a display server: atoms, properties, places of windows."""

from __future__ import annotations

from typing import Any

from data_collection.desktops.x11.windows import Rect


class Asking:
    """One connection to a display, with the questions that its readers share."""

    def __init__(self, display: Any) -> None:
        """Store the open python-xlib display."""
        self.display = display
        self.root = display.screen().root
        self._atoms: dict[str, int] = {}

    def atom(self, name: str) -> int:
        """Return the number of a name."""
        if name not in self._atoms:
            self._atoms[name] = self.display.intern_atom(name)
        return self._atoms[name]

    def window(self, window_id: int) -> Any:
        """Return the python-xlib object of a window."""
        return self.display.create_resource_object("window", window_id)

    def values(self, window: Any, name: str) -> tuple[int, ...]:
        """Return a property's numbers; empty where a window lacks it."""
        value = window.get_full_property(self.atom(name), 0)
        return tuple(value.value) if value is not None else ()

    def text(self, window: Any, *names: str) -> str:
        """Return the first of these properties that holds text."""
        for name in names:
            value = window.get_full_property(self.atom(name), 0)
            if value is not None and value.value:
                text = value.value
                return text.decode(errors="replace") if isinstance(text, bytes) else str(text)
        return ""

    def place(self, window: Any) -> Rect:
        """Return where a window lies on the screen, its border left out."""
        geometry = window.get_geometry()
        origin = window.translate_coords(self.root, 0, 0)
        return -origin.x, -origin.y, geometry.width, geometry.height
