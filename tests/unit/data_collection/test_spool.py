from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest
from trace_samples import StillClock, sample_clip, sample_header

from data_collection.recording.sinks import BackgroundSink, SpoolSink, StoreSink
from data_collection.storage.codec import decode_clip
from data_collection.storage.sink import ClipSink, SinkError
from data_collection.storage.store import TraceStore, read_clip
from data_collection.streaming.spool import Spool, SpoolFull
from data_collection.trace import Clip, TraceHeader

HERE = Path(__file__).parent


def test_a_spool_gives_back_after_a_restart_what_it_took_in_order(tmp_path: Path) -> None:
    spool = Spool.open(tmp_path)
    later, earlier = sample_header("a"), sample_header("b", anchor_wall_s=5.0)
    for header in (earlier, later):
        sink = SpoolSink(spool)
        sink.open(header)
        for seq in range(3):
            sink.put(header, sample_clip(seq, header.trace_id))
    before = spool.pending()
    assert [(clip.trace_id, clip.seq) for clip in before] == [
        (trace_id, seq) for trace_id in ("b", "a") for seq in range(3)
    ]
    spool.acknowledge(before[0])
    again = Spool.open(tmp_path)
    assert again.pending() == before[1:]
    assert again.wait(0) == before[1]
    assert again.header("a") == later
    assert decode_clip(before[3].path.read_bytes()).trace_id == "a"


def test_an_emptied_trace_and_half_written_files_are_cleared_away(tmp_path: Path) -> None:
    spool = Spool.open(tmp_path)
    spool.add_trace(sample_header("done"))
    spool.add_trace(sample_header("open"))
    spool.add_clip("open", 0, b"body")
    (tmp_path / "open" / "00000001.clip.tmp").write_bytes(b"half")
    again = Spool.open(tmp_path)
    assert [clip.seq for clip in again.pending()] == [0]
    assert sorted(path.name for path in tmp_path.rglob("*")) == [
        "00000000.clip",
        "header.json",
        "open",
    ]


def test_a_nearly_full_disk_refuses_visibly_and_keeps_what_it_has(tmp_path: Path) -> None:
    free_bytes = [10_000]
    spool = Spool.open(tmp_path, min_free_bytes=9_000, free_bytes=lambda folder: free_bytes[0])
    spool.add_trace(sample_header())
    spool.add_clip("t-1", 0, bytes(1000))
    with pytest.raises(SpoolFull) as caught:
        spool.add_clip("t-1", 1, bytes(1001))
    assert caught.value.code == "disk_full"
    assert [clip.seq for clip in spool.pending()] == [0]
    assert spool.disk_free_bytes == 10_000


def test_a_clip_set_aside_leaves_the_queue_and_keeps_its_bytes(tmp_path: Path) -> None:
    spool = Spool.open(tmp_path)
    spool.add_trace(sample_header())
    spool.add_clip("t-1", 0, b"body")
    spool.set_aside(spool.pending()[0], "refused", "409 conflict")
    assert spool.pending() == Spool.open(tmp_path).pending() == []
    kept = {path.name: path.read_bytes() for path in (tmp_path / "_set_aside").iterdir()}
    assert kept == {
        "t-1.00000000.clip": b"body",
        "t-1.00000000.reason.txt": b"refused: 409 conflict\n",
    }


@pytest.mark.parametrize("trace_id", ["../x", "", "A", "_set_aside"])
def test_a_trace_id_that_may_not_name_a_folder_is_refused(tmp_path: Path, trace_id: str) -> None:
    with pytest.raises(ValueError, match="bad trace id"):
        Spool.open(tmp_path).add_trace(sample_header(trace_id))


RECORDER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from trace_samples import sample_clip, sample_header
from data_collection.recording.sinks import SpoolSink
from data_collection.streaming.spool import Spool
sink = SpoolSink(Spool.open(Path(sys.argv[1])))
sink.open(sample_header())
seq = 0
while True:
    sink.put(sample_header(), sample_clip(seq))
    print(seq, flush=True)
    seq += 1
