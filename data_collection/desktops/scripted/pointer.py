"""What the pointer does: presses, drags, menus and the wheel."""

from __future__ import annotations

from dataclasses import dataclass

from data_collection.desktops.scripted.geometry import Rect
from data_collection.desktops.scripted.icons import Icon
from data_collection.desktops.scripted.menu import MenuItem
from data_collection.desktops.scripted.session import Session
from data_collection.desktops.scripted.taskbar import start_button, task_buttons
from data_collection.desktops.scripted.windows import Window


@dataclass(frozen=True, slots=True)
class Drag:
    """A window held by its title bar or by edges, and how it was when it was taken."""

    window: Window
    edges: str
    """Empty moves the window; else those of ``l``, ``r`` and ``b`` that follow the pointer."""
    rect: Rect
    x_px: int
    y_px: int


class Pointer:
    """Where the pointer is, what it holds, and what its buttons do to the session."""

    def __init__(self, session: Session, width_px: int, height_px: int) -> None:
        """Start at the top left corner of a screen of that size."""
        self._session = session
        self._width_px = width_px
        self._height_px = height_px
        self.x_px = 0
        self.y_px = 0
        self.drag: Drag | None = None

    @property
    def pointed_row(self) -> int | None:
        """The number of the menu's item that the pointer is on."""
        menu = self._session.menu
        return None if menu is None else menu.row_at(self.x_px, self.y_px)

    def move(self, x_px: int, y_px: int) -> None:
        """Go to a point, kept on the screen, with what is held."""
        self.x_px = min(max(x_px, 0), self._width_px - 1)
        self.y_px = min(max(y_px, 0), self._height_px - 1)
        drag = self.drag
        if drag is None:
            return
        windows = self._session.windows
        rect = drag.rect
        dx_px, dy_px = self.x_px - drag.x_px, self.y_px - drag.y_px
        if not drag.edges:
            windows.move(drag.window, rect.x_px + dx_px, rect.y_px + dy_px)
        else:
            left_px = dx_px if "l" in drag.edges else 0
            wider_px = dx_px if "r" in drag.edges else -left_px
            wanted = Rect(
                rect.x_px + left_px, rect.y_px, rect.width_px + wider_px, rect.height_px + dy_px
            )
            windows.resize(drag.window, drag.edges, wanted)

    def press_left(self) -> None:
        """Press the left button where the pointer is."""
        session, point = self._session, (self.x_px, self.y_px)
        if self.drag is not None:
            self.drag = None
        field = session.naming_rect()
        if field is not None and session.naming is not None and session.menu is None:
            if field.contains(*point):
                session.naming.field.press(self.x_px - field.x_px, field.width_px)
                return
            session.end_naming(accept=True)
            session.follow()
        if session.menu is not None:
            menu, row = session.menu, self.pointed_row
            session.menu = None
            if row is not None:
                menu.items[row].choose()
            return
        if not session.area.contains(*point):
            self._press_taskbar()
            return
        window = session.windows.at(*point)
        if window is not None:
            session.selected = None
            self._press_window(window)
            return
        session.windows.focused = None
        self._press_icon(session.icons.at(*point))

    def press_right(self) -> None:
        """Press the right button where the pointer is: it opens the menu of what lies there."""
        session, point = self._session, (self.x_px, self.y_px)
        session.end_naming(accept=True)
        session.follow()
        session.forget_click()
        session.menu = None
        if session.area.contains(*point):
            session.open_menu(*point, self._items_at(*point))

    def release_left(self) -> None:
        """Let go of what is held."""
        self.drag = None

    def turn_wheel(self, dy: int) -> None:
        """Scroll the window below the pointer."""
        window = self._session.windows.at(self.x_px, self.y_px)
        if window is not None and self._session.menu is None:
            window.content.turn_wheel(dy)

    def _press_window(self, window: Window) -> None:
        session, windows = self._session, self._session.windows
        windows.lift(window)
        x_px, y_px = self.x_px, self.y_px
        edges = "" if window.maximised else window.edges_at(x_px, y_px)
        if edges:
            session.forget_click()
            self.drag = Drag(window, edges, window.rect, x_px, y_px)
        elif not window.title_bar.contains(x_px, y_px):
            inner = window.inner
            window.content.press(x_px - inner.x_px, y_px - inner.y_px)
        elif window.close_button.contains(x_px, y_px):
            windows.close(window)
        elif window.minimise_button.contains(x_px, y_px):
            windows.minimise(window)
        elif window.maximise_button.contains(x_px, y_px) or session.double(("title", window.id)):
            windows.toggle_maximised(window)
        elif not window.maximised:
            self.drag = Drag(window, "", window.rect, x_px, y_px)

    def _press_icon(self, icon: Icon | None) -> None:
        session = self._session
        session.selected = icon
        if icon is None:
            session.forget_click()
        elif session.double(("icon", icon.rect)):
            session.open_icon(icon)

    def _press_taskbar(self) -> None:
        session = self._session
        session.forget_click()
        button = start_button(self._height_px, session.metrics)
        if button.contains(self.x_px, self.y_px):
            session.open_menu(button.x_px, session.area.bottom_px, self._desk_items())
            return
        windows = session.windows
        for window, rect in self.task_rects():
            if not rect.contains(self.x_px, self.y_px):
                continue
            if window.id == windows.focused and not window.minimised:
                windows.minimise(window)
            else:
                windows.lift(window)
            return

    def task_rects(self) -> list[tuple[Window, Rect]]:
        """Return each window with its button in the taskbar, in the order of opening."""
        session = self._session
        windows = sorted(session.windows, key=lambda window: window.id)
        count = len(windows) + (session.launch is not None)
        rects = task_buttons(count, self._width_px, self._height_px, session.metrics)
        return list(zip(windows, rects, strict=False))

    def _items_at(self, x_px: int, y_px: int) -> tuple[MenuItem, ...]:
        session = self._session
        window = session.windows.at(x_px, y_px)
        if window is None:
            icon = session.icons.at(x_px, y_px)
            session.windows.focused = None
            session.selected = icon
            return self._desk_items() if icon is None else self._icon_items(icon)
        session.windows.lift(window)
        if window.title_bar.contains(x_px, y_px):
            return self._window_items(window)
        inner = window.inner
        return window.content.menu_items(x_px - inner.x_px, y_px - inner.y_px)

    def _desk_items(self) -> tuple[MenuItem, ...]:
        session = self._session
        desktop = session.files.desktop
        return (
            MenuItem("Create folder", lambda: session.create_folder(desktop, None)),
            MenuItem("Open Home", lambda: session.open_app("Home")),
            MenuItem("Open Terminal", lambda: session.open_app("Terminal")),
        )

    def _icon_items(self, icon: Icon) -> tuple[MenuItem, ...]:
        session, node = self._session, icon.node
        items = (MenuItem("Open", lambda: session.open_icon(icon)),)
        if node is not None:
            return (
                *items,
                MenuItem("Rename", lambda: session.start_naming(node, None)),
                MenuItem("Delete", lambda: session.discard(node)),
            )
        if icon.app == "Trash":
            return (*items, MenuItem("Empty Trash", session.files.empty_trash))
        return items

    def _window_items(self, window: Window) -> tuple[MenuItem, ...]:
        windows = self._session.windows
        size = "Restore" if window.maximised else "Maximise"
        return (
            MenuItem("Minimise", lambda: windows.minimise(window)),
            MenuItem(size, lambda: windows.toggle_maximised(window)),
            MenuItem("Close", lambda: windows.close(window)),
        )
