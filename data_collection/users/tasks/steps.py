"""Gestures that many tasks are made of."""

from __future__ import annotations

import numpy as np

from data_collection.desktops.scripted.geometry import Rect
from data_collection.events import Button
from data_collection.users.hand import Gesture, Hand
from data_collection.users.keyboard import ESCAPE, F4, LEFT_ALT
from data_collection.users.view import Point, View, random_point
from data_collection.users.view_parts import WindowView


def settle(hand: Hand, rng: np.random.Generator) -> Gesture:
    """Rest until what was done shows; a real desktop takes a few ticks."""
    return hand.rest(int(rng.integers(2, 6)))


def wait(view: View, hand: Hand, rng: np.random.Generator) -> Gesture:
    """Rest for a moment or move a little, as people do before a busy cursor."""
    if rng.random() < 0.6:
        return hand.rest(int(rng.integers(2, 7)))
    area = view.work_area
    x_px = hand.x_px + int(rng.integers(-80, 81))
    y_px = hand.y_px + int(rng.integers(-60, 61))
    return hand.move(
        min(max(x_px, area.x_px), area.right_px - 1),
        min(max(y_px, area.y_px), area.bottom_px - 1),
    )


def escape(hand: Hand, rng: np.random.Generator) -> Gesture:
    """Put away a menu or a question that is in the way."""
    return hand.tap_key(ESCAPE) + settle(hand, rng)


def click_at(
    point: Point, hand: Hand, rng: np.random.Generator, button: Button = Button.LEFT
) -> Gesture:
    """Move to a point and click."""
    return hand.move(*point) + hand.click(button) + settle(hand, rng)


def click_in(rect: Rect, hand: Hand, rng: np.random.Generator) -> Gesture:
    """Move into a rectangle and click."""
    return click_at(random_point(rect, rng), hand, rng)


def close(window: WindowView, view: View, hand: Hand, rng: np.random.Generator) -> Gesture:
    """Close a window by its button, or by Alt and F4 where no button is known."""
    if window.close_button is None:
        if window.focused:
            return hand.chord(LEFT_ALT, F4) + settle(hand, rng)
        front = raise_window(window, view, hand, rng)
        return front + hand.chord(LEFT_ALT, F4) + settle(hand, rng)
    point = view.visible_point(window.close_button, window, rng)
    if point is None:
        return raise_window(window, view, hand, rng)
    return click_at(point, hand, rng)


def raise_window(window: WindowView, view: View, hand: Hand, rng: np.random.Generator) -> Gesture:
    """Click on what shows of a window, or on its button in the taskbar.

    Where nothing shows, what covers it is closed.
    """
    point = None
    for rect in (window.grip, window.sheet):
        if rect is not None and point is None:
            point = view.visible_point(rect, window, rng)
    if point is not None:
        return click_at(point, hand, rng)
    if window.id in view.taskbar:
        return click_in(view.taskbar[window.id], hand, rng)
    top = view.windows[-1]
    if top == window:
        return hand.chord(LEFT_ALT, F4) + settle(hand, rng)
    return close(top, view, hand, rng)


def uncover(rect: Rect, view: View, hand: Hand, rng: np.random.Generator) -> Gesture:
    """Close the window that lies on something of the desktop."""
    middle = (rect.x_px + rect.width_px // 2, rect.y_px + rect.height_px // 4)
    cover = view.window_at(middle) or (view.windows[-1] if view.windows else None)
    return wait(view, hand, rng) if cover is None else close(cover, view, hand, rng)
