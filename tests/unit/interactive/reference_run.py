"""What an inbox and a ledger ought to hold: a reference in memory, told everything that happens.

It reads the real files after every act and says what is wrong in them; it does not use the
code that folds a ledger in earnest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from interactive.record.ledger import Entry, EntryKind
from interactive.record.metrics import MetricsRow
from interactive.server.inbox import Request

UNDONE = ("rejected", "expired", "superseded")
FIRST_LR = 0.05


@dataclass(frozen=True)
class Standing:
    """Where a run stands after so many entries."""

    branch: str = "main"
    base_lr: float = FIRST_LR
    factor: float | None = None
    """What the attached learning-rate schedule is multiplied with; None without one."""
    paused: bool = False
    pause_after: int | None = None
    generation: int = 0
    branches: frozenset[str] = frozenset({"main"})
    checkpoints: Mapping[str, tuple[int, float, float | None]] = field(default_factory=dict)
    """Updates done, base lr and factor of each checkpoint."""
    evaluated: frozenset[tuple[str, int]] = frozenset()
    superseded: Mapping[str, str] = field(default_factory=dict)

    @property
    def lr(self) -> float:
        return self.base_lr if self.factor is None else self.factor * self.base_lr


class Reference:
    """An inbox and a ledger as they ought to be."""

    def __init__(self) -> None:
        self.sent: dict[str, tuple[bytes, str]] = {}
        self.acknowledged: dict[str, int] = {}
        self.refused: dict[str, str] = {}
        self.held: set[str] = set()
        self.approved: set[str] = set()
        self.ended: dict[str, str] = {}
        self.inbox: dict[str, Request] = {}
        self.entries: list[Entry] = []
        self.done: dict[str, Entry] = {}
        self.rows: list[MetricsRow] = []
        self.standings = [Standing()]
        self._last_immediate = 0
        self._last_timed: dict[tuple[str, int, int], int] = {}

    @property
    def now(self) -> Standing:
        return self.standings[-1]

    # What clients hear.

    def answered(self, command_id: str, answer: Mapping[str, Any]) -> None:
        """Take an answer to a command: the first one stands for ever."""
        state, known = answer["state"], self.acknowledged
        if state == "rejected":
            assert command_id not in known, "accepted, and then refused"
            assert self.refused.setdefault(command_id, answer["code"]) == answer["code"]
            assert answer["hint"]
            return
        assert command_id not in self.refused, "refused, and then accepted"
        if state == "accepted":
            assert command_id not in self.ended, "vetoed, and then let through"
            assert known.setdefault(command_id, answer["seq"]) == answer["seq"], "two places"
            return
        assert command_id not in known, "let through, and then held or vetoed"
        self.held.add(command_id)
        if state != "awaiting_approval":
            assert self.ended.setdefault(command_id, state) == state
        else:
            assert command_id not in self.ended, "vetoed, and then held"

    def decided(
        self, command_id: str, decision: str, status: int, answer: Mapping[str, Any]
    ) -> None:
        """Take the answer to a yes or a no: the first decision stands for ever."""
        if status == 409:
            assert answer["code"] == "already_decided"
            was_let_through = command_id in self.inbox or command_id in self.acknowledged
            taken_back = f'"supersedes": "{command_id}"'.encode()
            is_taken_back = any(taken_back in body for body, _ in self.sent.values())
            is_ended = command_id in self.ended or is_taken_back
            assert was_let_through or is_ended or decision == "approve"
            return
        assert status == 200, answer
        if decision == "approve":
            self.answered(command_id, {"state": "accepted", "seq": answer["seq"]})
        else:
            assert command_id not in self.acknowledged, "let through, and then vetoed"
            assert command_id not in self.inbox
            self.ended[command_id] = "vetoed"

    # What the files hold.

    def inbox_holds(self, requests: Sequence[Request]) -> None:
        """Compare the inbox with what was sent and acknowledged."""
        seqs = [request.seq for request in requests]
        assert seqs == sorted(set(seqs))
        now = {str(request.envelope.command_id): request for request in requests}
        assert len(now) == len(requests), "doubled in the inbox"
        for command_id, request in self.inbox.items():
            assert now.get(command_id) == request, "changed or lost in the inbox"
        for command_id, request in now.items():
            assert command_id in self.sent, "nobody sent it"
            assert request.issuer.name == self.sent[command_id][1]
            if request.approved_by is not None or command_id in self.held:
                assert command_id in self.approved, "nobody let it through"
                assert command_id not in self.ended
        for command_id, seq in self.acknowledged.items():
            assert now[command_id].seq == seq, "acknowledged, and lost"
        self.inbox = now

    def ledger_grew(self, entries: Iterable[Entry]) -> None:
        """Take new entries: each must be true of the run as it stood before it."""
        for entry in entries:
            assert entry.seq == len(self.entries)
            self.entries.append(entry)
            if entry.kind is EntryKind.INTERVENTION:
                self._check_intervention(entry)
            self.standings.append(self._after(entry))

    def metrics_grew(self, rows: Iterable[MetricsRow]) -> None:
        """Take new rows: each step ran under the entries before it, and not while paused."""
        for row in rows:
            standing = self.standings[row.entries]
            assert row.branch == standing.branch
            assert not standing.paused, "a step while paused"
            assert standing.pause_after is None or row.step <= standing.pause_after
            assert row.lr == standing.lr, "another learning rate than the ledger's"
            line = [r.step for r in self.rows if r.branch == row.branch]
            start = line[-1] if line else self._start_of(row.branch)
            assert row.step == start + 1, "a step was lost or doubled"
            self.rows.append(row)

    def all_due_are_done(self, fetched: int, next_step: int) -> None:
        """After a boundary, only commands with a later moment may be without an entry."""
        for command_id, request in self.inbox.items():
            if request.seq <= fetched and command_id not in self.done:
                assert self.waits(request, next_step), f"{request} was due and has no entry"

    def waits(self, request: Request, next_step: int) -> bool:
        """Return whether a command has reason to wait before a step."""
        envelope, now = request.envelope, self.now
        if envelope.branch not in (None, now.branch):
            return envelope.branch not in now.branches
        if envelope.after_evaluation:
            return (now.branch, next_step - 1) not in now.evaluated
        return envelope.at_step is not None and envelope.at_step > next_step

    def _check_intervention(self, entry: Entry) -> None:
        body, standing = entry.body, self.now
        command_id = body["command_id"]
        assert command_id not in self.done, "doubled in the ledger"
        assert command_id in self.inbox, "not from the inbox"
        request = self.inbox[command_id]
        envelope = request.envelope
        self.done[command_id] = entry
        assert body["inbox_seq"] == request.seq
        assert body["issuer"]["name"] == request.issuer.name
        assert body["reason"] == envelope.reason
        assert body["command"] == envelope.command.model_dump(mode="json", exclude_none=True)
        assert entry.branch == standing.branch
        assert ("approved_by" in body) == (request.approved_by is not None)
        if body["state"] == "superseded":
            by = self.inbox[body["superseded_by"]].envelope
            assert str(by.supersedes) == command_id
            return
        false = self._reasons_against(request, entry.step)
        if body["state"] == "applied":
            assert not false, f"applied in spite of {false}"
            assert not self.waits(request, entry.step), "applied before its moment"
        else:
            assert body["state"] == ("expired" if body["code"] == "expired" else "rejected")
            assert body["code"] in false, f"{body['code']}: {body['hint']} is not so"
            assert body["hint"]
        self._check_order(request, entry)

    def _check_order(self, request: Request, entry: Entry) -> None:
        """Among those due at one boundary, the inbox's order holds."""
        envelope = request.envelope
        if envelope.branch is not None or envelope.after_evaluation:
            return
        if envelope.at_step is None:
            assert request.seq > self._last_immediate, "reordered"
            self._last_immediate = request.seq
        elif envelope.at_step == entry.step:
            visits = sum(e.kind is EntryKind.SESSION for e in self.entries)
            place = (entry.branch, entry.step, visits)
            assert request.seq > self._last_timed.get(place, 0), "reordered"
            self._last_timed[place] = request.seq

    def _reasons_against(self, request: Request, step: int) -> set[str]:
        """Return the codes with which a command may be refused as the run stands."""
        standing, envelope = self.now, request.envelope
        said = envelope.command.model_dump(exclude_none=True)
        codes = set()
        if envelope.expires_at_step is not None and step > envelope.expires_at_step:
            codes.add("expired")
        if envelope.at_step is not None and step > envelope.at_step:
            codes.add("step_passed")
        if envelope.if_generation not in (None, standing.generation):
            codes.add("stale_generation")
        if envelope.branch in standing.branches - {standing.branch}:
            codes.add("step_passed")
        if envelope.supersedes is not None:
            codes |= self._reasons_against_superseding(request)
        match said["command"]:
            case "update_optimizer" if set(said) != {"command", "lr"}:
                codes.add("unsupported")
            case "scale_schedule" if standing.factor is None:
                codes.add("unsupported")
            case "update_setting" if said["setting"] != "noise":
                codes.add("unknown_setting")
            case "batch" if len({part["command"] for part in said["commands"]}) == 1:
                codes.add("unsupported")
            case "evaluate" if said["evaluation"] != "rollout":
                codes.add("unknown_evaluation")
            case "load_checkpoint":
                if said["checkpoint"] not in standing.checkpoints:
                    codes.add("unknown_checkpoint")
                if said.get("branch") in standing.branches:
                    codes.add("branch_exists")
        return codes

    def _reasons_against_superseding(self, request: Request) -> set[str]:
        target, own_id = str(request.envelope.supersedes), str(request.envelope.command_id)
        if target == own_id:
            return {"malformed"}
        by = self.now.superseded.get(target)
        is_late = by is None and target in self.done
        return {"superseded"} if is_late or by not in (None, own_id) else set()

    def _after(self, entry: Entry) -> Standing:
        standing, body = self.now, entry.body
        match entry.kind:
            case EntryKind.FAILURE:
                assert body["code"] == "Interrupted", body
            case EntryKind.CHECKPOINT:
                assert body["checkpoint"] not in standing.checkpoints, "one id, two checkpoints"
                made = {body["checkpoint"]: (entry.step - 1, standing.base_lr, standing.factor)}
                return replace(standing, checkpoints={**standing.checkpoints, **made})
            case EntryKind.EVALUATION:
                here = (entry.branch, entry.step - 1)
                return replace(standing, evaluated=standing.evaluated | {here})
            case EntryKind.INTERVENTION if body["state"] == "superseded":
                by = {body["command_id"]: body["superseded_by"]}
                return replace(standing, superseded={**standing.superseded, **by})
            case EntryKind.INTERVENTION if body["state"] == "applied":
                standing = replace(standing, generation=standing.generation + 1)
                if "supersedes" in body:
                    by = {body["supersedes"]: body["command_id"]}
                    standing = replace(standing, superseded={**standing.superseded, **by})
                return _applied(standing, body["command"], body["effective"], entry.step - 1)
        return standing

    def _start_of(self, branch: str) -> int:
        """Return the updates done where a branch begins."""
        for entry in self.entries:
            if entry.kind is EntryKind.INTERVENTION and entry.body["state"] == "applied":
                effective = entry.body["effective"]
                if effective.get("branch") == branch:
                    return int(effective["step"])
        return 0


