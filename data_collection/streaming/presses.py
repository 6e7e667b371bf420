"""Which keys and buttons a clip presses and lets go, and what is odd about it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Union

from data_collection.events import ButtonChanged, KeyChanged
from data_collection.trace import Clip


@dataclass(frozen=True, slots=True)
class Presses:
    """The balance of a clip's keys and buttons, by name such as ``key 4``.

    ``needed`` went up first, so something before the clip pressed them; ``let_go`` are up
    and ``held`` down at its end; ``odd`` says what no hand can do.
    """

    needed: tuple[str, ...] = ()
    let_go: tuple[str, ...] = ()
    held: tuple[str, ...] = ()
    odd: tuple[str, ...] = ()

    @classmethod
    def from_json(cls, obj: dict[str, Any]) -> Presses:
        """Rebuild the balance from its JSON object."""
        return cls(**{name: tuple(names) for name, names in obj.items()})


def presses(clip: Clip) -> Presses:
    """Return the balance of a clip.

    A repeated down of a key is how a held key reports itself; a button has no repeats.
    """
    down: dict[str, bool] = {}
    needed: list[str] = []
    odd: dict[str, None] = {}
    for event in _changes(clip):
        name = _name(event)
        before = down.get(name)
        if before is None and not event.down:
            needed.append(name)
        elif before is False and not event.down:
            odd[f"up twice: {name}"] = None
        elif before is True and event.down and isinstance(event, ButtonChanged):
            odd[f"down twice: {name}"] = None
        down[name] = event.down
    return Presses(
        needed=tuple(needed),
        let_go=tuple(name for name, is_down in down.items() if not is_down),
        held=tuple(name for name, is_down in down.items() if is_down),
        odd=tuple(odd),
    )


def _name(event: Union[KeyChanged, ButtonChanged]) -> str:
    if isinstance(event, KeyChanged):
        return f"key {event.scancode}"
    return f"button {event.button.value}"


def _changes(clip: Clip) -> Iterator[Union[KeyChanged, ButtonChanged]]:
    for group in clip.events:
        for event in group:
            if isinstance(event, (KeyChanged, ButtonChanged)):
                yield event


class Held:
    """What is held at the end of the newest clip of each trace, to judge the next one.

    It lives in memory only: after a restart, or for clips out of order, it says nothing.

    Args:
        traces: how many traces to remember.
    """

    def __init__(self, traces: int = 256) -> None:
        self._traces = traces
        self._held: dict[str, tuple[int, frozenset[str]]] = {}
        self._lock = threading.Lock()

    def warnings(self, trace_id: str, seq: int, presses: Presses) -> tuple[str, ...]:
        """Return what is odd about a clip by itself and after the one before; remember it."""
        with self._lock:
            return self._warnings(trace_id, seq, presses)

    def _warnings(self, trace_id: str, seq: int, presses: Presses) -> tuple[str, ...]:
        odd = list(presses.odd)
        known = self._held.pop(trace_id, None)
        before: frozenset[str] | None = frozenset() if seq == 0 else None
        if known and known[0] == seq - 1:
            before = known[1]
        if before is not None:
            odd += [f"up without a down: {name}" for name in presses.needed if name not in before]
            after = (before - set(presses.let_go)) | set(presses.held)
            self._held[trace_id] = (seq, after)
        if len(self._held) > self._traces:
            del self._held[next(iter(self._held))]
        return tuple(odd)
