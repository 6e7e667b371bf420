"""The desktop's state as a JSON object, for users, checks and people."""

from __future__ import annotations

from typing import Any

from data_collection.desktops.scripted.apps.browser import Browser
from data_collection.desktops.scripted.apps.terminal import Terminal
from data_collection.desktops.scripted.filesystem import Folder
from data_collection.desktops.scripted.pointer import Pointer
from data_collection.desktops.scripted.session import Session
from data_collection.desktops.scripted.windows import Window


def readable_state(
    session: Session, pointer: Pointer, width_px: int, height_px: int
) -> dict[str, Any]:
    """Return what is on the screen; rectangles are [x, y, width, height] in pixels.

    Keys: ``tick``, ``screen``, ``cursor``, ``launching`` (app and ticks left, or null),
    ``icons``, ``free_slots`` (for more of them), ``folders`` (names on the desktop),
    ``windows`` from the lowest to the topmost, ``taskbar`` (a button for each window),
    ``dragging`` (window id or null),
    ``menu`` (or null), ``naming`` (text and place of a name being typed, or null),
    ``terminal`` (lines, line being typed, folder, or null) and ``browser`` (address, title,
    address bar, links in sight, or null).
    """
    launch, drag, menu = session.launch, pointer.drag, session.menu
    shape = "arrow" if launch is None else "busy"
    focused = session.windows.focused
    return {
        "tick": session.tick,
        "screen": {
            "width_px": width_px,
            "height_px": height_px,
            "work_area": session.area.to_json(),
        },
        "cursor": {"x_px": pointer.x_px, "y_px": pointer.y_px, "shape": shape},
        "launching": launch and {"app": launch.app, "ticks_left": launch.ticks_left},
        "icons": [icon.to_json() for icon in session.icons.icons],
        "free_slots": session.icons.free_slots,
        "folders": [node.name for node in session.files.desktop.shown if isinstance(node, Folder)],
        "windows": [
            window.to_json(z, window.id == focused) for z, window in enumerate(session.windows)
        ],
        "taskbar": [
            {"id": window.id, "rect": rect.to_json()} for window, rect in pointer.task_rects()
        ],
        "dragging": drag and drag.window.id,
        "menu": menu and menu.to_json(),
        "naming": _naming(session),
        "terminal": _terminal(session),
        "browser": _browser(session),
    }


def _naming(session: Session) -> dict[str, Any] | None:
    naming, rect = session.naming, session.naming_rect()
    if naming is None or rect is None:
        return None
    return {"text": naming.field.text, "rect": rect.to_json()}


def _terminal(session: Session) -> dict[str, Any] | None:
    for window in session.windows:
        if isinstance(window.content, Terminal):
            terminal = window.content
            return {
                "lines": list(terminal.lines),
                "typed": terminal.typed,
                "cwd": terminal.cwd,
            }
    return None


def _browser(session: Session) -> dict[str, Any] | None:
    for window in session.windows:
        if isinstance(window.content, Browser):
            return _browser_in(window, window.content)
    return None


def _browser_in(window: Window, browser: Browser) -> dict[str, Any]:
    x_px, y_px = window.inner.x_px, window.inner.y_px
    links = () if window.minimised else browser.links
    return {
        "address": browser.address,
        "title": browser.page_title,
        "address_bar": browser.address_bar.moved_by(x_px, y_px).to_json(),
        "editing": browser.editing,
        "typed": browser.typed,
        "links": [
            {
                "label": link.label,
                "address": link.address,
                "rect": link.rect.moved_by(x_px, y_px).to_json(),
            }
            for link in links
        ],
    }
