"""The parts of a desktop's readable state; what a desktop does not tell is None or empty."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from data_collection.desktops.scripted.geometry import Rect


def rect_of(value: Any) -> Rect | None:
    """Return the rectangle of ``[x, y, width, height]``, or None where there is none."""
    return Rect(*value) if value else None


@dataclass(frozen=True, slots=True)
class WindowView:
    """An open window."""

    id: int
    app: str
    """In small letters."""
    title: str
    rect: Rect
    title_bar: Rect | None
    close_button: Rect | None
    minimise_button: Rect | None
    maximise_button: Rect | None
    resize_corner: Rect | None
    focused: bool | None
    minimised: bool
    maximised: bool

    @classmethod
    def from_state(cls, window: Mapping[str, Any], work_area: Rect) -> WindowView:
        """Read one of the state's ``windows``."""
        rect = Rect(*window["rect"])
        fills = (
            rect.width_px >= 0.96 * work_area.width_px
            and rect.height_px >= 0.9 * work_area.height_px
        )
        told = window.get("maximised")
        return cls(
            id=window["id"],
            app=str(window.get("app") or "other").lower(),
            title=str(window.get("title") or ""),
            rect=rect,
            title_bar=rect_of(window.get("title_bar")),
            close_button=rect_of(window.get("close_button")),
            minimise_button=rect_of(window.get("minimise_button")),
            maximise_button=rect_of(window.get("maximise_button")),
            resize_corner=rect_of(window.get("resize_corner")),
            focused=window.get("focused"),
            minimised=bool(window.get("minimised")),
            maximised=fills if told is None else bool(told),
        )

    @property
    def buttons(self) -> tuple[Rect, ...]:
        """The buttons of the title bar that are known."""
        known = (self.minimise_button, self.maximise_button, self.close_button)
        return tuple(button for button in known if button is not None)

    @property
    def grip(self) -> Rect | None:
        """The part of the title bar left of its buttons; the middle of it where none is known."""
        bar = self.title_bar
        if bar is None:
            return None
        if not self.buttons:
            return Rect(bar.x_px + bar.width_px // 4, bar.y_px, bar.width_px // 3, bar.height_px)
        left_px = min(button.x_px for button in self.buttons)
        return Rect(bar.x_px, bar.y_px, max(1, left_px - bar.x_px), bar.height_px)

    @property
    def sheet(self) -> Rect:
        """The window without its title bar, and without its edges."""
        top_px = self.title_bar.bottom_px if self.title_bar is not None else self.rect.y_px
        return Rect(
            self.rect.x_px + 4,
            top_px + 2,
            max(1, self.rect.width_px - 8),
            max(1, self.rect.bottom_px - top_px - 6),
        )


@dataclass(frozen=True, slots=True)
class MenuItemView:
    """An item of the open menu; ``leads_to`` are the labels of a menu behind it."""

    rect: Rect
    leads_to: tuple[str, ...]

    @classmethod
    def from_state(cls, item: Mapping[str, Any]) -> MenuItemView:
        """Read one of the menu's ``items``."""
        return cls(Rect(*item["rect"]), tuple(item.get("leads_to") or ()))


@dataclass(frozen=True, slots=True)
class NamingView:
    """A name being asked for."""

    text: str
    rect: Rect | None

    @classmethod
    def from_state(cls, naming: Mapping[str, Any]) -> NamingView:
        """Read the state's ``naming``."""
        return cls(str(naming.get("text") or ""), rect_of(naming.get("rect")))


@dataclass(frozen=True, slots=True)
class TerminalView:
    """What the terminal printed."""

    lines: tuple[str, ...]
    cwd: str | None

    @classmethod
    def from_state(cls, terminal: Mapping[str, Any]) -> TerminalView:
        """Read the state's ``terminal``."""
        return cls(tuple(terminal.get("lines") or ()), terminal.get("cwd"))


@dataclass(frozen=True, slots=True)
class LinkView:
    """A link in sight."""

    label: str
    address: str
    rect: Rect


@dataclass(frozen=True, slots=True)
class BrowserView:
    """The browser's page."""

    address: str
    address_bar: Rect | None
    editing: bool
    links: tuple[LinkView, ...]

    @classmethod
    def from_state(cls, browser: Mapping[str, Any]) -> BrowserView:
        """Read the state's ``browser``."""
        links = tuple(
            LinkView(str(link.get("label") or link["address"]), link["address"], Rect(*rect))
            for link in browser.get("links") or ()
            if (rect := link.get("rect")) and link.get("address")
        )
        return cls(
            address=str(browser.get("address") or ""),
            address_bar=rect_of(browser.get("address_bar")),
            editing=bool(browser.get("editing")),
            links=links,
        )
