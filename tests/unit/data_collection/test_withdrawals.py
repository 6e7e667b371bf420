"""What a recorder takes back: from the spool, from the server, from a local store."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx
import pytest
from trace_samples import StillClock, sample_clip, sample_header

from data_collection.events import Marker
from data_collection.recording.sinks import BackgroundSink, SpoolSink, StoreSink
from data_collection.storage.codec import ClipCorrupt, body_sha, encode_clip
from data_collection.storage.index import QuarantinedClip
from data_collection.storage.reading import read_clip
from data_collection.storage.sink import Cut, SinkError
from data_collection.storage.store import TraceStore
from data_collection.streaming import spool as spool_module
from data_collection.streaming.examine import Examined, examine
from data_collection.streaming.ingest import IngestService, Quarantined
from data_collection.streaming.push import Backoff, Pusher
from data_collection.streaming.spool import Spool, SpooledClip, Withdrawal
from data_collection.trace import Clip, ClipState, TraceHeader

QUICK = Backoff(first_s=0.001, longest_s=0.01)
PATIENCE_S = 30.0


def fill(spool: Spool, clips: int, trace_id: str = "t-1") -> SpoolSink:
    sink = SpoolSink(spool)
    header = sample_header(trace_id)
    sink.open(header)
    for seq in range(clips):
        sink.put(header, sample_clip(seq, trace_id))
    return sink


def clip_files(root: Path) -> list[str]:
    return sorted(path.name for path in root.rglob("*.clip"))


@dataclass
class Server:
    """Stores bodies and destroys them on request; ``before`` sees each request first."""

    clips: dict[int, bytes] = field(default_factory=dict)
    refused: set[int] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)
    before: Callable[[httpx.Request], httpx.Response | None] = lambda request: None

    def handle(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(f"{request.method} {request.url.path}")
        early = self.before(request)
        if early is not None:
            return early
        if request.method == "DELETE":
            first, last = (int(request.url.params[name]) for name in ("first", "last"))
            self.refused.update(range(first, last + 1))
            gone = [seq for seq in range(first, last + 1) if self.clips.pop(seq, None)]
            return httpx.Response(200, json={"outcome": "withdrawn", "clips": gone})
        if "/clips/" in request.url.path:
            seq = int(request.url.path.rpartition("/")[2])
            if seq in self.refused:
                return httpx.Response(410, json={"outcome": "withdrawn"})
            self.clips[seq] = request.read()
        return httpx.Response(200, json={"outcome": "accepted"})

    def pusher(self, spool: Spool) -> Pusher:
        transport = httpx.MockTransport(self.handle)
        client = httpx.Client(base_url="http://server", transport=transport)
        return Pusher(spool, client, StillClock(), QUICK)

    def drain(self, spool: Spool) -> Pusher:
        pusher = self.pusher(spool)
        pusher.start()
        assert pusher.stop(PATIENCE_S) == 0
        return pusher


def test_clips_are_on_the_disk_at_once_and_sent_only_when_they_are_old_enough(
    tmp_path: Path,
) -> None:
    clock = StillClock()
    spool = Spool.open(tmp_path, hold_s=30.0, clock=clock)
    fill(spool, 2)
    assert clip_files(tmp_path) == ["00000000.clip", "00000001.clip"]
    assert spool.wait(0) is None
    clock.now_mono_ns += 29_000_000_000
    assert spool.wait(0) is None
    clock.now_mono_ns += 1_000_000_000
    assert spool.wait(0) == spool.pending()[0]


def test_the_hold_goes_on_after_a_restart_by_the_files_own_time(tmp_path: Path) -> None:
    fill(Spool.open(tmp_path), 1)
    (path,) = tmp_path.rglob("*.clip")
    os.utime(path, (1000.0, 1000.0))
    again = StillClock(wall_s=1010.0)
    spool = Spool.open(tmp_path, hold_s=30.0, clock=again)
    again.now_mono_ns += 19_000_000_000
    assert spool.wait(0) is None
    again.now_mono_ns += 1_000_000_000
    assert spool.wait(0) is not None
    # A clock that was set back holds no clip for longer than it may be held.
    back = StillClock(wall_s=10.0)
    spool = Spool.open(tmp_path, hold_s=30.0, clock=back)
    back.now_mono_ns += 30_000_000_000
    assert spool.wait(0) is not None


def test_a_released_spool_holds_nothing_back(tmp_path: Path) -> None:
    spool = Spool.open(tmp_path, hold_s=30.0, clock=StillClock())
    fill(spool, 1)
    spool.release()
    assert spool.wait(0) == spool.pending()[0]


def test_what_was_never_sent_is_deleted_and_no_server_hears_of_it(tmp_path: Path) -> None:
    spool = Spool.open(tmp_path, hold_s=30.0)
    sink = fill(spool, 4)
    assert sink.withdraw(sample_header(), 2, 3) == Cut(unsent=2, sent=0)
    assert clip_files(tmp_path) == ["00000000.clip", "00000001.clip"]
    assert spool.withdrawals() == []
    spool.release()
    server = Server()
    server.drain(spool)
    assert sorted(server.clips) == [0, 1]
    assert not [line for line in server.asked if line.startswith("DELETE")]


def test_what_was_acknowledged_is_destroyed_at_the_server(tmp_path: Path) -> None:
    spool = Spool.open(tmp_path)
    sink = fill(spool, 3)
    server = Server()
    server.drain(spool)
    assert sorted(server.clips) == [0, 1, 2]
    assert sink.withdraw(sample_header(), 1, 2) == Cut(unsent=0, sent=2)
    pusher = server.drain(spool)
    assert sorted(server.clips) == [0]
    assert (pusher.status.withdrawals, spool.withdrawals()) == (1, [])
    assert list(tmp_path.rglob("*.withdrawal")) == []


def test_a_withdrawal_outlives_a_crash_at_any_point(tmp_path: Path) -> None:
    spool = Spool.open(tmp_path)
    sink = fill(spool, 3)
    assert isinstance(spool.wait(0), SpooledClip)
    bodies = {path: path.read_bytes() for path in tmp_path.rglob("*.clip")}
    sink.withdraw(sample_header(), 0, 1)
    # As if it had been killed after the withdrawal was kept and before the clips were gone.
    for path, body in bodies.items():
        path.write_bytes(body)
    again = Spool.open(tmp_path)
    assert clip_files(tmp_path) == ["00000002.clip"]
    assert [(one.first, one.last) for one in again.withdrawals()] == [(0, 1)]
    assert len(Spool.open(tmp_path).withdrawals()) == 1
    server = Server()
    server.drain(again)
    assert (sorted(server.clips), server.refused) == ([2], {0, 1})
    assert Spool.open(tmp_path).withdrawals() == []


@pytest.mark.parametrize("answer_is_lost", [False, True])
def test_a_clip_taken_back_while_it_is_being_sent_does_not_stay(
    tmp_path: Path, answer_is_lost: bool
) -> None:
    spool = Spool.open(tmp_path)
    sink = fill(spool, 1)
    server = Server()
    taken_back = threading.Event()

    def take_back(request: httpx.Request) -> httpx.Response | None:
        if request.method == "PUT" and "/clips/" in request.url.path and not taken_back.is_set():
            assert sink.withdraw(sample_header(), 0, 0) == Cut(unsent=0, sent=1)
            taken_back.set()
            if answer_is_lost:
                server.clips[0] = request.read()
                raise httpx.ReadTimeout("no answer", request=request)
        return None

    server.before = take_back
    server.drain(spool)
    assert server.clips == {}
    assert server.refused == {0}
    assert clip_files(tmp_path) == []
    assert server.asked[-1].startswith("DELETE")


def test_clips_refused_by_the_server_are_cut_from_where_they_were_set_aside(
    tmp_path: Path,
) -> None:
    spool = Spool.open(tmp_path)
    sink = fill(spool, 2)
    for clip in spool.pending():
        spool.set_aside(clip, "refused", "409 conflict")
    sink.withdraw(sample_header(), 1, 1)
    aside = sorted(path.name for path in (tmp_path / "_set_aside").iterdir())
    assert aside == ["t-1.00000000.clip", "t-1.00000000.reason.txt"]


def test_a_server_that_takes_no_withdrawals_still_gets_the_clips(tmp_path: Path) -> None:
    spool = Spool.open(tmp_path)
    sink = fill(spool, 1)
    server = Server()
    server.drain(spool)
    sink.withdraw(sample_header(), 0, 0)
    sink.put(sample_header(), sample_clip(1))
    sink.put(sample_header(), sample_clip(2))

    def refuse(request: httpx.Request) -> httpx.Response | None:
        return httpx.Response(405) if request.method == "DELETE" else None

    server.before = refuse
    pusher = server.pusher(spool)
    pusher.start()
    while spool.pending():
        threading.Event().wait(0.01)
    assert pusher.stop(0.0) == 0
    assert {1, 2} <= set(server.clips)
    assert [one.first for one in spool.withdrawals()] == [0]


def test_a_trace_that_the_server_never_heard_of_settles_a_withdrawal(tmp_path: Path) -> None:
    spool = Spool.open(tmp_path)
    sink = fill(spool, 1)
    assert spool.wait(0) is not None
    sink.withdraw(sample_header(), 0, 0)
    server = Server(before=lambda request: httpx.Response(404, json={"outcome": "unknown_trace"}))
    server.drain(spool)
    assert spool.withdrawals() == []


def test_a_full_disk_does_not_keep_what_is_to_be_destroyed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = Spool.open(tmp_path)
    sink = fill(spool, 2)
    assert spool.wait(0) is not None

    def full(path: Path, data: bytes) -> None:
        if clip_files(tmp_path):
            raise OSError(28, "No space left on device")
        path.write_bytes(data)

    monkeypatch.setattr(spool_module, "write_atomic", full)
    assert sink.withdraw(sample_header(), 0, 1) == Cut(unsent=1, sent=1)
    assert clip_files(tmp_path) == []
    assert isinstance(spool.wait(0), Withdrawal)


def test_a_local_store_destroys_the_bytes_at_once(tmp_path: Path) -> None:
    store = TraceStore.open(tmp_path)
    sink = StoreSink(store, StillClock())
    sink.open(sample_header())
    for seq in range(3):
        sink.put(sample_header(), sample_clip(seq))
    secret = encode_clip(sample_clip(1))
    (path,) = tmp_path.glob("*.mcap")
    assert secret[20:] in path.read_bytes()
    assert sink.withdraw(sample_header(), 1, 2) == Cut(unsent=2)
    assert secret[20:] not in path.read_bytes()
    rows = store.index.trace_rows("t-1")
    assert [row.state for row in rows] == [ClipState.COMMITTED, *[ClipState.TOMBSTONED] * 2]
    assert read_clip(tmp_path, rows[0]).seq == 0
    with pytest.raises(ClipCorrupt, match="purged"):
        read_clip(tmp_path, rows[1])
    store.close()


class SlowSink:
    """Notes the order of what it is told, and fails where it is told to."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, int]] = []
        self.gate = threading.Semaphore(0)
        self.failing = False

    def open(self, header: TraceHeader) -> None:
        self.calls.append(("open", 0))

    def put(self, header: TraceHeader, clip: Clip) -> None:
        self.gate.acquire()
        if self.failing:
            raise OSError("no space left on device")
        self.calls.append(("put", clip.seq))

    def withdraw(self, header: TraceHeader, first_seq: int, last_seq: int) -> Cut:
        self.calls.append(("withdraw", first_seq))
        return Cut(unsent=1)

    def close(self) -> None:
        pass


