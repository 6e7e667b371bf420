"""The workers that decode strangers' clips, and what becomes of those that go wrong."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hostile_clips import XOR, wide_clip
from trace_samples import sample_clip, sample_header

from data_collection.storage.codec import encode_clip
from data_collection.streaming.clip_checks import Fault
from data_collection.streaming.decode_pool import DecodePool, DecoderFailed, WorkerLimits
from data_collection.streaming.examine import Examined, examine

BODY = encode_clip(sample_clip(0))
READY = "sys.stdout.write('ready\\n'); sys.stdout.flush(); "


@pytest.fixture(scope="module")
def pool() -> Iterator[DecodePool]:
    opened = DecodePool(WorkerLimits(workers=1))
    opened.start()
    yield opened
    opened.close()


def scripted(code: str, time_s: float = 30.0) -> DecodePool:
    """Return a pool whose workers run this instead of decoding."""
    command = (sys.executable, "-c", f"import os, sys, time; {READY}{code}")
    return DecodePool(WorkerLimits(workers=1, time_s=time_s), command)


def test_a_worker_says_what_this_process_would(pool: DecodePool) -> None:
    header = sample_header()
    clips = [sample_clip(0), sample_clip(1), sample_clip(0, frames=2)]
    bodies = [(clip.seq, encode_clip(clip)) for clip in clips]
    bodies += [(1, BODY), (0, b"no clip"), (0, b""), (0, BODY[:-1])]
    for seq, body in bodies:
        assert pool.examine(header, seq, body) == examine(header, seq, body)
    assert len(pool.pids) == 1


def test_a_killed_worker_is_replaced_and_the_clip_is_not_lost(pool: DecodePool) -> None:
    (before,) = pool.pids
    os.kill(before, signal.SIGKILL)
    assert isinstance(pool.examine(sample_header(), 0, BODY), Examined)
    assert pool.pids != [before]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not bound address space")
def test_a_clip_that_takes_too_much_memory_is_named_and_the_next_is_decoded() -> None:
    # More than the worker may have, though it starts with room for a clip of a usual size.
    header = sample_header(width_px=3000, height_px=3000)
    frames = np.zeros((5, 3000, 3000, 3), np.uint8)
    large = encode_clip(replace(sample_clip(0), frames=frames))
    pool = DecodePool(WorkerLimits(workers=1, memory_bytes=2**28))
    try:
        outcome = pool.examine(header, 0, large)
        assert isinstance(outcome, Fault)
        assert outcome.code == "decode_memory"
        assert isinstance(pool.examine(sample_header(), 0, BODY), Examined)
    finally:
        pool.close()


def test_a_worker_that_takes_too_long_is_killed() -> None:
    pool = scripted("time.sleep(600)", time_s=0.05)
    outcome = pool.examine(sample_header(), 0, BODY)
    assert isinstance(outcome, Fault)
    assert outcome.code == "decode_timeout"
    assert pool.pids == []


def test_a_clip_that_computes_for_too_long_ends_its_worker() -> None:
    header = sample_header("wide", width_px=1024, height_px=1024)
    own = DecodePool(WorkerLimits(workers=1, cpu_s=0.001))
    outcome = own.examine(header, 0, wide_clip("wide", 1024, **XOR))
    own.close()
    assert isinstance(outcome, Fault)
    assert outcome.code == "decode_timeout"


@pytest.mark.parametrize("code", ["sys.exit(3)", "os.abort()", "print('x' * 99)", "os.close(1)"])
def test_a_clip_that_kills_two_workers_is_named(code: str) -> None:
    pool = scripted(code)
    outcome = pool.examine(sample_header(), 0, BODY)
    assert isinstance(outcome, Fault)
    assert outcome.code == "decode_crashed"
    pool.close()


def test_where_no_worker_starts_nothing_is_said_of_the_clip(tmp_path: Path) -> None:
    missing = DecodePool(WorkerLimits(workers=1), (str(tmp_path / "python"),))
    ending = DecodePool(WorkerLimits(workers=1), (sys.executable, "-c", "raise SystemExit(1)"))
    closed = DecodePool(WorkerLimits(workers=1))
    closed.close()
    for pool in (missing, ending, closed):
        with pytest.raises(DecoderFailed):
            pool.examine(sample_header(), 0, BODY)


def test_threads_share_the_workers_and_a_close_ends_them(pool: DecodePool) -> None:
    own = DecodePool(WorkerLimits(workers=2))
    bodies = [encode_clip(sample_clip(seq)) for seq in range(8)]
    outcomes: dict[int, object] = {}

    def send(seq: int) -> None:
        outcomes[seq] = own.examine(sample_header(), seq, bodies[seq])

    threads = [threading.Thread(target=send, args=(seq,)) for seq in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes == {seq: examine(sample_header(), seq, bodies[seq]) for seq in range(8)}
    pids = own.pids
    assert 1 <= len(pids) <= 2
    own.close()
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
