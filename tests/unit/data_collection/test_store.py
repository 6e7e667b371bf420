from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from mcap.stream_reader import StreamReader
from trace_samples import encoded, filled, sample_clip, sample_header, stored

from data_collection.storage import trace_file
from data_collection.storage.codec import ClipCorrupt, encode_clip
from data_collection.storage.lock import StoreLocked
from data_collection.storage.store import TraceOpening, TraceStore, read_clip, read_frames

HERE = Path(__file__).parent


def test_a_stored_clip_reads_back_from_its_row_alone(tmp_path: Path) -> None:
    rows = filled(tmp_path, 3)
    os.remove(tmp_path / "index.db")
    for row in rows:
        clip = read_clip(tmp_path, row)
        np.testing.assert_array_equal(clip.frames, sample_clip(row.seq).frames)
        assert clip.events == sample_clip(row.seq).events
    assert rows[2].first_frame == 10
    assert rows[2].captured_wall_s == pytest.approx(1003.0)


def test_a_closed_file_is_mcap_to_other_readers(tmp_path: Path) -> None:
    filled(tmp_path, 2)
    with open(tmp_path / "t-1.mcap", "rb") as file:
        kinds = [type(record).__name__ for record in StreamReader(file).records]
    assert kinds.count("Message") == 2
    assert kinds[-2:] == ["DataEnd", "Footer"]


def test_a_trace_goes_on_after_a_restart(tmp_path: Path) -> None:
    first = filled(tmp_path, 2)
    store = TraceStore.open(tmp_path)
    assert store.open_trace(sample_header()) is TraceOpening.KNOWN
    row = stored(store, 2)
    assert [row.commit for row in store.index.rows_after(0, 10)] == [1, 2, 3]
    assert store.index.rows_after(1, 1) == first[1:]
    assert row.offset > first[1].offset
    assert store.verify() == []
    store.close()


def test_the_same_place_is_never_filled_twice(tmp_path: Path) -> None:
    store = TraceStore.open(tmp_path)
    store.open_trace(sample_header())
    stored(store, 0)
    other = sample_clip(0, look=99)
    again = store.append(sample_header(), encoded(other), 2000.0)
    assert not again.new
    assert store.index.last_commit == 1
    assert read_clip(tmp_path, again.row).frames.sum() == sample_clip(0).frames.sum()
    store.close()


def test_equal_content_weighs_nothing_the_second_time(tmp_path: Path) -> None:
    store = TraceStore.open(tmp_path)
    for trace_id in ("t-1", "t-2"):
        store.open_trace(sample_header(trace_id))
    first, second = stored(store, 0), stored(store, 0, "t-2")
    assert first.weight > 0
    assert (second.commit, second.weight) == (2, 0)
    store.close()


def test_generated_frames_are_context_and_do_not_shadow_the_real_ones(tmp_path: Path) -> None:
    store = TraceStore.open(tmp_path)
    simulated = sample_header("t-1", frame_source="simulator", checkpoint="step-10")
    store.open_trace(simulated)
    store.open_trace(sample_header("t-2"))
    generated = store.append(simulated, encoded(sample_clip(0)), 2000.0).row
    assert (generated.weight, generated.frame_source) == (0, "simulator")
    assert stored(store, 0, "t-2").weight > 0
    store.close()


@pytest.mark.parametrize(
    "name", ["", "../x", "a/b", "A", "-a", "a" * 65, "a\n", "a.b", "_set_aside"]
)
def test_a_trace_id_that_may_not_name_a_file_is_refused(tmp_path: Path, name: str) -> None:
    store = TraceStore.open(tmp_path)
    with pytest.raises(ValueError, match="bad trace id"):
        store.open_trace(sample_header(name))
    store.close()


def test_a_second_writer_is_told_who_holds_the_store(tmp_path: Path) -> None:
    store = TraceStore.open(tmp_path)
    with pytest.raises(StoreLocked) as caught:
        TraceStore.open(tmp_path)
    assert caught.value.pid == os.getpid()
    store.close()
    TraceStore.open(tmp_path).close()


def test_a_file_that_is_no_trace_is_left_alone_and_named(tmp_path: Path) -> None:
    filled(tmp_path, 1)
    stray = b"something else, longer than a magic"
    (tmp_path / "stray.mcap").write_bytes(stray)
    shutil.copy(tmp_path / "t-1.mcap", tmp_path / "copy.mcap")
    store = TraceStore.open(tmp_path)
    assert [(one.trace, one.reason) for one in store.recovered] == [
        ("copy.mcap", "left alone: copy.mcap holds the trace t-1"),
        ("stray.mcap", "left alone: stray.mcap holds no trace header"),
    ]
    with pytest.raises(FileExistsError, match="stray"):
        store.open_trace(sample_header("stray"))
    assert stored(store, 1).commit == 2
    store.close()
    assert (tmp_path / "stray.mcap").read_bytes() == stray


