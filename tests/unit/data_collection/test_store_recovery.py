from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from killed_writer import LOOKS_OF_T2
from mcap.stream_reader import StreamReader
from trace_samples import filled, sample_clip, sample_header, stored

from data_collection.storage.store import Recovered, TraceStore, read_clip, recover_file
from data_collection.trace import ClipRow, ClipState

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[2]


def lose_index(root: Path) -> None:
    for path in root.glob("index.db*"):
        path.unlink()


def kill_writers(root: Path, seed: int, kills: int) -> None:
    """Kill writers of one store in turn; check that nothing but open seconds is missing."""
    paths = os.pathsep.join((str(HERE), str(REPOSITORY)))
    command = [sys.executable, str(HERE / "killed_writer.py"), str(root), str(seed), str(kills)]
    env = {**os.environ, "PYTHONPATH": paths}
    report = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    assert report.stdout.count("killed") > kills // 2, report.stdout
    log = root / "acknowledged"
    acknowledged = [tuple(line.split()) for line in log.read_text().splitlines()]
    for lost in (False, True):
        if lost:
            lose_index(root / "store")
        store = TraceStore.open(root / "store")
        rows = store.index.rows_after(0, 10_000)
        assert [row.commit for row in rows] == list(range(1, len(rows) + 1))
        places = {(row.trace_id, str(row.seq)) for row in rows}
        assert places >= set(acknowledged)
        # A killed writer may have stored one clip that it did not come to acknowledge.
        assert len(places) <= len(set(acknowledged)) + kills
        for row in rows:
            look = row.seq + (LOOKS_OF_T2 if row.trace_id == "t-2" else 0)
            clip = read_clip(root / "store", row)
            original = sample_clip(row.seq, row.trace_id, look=look)
            np.testing.assert_array_equal(clip.frames, original.frames)
            assert (clip.events, clip.t_mono_ns, clip.state) == (
                original.events,
                original.t_mono_ns,
                original.state,
            )
        for trace_id in ("t-1", "t-2"):
            present = store.index.present(trace_id)
            assert present == list(range(len(present)))
        assert store.verify() == []
        store.close()


def test_writers_killed_at_five_moments_lose_at_most_the_open_second(tmp_path: Path) -> None:
    kill_writers(tmp_path / "w", seed=1, kills=5)


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(5))
def test_writers_killed_at_fifty_moments(tmp_path: Path, seed: int) -> None:
    kill_writers(tmp_path / "w", seed=100 + seed, kills=10)


def tails(content: bytes, lengths: list[int]) -> Iterator[tuple[int, bytes]]:
    """Yield the file with its last bytes cut off, overwritten with zeros, or with garbage."""
    for length in lengths:
        rng = np.random.default_rng(length)
        kept = content[:-length]
        yield length, kept
        yield length, kept + bytes(length)
        yield length, kept + rng.bytes(length)


def unsealed(root: Path, clips: int) -> list[ClipRow]:
    """Make a store whose trace ends with its last clip, as a killed writer leaves it."""
    rows = filled(root, clips)
    with open(root / "t-1.mcap", "r+b") as file:
        file.truncate(rows[-1].offset + rows[-1].length)
    return rows


def check_torn_files(tmp_path: Path, lengths: list[int]) -> None:
    rows = unsealed(tmp_path / "whole", 5)
    content = (tmp_path / "whole" / "t-1.mcap").read_bytes()
    path = tmp_path / "t-1.mcap"
    for length, torn in tails(content, lengths):
        path.write_bytes(torn)
        found = recover_file(path)
        kept = content[:-length]
        whole = sum(row.offset + row.length <= len(kept) for row in rows)
        assert found.clips == whole, length
        assert bool(found.reason) == bool(found.cut_bytes)
        if len(torn) > (rows[whole - 1].offset + rows[whole - 1].length):
            assert found.cut_bytes > 0
        assert recover_file(path) == Recovered("t-1", whole, 0, "")
        for row in rows[:whole]:
            clip = read_clip(tmp_path, row)
            np.testing.assert_array_equal(clip.frames, sample_clip(row.seq).frames)


def check_torn_stores(tmp_path: Path, lengths: list[int]) -> None:
    """A torn file beside an index that knows better: what is lost is withdrawn, no more."""
    rows = unsealed(tmp_path / "whole", 5)
    content = (tmp_path / "whole" / "t-1.mcap").read_bytes()
    for length, torn in tails(content, lengths):
        root = tmp_path / "torn"
        shutil.copytree(tmp_path / "whole", root)
        (root / "t-1.mcap").write_bytes(torn)
        whole = sum(row.offset + row.length <= len(content) - length for row in rows)
        store = TraceStore.open(root)
        (found,) = store.recovered
        lost = ", ".join(str(seq) for seq in range(whole, 5))
        assert found.reason == f"lost the bytes of clips {lost}"
        assert found.lost == tuple(range(whole, 5))
        states = [row.state for row in store.index.trace_rows("t-1")]
        assert states == [ClipState.COMMITTED] * whole + [ClipState.TOMBSTONED] * (5 - whole)
        assert stored(store, 5).commit == 5 + (5 - whole) + 1
        assert store.verify() == []
        before = store.index.rows_after(0, 100)
        store.close()
        lose_index(root)
        store = TraceStore.open(root)
        assert store.index.rows_after(0, 100) == before
        for row in store.index.trace_rows("t-1"):
            if row.state is ClipState.COMMITTED:
                clip = read_clip(root, row)
                np.testing.assert_array_equal(clip.frames, sample_clip(row.seq).frames)
        store.close()
        shutil.rmtree(root)


