"""What `neuralos collect` plans, makes and reports."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from data_collection.clock import Clock
from data_collection.recording.crew import Crew, StoreKeeper
from data_collection.recording.crew_work import Ended, Job, Seat
from data_collection.recording.trace_facts import read_trace
from data_collection.storage.codec import ClipCorrupt
from data_collection.storage.store import TraceStore
from data_collection.trace import FPS, ClipState
from neuralos.data.mixture import BASE_SOURCE

WITHDRAWN = "withdrawn"
NOT_MADE = "not made"
_SEEDS_APART = 100_003
_MAKE_DESKTOP = "data_collection.desktops.registry:make_desktop"


@dataclass(frozen=True, slots=True)
class CollectPlan:
    """What is to be there in the end: ``traces`` traces of ``seconds`` each."""

    desktop: str
    user: str
    traces: int
    seconds: int
    seed: int
    profile: str = "lean"
    width_px: int = 512
    height_px: int = 384
    source: str = BASE_SOURCE

    @property
    def real_time(self) -> bool:
        """Whether the desktop has a clock of its own, so that no trace is like another."""
        return self.desktop != "scripted"

    def seat(self) -> Seat:
        """Return where each worker sits."""
        arguments = {
            "name": self.desktop,
            "width_px": self.width_px,
            "height_px": self.height_px,
            "profile": self.profile,
        }
        return Seat(_MAKE_DESKTOP, self.user, self.source, self.real_time, arguments)

    def trace_id(self, number: int, attempt: int = 1) -> str:
        """Return the id of a trace; it holds all that makes it what it is."""
        where = f"{self.desktop}-{self.profile}" if self.real_time else self.desktop
        size = (
            ""
            if (self.width_px, self.height_px) == (512, 384)
            else (f"-{self.width_px}x{self.height_px}")
        )
        stem = f"collect-{where}{size}-{self.user}-{self.seconds}s-{self.seed}-{number:04d}"
        again = "" if attempt == 1 else f"-{attempt}"
        return re.sub("[^a-z0-9-]", "-", stem.lower()) + again


@dataclass(slots=True)
class Standing:
    """One trace of a plan: its id, and what is still to do for it (``job``), if anything.

    ``earlier`` are traces of the same number that ended early; they are kept as they are.
    """

    number: int
    trace_id: str
    job: Job | None
    earlier: tuple[str, ...] = ()
    ended: Ended = field(default_factory=Ended)


def standings(plan: CollectPlan, store: TraceStore) -> list[Standing]:
    """Return where each trace of the plan stands in a store."""
    return [_standing(plan, store, number) for number in range(plan.traces)]


def _standing(plan: CollectPlan, store: TraceStore, number: int) -> Standing:
    earlier: list[str] = []
    attempt = 1
    while True:
        trace_id = plan.trace_id(number, attempt)
        known = store.index.trace(trace_id)
        present = frozenset(store.index.present(trace_id))
        if known is not None and known[1] is ClipState.TOMBSTONED:
            # Whoever withdrew it does not want it back.
            return Standing(number, trace_id, None, tuple(earlier), Ended(WITHDRAWN))
        whole = sum(row.frames for row in store.index.trace_rows(trace_id)) >= plan.seconds * FPS
        if whole:
            return Standing(number, trace_id, None, tuple(earlier))
        if known is None or not plan.real_time:
            # The seed of a further attempt is another, so that it adds to what was kept.
            seed = plan.seed * _SEEDS_APART + number + (attempt - 1) * 1_000_003
            job = Job(trace_id, seed, plan.seconds, present)
            return Standing(number, trace_id, job, tuple(earlier))
        earlier.append(trace_id)
        attempt += 1


def make_missing(
    seat: Seat,
    traces: Sequence[Standing],
    store: TraceStore,
    workers: int,
    clock: Clock,
    *,
    until: Callable[[], bool],
    on_clip: Callable[[], None] = lambda: None,
    on_trace: Callable[[Ended], None] = lambda ended: None,
) -> None:
    """Make the traces that are missing, and note in each standing how that ended.

    Raises:
        OSError: the store's disk refused; what was acknowledged is kept.
    """
    by_id = {trace.trace_id: trace for trace in traces}

    def end(job: Job, ended: Ended) -> None:
        by_id[job.trace_id].ended = ended
        on_trace(ended)

    crew = Crew(seat, workers, StoreKeeper(store, clock), clock, lambda job: on_clip(), end)
    crew.run([trace.job for trace in traces if trace.job is not None], until)


def trace_values(trace: Standing, store: TraceStore) -> dict[str, Any]:
    """Return a trace's part of the command's object."""
    rows = store.index.trace_rows(trace.trace_id)
    values: dict[str, Any] = {
        "id": trace.trace_id,
        "frames": 0,
        "clips": len(rows),
        "fps": 0.0,
        "goal": "",
        "reached": False,
        "outcomes": [],
        # Known of what was made just now; a trace does not hold them.
        "late": trace.ended.late if trace.job else None,
        "lost_ms": trace.ended.lost_ms if trace.job else None,
        "made": trace.job is not None,
        "earlier": list(trace.earlier),
        "reason": trace.ended.reason,
        "hint": trace.ended.hint,
    }
    try:
        facts = read_trace(store.root, rows)
    except ClipCorrupt as error:
        return {**values, "reason": values["reason"] or f"damaged: {error}"}
    if not facts.frames and not trace.ended.reason:
        values["reason"] = NOT_MADE
    return {
        **values,
        "frames": facts.frames,
        "fps": round(facts.fps, 2),
        "goal": facts.goal,
        "reached": facts.reached,
        "outcomes": [outcome.to_json() for outcome in facts.outcomes],
    }
