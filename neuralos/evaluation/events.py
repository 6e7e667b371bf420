"""Where in a sitting the events of the tasks are, found in the desktop's readable state."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from data_collection.desktops.scripted.geometry import Rect
from data_collection.events import Button, ButtonChanged, TextTyped
from neuralos.evaluation.episode import Tick

_LONGEST_DOUBLE_CLICK = 8
_LEAST_DRAG_PX = 32
_LEAST_CHARACTERS = 4
_LONGEST_PAUSE = 8
"""Ticks between two characters of one text."""


@dataclass(frozen=True, slots=True)
class TaskEvent:
    """An event of a task: the tick of the input that brings it about, and its own."""

    task: str
    decisive: int
    event: int


def task_events(ticks: Sequence[Tick]) -> list[TaskEvent]:
    """Return the events of all tasks in a sitting."""
    return [event for find in _FINDERS for event in find(ticks)]


def _home(ticks: Sequence[Tick]) -> Iterator[TaskEvent]:
    for at in range(1, len(ticks)):
        press = _double_press(ticks, at)
        if press is not None and "Home" in _new_titles(ticks, at):
            yield TaskEvent("home", press, at)


def _browser(ticks: Sequence[Tick]) -> Iterator[TaskEvent]:
    launched: int | None = None
    for at in range(1, len(ticks)):
        if ticks[at].state["launching"] and not ticks[at - 1].state["launching"]:
            launched = _double_press(ticks, at)
        if launched is not None and ticks[at - 1].state["launching"] and _new_titles(ticks, at):
            yield TaskEvent("browser", launched, at)


def _folder(ticks: Sequence[Tick]) -> Iterator[TaskEvent]:
    menu_by: int | None = None
    for at in range(1, len(ticks)):
        before, state = ticks[at - 1].state, ticks[at].state
        if state["menu"] and not before["menu"]:
            menu_by = at if _presses(ticks[at], Button.RIGHT) else None
        more = len(state["folders"]) > len(before["folders"])
        if more and state["naming"] and before["menu"] and menu_by is not None:
            yield TaskEvent("folder", menu_by, at)


def _close(ticks: Sequence[Tick]) -> Iterator[TaskEvent]:
    for at in range(1, len(ticks)):
        left = {window["id"] for window in ticks[at].state["windows"]}
        for window in ticks[at - 1].state["windows"]:
            action = ticks[at].action
            on_button = Rect(*window["close_button"]).contains(action.x_px, action.y_px)
            if window["id"] not in left and on_button and _presses(ticks[at], Button.LEFT):
                yield TaskEvent("close", at, at)


def _drag(ticks: Sequence[Tick]) -> Iterator[TaskEvent]:
    for taken in range(1, len(ticks)):
        held = ticks[taken].state["dragging"]
        if not held or ticks[taken - 1].state["dragging"]:
            continue
        released = next(
            (at for at in range(taken, len(ticks)) if not ticks[at].state["dragging"]), None
        )
        if released is None:
            continue
        rects = [_rect_of(tick, held) for tick in ticks[taken - 1 : released + 1]]
        first, last = rects[0], rects[-1]
        if first is None or last is None or first[2:] != last[2:]:
            continue
        if max(abs(a - b) for a, b in zip(first, last, strict=True)) >= _LEAST_DRAG_PX:
            yield TaskEvent("drag", taken, released)


def _type(ticks: Sequence[Tick]) -> Iterator[TaskEvent]:
    hits = [
        at
        for at, tick in enumerate(ticks)
        if any(isinstance(event, TextTyped) for event in tick.events) and _takes_text(tick)
    ]
    run: list[int] = []
    for at in [*hits, len(ticks) + _LONGEST_PAUSE]:
        if run and at - run[-1] > _LONGEST_PAUSE:
            if len(run) >= _LEAST_CHARACTERS:
                yield TaskEvent("type", run[0], run[-1])
            run = []
        run.append(at)


_FINDERS: tuple[Callable[[Sequence[Tick]], Iterator[TaskEvent]], ...] = (
    _home,
    _browser,
    _folder,
    _close,
    _drag,
    _type,
)


def _takes_text(tick: Tick) -> bool:
    """Say whether a name or the terminal's line is being typed."""
    typed = (tick.state["terminal"] or {}).get("typed")
    return bool(tick.state["naming"]) or bool(typed)


def _presses(tick: Tick, button: Button) -> bool:
    return any(
        isinstance(event, ButtonChanged) and event.down and event.button is button
        for event in tick.events
    )


def _double_press(ticks: Sequence[Tick], at: int) -> int | None:
    """Return the tick of the first of two presses, the second of which comes at ``at``."""
    if not _presses(ticks[at], Button.LEFT):
        return None
    earlier = range(at - 1, max(-1, at - _LONGEST_DOUBLE_CLICK), -1)
    return next((one for one in earlier if _presses(ticks[one], Button.LEFT)), None)


def _new_titles(ticks: Sequence[Tick], at: int) -> set[str]:
    old = {window["id"] for window in ticks[at - 1].state["windows"]}
    return {window["title"] for window in ticks[at].state["windows"] if window["id"] not in old}


def _rect_of(tick: Tick, window_id: int) -> list[int] | None:
    windows: list[dict[str, Any]] = tick.state["windows"]
    return next((window["rect"] for window in windows if window["id"] == window_id), None)
