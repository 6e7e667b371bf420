"""A replay holds what was done in its origin: what is taken back there is taken back here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from trace_samples import sample_clip, sample_header

from data_collection.storage.codec import encode_clip
from data_collection.storage.store import EncodedClip, TraceStore
from data_collection.trace import ClipState, TraceHeader


@pytest.fixture
def store(tmp_path: Path) -> Iterator[TraceStore]:
    opened = TraceStore.open(tmp_path)
    yield opened
    opened.close()


def put(store: TraceStore, header: TraceHeader, *seqs: int) -> None:
    store.open_trace(header)
    for seq in seqs:
        clip = sample_clip(seq, header.trace_id)
        store.append(header, EncodedClip.of(clip, encode_clip(clip)), 1.0)


def states(store: TraceStore, trace_id: str) -> list[bool]:
    rows = store.index.trace_rows(trace_id)
    return [row.state is ClipState.TOMBSTONED for row in rows]


def test_withdrawn_clips_are_withdrawn_from_replays_of_replays_too(store: TraceStore) -> None:
    put(store, sample_header("a"), 0, 1, 2)
    put(store, sample_header("b", origin="a"), 0, 1, 2)
    put(store, sample_header("c", origin="b"), 0, 1, 2)
    put(store, sample_header("d"), 0, 1, 2)
    rows = store.withdraw("a", 1, 1)
    assert rows is not None
    assert [(row.trace_id, row.seq) for row in rows] == [("a", 1)]
    for trace_id in ("a", "b", "c"):
        assert states(store, trace_id) == [False, True, False]
    assert states(store, "d") == [False, False, False]


def test_a_replay_that_comes_after_the_withdrawal_is_refused(store: TraceStore) -> None:
    put(store, sample_header("a"), 0, 1)
    store.withdraw("a", 1, 1)
    replay = sample_header("b", origin="a")
    put(store, replay, 0)
    assert store.is_withdrawn("b", 1)
    with pytest.raises(KeyError):
        put(store, replay, 1)
    store.withdraw("a")
    assert store.header("b") is None


def test_headers_that_name_each_other_as_origin_do_no_harm(store: TraceStore) -> None:
    put(store, sample_header("a", origin="b"), 0)
    put(store, sample_header("b", origin="a"), 0)
    put(store, sample_header("c", origin="c"), 0)
    store.withdraw("a")
    store.withdraw("c", 0, 0)
    assert states(store, "a") == states(store, "b") == states(store, "c") == [True]
