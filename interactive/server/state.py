"""How a run stands, folded from its ledger, its metrics and the trainer's heartbeat."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from interactive.outcome import FINAL_STATES, CommandState
from interactive.policy import CHANGES
from interactive.record.ledger import Entry, EntryKind
from interactive.server.heartbeat import Heartbeat, RunState
from interactive.server.series import Series, number_of

LOST_AFTER_S = 5.0
RECENT_RECORDS = 4000


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the ledger says of a command."""

    state: CommandState
    step: int
    branch: str
    ledger_seq: int
    old: Mapping[str, Any] = field(default_factory=dict)
    requested: Mapping[str, Any] = field(default_factory=dict)
    effective: Mapping[str, Any] = field(default_factory=dict)
    code: str | None = None
    hint: str | None = None


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint that the ledger names."""

    checkpoint: str
    step: int
    branch: str
    kept: bool


class FoldedRun:
    """All that is known of a run; it is rebuilt from the files, and holds no truth itself.

    Args:
        started_s: the server's start, by the clock that ``state`` is asked with.
    """

    def __init__(self, started_s: float) -> None:
        self.entries: list[Entry] = []
        self.series = Series()
        self.records: deque[dict[str, Any]] = deque(maxlen=RECENT_RECORDS)
        self.record_count = 0
        self.outcomes: dict[str, Outcome] = {}
        self.checkpoints: dict[str, Checkpoint] = {}
        self.heartbeat: Heartbeat | None = None
        self.capabilities: Mapping[str, Any] = {}
        self._commands: dict[int, str] = {}
        self._last_change: dict[str, tuple[str, int]] = {}
        self._heard_s = started_s
        self._branch = "main"
        self._mark = 0
        self._in_session = False
        self._ended = False

    def add_entry(self, entry: Entry) -> None:
        """Fold a ledger entry."""
        self.entries.append(entry)
        body = entry.body
        if entry.kind is EntryKind.SESSION:
            self._in_session, self._ended = True, False
            self.capabilities = body.get("capabilities") or {}
        elif entry.kind is EntryKind.MARK:
            self._mark = int(body["mark"])
        elif entry.kind is EntryKind.CHECKPOINT:
            name = str(body["checkpoint"])
            kept = bool(body.get("kept", False))
            self.checkpoints[name] = Checkpoint(name, entry.step, entry.branch, kept)
        elif entry.kind is EntryKind.INTERVENTION:
            self._add_intervention(entry)
        elif entry.kind is EntryKind.FAILURE:
            command_id = self._commands.get(body["of"])
            if command_id is not None:
                self.outcomes[command_id] = _outcome(entry, CommandState.FAILED)

    def add_record(self, record: Mapping[str, Any]) -> None:
        """Fold a metrics line."""
        flat = self.series.append(record)
        if flat is not None:
            self.records.append(flat)
            self.record_count += 1

    def hear(self, heartbeat: Heartbeat, now_s: float) -> None:
        """Take a heartbeat."""
        self.heartbeat = heartbeat
        self._heard_s = now_s

    def records_after(self, count: int) -> list[dict[str, Any]] | None:
        """Return the metrics after the first ``count``, or None where they are not at hand."""
        missing = self.record_count - count
        if not 0 <= missing <= len(self.records):
            return None
        return list(self.records)[len(self.records) - missing :]

    def final_outcome(self, command_id: str) -> Outcome | None:
        """Return a command's outcome once it is final."""
        outcome = self.outcomes.get(command_id)
        return outcome if outcome is not None and outcome.state in FINAL_STATES else None

    def last_change(self, issuer: str) -> int | None:
        """Return the first step under a sender's newest change of this branch, if it made one."""
        branch, step = self._last_change.get(issuer, ("", 0))
        return step if branch == self.branch else None

    def state(self, now_s: float) -> RunState:
        """Return how the run stands."""
        silent = self.age_s(now_s) > LOST_AFTER_S
        if self.heartbeat is not None:
            if silent and self.heartbeat.state is not RunState.STOPPED:
                return RunState.STOPPED if self._ended else RunState.LOST
            return self.heartbeat.state
        if self._ended:
            return RunState.STOPPED
        return RunState.LOST if self._in_session and silent else RunState.WAITING

    def age_s(self, now_s: float) -> float:
        """Return the seconds since the trainer was heard of, or since the server started."""
        return now_s - self._heard_s

    @property
    def branch(self) -> str:
        """Return the branch that the run is on."""
        return self._branch if self.heartbeat is None else self.heartbeat.branch

    @property
    def step(self) -> int:
        """Return the last step made on the branch."""
        recorded = self.series.last_step(self.branch)
        return recorded if self.heartbeat is None else max(recorded, self.heartbeat.step)

    @property
    def mark(self) -> int:
        """Return the adopted commit number; 0 where there is none."""
        return self._mark if self.heartbeat is None else self.heartbeat.mark

    @property
    def diverged(self) -> bool:
        """Return whether the newest loss of the branch is no finite number."""
        loss = self.series.last_value(self.branch, "loss")
        return loss is not None and not math.isfinite(loss)

    @property
    def lr(self) -> float | None:
        """Return the learning rate that the trainer has, or had at its last step."""
        optimizer = self.heartbeat.settings.get("optimizer") if self.heartbeat else None
        lr = number_of(optimizer.get("lr")) if isinstance(optimizer, Mapping) else None
        return self.series.last_value(self.branch, "lr") if lr is None else lr

    def _add_intervention(self, entry: Entry) -> None:
        command_id = str(entry.body["command_id"])
        outcome = _outcome(entry, CommandState(entry.body["state"]))
        self.outcomes[command_id] = outcome
        self._commands[entry.seq] = command_id
        if outcome.state is not CommandState.APPLIED:
            return
        name = entry.body["command"]["command"]
        place = (entry.branch, entry.step)
        if name == "stop":
            self._ended = True
        elif name == "load_checkpoint":
            self._branch = str(outcome.effective["branch"])
            self._mark = int(outcome.effective["mark"])
            place = (self._branch, int(outcome.effective["step"]) + 1)
        if name in CHANGES:
            self._last_change[str(entry.body["issuer"]["name"])] = place


def _outcome(entry: Entry, state: CommandState) -> Outcome:
    body = entry.body
    return Outcome(
        state=state,
        step=entry.step,
        branch=entry.branch,
        ledger_seq=entry.seq,
        old=body.get("old") or {},
        requested=body.get("requested") or {},
        effective=body.get("effective") or {},
        code=body.get("code"),
        hint=body.get("hint"),
    )
