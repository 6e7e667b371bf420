"""The readable state of a real desktop, in the words of every desktop's ``state()``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from data_collection.desktops.x11.home import Home
from data_collection.desktops.x11.menus import menu_json
from data_collection.desktops.x11.profiles import Icons, ProfilePrograms
from data_collection.desktops.x11.site import Site
from data_collection.desktops.x11.terminal_log import TerminalLogs
from data_collection.desktops.x11.tracker import Tracker
from data_collection.desktops.x11.window_reader import WindowReader
from data_collection.desktops.x11.windows import Rect, WindowInfo

_OMNIBOX_PX = (215, 48, 120, 26)
"""In the browser's own px: from its left, from its top, from its right, height."""


class StateReader:
    """Reads windows, icons, folders, menus, terminal and browser of one session."""

    def __init__(
        self,
        home: Home,
        programs: ProfilePrograms,
        windows: WindowReader,
        site: Site,
        icons: Icons,
    ) -> None:
        self._home = home
        self._programs = programs
        self._layout = icons
        self._reader = windows
        self._site = site
        self._logs = TerminalLogs()
        self._folders: tuple[int, list[str]] = (-1, [])
        self._icons: tuple[list[str], list[tuple[str, Rect]]] | None = None
        self._menu: tuple[tuple[int, ...], dict[str, Any] | None] = ((), None)
        config = home.config
        self._area = windows.work_area(config.width_px, config.height_px)
        self.tracker = Tracker(home.launches)

    def windows(self) -> tuple[WindowInfo, ...]:
        """Return the windows, file managers told apart by what they show."""
        return tuple(map(_told_apart, self._reader.read()))

    def folders(self) -> list[str]:
        """Return the names of the folders on the desktop."""
        changed_ns = self._home.desktop.stat().st_mtime_ns
        if changed_ns != self._folders[0]:
            found = [path.name for path in self._home.desktop.iterdir() if path.is_dir()]
            self._folders = changed_ns, sorted(found, key=str.casefold)
        return self._folders[1]

    def icons(self) -> list[tuple[str, Rect]]:
        """Return the icons of the desktop."""
        folders = self.folders()
        if self._icons is None or self._icons[0] is not folders:
            self._icons = folders, self._layout.rects(folders)
        return self._icons[1]

    def naming(self, windows: Sequence[WindowInfo]) -> WindowInfo | None:
        """Return the dialog that asks for a folder's name."""
        title = self._programs.name_dialog.title
        return next((w for w in windows if w.title == title), None)

    def state(self, tick: int, x_px: int, y_px: int) -> dict[str, Any]:
        """Return the state; see ``ScriptedDesktop.state`` for its keys."""
        windows = self.windows()
        self.tracker.see(windows)
        shown = [window for window in windows if not window.minimised]
        launching = self.tracker.launching
        dialog = self.naming(windows)
        config = self._home.config
        return {
            "tick": tick,
            "screen": {
                "width_px": config.width_px,
                "height_px": config.height_px,
                "work_area": list(self._area),
            },
            "cursor": {"x_px": x_px, "y_px": y_px, "shape": "busy" if launching else "arrow"},
            "launching": launching and {"app": launching},
            "icons": [{"name": name, "rect": list(rect)} for name, rect in self.icons()],
            "folders": list(self.folders()),
            "windows": [window.to_json(z) for z, window in enumerate(windows)],
            "dragging": self.tracker.dragging,
            "menu": self._menu_json(),
            "taskbar": self._taskbar(windows),
            "naming": dialog
            and {
                "text": self.tracker.name_typed,
                "rect": list(_line_in(dialog.client, self._programs.name_dialog.line_at)),
            },
            "terminal": self._terminal(shown),
            "browser": self._browser(shown),
        }

    def _menu_json(self) -> dict[str, Any] | None:
        popups = self._reader.popups.ids
        if popups != self._menu[0]:
            read = [self._reader.popups.read(popup) for popup in popups]
            self._menu = popups, menu_json(self._programs.menus, read)
        return self._menu[1]

    def _taskbar(self, windows: Sequence[WindowInfo]) -> list[dict[str, Any]]:
        known = {window.id for window in windows}
        ids = [window_id for window_id in self._reader.mapping_order if window_id in known]
        rects = self._programs.taskbar(self._home.config, len(ids))
        return [{"id": i, "rect": list(rect)} for i, rect in zip(ids, rects, strict=False)]

    def _terminal(self, shown: Sequence[WindowInfo]) -> dict[str, Any] | None:
        top = next((w for w in reversed(shown) if w.app == "terminal"), None)
        return self._logs.state(self._home.terminal_log(top.pid)) if top else None

    def _browser(self, shown: Sequence[WindowInfo]) -> dict[str, Any] | None:
        top = next((w for w in reversed(shown) if w.app == "browser" and not w.dialog), None)
        if top is None:
            return None
        report = self._site.reports.get(top.title)
        scale = report["scale"] if report else 1.0
        x_px, y_px, width_px, height_px = top.client
        left, above, right, high = (round(value * scale) for value in _OMNIBOX_PX)
        links = []
        if report:
            page_top_px = y_px + height_px - round(report["inner"][1] * scale)
            for link in report["links"]:
                lx, ly, lw, lh = (value * scale for value in link["rect"])
                inside = ly >= 0 and page_top_px + ly + lh <= y_px + height_px
                if inside and lx + lw <= width_px:
                    rect = [round(x_px + lx), round(page_top_px + ly), round(lw), round(lh)]
                    links.append({"label": link["label"], "rect": rect, "address": link["address"]})
        return {
            "title": top.title,
            "address": report["address"] if report else "",
            "address_bar": [x_px + left, y_px + above, width_px - left - right, high],
            "links": links,
        }


def _told_apart(window: WindowInfo) -> WindowInfo:
    """Tell a file manager's windows apart by what they show."""
    if window.dialog:
        return replace(window, app="other")
    if window.app == "folder" and window.title in ("Home", "Trash"):
        return replace(window, app=window.title.lower())
    return window


def _line_in(client: Rect, share: float) -> Rect:
    """Return about where a dialog has its line for the name."""
    x_px, y_px, width_px, height_px = client
    return x_px + width_px // 4, y_px + round(share * height_px), width_px // 2, 12
