"""Writes facts at the present step, and owes those that the disk did not take."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from interactive.outcome import CommandState, Reason, Rejected
from interactive.record.branch import RunState
from interactive.record.ledger import Entry, EntryKind, LedgerWriter
from interactive.steering.source import Delivered
from interactive.trainer import ControllableTrainer


class Scribe:
    """Puts entries into the ledger at the trainer's step and branch.

    Args:
        trainer: says which step comes next.
        state: says which branch it is on, and takes refusals and failures.
        ledger: where entries go.
        clock: wall-clock seconds, written for readers only.
        warn: told in one line of what could not be recorded.
    """

    def __init__(
        self,
        trainer: ControllableTrainer,
        state: RunState,
        ledger: LedgerWriter,
        clock: Callable[[], float],
        warn: Callable[[str], None],
    ) -> None:
        self._trainer = trainer
        self._state = state
        self._ledger = ledger
        self._clock = clock
        self._owed: list[Mapping[str, Any]] = []
        self.warn = warn

    @property
    def owes(self) -> bool:
        """Return whether a failure is still to be recorded."""
        return bool(self._owed)

    def write(self, kind: EntryKind, body: Mapping[str, Any]) -> Entry:
        """Return a durable entry; its effect on the state is the caller's to add.

        Raises:
            OSError: it was not written.
            TypeError, ValueError: the body cannot be said in JSON.
        """
        while self._owed:
            self._state.take(self._append(EntryKind.FAILURE, self._owed[0]))
            del self._owed[0]
        return self._append(kind, body)

    def refuse(self, delivered: Delivered, rejected: Rejected) -> None:
        """Record that a command was rejected, or expired.

        Raises:
            OSError: it was not written.
        """
        is_expired = rejected.code is Reason.EXPIRED
        body = {
            **intervention_head(
                delivered, CommandState.EXPIRED if is_expired else CommandState.REJECTED
            ),
            "old": {},
            "requested": {},
            "effective": {},
            "code": rejected.code.value,
            "hint": rejected.hint,
        }
        self._state.take(self.write(EntryKind.INTERVENTION, body))

    def supersede(self, delivered: Delivered, by: str) -> None:
        """Record that a command was taken back by another one, before it took effect.

        Raises:
            OSError: it was not written.
        """
        body = {
            **intervention_head(delivered, CommandState.SUPERSEDED),
            "old": {},
            "requested": {},
            "effective": {},
            "superseded_by": by,
            "code": Reason.SUPERSEDED.value,
            "hint": f"command {by} took it back",
        }
        self._state.take(self.write(EntryKind.INTERVENTION, body))

    def fail(self, of: int | None, error: Exception) -> None:
        """Record that something was not done; owed while the disk takes nothing.

        Args:
            of: the seq of the entry that announced it, if one did.
            error: why.
        """
        body = {"of": of, "code": type(error).__name__, "hint": str(error)[:500]}
        try:
            self._state.take(self.write(EntryKind.FAILURE, body))
        except OSError:
            self._owed.append(body)
            self.warn(f"not done and not yet recorded: {error!r}")

    def _append(self, kind: EntryKind, body: Mapping[str, Any]) -> Entry:
        return self._ledger.append(
            kind,
            step=self._trainer.step + 1,
            branch=self._state.branch,
            wall_s=self._clock(),
            body=body,
        )


def intervention_head(delivered: Delivered, state: CommandState) -> dict[str, Any]:
    """Return the part of an intervention's body that says who asked for what, and why."""
    envelope = delivered.envelope
    command = envelope.command.model_dump(mode="json", exclude_none=True) if envelope else {}
    head = {
        "command_id": delivered.command_id,
        "inbox_seq": delivered.seq,
        "issuer": {"name": delivered.issuer.name, "kind": delivered.issuer.kind.value},
        "reason": envelope.reason if envelope else "",
        "command": command,
        "state": state.value,
    }
    if envelope is not None and envelope.supersedes is not None:
        head["supersedes"] = str(envelope.supersedes)
    if delivered.approved_by is not None:
        head["approved_by"] = dict(delivered.approved_by)
    return head
