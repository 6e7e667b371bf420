"""What a replay found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from interactive.record.metrics import MetricsRow
from interactive.steering.retrace import Divergence, compare_rows


@dataclass(frozen=True, slots=True)
class ReplayReport:
    """What a replay found.

    ``promise`` is ``same_fingerprint`` where the record was made on a machine like this
    one: then ``identical`` counts the steps that equal the record before the first
    divergence. Elsewhere it is ``self``: the run was replayed twice, ``identical`` compares
    these two, and ``deviation`` is the first difference from the record. ``withdrawn`` are
    the commits used that were withdrawn or cannot be read any more, ``live_clips`` the
    number of live clips that steps used. ``base`` is the checkpoint at which the replay
    began because steps before it need clips that are gone; ``steps`` counts from there.
    ``differs`` are the fields of fingerprint and version that are others here than they
    were (each with its value then and now): why the numbers may be others, too.
    """

    steps: int
    identical: int
    first_divergence: Divergence | None
    promise: str
    withdrawn: tuple[int, ...]
    live_clips: int
    deviation: Divergence | None = None
    base: str | None = None
    differs: tuple[tuple[str, str | None, str | None], ...] = ()

    @property
    def is_identical(self) -> bool:
        """Return whether every step was made again as it was."""
        return self.identical == self.steps and self.first_divergence is None

    def to_json(self) -> dict[str, Any]:
        """Return the report as a JSON object."""
        divergence, deviation = self.first_divergence, self.deviation
        return {
            "steps": self.steps,
            "identical": self.identical,
            "first_divergence": divergence.to_json() if divergence else None,
            "promise": self.promise,
            "withdrawn": list(self.withdrawn),
            "live_clips": self.live_clips,
            "deviation": deviation.to_json() if deviation else None,
            "base": self.base,
            "differs": [
                {"field": field, "recorded": recorded, "here": here}
                for field, recorded, here in self.differs
            ],
        }

    @classmethod
    def from_json(cls, obj: Mapping[str, Any]) -> ReplayReport:
        """Rebuild a report from ``to_json``'s object."""
        found = {name: obj[name] for name in ("first_divergence", "deviation")}
        parted = {name: Divergence(**value) if value else None for name, value in found.items()}
        differs = tuple((d["field"], d["recorded"], d["here"]) for d in obj["differs"])
        withdrawn = tuple(obj["withdrawn"])
        return cls(**{**obj, **parted, "withdrawn": withdrawn, "differs": differs})


def compare_passes(
    first: Sequence[MetricsRow], second: Sequence[MetricsRow]
) -> tuple[int, Divergence | None]:
    """Return how many rows two runs share from their start on, and where they part."""
    for number, (one, other) in enumerate(zip(first, second, strict=False)):
        divergence = compare_rows(one, other)
        if divergence is not None:
            return number, divergence
    if len(first) != len(second):
        at = (first if len(first) > len(second) else second)[min(len(first), len(second))]
        return min(len(first), len(second)), Divergence(
            at.branch, at.step, "steps", len(first), len(second)
        )
    return len(first), None
