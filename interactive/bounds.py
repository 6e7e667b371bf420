"""The numbers that commands may name: outside is refused, never clamped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from interactive.commands import (
    Batch,
    Command,
    ReplaceSchedule,
    Scalar,
    ScaleSchedule,
    UpdateDataset,
    UpdateMixture,
    UpdateOptimizer,
    UpdateSetting,
)
from interactive.outcome import Reason, Rejected

Interval = tuple[float, float]
EVERYTHING: Interval = (float("-inf"), float("inf"))

DEFAULT_BOUNDS: Mapping[str, Interval] = {
    "lr": (1e-12, 1.0),
    "weight_decay": (0.0, 10.0),
    "eps": (1e-16, 1.0),
    "max_grad_norm": (1e-6, 1e6),
    "factor": (1e-6, 1e6),
    "argument": (-1e12, 1e12),
    "weight": (0.0, 1e6),
    "half_life_clips": (0.0, 1e9),
}
"""By number; ``argument`` is every number among a schedule's or a data set's own."""


def judge_numbers(
    command: Command, bounds: Mapping[str, Interval], settings: Mapping[str, Any]
) -> Rejected | None:
    """Return why a command's numbers are refused, or None where all are within bounds.

    Args:
        command: the command.
        bounds: lowest and highest accepted value by number.
        settings: the settings that the trainer registered, as its capabilities say.
    """
    for place, kind, value in _numbers(command):
        low, high = bounds.get(kind, EVERYTHING)
        if not low <= value <= high:
            return _outside(place, value, low, high)
    for one in command.commands if isinstance(command, Batch) else (command,):
        if isinstance(one, UpdateSetting) and settings:
            refusal = _judge_setting(one, settings)
            if refusal is not None:
                return refusal
    return None


def nearest(name: str, known: list[str]) -> str:
    """Return a hint that names the nearest of the known names, or nothing."""
    found = get_close_matches(name, known, n=1, cutoff=0.0)
    return f"; did you mean {found[0]}?" if found else ""


def _numbers(command: Command) -> Iterator[tuple[str, str, float]]:
    """Yield the place, the kind and the value of each number that has bounds."""
    match command:
        case Batch():
            for part in command.commands:
                yield from _numbers(part)
        case UpdateOptimizer():
            for name, value in command.changes().items():
                yield name, name, value
        case ScaleSchedule():
            yield "factor", "factor", command.factor
        case ReplaceSchedule():
            if command.lr is not None:
                yield "lr", "lr", command.lr
            for name, given in command.arguments.items():
                for one in given if isinstance(given, list) else [given]:
                    yield from _argument(f"arguments.{name}", one)
        case UpdateDataset():
            for name, parameter in (command.parameters or {}).items():
                yield from _argument(f"parameters.{name}", parameter)
        case UpdateMixture():
            for source, weight in (command.weights or {}).items():
                yield f"weights.{source}", "weight", weight
            for source, clips in (command.half_life_clips or {}).items():
                yield f"half_life_clips.{source}", "half_life_clips", clips
        case _:
            pass


def _argument(place: str, value: Scalar) -> Iterator[tuple[str, str, float]]:
    if not isinstance(value, (bool, str)):
        yield place, "argument", value


def _judge_setting(command: UpdateSetting, settings: Mapping[str, Any]) -> Rejected | None:
    name, value = command.setting, command.value
    if name not in settings:
        hint = f"the trainer has no setting {name}{nearest(name, sorted(settings))}"
        return Rejected(Reason.UNKNOWN_SETTING, hint)
    said, is_flag = settings[name], isinstance(value, bool)
    kind = said.get("kind")
    if kind == "flag" and not is_flag:
        return Rejected(Reason.OUT_OF_BOUNDS, f"{name} is a flag: true or false")
    if kind == "choice" and value not in said.get("choices", []):
        choices = ", ".join(map(str, said.get("choices", [])))
        return Rejected(Reason.OUT_OF_BOUNDS, f"{name} is one of {choices}")
    if kind == "number":
        if is_flag or isinstance(value, str):
            return Rejected(Reason.OUT_OF_BOUNDS, f"{name} is a number")
        low, high = _or(said.get("low"), EVERYTHING[0]), _or(said.get("high"), EVERYTHING[1])
        if not low <= value <= high:
            return _outside(name, value, low, high)
    return None


def _outside(place: str, value: float, low: float, high: float) -> Rejected:
    # Whole numbers of JSON have no end; those beyond a double have no short form either.
    shown = f"{value:g}" if abs(value) < 1e300 else "a number beyond 1e300"
    return Rejected(Reason.OUT_OF_BOUNDS, f"{place}={shown} is outside [{low:g}, {high:g}]")


def _or(value: Any, other: float) -> float:
    """Return a number as the ledger has it, where infinities are text; other for nothing."""
    return other if value is None else float(value)
