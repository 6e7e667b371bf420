"""The browser: an address bar, pages with links, and the way back."""

from __future__ import annotations

from collections.abc import Hashable

from data_collection.desktops.scripted import scancodes
from data_collection.desktops.scripted.apps.content import FAINT_INK, INK, STRIP, Content, Desk
from data_collection.desktops.scripted.apps.page_layout import Layout, PlacedLink, layout
from data_collection.desktops.scripted.apps.pages import START, full_address, page_at
from data_collection.desktops.scripted.drawing import Colour, fill, fill_all, write
from data_collection.desktops.scripted.geometry import Rect
from data_collection.desktops.scripted.menu import MenuItem
from data_collection.desktops.scripted.textfield import TextField
from data_collection.trace import Frame

_PAPER: Colour = (236, 238, 242)
_WHEEL_PX = 24
_BAR_PX = 6
_MOST_HISTORY = 100


class Browser(Content):
    """Shows one page of ``pages``; ``address`` is the one that was asked for."""

    app = "Browser"

    def __init__(self, desk: Desk) -> None:
        """Start on the start page."""
        super().__init__(desk)
        self._history = [START]
        self._at = 0
        self._field = TextField(START)
        self.editing = False
        self._scroll_px = 0

    @property
    def title(self) -> str:
        """What stands in the title bar: always the app, as its taskbar button does."""
        return self.app

    @property
    def address(self) -> str:
        """The address of the page shown."""
        return self._history[self._at]

    @property
    def page_title(self) -> str:
        """The title of the page shown."""
        return page_at(self.address).title

    @property
    def typed(self) -> str:
        """What stands in the address bar."""
        return self._field.text

    @property
    def address_bar(self) -> Rect:
        """Where addresses are typed."""
        bar_px = self.desk.metrics.toolbar_px
        x_px = self._buttons[1].right_px + 4
        return Rect(x_px, 4, max(8, self.width_px - x_px - 8), bar_px - 7)

    @property
    def links(self) -> tuple[PlacedLink, ...]:
        """The links in sight, with the part of each that can be seen."""
        view = self._view
        shown: list[PlacedLink] = []
        for link in self._layout.links:
            part = link.rect.moved_by(0, view.y_px - self._scroll_px).clipped_to(view)
            if part is not None:
                shown.append(PlacedLink(link.label, link.address, part))
        return tuple(shown)

    @property
    def look(self) -> Hashable:
        """The page, where it is scrolled to, and the address bar."""
        ends = self._at > 0, self._at + 1 < len(self._history)
        return self.address, self._scroll_px, self._field.look, self.editing, ends

    def go_to(self, typed: str) -> None:
        """Show the page of an address; what lay ahead in the history is forgotten."""
        address = full_address(typed) if typed.strip() else self.address
        if address != self.address:
            self._history = [*self._history[: self._at + 1], address][-_MOST_HISTORY:]
            self._at = len(self._history) - 1
        self._arrive()

    def go_back(self, pages: int = 1) -> None:
        """Go back in the history, or forward with a negative number."""
        self._at = min(max(self._at - pages, 0), len(self._history) - 1)
        self._arrive()

    def resize(self, width_px: int, height_px: int) -> None:
        """Take over a new size."""
        super().resize(width_px, height_px)
        self._scroll_to(self._scroll_px)

    def press(self, x_px: int, y_px: int) -> None:
        """Edit the address, go back or forward, or follow a link."""
        bar = self.address_bar
        if bar.contains(x_px, y_px):
            if self.editing:
                self._field.press(x_px - bar.x_px, bar.width_px)
            else:
                self.editing = True
                self._field.select_all()
            return
        self._stop_editing()
        for button, pages in zip(self._buttons, (1, -1), strict=True):
            if button.contains(x_px, y_px):
                self.go_back(pages)
        for link in self.links:
            if link.rect.contains(x_px, y_px):
                self.go_to(link.address)
                return

    def menu_items(self, x_px: int, y_px: int) -> tuple[MenuItem, ...]:
        """Offer the ways through the history."""
        return (
            MenuItem("Back", self.go_back),
            MenuItem("Forward", lambda: self.go_back(-1)),
            MenuItem("Start page", lambda: self.go_to(START)),
        )

    def turn_wheel(self, dy: int) -> None:
        """Scroll the page."""
        self._scroll_to(self._scroll_px - _WHEEL_PX * dy)

    def type_text(self, text: str) -> None:
        """Type into the address bar, if that is being edited."""
        if self.editing:
            self._field.insert(text)

    def press_key(self, scancode: int) -> None:
        """Edit the address, or scroll."""
        if self.editing:
            if scancode in (scancodes.RETURN, scancodes.KEYPAD_RETURN):
                self.go_to(self._field.text)
            elif scancode == scancodes.ESCAPE:
                self._stop_editing()
            else:
                self._field.press_key(scancode)
            return
        page_px = self._view.height_px - _WHEEL_PX
        steps = {
            scancodes.UP: -_WHEEL_PX,
            scancodes.DOWN: _WHEEL_PX,
            scancodes.PAGE_UP: -page_px,
            scancodes.PAGE_DOWN: page_px,
        }
        if scancode in steps:
            self._scroll_to(self._scroll_px + steps[scancode])
        elif scancode == scancodes.BACKSPACE:
            self.go_back()

    def paint(self, canvas: Frame, focused: bool) -> None:
        """Draw the page, the bar above it and how far it is scrolled."""
        fill_all(canvas, _PAPER)
        view = self._view
        self._layout.paint(canvas[view.y_px :], self._scroll_px)
        self._paint_scroll_bar(canvas, view)
        fill(canvas, Rect(0, 0, self.width_px, view.y_px), STRIP)
        ways = (self._at > 0, self._at + 1 < len(self._history))
        for button, sign, way in zip(self._buttons, "<>", ways, strict=True):
            ink = INK if way else (160, 164, 168)
            write(canvas, button.x_px + 4, button.y_px + (button.height_px - 7) // 2, sign, ink)
        self._field.paint(canvas, self.address_bar, self.editing and focused)

    @property
    def _layout(self) -> Layout:
        return layout(page_at(self.address), self.width_px - _BAR_PX)

    @property
    def _buttons(self) -> tuple[Rect, Rect]:
        size_px = self.desk.metrics.toolbar_px - 8
        return Rect(4, 4, size_px, size_px), Rect(size_px + 6, 4, size_px, size_px)

    @property
    def _view(self) -> Rect:
        """Where the page is seen."""
        bar_px = self.desk.metrics.toolbar_px
        return Rect(0, bar_px, self.width_px, max(1, self.height_px - bar_px))

    def _arrive(self) -> None:
        self._field.set(self.address)
        self.editing = False
        self._scroll_px = 0

    def _stop_editing(self) -> None:
        self._field.set(self.address)
        self.editing = False

    def _scroll_to(self, y_px: int) -> None:
        most_px = max(0, self._layout.height_px - self._view.height_px)
        self._scroll_px = min(max(y_px, 0), most_px)

    def _paint_scroll_bar(self, canvas: Frame, view: Rect) -> None:
        page_px = self._layout.height_px
        if page_px <= view.height_px:
            return
        x_px = self.width_px - _BAR_PX
        fill(canvas, Rect(x_px, view.y_px, _BAR_PX, view.height_px), STRIP)
        thumb_px = max(8, view.height_px * view.height_px // page_px)
        way_px = (view.height_px - thumb_px) * self._scroll_px // (page_px - view.height_px)
        fill(canvas, Rect(x_px, view.y_px + way_px, _BAR_PX - 1, thumb_px), FAINT_INK)
