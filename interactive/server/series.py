"""The metrics of a run in memory, thinned for charts without losing an extreme."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

GROUPS = ("extra", "timings_s")
"""Objects of a metrics line whose numbers are fields of their own, as ``group.name``."""

NON_FINITE = {"nan": math.nan, "inf": math.inf, "infinity": math.inf}


@dataclass(frozen=True, slots=True)
class Point:
    """The value of a field at a step."""

    step: int
    value: float


@dataclass(slots=True)
class _Column:
    steps: array[int] = field(default_factory=lambda: array("q"))
    values: array[float] = field(default_factory=lambda: array("d"))


class Series:
    """Columns of numbers by branch and field, each in the order of steps."""

    def __init__(self) -> None:
        self._columns: dict[str, dict[str, _Column]] = {}
        self._last_step: dict[str, int] = {}

    @property
    def branches(self) -> list[str]:
        """Return the branches that have metrics, oldest first."""
        return list(self._columns)

    def fields(self, branch: str) -> list[str]:
        """Return the names of a branch's fields."""
        return sorted(self._columns.get(branch, {}))

    def last_step(self, branch: str) -> int:
        """Return the last recorded step of a branch; 0 where there is none."""
        return self._last_step.get(branch, 0)

    def last_value(self, branch: str, name: str) -> float | None:
        """Return the newest value of a field, or None where there is none."""
        column = self._columns.get(branch, {}).get(name)
        return None if column is None else column.values[-1]

    def append(self, record: Mapping[str, Any]) -> dict[str, Any] | None:
        """Add a metrics line.

        Returns:
            Its step, branch and numbers as one flat object, or None for a step that stands
            already: after a crash steps are made again, with the same numbers.
        """
        branch, step = str(record["branch"]), int(record["step"])
        if step <= self.last_step(branch):
            return None
        self._last_step[branch] = step
        columns = self._columns.setdefault(branch, {})
        numbers = dict(_numbers(record))
        for name, value in numbers.items():
            column = columns.setdefault(name, _Column())
            column.steps.append(step)
            column.values.append(value)
        return {"branch": branch, "step": step, **numbers}

    def thinned(
        self, branch: str, name: str, max_points: int, last: int | None = None
    ) -> tuple[list[Point], int]:
        """Return at most ``max_points`` points of a field, and how many there are.

        Args:
            branch: whose steps.
            name: which field.
            max_points: at least 8.
            last: only the last so many points.
        """
        column = self._columns.get(branch, {}).get(name)
        if column is None:
            return [], 0
        start = 0 if last is None else max(0, len(column.steps) - last)
        steps = column.steps[start:]
        # A line may arrive between the two: the same number of each.
        values = column.values[start : start + len(steps)]
        kept = thin(values, max_points)
        return [Point(steps[i], values[i]) for i in kept], len(steps)


def thin(values: Sequence[float], max_points: int) -> list[int]:
    """Choose the indices of at most ``max_points`` values that show the whole.

    First and last are kept, and of each stretch between them the smallest, the largest
    and, where there is one, the first NaN.
    """
    count = len(values)
    if count <= max_points:
        return list(range(count))
    holds_nan = any(map(math.isnan, values))
    stretches = (max_points - 2) // (3 if holds_nan else 2)
    kept = {0, count - 1}
    for number in range(stretches):
        begin = 1 + number * (count - 2) // stretches
        end = 1 + (number + 1) * (count - 2) // stretches
        numbers = [i for i in range(begin, end) if not math.isnan(values[i])]
        if numbers:
            kept.add(min(numbers, key=values.__getitem__))
            kept.add(max(numbers, key=values.__getitem__))
        if len(numbers) < end - begin:
            kept.add(next(i for i in range(begin, end) if math.isnan(values[i])))
    return sorted(kept)


def _numbers(record: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    for name, value in record.items():
        if name in GROUPS and isinstance(value, Mapping):
            for inner, number in value.items():
                parsed = number_of(number)
                if parsed is not None:
                    yield f"{name}.{inner}", parsed
        elif name not in ("step", "branch"):
            parsed = number_of(value)
            if parsed is not None:
                yield name, parsed


def number_of(value: Any) -> float | None:
    """Return a number as JSON has it, where NaN and the infinities are text; None for others."""
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, float)):
        try:
            return float(value)
        except OverflowError:  # whole numbers of JSON have no end
            return math.inf if value > 0 else -math.inf
    if isinstance(value, str):
        number = NON_FINITE.get(value.lower().lstrip("+-"))
        return -number if number is not None and value.startswith("-") else number
    return None
