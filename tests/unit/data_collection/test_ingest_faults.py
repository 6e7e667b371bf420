"""The server's disk fails at every operation of a short session: nothing acknowledged is lost.

A fault is answered as one, never as an acknowledgement; once it has cleared, sending
everything again succeeds, in the same process and after a restart.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from trace_samples import StillClock, sample_clip, sample_header

from data_collection.storage.codec import body_sha, encode_clip
from data_collection.storage.reading import read_body
from data_collection.storage.store import TraceStore
from data_collection.streaming.ingest import IngestService
from data_collection.streaming.outcomes import (
    Accepted,
    Duplicate,
    Opened,
    Quarantined,
    Unavailable,
    Withdrawn,
    WithdrawnNow,
)
from data_collection.trace import ClipState
from tests.faults import FailingDisk, failing_disk

BODIES = {seq: encode_clip(sample_clip(seq)) for seq in range(4)}
UNFIT = encode_clip(replace(sample_clip(9), first_frame=0))
FAULTS = {
    "full": {"code": errno.ENOSPC, "lasting": True},
    "full for a moment": {"code": errno.ENOSPC},
    "failing": {"code": errno.EIO},
    "failing, yet done": {"code": errno.EIO, "late": True},
}
STEPS = {"full": 1, "full for a moment": 2, "failing": 1, "failing, yet done": 2}
"""Every operation fails in turn, or every second one."""


@dataclass
class Client:
    """What a client was told to be safe, and what it was refused."""

    stored: set[int] = field(default_factory=set)
    quarantined: bool = False
    asked: bool = False
    withdrawn: bool = False
    refused: list[Unavailable] = field(default_factory=list)

    def session(self, service: IngestService) -> None:
        """Send a trace with an unfit clip in it, and take clip 1 back."""
        opened = service.open_trace("t-1", sample_header().to_json())
        if self._was_refused(opened):
            return
        assert isinstance(opened, Opened)
        for seq in (0, 2, 1):
            put = service.put_clip("t-1", seq, BODIES[seq], body_sha(BODIES[seq]))
            if self._was_refused(put):
                continue
            if seq == 1 and self.asked and isinstance(put, Withdrawn):
                continue
            assert seq != 1 or not self.withdrawn
            assert isinstance(put, (Accepted, Duplicate))
            self.stored.add(seq)
        unfit = service.put_clip("t-1", 9, UNFIT, body_sha(UNFIT))
        if not self._was_refused(unfit):
            assert isinstance(unfit, Quarantined)
            self.quarantined = True
        self.asked = True
        taken = service.withdraw("t-1", 1, 1)
        if not self._was_refused(taken):
            assert isinstance(taken, WithdrawnNow)
            self.withdrawn = True
        last = service.put_clip("t-1", 3, BODIES[3], body_sha(BODIES[3]))
        if not self._was_refused(last):
            self.stored.add(3)

    def _was_refused(self, outcome: object) -> bool:
        if not isinstance(outcome, Unavailable):
            return False
        assert outcome.code == "storage_failed"
        self.refused.append(outcome)
        return True

    def check(self, store: TraceStore) -> None:
        """Hold what the store has against what this client was told."""
        assert store.verify() == []
        rows = {row.seq: row for row in store.index.trace_rows("t-1")}
        for seq in self.stored:
            assert read_body(store.root, rows[seq]) == BODIES[seq]
            gone = self.withdrawn and seq == 1
            assert rows[seq].state is ClipState.TOMBSTONED or not gone
        if self.quarantined:
            (noted,) = store.index.quarantined()
            (kept,) = (store.root / "quarantine").glob("*.clip")
            assert (noted.seq, kept.read_bytes()) == (9, UNFIT)

    def retry(self, service: IngestService) -> None:
        """Send everything again, over a disk that is well."""
        self.refused.clear()
        self.session(service)
        assert not self.refused
        assert self.stored - {1} == {0, 2, 3}
        assert self.quarantined
        assert self.withdrawn


def serve(root: Path, use: Callable[[IngestService], None]) -> None:
    """Open the store, use it, close it; a disk that fails at either end is no surprise."""
    store = TraceStore.open(root)
    try:
        use(IngestService(store, StillClock()))
    finally:
        store.close()


def serve_on(disk: FailingDisk, use: Callable[[IngestService], None]) -> None:
    try:
        serve(disk.root, use)
    except OSError:
        assert disk.failures


def operations(root: Path) -> int:
    with failing_disk(root) as disk:
        serve(root, Client().session)
    return disk.operations


@pytest.mark.parametrize("fault", FAULTS)
def test_nothing_acknowledged_is_lost_wherever_the_disk_fails(tmp_path: Path, fault: str) -> None:
    count = operations(tmp_path / "count")
    assert count > 40
    refusals = 0
    for at in range(0, count, STEPS[fault]):
        root = tmp_path / f"{at}"
        client = Client()
        with failing_disk(root, at=at, **FAULTS[fault]) as disk:
            serve_on(disk, client.session)
        assert disk.failures
        refusals += bool(client.refused)

        def check_and_retry(service: IngestService, client: Client = client) -> None:
            client.check(service.store)
            client.retry(service)
            client.check(service.store)

        serve(root, check_and_retry)
        serve(root, lambda service, client=client: client.check(service.store))
    assert refusals > 20 // STEPS[fault]


@pytest.mark.parametrize("fault", FAULTS)
def test_once_the_fault_has_cleared_the_same_server_goes_on(tmp_path: Path, fault: str) -> None:
    for at in range(0, operations(tmp_path / "count"), 6):
        root, client = tmp_path / f"{at}", Client()

        def session_and_retry(
            service: IngestService, client: Client = client, at: int = at
        ) -> None:
            disk.at = at
            client.session(service)
            disk.at = None
            client.check(service.store)
            client.retry(service)

        with failing_disk(root, **FAULTS[fault]) as disk:
            serve_on(disk, session_and_retry)
        serve(root, lambda service, client=client: client.check(service.store))
