"""Changes of the desktop's readable state, each with the kind of thing that happened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

SETTLE_TICKS = 3
"""A change is judged so many ticks after it, or right before the next one."""
_JOIN_TICKS = 4
CHANGE = "change"
"""A transition of which nothing is known but that the screen changed."""
_JOINED = frozenset({"move", "resize", "type", CHANGE})
"""Changes that go on from tick to tick: those at most ``_JOIN_TICKS`` apart are one."""

State = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Transition:
    """A change of state: its kind, its first and last tick, and the tick it is judged at."""

    kind: str
    first: int
    last: int
    judged: int


def transitions(states: Sequence[State]) -> list[Transition]:
    """Return the changes between successive states; ticks count from the first of them."""
    changes = [
        (kind, tick)
        for tick in range(1, len(states))
        if (kind := change_between(states[tick - 1], states[tick])) is not None
    ]
    return settled(changes, len(states))


def settled(changes: Sequence[tuple[str, int]], ticks: int) -> list[Transition]:
    """Return the transitions that changes at some of the ``ticks`` make up."""
    joined: list[tuple[str, int, int]] = []
    for kind, tick in changes:
        if joined and kind in _JOINED and joined[-1][0] == kind:
            first, last = joined[-1][1:]
            if tick - last <= _JOIN_TICKS:
                joined[-1] = (kind, first, tick)
                continue
        joined.append((kind, tick, tick))
    found = []
    for number, (kind, first, last) in enumerate(joined):
        end = joined[number + 1][1] - 1 if number + 1 < len(joined) else ticks - 1
        found.append(Transition(kind, first, last, min(last + SETTLE_TICKS, end)))
    return found


def change_between(before: State, after: State) -> str | None:
    """Return the kind of change from one state to the next; None where nothing happened."""
    for find in (_launch_change, _window_change, _file_change, _text_change, _menu_change):
        kind = find(before, after)
        if kind is not None:
            return kind
    return None


def _launch_change(before: State, after: State) -> str | None:
    return "launch" if after["launching"] and not before["launching"] else None


def _window_change(before: State, after: State) -> str | None:
    old = {window["id"]: window for window in before["windows"]}
    new = {window["id"]: window for window in after["windows"]}
    for number, window in new.items():
        if number not in old:
            return f"open_{window['app'].lower()}"
    if len(new) < len(old):
        return "close"
    for number, window in new.items():
        kind = _change_of_window(old[number], window)
        if kind is not None:
            return kind
    return None


def _change_of_window(old: State, new: State) -> str | None:
    if old["minimised"] != new["minimised"]:
        return "minimise" if new["minimised"] else "restore"
    if old["maximised"] != new["maximised"]:
        return "maximise" if new["maximised"] else "put_back"
    if old["rect"] != new["rect"]:
        return "move" if old["rect"][2:] == new["rect"][2:] else "resize"
    return None


def _file_change(before: State, after: State) -> str | None:
    old, new = before["folders"], after["folders"]
    if len(new) != len(old):
        return "make_folder" if len(new) > len(old) else "remove_folder"
    if bool(before["naming"]) != bool(after["naming"]) or old != new:
        return "name"
    return None


def _text_change(before: State, after: State) -> str | None:
    old, new = before["terminal"] or {}, after["terminal"] or {}
    if old.get("lines") != new.get("lines"):
        return "print"
    browsers = [state["browser"] or {} for state in (before, after)]
    if browsers[0].get("address") != browsers[1].get("address"):
        return "browse"
    if browsers[0].get("editing") != browsers[1].get("editing"):
        return "edit_address"
    typed = [
        ((s["naming"] or {}).get("text"), (s["terminal"] or {}).get("typed"), b.get("typed"))
        for s, b in zip((before, after), browsers, strict=True)
    ]
    return "type" if typed[0] != typed[1] else None


def _menu_change(before: State, after: State) -> str | None:
    if before["menu"] != after["menu"]:
        return "open_menu" if after["menu"] else "close_menu"
    focus = [[(w["id"], w["focused"]) for w in s["windows"]] for s in (before, after)]
    return "focus" if focus[0] != focus[1] else None
