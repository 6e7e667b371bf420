"""What a person (or a scripted user) did to a desktop, one small record per fact.

Positions are desktop pixels, times are monotonic nanoseconds stamped on receipt,
``seq`` counts the events of one trace from 0 without gaps.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from dataclasses import fields as dataclass_fields
from enum import Enum
from typing import Any, ClassVar, Union


class Button(str, Enum):
    """A pointer button."""

    LEFT = "left"
    MIDDLE = "middle"
    RIGHT = "right"


@dataclass(frozen=True, slots=True)
class PointerMoved:
    """The pointer is now at (x_px, y_px)."""

    type: ClassVar[str] = "pointer_moved"
    x_px: int
    y_px: int
    t_mono_ns: int = 0
    seq: int = 0


@dataclass(frozen=True, slots=True)
class ButtonChanged:
    """A pointer button went down or up at (x_px, y_px)."""

    type: ClassVar[str] = "button_changed"
    button: Button
    down: bool
    x_px: int
    y_px: int
    t_mono_ns: int = 0
    seq: int = 0


@dataclass(frozen=True, slots=True)
class WheelTurned:
    """The wheel turned by (dx, dy) notches; positive dy scrolls up."""

    type: ClassVar[str] = "wheel_turned"
    dx: int
    dy: int
    t_mono_ns: int = 0
    seq: int = 0


@dataclass(frozen=True, slots=True)
class KeyChanged:
    """A key went down or up: SDL scancode, and the name of the symbol it gave."""

    type: ClassVar[str] = "key_changed"
    scancode: int
    keysym: str
    down: bool
    t_mono_ns: int = 0
    seq: int = 0


@dataclass(frozen=True, slots=True)
class TextTyped:
    """Text that the keyboard layout produced."""

    type: ClassVar[str] = "text_typed"
    text: str
    t_mono_ns: int = 0
    seq: int = 0


@dataclass(frozen=True, slots=True)
class Marker:
    """A note, such as ``pause``, ``resume``, ``consent``, ``focus_lost`` or ``reset``.

    ``redact_start``, ``redacted`` and ``redact_end`` (``REDACTION_KINDS``) stand in clips
    whose frames were blanked before they were stored.
    """

    type: ClassVar[str] = "marker"
    kind: str
    note: str = ""
    t_mono_ns: int = 0
    seq: int = 0


REDACTION_KINDS = frozenset({"redact_start", "redacted", "redact_end"})

Event = Union[PointerMoved, ButtonChanged, WheelTurned, KeyChanged, TextTyped, Marker]

_TYPES: dict[str, type[Any]] = {
    cls.type: cls
    for cls in (PointerMoved, ButtonChanged, WheelTurned, KeyChanged, TextTyped, Marker)
}
_PYTHON_TYPES = {"int": int, "bool": bool, "str": str, "Button": Button}


def event_to_json(event: Event) -> dict[str, Any]:
    """Turn an event into a JSON object with its ``type``."""
    fields = asdict(event)
    if isinstance(event, ButtonChanged):
        fields["button"] = event.button.value
    return {"type": event.type, **fields}


def event_from_json(obj: dict[str, Any]) -> Event:
    """Rebuild an event from ``event_to_json``'s object.

    Raises:
        ValueError: it is no object, names no known event or lacks one of its fields.
    """
    if not isinstance(obj, dict):
        raise ValueError("an event is an object")
    fields = dict(obj)
    kind = fields.pop("type", None)
    cls = _TYPES.get(str(kind))
    if cls is None:
        raise ValueError(f"unknown event type {kind!r}")
    try:
        if cls is ButtonChanged:
            fields["button"] = Button(fields["button"])
        event: Event = cls(**fields)
    except (TypeError, KeyError) as error:
        raise ValueError(f"bad {kind} event: {error}") from None
    for declared in dataclass_fields(cls):
        # Exact, since True is an int to isinstance and no coordinate.
        if type(getattr(event, declared.name)) is not _PYTHON_TYPES[str(declared.type)]:
            raise ValueError(f"bad {kind} event: {declared.name} is no {declared.type}")
    return event