def _applied(
    standing: Standing, said: Mapping[str, Any], effective: Mapping[str, Any], made: int
) -> Standing:
    """Return what a command made of a run that had made so many updates."""
    match said["command"]:
        case "update_optimizer":
            assert effective["lr"] == said["lr"], "clamped"
            return replace(standing, base_lr=said["lr"], factor=None)
        case "replace_schedule":
            return replace(standing, base_lr=said["lr"], factor=1.0)
        case "scale_schedule":
            assert standing.factor is not None
            return replace(standing, factor=standing.factor * said["factor"])
        case "batch":
            for part, became in zip(said["commands"], effective["commands"], strict=True):
                standing = _applied(standing, part, became, made)
            return standing
        case "pause":
            return replace(standing, paused=True, pause_after=None)
        case "resume" | "stop":
            return replace(standing, paused=False, pause_after=None)
        case "step":
            assert effective["pause_after"] == made + said["steps"]
            return replace(standing, paused=False, pause_after=made + said["steps"])
        case "load_checkpoint":
            step, base_lr, factor = standing.checkpoints[effective["checkpoint"]]
            assert effective["step"] == step
            branch = effective["branch"]
            assert branch not in standing.branches
            held = standing.pause_after is not None and made >= standing.pause_after
            return replace(
                standing,
                base_lr=base_lr,
                factor=factor,
                branch=branch,
                branches=standing.branches | {branch},
                paused=standing.paused or held,
                pause_after=None,
            )
    return standing