def test_a_background_sink_withdraws_after_what_it_still_has_to_write() -> None:
    behind = SlowSink()
    sink = BackgroundSink(behind)
    sink.open(sample_header())
    sink.put(sample_header(), sample_clip(0))
    sink.put(sample_header(), sample_clip(1))
    assert 1 <= sink.in_memory <= 2
    behind.gate.release(2)
    sink.withdraw(sample_header(), 0, 1)
    assert behind.calls == [("open", 0), ("put", 0), ("put", 1), ("withdraw", 0)]
    assert sink.in_memory == 0
    sink.close()


def test_after_a_failure_a_background_sink_still_withdraws_and_begins_anew() -> None:
    behind = SlowSink()
    behind.failing = True
    behind.gate.release(10)
    sink = BackgroundSink(behind)
    sink.open(sample_header())
    sink.put(sample_header(), sample_clip(0))
    sink.withdraw(sample_header(), 0, 0)
    with pytest.raises(SinkError, match="2 clips not kept") as caught:
        sink.put(sample_header(), sample_clip(1))
    assert caught.value.unkept == 2
    behind.failing = False
    sink.open(sample_header("t-2"))
    sink.put(sample_header("t-2"), sample_clip(0, "t-2"))
    sink.close()
    assert behind.calls[-1] == ("put", 0)