"""


def test_a_killed_recorder_loses_no_spooled_clip(tmp_path: Path) -> None:
    command = [sys.executable, "-c", RECORDER, str(tmp_path), str(HERE)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, cwd=HERE.parents[2]
    ) as recorder:
        assert recorder.stdout is not None
        taken = [int(recorder.stdout.readline()) for _ in range(5)]
        recorder.kill()
        taken += [int(line) for line in recorder.stdout.read().split()]
    waiting = Spool.open(tmp_path).pending()
    assert [clip.seq for clip in waiting][: len(taken)] == taken
    for clip in waiting:
        assert decode_clip(clip.path.read_bytes()).seq == clip.seq


def test_a_store_sink_commits_what_it_takes_and_refuses_a_taken_place(tmp_path: Path) -> None:
    store = TraceStore.open(tmp_path)
    sink: ClipSink = StoreSink(store, StillClock(7.0))
    with pytest.raises(SinkError) as caught:
        sink.put(sample_header(), sample_clip(0))
    assert caught.value.code == "unknown_trace"
    sink.open(sample_header())
    sink.put(sample_header(), sample_clip(0))
    sink.put(sample_header(), sample_clip(0))
    with pytest.raises(SinkError) as caught:
        sink.put(sample_header(), sample_clip(0, look=3))
    assert caught.value.code == "conflict"
    with pytest.raises(SinkError) as caught:
        sink.open(sample_header(seed=8))
    assert caught.value.code == "trace_different"
    (row,) = store.index.rows_after(0, 10)
    assert row.acknowledged_wall_s == 7.0
    assert read_clip(tmp_path, row).events == sample_clip(0).events
    store.close()


class GatedSink:
    """A sink that takes a clip only when the test lets it."""

    def __init__(self, fail_at: int = -1) -> None:
        self.gate = threading.Semaphore(0)
        self.taken: list[int] = []
        self.closed = False
        self._fail_at = fail_at

    def open(self, header: TraceHeader) -> None:
        self.taken = []

    def put(self, header: TraceHeader, clip: Clip) -> None:
        self.gate.acquire()
        if clip.seq == self._fail_at:
            raise SpoolFull(1, 2)
        self.taken.append(clip.seq)

    def close(self) -> None:
        self.closed = True


def test_a_background_sink_keeps_the_order_and_waits_for_the_last_clip() -> None:
    behind = GatedSink()
    sink = BackgroundSink(behind, depth=8)
    sink.open(sample_header())
    for seq in range(5):
        sink.put(sample_header(), sample_clip(seq))
    assert behind.taken == []
    behind.gate.release(5)
    sink.close()
    assert (behind.taken, behind.closed, sink.stalls) == ([0, 1, 2, 3, 4], True, 0)


def test_a_full_background_queue_makes_the_caller_wait_and_counts_it() -> None:
    behind = GatedSink()
    sink = BackgroundSink(behind, depth=1)
    sink.open(sample_header())

    def record() -> None:
        for seq in range(4):
            sink.put(sample_header(), sample_clip(seq))

    recorder = threading.Thread(target=record)
    recorder.start()
    recorder.join(0.05)
    assert recorder.is_alive()
    behind.gate.release(4)
    recorder.join()
    sink.close()
    assert behind.taken == [0, 1, 2, 3]
    assert sink.stalls >= 1


def test_a_failure_in_the_background_is_raised_and_says_what_is_lost() -> None:
    behind = GatedSink(fail_at=1)
    sink = BackgroundSink(behind, depth=8)
    sink.open(sample_header())
    for seq in range(4):
        sink.put(sample_header(), sample_clip(seq))
    behind.gate.release(4)
    with pytest.raises(SinkError, match=r"disk_full: .*3 clips not kept"):
        sink.close()
    assert behind.taken == [0]
    with pytest.raises(SinkError, match="disk_full"):
        sink.put(sample_header(), sample_clip(4))