def test_a_file_torn_at_any_byte_keeps_what_was_whole(tmp_path: Path) -> None:
    rows = filled(tmp_path / "whole", 3)
    content = (tmp_path / "whole" / "t-1.mcap").read_bytes()
    second_ends = rows[1].offset + rows[1].length
    third_ends = rows[2].offset + rows[2].length
    for size in (*range(second_ends, third_ends, 37), third_ends - 1, third_ends):
        root = tmp_path / str(size)
        root.mkdir()
        # What the disk may show after a power cut: the size is right, the end is zeros.
        (root / "t-1.mcap").write_bytes(content[:size] + bytes(size % 2 * 50))
        store = TraceStore.open(root)
        whole = 3 if size == third_ends else 2
        found = store.index.rows_after(0, 10)
        assert [row.commit for row in found] == list(range(1, whole + 1))
        assert [row.body_sha for row in found] == [row.body_sha for row in rows[:whole]]
        assert stored(store, whole).commit == whole + 1
        assert store.verify() == []
        store.close()
        shutil.rmtree(root)


def test_bytes_without_a_row_get_theirs_at_the_next_start(tmp_path: Path) -> None:
    rows = filled(tmp_path, 1)
    lost = sample_clip(1)
    end = rows[0].offset + rows[0].length
    trace_file.append_body(tmp_path / "t-1.mcap", end, 1, lost.t_mono_ns[-1], encode_clip(lost))
    store = TraceStore.open(tmp_path)
    assert [row.seq for row in store.index.rows_after(0, 10)] == [0, 1]
    again = store.append(sample_header(), encoded(lost), 2000.0)
    assert not again.new
    assert again.row.commit == 2
    assert store.verify() == []
    store.close()


WRITER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from trace_samples import sample_header, stored
from data_collection.storage.store import TraceStore
store = TraceStore.open(Path(sys.argv[1]))
store.open_trace(sample_header())
seq = store.index.last_commit
while True:
    print(stored(store, seq).seq, flush=True)
    seq += 1
"""


def test_a_killed_writer_loses_nothing_it_acknowledged(tmp_path: Path) -> None:
    acknowledged: list[int] = []
    for kills in range(1, 4):
        command = [sys.executable, "-c", WRITER, str(tmp_path), str(HERE)]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, cwd=HERE.parents[2]
        ) as writer:
            assert writer.stdout is not None
            for _ in range(3 + kills):
                acknowledged.append(int(writer.stdout.readline()))
            writer.kill()
            acknowledged += [int(line) for line in writer.stdout.read().split()]
    store = TraceStore.open(tmp_path)
    rows = store.index.rows_after(0, 10_000)
    assert [row.commit for row in rows] == list(range(1, len(rows) + 1))
    assert [row.seq for row in rows] == list(range(len(rows)))
    assert set(acknowledged) <= {row.seq for row in rows}
    assert store.verify() == []
    store.close()


def test_verify_names_what_is_wrong(tmp_path: Path) -> None:
    rows = filled(tmp_path, 3)
    with open(tmp_path / "t-1.mcap", "r+b") as file:
        file.seek(rows[1].offset + 40)
        file.write(b"\x00\x01\x02\x03")
    store = TraceStore.open(tmp_path)
    assert [(p.trace, p.clip, p.code) for p in store.verify()] == [("t-1", 1, "body_sha")]
    store.close()


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"file": "../secret"}, "file"),
        ({"file": "t-2.mcap"}, "file"),
        ({"trace_id": "t-2", "file": "t-2.mcap"}, "file"),
        ({"offset": 10**9}, "length"),
        ({"length": 2**40}, "length"),
        ({"offset": 9}, "body_sha"),
        ({"seq": 5}, "place"),
    ],
)
def test_a_row_that_does_not_fit_its_file_is_refused(
    tmp_path: Path, change: dict[str, object], code: str
) -> None:
    (row,) = filled(tmp_path, 1)
    with pytest.raises(ClipCorrupt) as caught:
        read_clip(tmp_path, replace(row, **change))  # type: ignore[arg-type]
    assert caught.value.code == code


def test_a_window_of_frames_decodes_the_clips_it_touches(tmp_path: Path) -> None:
    rows = filled(tmp_path, 4)
    whole = np.concatenate([sample_clip(seq).frames for seq in range(4)])
    for first, count in ((0, 20), (0, 1), (4, 2), (7, 9), (19, 1)):
        window = read_frames(tmp_path, rows, first, count)
        np.testing.assert_array_equal(window, whole[first : first + count])
    with open(tmp_path / "t-1.mcap", "r+b") as file:
        file.seek(rows[0].offset + 40)
        file.write(b"damage")
    np.testing.assert_array_equal(read_frames(tmp_path, rows, 5, 6), whole[5:11])
    with pytest.raises(ClipCorrupt):
        read_frames(tmp_path, rows, 4, 6)
    with pytest.raises(IndexError, match="5 of 6 frames"):
        read_frames(tmp_path, rows, 15, 6)
    with pytest.raises(IndexError):
        read_frames(tmp_path, rows[2:], 9, 3)
    rows[2] = replace(rows[2], frames=6)
    with pytest.raises((ClipCorrupt, IndexError)):
        read_frames(tmp_path, rows[2:3], 10, 6)
