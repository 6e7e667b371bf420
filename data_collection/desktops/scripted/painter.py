"""From what the desktop shows to pixels: a pure function of a ``Scene``, with caches."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, field

import numpy as np

from data_collection.desktops.scripted.apps.content import INK, Content
from data_collection.desktops.scripted.drawing import (
    Colour,
    blit,
    fill,
    outline,
    paste,
    write,
    write_centred,
)
from data_collection.desktops.scripted.font import fit_text, text_width_px
from data_collection.desktops.scripted.geometry import Rect
from data_collection.desktops.scripted.icons import Icon
from data_collection.desktops.scripted.menu import Menu
from data_collection.desktops.scripted.metrics import Metrics
from data_collection.desktops.scripted.sprites import ICON_ART_PX, ICONS
from data_collection.desktops.scripted.taskbar import start_button, task_buttons
from data_collection.desktops.scripted.textfield import Look, TextField
from data_collection.trace import Frame

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
_TASK_MINIMISED: Colour = (52, 56, 68)
_TASK_FOCUSED: Colour = (64, 128, 216)
_TASK_STARTING: Colour = (200, 128, 16)
_TITLE_FOCUSED: Colour = (48, 104, 200)
_TITLE: Colour = (128, 136, 152)
_CLOSE: Colour = (216, 56, 48)
_MENU: Colour = (252, 248, 236)
_MENU_CHOSEN: Colour = (64, 128, 216)
_WHITE: Colour = (255, 255, 255)
_KEPT_PICTURES = 64


@dataclass(frozen=True, slots=True)
class Pane:
    """A window as it is seen; ``content`` draws what ``look`` stands for."""

    rect: Rect
    buttons: tuple[Rect, Rect, Rect]
    """Minimise, maximise, close."""
    title: str
    focused: bool
    maximised: bool
    look: Hashable
    content: Content = field(compare=False)


@dataclass(frozen=True, slots=True)
class Task:
    """A window's button in the taskbar."""

    text: str
    state: str
    """``focused``, ``open``, ``minimised`` or ``starting``."""


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything that is on the screen but the cursor."""

    icons: tuple[Icon, ...]
    selected: str | None
    naming: tuple[Rect, Look] | None
    """The field for an icon's name."""
    panes: tuple[Pane, ...]
    """From the lowest to the topmost."""
    tasks: tuple[Task, ...]
    menu: Menu | None
    pointed_row: int | None
    """The item of the menu that the pointer is on."""
    field: TextField | None = field(compare=False)
    """Draws ``naming``."""


