"""A reader written from ``docs/data.md`` alone, and MCAP's own, beside the store's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from independent_reader import read_trace
from mcap.stream_reader import StreamReader
from test_pixels import photograph
from trace_samples import encoded, sample_clip, sample_header, stored

from data_collection.events import event_to_json
from data_collection.storage.store import TraceStore, read_clip
from data_collection.trace import Clip, ClipState


def photographs(seq: int) -> Clip:
    clip = sample_clip(seq, "t-2")
    return Clip(**{**{n: getattr(clip, n) for n in clip.__slots__}, "frames": photograph(5)})


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A store of two traces, both codecs, with clips withdrawn and clips purged."""
    store = TraceStore.open(tmp_path)
    store.open_trace(sample_header())
    wide = sample_header("t-2", width_px=96, height_px=64)
    store.open_trace(wide)
    for seq in range(6):
        stored(store, seq)
        store.append(wide, encoded(photographs(seq)), 5.0)
    store.withdraw("t-1", 1, 1)
    store.purge()
    store.withdraw("t-1", 4, 4)
    store.close()
    return tmp_path


def test_a_reader_written_from_the_document_reads_the_same(root: Path) -> None:
    store = TraceStore.open(root)
    for summary in store.index.traces():
        header = summary.header
        read = read_trace(root / f"{header.trace_id}.mcap")
        rows = [
            row
            for row in store.index.trace_rows(header.trace_id)
            if row.state is ClipState.COMMITTED
        ]
        assert read.header == header.to_json()
        assert sorted(read.clips) == [row.seq for row in rows]
        for row in rows:
            clip, (meta, frames) = read_clip(root, row), read.clips[row.seq]
            np.testing.assert_array_equal(frames, clip.frames)
            events = [[event_to_json(event) for event in group] for group in clip.events]
            assert meta == {
                "trace_id": clip.trace_id,
                "seq": clip.seq,
                "first_frame": clip.first_frame,
                "t_mono_ns": list(clip.t_mono_ns),
                "events": events,
                "state": clip.state,
            }
            assert read.commits[row.seq] == row.commit
    assert sorted(read_trace(root / "t-1.mcap").clips) == [0, 2, 3, 5]
    assert len(read_trace(root / "t-2.mcap").clips) == 6
    store.close()
    assert read_trace(root / "t-1.mcap").closed


def test_the_reader_knows_the_document_only() -> None:
    imports = [
        line
        for line in (Path(__file__).parent / "independent_reader.py").read_text().splitlines()
        if line.startswith(("import", "from"))
    ]
    assert not any("data_collection" in line for line in imports)


def test_mcaps_own_reader_opens_the_files(root: Path) -> None:
    for path in sorted(root.glob("*.mcap")):
        with open(path, "rb") as file:
            records = list(StreamReader(file, validate_crcs=True).records)
        kinds = [type(record).__name__ for record in records]
        assert kinds[:4] == ["Header", "Schema", "Channel", "Metadata"]
        assert kinds.count("Message") == 6
        assert kinds[-2:] == ["DataEnd", "Footer"]


def test_the_document_names_every_part() -> None:
    text = (Path(__file__).parents[3] / "docs" / "data.md").read_text()
    named = {field_name for field_name in sample_header().to_json() if f"`{field_name}`" in text}
    assert named == set(sample_header().to_json())
    for word in ("pointer_moved", "button_changed", "wheel_turned", "key_changed", "text_typed"):
        assert f"`{word}`" in text
    for table in ("traces", "clips", "withdrawals", "refused", "quarantine"):
        assert f"| `{table}` |" in text
