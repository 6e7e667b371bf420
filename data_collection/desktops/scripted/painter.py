"""From what the desktop shows to pixels: a pure function of a ``Scene``, with caches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data_collection.desktops.scripted.apps import INK
from data_collection.desktops.scripted.drawing import (
    Colour,
    blit,
    fill,
    outline,
    paste,
    write,
    write_centred,
)
from data_collection.desktops.scripted.font import text_width_px
from data_collection.desktops.scripted.geometry import Rect
from data_collection.desktops.scripted.icons import Icon
from data_collection.desktops.scripted.menu import Menu
from data_collection.desktops.scripted.sprites import ICON_SIZE_PX, ICONS
from data_collection.desktops.scripted.windows import TITLE_BAR_PX, Window
from data_collection.trace import Frame

TASKBAR_PX = 24
_TASK_WIDTH_PX = 88
_TASKS_FROM_PX = 72

_WALLPAPER: tuple[Colour, ...] = (
    (36, 92, 128),
    (40, 100, 136),
    (44, 108, 144),
    (48, 116, 152),
    (52, 124, 160),
    (56, 132, 168),
)
_BAR: Colour = (40, 44, 56)
_TASK: Colour = (72, 80, 96)
_TASK_FOCUSED: Colour = (64, 128, 216)
_TASK_STARTING: Colour = (200, 128, 16)
_TITLE_FOCUSED: Colour = (48, 104, 200)
_TITLE: Colour = (128, 136, 152)
_CLOSE: Colour = (216, 56, 48)
_MENU: Colour = (252, 248, 236)
_WHITE: Colour = (255, 255, 255)


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything that is on the screen but the cursor."""

    icons: tuple[Icon, ...]
    selected: str | None
    windows: tuple[Window, ...]
    """From the lowest to the topmost."""
    focused: int | None
    starting: str | None
    """The app that is being launched."""
    menu: Menu | None


def menu_button(height_px: int) -> Rect:
    """Return where the taskbar's menu button is on a screen of that height."""
    return Rect(8, height_px - TASKBAR_PX + 4, 48, 16)


def task_rects(count: int, width_px: int, height_px: int) -> tuple[Rect, ...]:
    """Return where the taskbar's buttons are, as many of ``count`` as fit."""
    fit = max(0, (width_px - _TASKS_FROM_PX) // _TASK_WIDTH_PX)
    y_px = height_px - TASKBAR_PX + 4
    return tuple(
        Rect(_TASKS_FROM_PX + _TASK_WIDTH_PX * index, y_px, _TASK_WIDTH_PX - 8, 16)
        for index in range(min(count, fit))
    )


class Painter:
    """Paints scenes of one screen size; wallpaper and windows are painted once and kept."""

    def __init__(self, width_px: int, height_px: int) -> None:
        """Store the size."""
        self._width_px = width_px
        self._height_px = height_px
        self._wallpaper = _wallpaper(width_px, height_px)
        self._pictures: dict[tuple[str, str, int, int, bool], Frame] = {}

    def paint(self, scene: Scene) -> Frame:
        """Return the scene as a new frame, without the cursor."""
        canvas = self._wallpaper.copy()
        for icon in scene.icons:
            _paint_icon(canvas, icon, icon.name == scene.selected)
        for window in scene.windows:
            picture = self._window_picture(window, window.id == scene.focused)
            blit(canvas, picture, window.rect.x_px, window.rect.y_px)
        self._paint_taskbar(canvas, scene)
        if scene.menu is not None:
            _paint_menu(canvas, scene.menu)
        return canvas

    def _window_picture(self, window: Window, focused: bool) -> Frame:
        width_px, height_px = window.rect.width_px, window.rect.height_px
        key = (window.app.name, window.title, width_px, height_px, focused)
        if key not in self._pictures:
            self._pictures[key] = _window_picture(window, focused)
        return self._pictures[key]

    def _paint_taskbar(self, canvas: Frame, scene: Scene) -> None:
        top_px = self._height_px - TASKBAR_PX
        fill(canvas, Rect(0, top_px, self._width_px, TASKBAR_PX), _BAR)
        start = menu_button(self._height_px)
        fill(canvas, start, (88, 176, 120))
        write_centred(canvas, start, "Menu", INK)
        tasks = [
            (window.title, _TASK_FOCUSED if window.id == scene.focused else _TASK)
            for window in sorted(scene.windows, key=lambda window: window.id)
        ]
        if scene.starting is not None:
            tasks.append((scene.starting + "...", _TASK_STARTING))
        rects = task_rects(len(tasks), self._width_px, self._height_px)
        for rect, (text, colour) in zip(rects, tasks, strict=False):
            fill(canvas, rect, colour)
            write_centred(canvas, rect, text, _WHITE)


def _wallpaper(width_px: int, height_px: int) -> Frame:
    canvas = np.empty((height_px, width_px, 3), dtype=np.uint8)
    band_px = -(-height_px // len(_WALLPAPER))
    for index, colour in enumerate(_WALLPAPER):
        fill(canvas, Rect(0, index * band_px, width_px, band_px), colour)
    return canvas


def _paint_icon(canvas: Frame, icon: Icon, selected: bool) -> None:
    paste(canvas, ICONS[icon.app.icon], icon.rect.x_px, icon.rect.y_px)
    width_px = text_width_px(icon.name)
    x_px = icon.rect.x_px + (ICON_SIZE_PX - width_px) // 2
    y_px = icon.rect.y_px + ICON_SIZE_PX + 4
    if selected:
        fill(canvas, Rect(icon.rect.x_px - 8, y_px - 2, ICON_SIZE_PX + 16, 12), _TASK_FOCUSED)
    else:
        write(canvas, x_px + 1, y_px + 1, icon.name, INK)
    write(canvas, x_px, y_px, icon.name, _WHITE)


def _window_picture(window: Window, focused: bool) -> Frame:
    width_px, height_px = window.rect.width_px, window.rect.height_px
    picture = np.empty((height_px, width_px, 3), dtype=np.uint8)
    fill(picture, Rect(0, 0, width_px, TITLE_BAR_PX), _TITLE_FOCUSED if focused else _TITLE)
    write(picture, 8, 9, window.title, _WHITE)
    close = Rect(width_px - 20, 4, 16, 16)
    fill(picture, close, _CLOSE)
    write_centred(picture, close, "x", _WHITE)
    window.app.paint(picture[TITLE_BAR_PX:])
    outline(picture, Rect(0, 0, width_px, height_px), INK)
    return picture


def _paint_menu(canvas: Frame, menu: Menu) -> None:
    fill(canvas, menu.rect, _MENU)
    outline(canvas, menu.rect, INK)
    for item, rect in menu.items:
        write(canvas, rect.x_px + 8, rect.y_px + 8, item.value, INK)