class Painter:
    """Paints scenes of one screen size; wallpaper and windows are painted once and kept."""

    def __init__(self, width_px: int, height_px: int, metrics: Metrics) -> None:
        """Store the size."""
        self._width_px = width_px
        self._height_px = height_px
        self._metrics = metrics
        self._wallpaper = _wallpaper(width_px, height_px)
        self._pictures: OrderedDict[Hashable, Frame] = OrderedDict()

    def paint(self, scene: Scene) -> Frame:
        """Return the scene as a new frame, without the cursor."""
        canvas = self._wallpaper.copy()
        for icon in scene.icons:
            self._paint_icon(canvas, icon, icon.name == scene.selected)
        if scene.naming is not None and scene.field is not None:
            scene.field.paint(canvas, scene.naming[0], focused=True)
        for pane in scene.panes:
            blit(canvas, self._picture(pane), pane.rect.x_px, pane.rect.y_px)
        self._paint_taskbar(canvas, scene.tasks)
        if scene.menu is not None:
            _paint_menu(canvas, scene.menu, scene.pointed_row)
        return canvas

    def _picture(self, pane: Pane) -> Frame:
        size = pane.rect.width_px, pane.rect.height_px
        key = (pane.content.app, pane.title, size, pane.focused, pane.maximised, pane.look)
        picture = self._pictures.get(key)
        if picture is None:
            picture = _window_picture(pane, self._metrics)
            self._pictures[key] = picture
            if len(self._pictures) > _KEPT_PICTURES:
                self._pictures.popitem(last=False)
        else:
            self._pictures.move_to_end(key)
        return picture

    def _paint_icon(self, canvas: Frame, icon: Icon, selected: bool) -> None:
        metrics = self._metrics
        sprite = ICONS[icon.sprite, metrics.icon_px // ICON_ART_PX]
        paste(canvas, sprite, icon.rect.x_px, icon.rect.y_px)
        text = fit_text(icon.name, metrics.slot_width_px - 1)
        width_px = text_width_px(text)
        x_px = icon.rect.x_px + (metrics.icon_px - width_px) // 2
        y_px = icon.rect.y_px + metrics.icon_px + metrics.label_px // 4
        if selected:
            band_px = max(width_px + 8, metrics.icon_px + 16)
            left_px = icon.rect.x_px + (metrics.icon_px - band_px) // 2
            fill(canvas, Rect(left_px, y_px - 2, band_px, 12), _TASK_FOCUSED)
        else:
            write(canvas, x_px + 1, y_px + 1, text, INK)
        write(canvas, x_px, y_px, text, _WHITE)

    def _paint_taskbar(self, canvas: Frame, tasks: tuple[Task, ...]) -> None:
        metrics = self._metrics
        top_px = self._height_px - metrics.taskbar_px
        fill(canvas, Rect(0, top_px, self._width_px, metrics.taskbar_px), _BAR)
        start = start_button(self._height_px, metrics)
        fill(canvas, start, (88, 176, 120))
        write_centred(canvas, start, "Menu", INK)
        colours = {
            "focused": _TASK_FOCUSED,
            "open": _TASK,
            "minimised": _TASK_MINIMISED,
            "starting": _TASK_STARTING,
        }
        rects = task_buttons(len(tasks), self._width_px, self._height_px, metrics)
        for rect, task in zip(rects, tasks, strict=True):
            fill(canvas, rect, colours[task.state])
            ink = (160, 168, 180) if task.state == "minimised" else _WHITE
            write_centred(canvas, rect, fit_text(task.text, rect.width_px - 4), ink)


def _wallpaper(width_px: int, height_px: int) -> Frame:
    canvas = np.empty((height_px, width_px, 3), dtype=np.uint8)
    band_px = -(-height_px // len(_WALLPAPER))
    for index, colour in enumerate(_WALLPAPER):
        fill(canvas, Rect(0, index * band_px, width_px, band_px), colour)
    return canvas


def _window_picture(pane: Pane, metrics: Metrics) -> Frame:
    width_px, height_px = pane.rect.width_px, pane.rect.height_px
    bar_px = metrics.title_bar_px
    picture = np.empty((height_px, width_px, 3), dtype=np.uint8)
    fill(picture, Rect(0, 0, width_px, bar_px), _TITLE_FOCUSED if pane.focused else _TITLE)
    minimise, maximise, close = (
        rect.moved_by(-pane.rect.x_px, -pane.rect.y_px) for rect in pane.buttons
    )
    title = fit_text(pane.title, minimise.x_px - 12)
    write(picture, 8, (bar_px - 7) // 2 + 1, title, _WHITE)
    pane.content.paint(picture[bar_px:], pane.focused)
    _paint_buttons(picture, minimise, maximise, close, pane.maximised)
    if not pane.maximised:
        for step_px in range(3, metrics.corner_px, 3):
            _paint_diagonal(picture, step_px)
    outline(picture, Rect(0, 0, width_px, height_px), INK)
    return picture


def _paint_buttons(
    picture: Frame, minimise: Rect, maximise: Rect, close: Rect, maximised: bool
) -> None:
    for rect in (minimise, maximise):
        fill(picture, rect, (88, 96, 112))
    inset_px = minimise.width_px // 4
    span_px = minimise.width_px - 2 * inset_px
    line = Rect(minimise.x_px + inset_px, minimise.bottom_px - inset_px - 2, span_px, 2)
    fill(picture, line, _WHITE)
    square = Rect(maximise.x_px + inset_px, maximise.y_px + inset_px, span_px, span_px)
    if maximised:
        square = Rect(square.x_px, square.y_px + 2, span_px - 2, span_px - 2)
        outline(picture, square.moved_by(2, -2), _WHITE)
        fill(picture, square, (88, 96, 112))
    outline(picture, square, _WHITE)
    fill(picture, close, _CLOSE)
    write_centred(picture, close, "x", _WHITE)


def _paint_diagonal(picture: Frame, step_px: int) -> None:
    """Draw one of the lines across the corner by which a window is resized."""
    bottom_px, right_px = picture.shape[0] - 2, picture.shape[1] - 2
    for along_px in range(step_px + 1):
        picture[bottom_px - along_px, right_px - (step_px - along_px)] = (112, 116, 124)


def _paint_menu(canvas: Frame, menu: Menu, pointed_row: int | None) -> None:
    fill(canvas, menu.rect, _MENU)
    outline(canvas, menu.rect, INK)
    for row, (item, rect) in enumerate(zip(menu.items, menu.rects, strict=True)):
        pointed = row == pointed_row
        if pointed:
            fill(canvas, rect, _MENU_CHOSEN)
        y_px = rect.y_px + (rect.height_px - 7) // 2
        write(canvas, rect.x_px + 8, y_px, item.label, _WHITE if pointed else INK)
