"""What an agent asked, heard, decided and did, on the disk before it acts upon it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any
from uuid import UUID

from filelock import FileLock, Timeout

from interactive.agents.agent import Proposal
from interactive.client import CommandAnswer, as_json
from interactive.commands import COMMAND
from interactive.outcome import FINAL_STATES, CommandState
from interactive.record.journal import JournalWriter, read
from interactive.record.metrics import json_safe

FILE = "journal.jsonl"


class Kind(str, Enum):
    """What a line tells."""

    SESSION = "session"
    """A process took the agent up: its name and what it was told."""
    ASK = "ask"
    """A request is about to be made to the model: the prompt, and what it may cost."""
    ANSWER = "answer"
    """What came back, or why nothing did."""
    ROUND = "round"
    """A round's one outcome, with the actions that it decided on."""
    PROPOSAL = "proposal"
    """A command is about to be sent."""
    OUTCOME = "outcome"
    """What became of it."""
    END = "end"
    """The process ended by itself."""


class AgentBusy(Exception):
    """Another process runs this agent; ``hint`` says what to do."""

    def __init__(self, folder: Path) -> None:
        """Name the folder."""
        super().__init__(f"an agent writes {folder} already")
        self.hint = "end it, or give this one another --name."


@dataclass(slots=True)
class Totals:
    """What a journal's lines add up to, over all the sessions."""

    proposals: int = 0
    applied: int = 0
    refused: int = 0
    rounds: int = 0
    calls: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    past_wall_s: float = 0.0
    """How long the earlier sessions ran, as far as their lines tell."""

    @property
    def tokens(self) -> int:
        """Return the tokens of prompts and answers."""
        return self.tokens_in + self.tokens_out


class AgentJournal:
    """The journal of one agent; the agent's process is its one writer (arXiv 2607.18314).

    A crash in mid-round leaves what was decided: on restart the open command is sent again
    under its id, which makes it happen once, and all budgets count from here.

    Args:
        writer: the open file; None keeps the lines in memory.
        lines: what the file holds.
        wall_clock: seconds since the epoch.
        lock: held until ``close``.
    """

    def __init__(
        self,
        writer: JournalWriter | None,
        lines: list[dict[str, Any]],
        wall_clock: Callable[[], float],
        lock: FileLock | None = None,
    ) -> None:
        self._writer = writer
        self._wall_clock = wall_clock
        self._lock = lock
        self.lines: list[dict[str, Any]] = []
        self.totals = Totals()
        self._unanswered: dict[str, Any] | None = None
        self._session_s: float | None = None
        for line in lines:
            self._take(line)

    @classmethod
    def open(cls, folder: Path, wall_clock: Callable[[], float]) -> AgentJournal:
        """Open or make the journal in an agent's folder.

        Raises:
            AgentBusy: another process holds it.
            JournalCorrupt: a line before the last one is damaged.
        """
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / "agent.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise AgentBusy(folder) from None
        try:
            path = folder / FILE
            return cls(JournalWriter.open(path), read(path), wall_clock, lock)
        except BaseException:
            lock.release()
            raise

    @classmethod
    def in_memory(cls, wall_clock: Callable[[], float] = lambda: 0.0) -> AgentJournal:
        """Return a journal that ends with the process."""
        return cls(None, [], wall_clock)

    def write(self, kind: Kind, **body: Any) -> dict[str, Any]:
        """Write a line; it is on the disk when this returns.

        Raises:
            OSError: it could not be written, and what it tells must not happen.
        """
        head = {"n": len(self.lines), "kind": kind.value, "wall_s": self._wall_clock()}
        line = json_safe({**head, **body})
        if self._writer is not None:
            self._writer.append(line)
        self._take(line)
        found: dict[str, Any] = line
        return found

    def propose(self, command_id: UUID, proposal: Proposal, **where: Any) -> None:
        """Write that a command is about to be sent."""
        self.write(
            Kind.PROPOSAL,
            command_id=str(command_id),
            command=as_json(proposal.command),
            reason=proposal.reason,
            if_generation=proposal.if_generation,
            **where,
        )

    def conclude(self, answer: CommandAnswer) -> None:
        """Write what became of a command."""
        self.write(
            Kind.OUTCOME,
            command_id=answer.command_id,
            state=answer.state.value,
            step=answer.step,
            branch=answer.branch,
            effective=dict(answer.effective),
            code=answer.code,
            hint=answer.hint and answer.hint[:1000],
        )

    def open_proposal(self) -> Proposal | None:
        """Return the command that was about to be sent, if nothing is known of it yet."""
        for line in reversed(self.lines):
            if line["kind"] == Kind.OUTCOME.value:
                return None
            if line["kind"] == Kind.PROPOSAL.value:
                return proposal_of(line)
        return None

    def of_kind(self, kind: Kind) -> list[dict[str, Any]]:
        """Return the lines of a kind, in order."""
        return [line for line in self.lines if line["kind"] == kind.value]

    def wall_used_s(self) -> float:
        """Return how long the agent has run, earlier sessions included."""
        running = 0.0 if self._session_s is None else self._wall_clock() - self._session_s
        return self.totals.past_wall_s + max(0.0, running)

    def close(self) -> None:
        """Close the file and let it go."""
        if self._writer is not None:
            self._writer.close()
        if self._lock is not None:
            self._lock.release()

    def __enter__(self) -> AgentJournal:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _take(self, line: dict[str, Any]) -> None:
        totals = self.totals
        match Kind(line["kind"]):
            case Kind.SESSION:
                if self._session_s is not None and self.lines:
                    gone_s = self.lines[-1]["wall_s"] - self._session_s
                    totals.past_wall_s += max(0.0, gone_s)
                self._session_s = float(line["wall_s"])
            case Kind.ASK:
                # One whose answer nobody saw is counted as the dearest that it can have been.
                totals.calls += 1
                totals.tokens_in += int(line["most_tokens_in"])
                totals.tokens_out += int(line["most_tokens_out"])
                self._unanswered = line
            case Kind.ANSWER:
                if self._unanswered is not None:
                    totals.tokens_in -= int(self._unanswered["most_tokens_in"])
                    totals.tokens_out -= int(self._unanswered["most_tokens_out"])
                    self._unanswered = None
                totals.tokens_in += int(line["tokens_in"])
                totals.tokens_out += int(line["tokens_out"])
            case Kind.ROUND:
                totals.rounds += 1
                invalid = len(line.get("invalid", ()))
                totals.proposals += invalid
                totals.refused += invalid
            case Kind.PROPOSAL:
                totals.proposals += 1
            case Kind.OUTCOME:
                state = CommandState(line["state"])
                totals.applied += state is CommandState.APPLIED
                totals.refused += state in FINAL_STATES - {CommandState.APPLIED}
            case _:
                pass
        self.lines.append(line)


def proposal_of(line: Mapping[str, Any]) -> Proposal:
    """Return the proposal that a line holds, with its command's id."""
    return Proposal(
        COMMAND.validate_json(json.dumps(line["command"])),
        str(line["reason"]),
        UUID(line["command_id"]),
        line.get("if_generation"),
    )