def test_what_was_refused_of_withdrawn_clips_is_destroyed_too(tmp_path: Path) -> None:
    store = TraceStore.open(tmp_path)
    store.open_trace(sample_header())
    service = IngestService(store, StillClock())
    secret = [encode_clip(sample_clip(seq + 5)) for seq in range(3)]
    for seq, body in enumerate(secret):
        assert isinstance(service.put_clip("t-1", seq, body, body_sha(body)), Quarantined)
    service.withdraw("t-1", 0, 1)
    left = sorted(path.name.split(".")[1] for path in (tmp_path / "quarantine").iterdir())
    assert left == ["2", "2"]
    assert [clip.seq for clip in store.index.quarantined()] == [2]
    # One that was being looked at meanwhile is not kept either.
    refused = QuarantinedClip("t-1", 1, body_sha(secret[1]), "first_frame", "late", 0.0)
    store.quarantine(refused, secret[1])
    assert len(list((tmp_path / "quarantine").iterdir())) == 2
    store.close()


def test_ingest_gives_redacted_clips_no_weight() -> None:
    clip = sample_clip(0)
    events = ((Marker("redact_start"),), *[()] * (len(clip.frames) - 1))
    for shown, weighs in ((clip, True), (replace(clip, events=events), False)):
        examined = examine(sample_header(), 0, encode_clip(shown))
        assert isinstance(examined, Examined)
        assert (examined.weight > 0) is weighs