def test_torn_tails_are_cut_with_a_reason(tmp_path: Path) -> None:
    check_torn_files(tmp_path, [*range(1, 60), *range(60, 4097, 97), 4096])


def test_a_torn_file_and_an_index_that_knows_better(tmp_path: Path) -> None:
    check_torn_stores(tmp_path, [1, 700, 1290, 1400, 2700, 4096])


@pytest.mark.nightly
def test_every_torn_tail_is_cut_with_a_reason(tmp_path: Path) -> None:
    check_torn_files(tmp_path, list(range(1, 4097)))


@pytest.mark.nightly
@pytest.mark.parametrize("remainder", range(4))
def test_every_torn_file_beside_its_index(tmp_path: Path, remainder: int) -> None:
    check_torn_stores(tmp_path, list(range(1 + remainder, 4097, 4 * 7)))


def test_clips_behind_a_damaged_one_are_found_without_the_index(tmp_path: Path) -> None:
    rows = filled(tmp_path, 4)
    with open(tmp_path / "t-1.mcap", "r+b") as file:
        file.seek(rows[1].offset + 50)
        file.write(b"damage")
    lose_index(tmp_path)
    store = TraceStore.open(tmp_path)
    assert [row.seq for row in store.index.trace_rows("t-1")] == [0, 2, 3]
    assert [row.commit for row in store.index.trace_rows("t-1")] == [1, 3, 4]
    assert [problem.code for problem in store.verify()] == ["commit_gap"]
    (found,) = store.recovered
    assert (found.trace, found.clips, found.cut_bytes) == ("t-1", 3, 0)
    assert "crc" in found.reason
    store.close()


@pytest.mark.parametrize("is_index_lost", [False, True])
@pytest.mark.parametrize("back", range(1, 112, 10))
def test_a_damaged_record_hides_none_behind_it(
    tmp_path: Path, back: int, is_index_lost: bool
) -> None:
    rows = filled(tmp_path, 4)
    with open(tmp_path / "t-1.mcap", "r+b") as file:
        # From the commit record over the message's head into the body before.
        file.seek(rows[1].offset - back)
        file.write(b"\xff" * 9)
    if not is_index_lost:
        shutil.copy(tmp_path / "t-1.mcap", tmp_path / "t-9.mcap")
        found = recover_file(tmp_path / "t-9.mcap")
        assert found.clips >= 2
        assert recover_file(tmp_path / "t-9.mcap").clips == found.clips
        (tmp_path / "t-9.mcap").unlink()
    else:
        lose_index(tmp_path)
    store = TraceStore.open(tmp_path)
    whole = {row.seq for row in store.index.trace_rows("t-1")}
    assert whole >= {2, 3}
    bad = {problem.clip for problem in store.verify() if problem.code != "commit_gap"}
    for row in store.index.trace_rows("t-1"):
        if row.seq not in bad:
            clip = read_clip(tmp_path, row)
            np.testing.assert_array_equal(clip.frames, sample_clip(row.seq).frames)
    assert len(whole - bad) >= 2
    # A clip whose number was hit gets a new one.
    assert stored(store, 7).commit in (5, 6)
    store.close()
    if is_index_lost:
        with open(tmp_path / "t-1.mcap", "rb") as file:
            messages = sum(
                type(record).__name__ == "Message" for record in StreamReader(file).records
            )
        assert messages >= 3


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    filled(tmp_path, 1)
    (tmp_path / "t-1.mcap").rename(tmp_path / "elsewhere")
    store = TraceStore.open(tmp_path)
    assert store.recovered == [Recovered("t-1", 0, 0, "its file is missing")]
    assert [problem.code for problem in store.verify()] == ["file"]
    with pytest.raises(FileNotFoundError):
        stored(store, 1)
    store.open_trace(sample_header("t-2"))
    assert stored(store, 0, "t-2").commit == 2
    withdrawn = store.withdraw("t-1")
    assert withdrawn is not None
    assert [row.commit for row in withdrawn] == [3]
    assert store.purge() == 0
    store.close()
    (tmp_path / "elsewhere").rename(tmp_path / "t-1.mcap")
    store = TraceStore.open(tmp_path)
    assert store.is_withdrawn("t-1", 0)
    assert store.purge() > 0
    assert store.verify() == []
    store.close()


def test_a_file_that_is_no_trace_cannot_be_recovered(tmp_path: Path) -> None:
    for name, content in (("empty.mcap", b""), ("text.mcap", b"hello" * 100)):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match="holds no trace header"):
            recover_file(tmp_path / name)
        assert (tmp_path / name).read_bytes() == content
