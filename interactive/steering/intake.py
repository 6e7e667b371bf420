"""Brings data to the trainer between two steps: marks are adopted, clips withdrawn."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from interactive.record.branch import RunState
from interactive.record.ledger import Entry, EntryKind
from interactive.steering.scribe import Scribe
from interactive.steering.source import Source
from interactive.trainer import ControllableTrainer, DataLost, DataRow

UNREADABLE = "unreadable"
"""The code of a withdrawal that nobody asked for."""


class Intake:
    """Writes each fact about data into the ledger, and then tells the trainer.

    Args:
        trainer: learns from the data.
        state: what the ledger adds up to; kept up to date here.
        scribe: writes the entries.
        source: where rows come from.
    """

    def __init__(
        self, trainer: ControllableTrainer, state: RunState, scribe: Scribe, source: Source
    ) -> None:
        self._trainer = trainer
        self._state = state
        self._scribe = scribe
        self._source = source
        self._looked = 0
        self._last_lost: tuple[str, int, tuple[int, ...]] | None = None
        self.head = -1
        """The head that was looked at last; -1 asks for another look."""

    def look_again(self) -> None:
        """Look at the rows again: the branch, or what it lets in, may be another."""
        self.head = -1
        self._looked = 0

    def take(self) -> None:
        """Heed new withdrawals; adopt the newest mark if the mixture lets it in."""
        head, state = self._source.data_head, self._state
        if head == self.head:
            return
        mixture = self._trainer.settings().get("mixture", {})
        is_open = bool(mixture.get("live_intake", True))
        try:
            after = state.mark if is_open else max(state.heeded, self._looked)
            rows = self._source.rows(after, head)
        except (OSError, LookupError) as error:
            self._scribe.warn(f"mark {head} was not adopted: {error}")
            self.head = head
            return
        if not self._withdraw(rows, head):
            return
        self.head = self._looked = head
        if is_open and head > state.mark:
            self._adopt(head, rows)

    def lose(self, lost: DataLost) -> None:
        """Take clips that cannot be read out of the data, as if they had been withdrawn.

        Raises:
            DataLost: the same clips once more before the same step.
            OSError: it was not recorded.
        """
        this = (self._state.branch, self._trainer.step, lost.commits)
        if this == self._last_lost:
            raise lost
        self._last_lost = this
        body = {"withdrawn": list(lost.commits), "code": UNREADABLE, "hint": lost.why[:500]}
        entry = self._scribe.write(EntryKind.WITHDRAWAL, body)
        self._scribe.warn(f"goes on without data: {lost}")
        self._carry_out(entry, lambda: self._trainer.withdraw(lost.commits))

    def _withdraw(self, rows: Sequence[DataRow], head: int) -> bool:
        """Return whether the withdrawals among the rows have their entry.

        Clips that are not adopted yet need none: the trainer never sees them.
        """
        state = self._state
        gone = {
            row.withdraws
            for row in rows
            if row.withdraws is not None
            and row.withdraws <= state.mark
            and row.commit > state.heeded
        }
        if not gone:
            return True
        commits = sorted(gone)
        try:
            entry = self._scribe.write(EntryKind.WITHDRAWAL, {"withdrawn": commits, "upto": head})
        except OSError as error:
            # Tried again at the next boundary: it does not wait for other data.
            self._scribe.warn(f"clips {commits} are not withdrawn yet: {error}")
            return False
        self._carry_out(entry, lambda: self._trainer.withdraw(commits))
        return True

    def _adopt(self, head: int, rows: Sequence[DataRow]) -> None:
        try:
            entry = self._scribe.write(EntryKind.MARK, {"mark": head})
        except OSError as error:
            self._scribe.warn(f"mark {head} was not adopted: {error}")
            return
        self._carry_out(entry, lambda: self._trainer.adopt(head, rows))

    def _carry_out(self, entry: Entry, act: Callable[[], None]) -> None:
        try:
            act()
        except Exception as error:
            self._state.take(entry, failed=True)
            self._scribe.fail(entry.seq, error)
        else:
            self._state.take(entry)
