"""Destroys the bytes of withdrawn clips as soon as the run can do without them.

A run that crashes redoes its steps from its newest whole checkpoint, bit for bit. So a
withdrawn clip's bytes go once

* that checkpoint was made with the withdrawal in force, or
* no step of the record lies after it and no trainer runs, or
* the trainer never had the clip, and cannot get it any more.

Whoever destroys them earlier by hand costs the run no more than the clip: a trainer that
meets a clip without bytes records that it left the data.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from filelock import FileLock, Timeout

from data_collection.storage.store import TraceStore
from data_collection.storage.tombstone import Withdrawal
from interactive.record.bases import Past
from interactive.record.branch import RunState, failed_seqs
from interactive.record.checkpoints import CheckpointDamaged, CheckpointLibrary, Manifest
from interactive.record.journal import JournalTail
from interactive.record.ledger import Entry, EntryKind, LedgerTail
from interactive.record.run_folder import RunFolder

PERIOD_S = 2.0
"""How often the store is asked for bytes to destroy."""


class Purger:
    """Decides which withdrawals a run can do without, and has the store destroy their bytes.

    Args:
        folder: the run that the store belongs to.
        store: held by this process.
        may_train: says whether a trainer may be running.
    """

    def __init__(self, folder: RunFolder, store: TraceStore, may_train: Callable[[], bool]) -> None:
        self._store = store
        self._may_train = may_train
        self._library = CheckpointLibrary(folder.checkpoints)
        self._ledger = LedgerTail(folder.ledger)
        self._metrics = JournalTail(folder.metrics)
        self._data = JournalTail(folder.data)
        self._entries: list[Entry] = []
        self._steps = 0
        self._data_head = 0
        self._verified: set[str] = set()

    def look(self) -> int:
        """Destroy what may go; return how many bytes that were.

        Raises:
            OSError: the store or a file of the run failed; nothing is lost by asking again.
        """
        index = self._store.index
        traces = index.unpurged(index.last_commit)
        waiting = [w for trace in traces for w in index.withdrawals(trace) if not w.purged]
        if not waiting:
            return 0
        # Asked before the files are read: what a trainer wrote until then is in them.
        may_train = self._may_train()
        self._read_files()
        upto = self.settled_upto(sorted(waiting, key=lambda w: w.commit), may_train=may_train)
        return self._store.purge(upto_commit=upto) if upto else 0

    def settled_upto(self, waiting: Sequence[Withdrawal], *, may_train: bool) -> int:
        """Return the last of the withdrawals up to which all may go; 0 where none may."""
        newest = self._newest_checkpoint()
        covered_steps = newest.metrics_rows if newest else 0
        is_over = not may_train and covered_steps == self._steps
        heeded = self._heeded_at(newest) if newest else 0
        adopted = max((int(e.body["mark"]) for e in self._entries if _is_mark(e)), default=0)
        upto = 0
        for one in waiting:
            is_coming = one.clip.commit <= self._data_head < one.commit
            was_never_had = one.clip.commit > adopted and not is_coming
            if not (is_over or one.commit <= heeded or was_never_had):
                break
            upto = one.commit
        return upto

    def _read_files(self) -> None:
        self._entries += self._ledger.read_new()
        self._steps += len(self._metrics.read_new())
        rows = self._data.read_new()
        if rows:
            self._data_head = int(rows[-1]["commit"])

    def _newest_checkpoint(self) -> Manifest | None:
        """Return the checkpoint that a trainer would be taken up from."""
        past = Past(self._entries, self._steps, self._library)
        for manifest in reversed(self._library.manifests()):
            if past.bears(manifest) and self._is_whole(manifest.id):
                return manifest
        return None

    def _is_whole(self, checkpoint: str) -> bool:
        if checkpoint not in self._verified:
            try:
                self._library.verify(checkpoint)
            except CheckpointDamaged:
                return False
            self._verified.add(checkpoint)
        return True

    def _heeded_at(self, manifest: Manifest) -> int:
        before = self._entries[: manifest.ledger_entries]
        return RunState.of(before, failed_seqs(self._entries)).heeded


def has_trainer(folder: RunFolder) -> bool:
    """Say whether a trainer holds the run; only where none can be starting just now.

    Who holds the run's store keeps a server from starting, and with it a trainer.
    """
    try:
        FileLock(folder.trainer_lock).acquire(timeout=0).lock.release()
    except Timeout:
        return True
    return False


def _is_mark(entry: Entry) -> bool:
    return entry.kind is EntryKind.MARK


@contextmanager
def purging(
    purger: Purger, say: Callable[[str], None], period_s: float = PERIOD_S
) -> Iterator[None]:
    """Let a purger look again and again, in a thread, while the block runs."""
    ended = threading.Event()

    def work() -> None:
        problem = ""
        while not ended.wait(period_s):
            try:
                destroyed = purger.look()
            except Exception as error:  # the thread must outlive whatever one look meets
                if str(error) != problem:
                    problem = str(error)
                    say(f"withdrawn clips are not destroyed yet: {error!r}")
                continue
            problem = ""
            if destroyed:
                say(f"destroyed {destroyed} bytes of withdrawn clips")

    thread = threading.Thread(target=work, name="purge", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
