"""One recorded value beside what our code makes of the same inputs."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

TOLERANCE = 1e-4
"""Of float32 values, times the largest recorded magnitude where that is above 1."""

LEVELS = 1
"""Of bytes: a value on the edge between two levels may fall on either side."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """A comparison. ``max_abs_err`` is ``None`` where nothing could be compared."""

    name: str
    shape: tuple[int, ...]
    max_abs_err: float | None
    tolerance: float

    @property
    def ok(self) -> bool:
        """Whether the error is within the tolerance; NaN never is."""
        return self.max_abs_err is not None and self.max_abs_err <= self.tolerance

    def to_json(self) -> dict[str, object]:
        """Return the quantity as programs read it."""
        finite = self.max_abs_err is not None and abs(self.max_abs_err) != float("inf")
        finite = finite and self.max_abs_err == self.max_abs_err
        return {
            "name": self.name,
            "shape": list(self.shape),
            "max_abs_err": self.max_abs_err if finite else None,
            "tolerance": self.tolerance,
            "ok": self.ok,
        }


def compare(name: str, found: Tensor | None, recorded: Tensor | None) -> Quantity:
    """Compare what was computed with what was recorded.

    Floating-point values may differ by ``TOLERANCE``, bytes by ``LEVELS``; other integers and
    truth values must be equal. A value that is missing or has another shape is never right.
    """
    if recorded is None:
        return Quantity(name, (), None, 0.0)
    shape = tuple(recorded.shape)
    tolerance = _tolerance(recorded)
    same_kind = found is not None and found.is_floating_point() == recorded.is_floating_point()
    if found is None or not same_kind or tuple(found.shape) != shape:
        return Quantity(name, shape, None, tolerance)
    away = (found.detach().double() - recorded.double()).abs()
    return Quantity(name, shape, float(away.max()) if away.numel() else 0.0, tolerance)


def _tolerance(recorded: Tensor) -> float:
    if recorded.dtype is torch.uint8:
        return float(LEVELS)
    if not recorded.is_floating_point():
        return 0.0
    most = float(recorded.abs().max()) if recorded.numel() else 0.0
    return TOLERANCE * max(1.0, most)
