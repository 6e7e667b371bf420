from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from trace_samples import PERIOD_NS, StillClock, sample_clip, sample_header

from data_collection.events import (
    Button,
    ButtonChanged,
    Event,
    KeyChanged,
    Marker,
    PointerMoved,
    TextTyped,
    WheelTurned,
)
from data_collection.storage.codec import body_sha, encode_clip
from data_collection.storage.store import TraceStore
from data_collection.streaming.ingest import IngestService
from data_collection.streaming.outcomes import (
    Accepted,
    BadRequest,
    Conflict,
    Duplicate,
    HashMismatch,
    Opened,
    PutOutcome,
    Quarantined,
    Unavailable,
    UnknownTrace,
    Withdrawn,
    WithdrawnNow,
)
from data_collection.trace import Clip, Consent


class Ingest(IngestService):
    """The service with a put that encodes."""

    def put(self, clip: Clip, trace_id: str = "t-1", seq: int | None = None) -> PutOutcome:
        body = encode_clip(clip)
        return self.put_clip(trace_id, clip.seq if seq is None else seq, body, body_sha(body))


@pytest.fixture
def ingest(tmp_path: Path) -> Ingest:
    service = Ingest(TraceStore.open(tmp_path), StillClock(2000.0))
    assert service.open_trace("t-1", sample_header().to_json()) == Opened(sample_header(), True)
    return service


def test_an_accepted_clip_has_a_row_and_its_duplicate_the_same(ingest: Ingest) -> None:
    first = ingest.put(sample_clip(0))
    assert isinstance(first, Accepted)
    assert (first.row.commit, first.row.acknowledged_wall_s) == (1, 2000.0)
    assert first.warnings == ()
    assert ingest.put(sample_clip(0)) == Duplicate(first.row)
    assert isinstance(ingest.put(sample_clip(0, look=9)), Conflict)
    assert ingest.store.index.last_commit == 1


def test_clips_may_arrive_out_of_order(ingest: Ingest) -> None:
    outcomes = [ingest.put(sample_clip(seq)) for seq in (2, 0, 1)]
    assert [type(outcome) for outcome in outcomes] == [Accepted] * 3
    assert ingest.store.index.present("t-1") == [0, 1, 2]


def test_a_trace_id_has_one_header(ingest: Ingest) -> None:
    assert ingest.open_trace("t-1", sample_header().to_json()) == Opened(sample_header(), False)
    assert isinstance(ingest.open_trace("t-1", sample_header(seed=2).to_json()), Conflict)
    assert isinstance(ingest.open_trace("t-2", sample_header().to_json()), BadRequest)


@pytest.mark.parametrize(
    "change",
    [
        {"consent": "none"},
        {"consent": None},
        {"width_px": 10**6},
        {"height_px": "384"},
        {"fps": 0},
        {"anchor_wall_s": float("nan")},
        {"frame_source": "dream"},
        {"versions": {"a": 1}},
        {"seed": 2**70},
        {"source": ""},
        {"desktop": "x" * 1000},
        {"surprise": 1},
    ],
)
def test_a_bad_header_is_refused_by_its_field(ingest: Ingest, change: dict[str, object]) -> None:
    refused = ingest.open_trace("t-9", {**sample_header("t-9").to_json(), **change})
    assert isinstance(refused, BadRequest)
    assert next(iter(change)) in refused.hint


def test_a_header_without_consent_is_refused(ingest: Ingest) -> None:
    header = sample_header("t-9").to_json()
    del header["consent"]
    refused = ingest.open_trace("t-9", header)
    assert isinstance(refused, BadRequest)
    assert "consent" in refused.hint
    assert isinstance(ingest.open_trace("t-9", ["no", "object"]), BadRequest)


def acting(clip: Clip, *groups: tuple[Event, ...]) -> Clip:
    """Return the clip with other events, numbered."""
    numbers = count()
    numbered = (tuple(replace(event, seq=next(numbers)) for event in group) for group in groups)
    return replace(clip, events=tuple(numbered))


def nested(depth: int) -> list[object]:
    value: list[object] = []
    for _ in range(depth):
        value = [value]
    return value


def moved(x_px: int, y_px: int) -> Callable[[Clip], Clip]:
    event = PointerMoved(x_px, y_px, t_mono_ns=1)
    return lambda clip: replace(clip, events=((event,), *clip.events[1:]))


def timed(*times: int) -> Callable[[Clip], Clip]:
    quiet: tuple[()] = ()
    return lambda clip: replace(clip, t_mono_ns=times, events=(quiet,) * 5)


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (moved(24, 0), "event"),
        (moved(0, -1), "event"),
        (lambda c: replace(c, events=((KeyChanged(9999, "a", True),), *c.events[1:])), "event"),
        (lambda c: replace(c, events=((WheelTurned(0, 10**9),), *c.events[1:])), "event"),
        (lambda c: replace(c, events=tuple(reversed(c.events))), "event_order"),
        (lambda c: replace(c, events=(c.events[0] * 3000, *c.events[1:])), "events"),
        (timed(1, 2, 2, 3, 4), "time_order"),
        (timed(1, 2, 3, 4, 5), "time_rate"),
        (timed(1, *(n * PERIOD_NS + 9 * 10**9 for n in range(4))), "time_gap"),
        (lambda c: replace(c, frames=np.zeros((5, 16, 23, 3), np.uint8)), "screen"),
        (lambda c: replace(c, first_frame=3), "first_frame"),
        (lambda c: replace(c, first_frame=-3), "first_frame"),
        (lambda c: sample_clip(0, frames=6), "frames"),
        (lambda c: replace(c, trace_id="t-2"), "place"),
        (timed(*(n * PERIOD_NS + 2**62 for n in range(5))), "time_anchor"),
        (timed(*(n * PERIOD_NS - 2**63 for n in range(5))), "time_anchor"),
        (lambda c: acting(c, (PointerMoved(1, 1, t_mono_ns=9 * 10**9),), *[()] * 4), "event_time"),
        (lambda c: replace(c, events=((PointerMoved(1, 1),) * 2, *[()] * 4)), "event_order"),
        (lambda c: acting(c, (TextTyped("\ud800"),), *[()] * 4), "event"),
        (lambda c: acting(c, (Marker("x" * 1001),), *[()] * 4), "event"),
        (lambda c: replace(c, state={"a": "\ud800"}), "state"),
        (lambda c: replace(c, state={"a": [2**64]}), "state"),
        (lambda c: replace(c, state={"a": nested(70)}), "state"),
    ],
)
def test_an_unfit_clip_is_quarantined_with_its_reason(
    ingest: Ingest, spoil: Callable[[Clip], Clip], code: str
) -> None:
    outcome = ingest.put(spoil(sample_clip(0)))
    assert isinstance(outcome, Quarantined)
    assert outcome.code == code
    assert ingest.store.index.last_commit == 0
    (noted,) = ingest.store.index.quarantined()
    assert (noted.trace_id, noted.seq, noted.code) == ("t-1", 0, code)
    kept = sorted((ingest.store.root / "quarantine").iterdir())
    assert [path.suffix for path in kept] == [".clip", ".txt"]
    assert kept[0].read_bytes() == encode_clip(spoil(sample_clip(0)))
    assert kept[1].read_text().startswith(code)


@pytest.mark.parametrize(
    ("clip", "code"),
    [
        (replace(sample_clip(2), first_frame=11), "first_frame"),
        (replace(sample_clip(2), first_frame=9), "first_frame"),
        (replace(sample_clip(2), t_mono_ns=sample_clip(1).t_mono_ns), "time_order"),
        (replace(sample_clip(2), t_mono_ns=sample_clip(4).t_mono_ns), "time_order"),
    ],
)
def test_a_clip_that_does_not_join_its_neighbours_is_quarantined(
    ingest: Ingest, clip: Clip, code: str
) -> None:
    quiet = replace(clip, events=((),) * 5)
    for seq in (1, 3):
        assert isinstance(ingest.put(sample_clip(seq)), Accepted)
    outcome = ingest.put(quiet)
    assert isinstance(outcome, Quarantined)
    assert outcome.code == code
    assert isinstance(ingest.put(sample_clip(2)), Accepted)


def test_repeats_are_no_fault_and_a_second_up_is_a_warning(ingest: Ingest) -> None:
    press, up = KeyChanged(4, "a", True), KeyChanged(4, "a", False)
    left = ButtonChanged(Button.LEFT, False, 1, 1)
    click = ButtonChanged(Button.LEFT, True, 1, 1)
    held = acting(sample_clip(0), (press,), (press,), (press, up), (click, left), (press,))
    accepted = ingest.put(held)
    assert isinstance(accepted, Accepted)
    assert accepted.warnings == ()
    odd = acting(sample_clip(1), (up,), (up,), (left, left), (press,), (click, click))
    accepted = ingest.put(odd)
    assert isinstance(accepted, Accepted)
    assert accepted.warnings == (
        "up twice: key 4",
        "up twice: button left",
        "down twice: button left",
        "up without a down: button left",
    )
    # Nothing is known of what is held before a clip whose neighbour is missing.
    late = ingest.put(acting(sample_clip(3), (up,), (), (), (), ()))
    assert isinstance(late, Accepted)
    assert late.warnings == ()


@pytest.mark.parametrize("frame_source", ["real", "simulator"])
def test_a_persons_trace_begins_with_the_consent(ingest: Ingest, frame_source: str) -> None:
    header = sample_header("t-2", consent=Consent.GIVEN, frame_source=frame_source)
    assert isinstance(ingest.open_trace("t-2", header.to_json()), Opened)
    silent = ingest.put(sample_clip(0, "t-2"), "t-2")
    assert isinstance(silent, Quarantined)
    assert silent.code == "consent"
    late = (Marker("resume"), PointerMoved(1, 1), Marker("consent"))
    silent = ingest.put(acting(sample_clip(0, "t-2"), late, (), (), (), ()), "t-2")
    assert isinstance(silent, Quarantined)
    opening = (Marker("resume"), Marker("consent"), PointerMoved(1, 1))
    said = ingest.put(acting(sample_clip(0, "t-2"), opening, (), (), (), ()), "t-2")
    assert isinstance(said, Accepted)
    assert said.row.weight == (0 if frame_source == "simulator" else 8)
    assert isinstance(ingest.put(sample_clip(1, "t-2"), "t-2"), Accepted)


@pytest.mark.parametrize("event", [TextTyped("x"), KeyChanged(4, "a", True)])
def test_nothing_typed_while_redacting_is_kept(ingest: Ingest, event: Event) -> None:
    start, end = (Marker("redact_start"),), (Marker("redact_end"),)
    up = (KeyChanged(4, "a", False),)
    for groups in (((*start, event), (), (), (), ()), (start, (), (event,), (), end)):
        leak = ingest.put(acting(sample_clip(0), *groups))
        assert isinstance(leak, Quarantined)
        assert leak.code == "redaction"
    kept = ingest.put(acting(sample_clip(0), (event,), (*start, *up), (), end, (event,)))
    assert isinstance(kept, Accepted)
    assert kept.row.weight == 0


def test_a_gap_between_clips_is_a_fault_like_one_inside(ingest: Ingest) -> None:
    assert isinstance(ingest.put(sample_clip(1)), Accepted)
    later = tuple(t + 6 * 10**9 for t in sample_clip(2).t_mono_ns)
    gap = ingest.put(replace(sample_clip(2), t_mono_ns=later, events=((),) * 5))
    assert isinstance(gap, Quarantined)
    assert gap.code == "time_gap"


def test_a_quarantined_clip_sent_again_gets_the_same_answer(ingest: Ingest) -> None:
    other = replace(sample_clip(1), first_frame=4)
    assert isinstance(ingest.put(sample_clip(0)), Accepted)
    first = ingest.put(other)
    assert isinstance(ingest.put(sample_clip(2)), Accepted)
    assert ingest.put(other) == first
    assert len(ingest.store.index.quarantined()) == 1


def test_bytes_that_are_no_clip_are_quarantined(ingest: Ingest) -> None:
    outcome = ingest.put_clip("t-1", 0, b"x" * 100, body_sha(b"x" * 100))
    assert isinstance(outcome, Quarantined)
    assert outcome.code == "magic"


def test_what_cannot_be_a_clip_is_answered_by_name(ingest: Ingest) -> None:
    body = encode_clip(sample_clip(0))
    sha = body_sha(body)
    assert ingest.put_clip("t-1", 0, body, "0" * 64) == HashMismatch(sha)
    assert ingest.put_clip("t-7", 0, body, sha) == UnknownTrace("t-7")
    assert isinstance(ingest.put_clip("../t-1", 0, body, sha), BadRequest)
    assert isinstance(ingest.put_clip("t-1", -1, body, sha), BadRequest)
    assert isinstance(ingest.put_clip("t-1", 10**9, body, sha), BadRequest)
    assert isinstance(ingest.put(sample_clip(0)), Accepted)


def test_a_withdrawn_trace_takes_nothing_more(ingest: Ingest) -> None:
    assert isinstance(ingest.put(sample_clip(0)), Accepted)
    assert ingest.withdraw("t-1") == ingest.withdraw("t-1") == WithdrawnNow("t-1", (0,))
    assert ingest.put(sample_clip(0)) == ingest.put(sample_clip(1)) == Withdrawn("t-1")
    assert ingest.open_trace("t-1", sample_header().to_json()) == Withdrawn("t-1")


def test_withdrawn_clips_take_their_places_with_them(ingest: Ingest) -> None:
    for seq in (0, 1, 2):
        assert isinstance(ingest.put(sample_clip(seq)), Accepted)
    assert ingest.withdraw("t-1", 2, 4) == WithdrawnNow("t-1", (2,))
    assert [ingest.put(sample_clip(seq)) for seq in (2, 3, 4)] == [Withdrawn("t-1")] * 3
    assert isinstance(ingest.put(sample_clip(5)), Accepted)
    assert ingest.withdraw("t-9", 0, 1) == UnknownTrace("t-9")
    assert isinstance(ingest.withdraw("t-1", 4, 2), BadRequest)
    assert isinstance(ingest.withdraw("t-1", -1, 2), BadRequest)


@pytest.mark.parametrize("verb", ["open", "put", "quarantine", "withdraw"])
def test_a_fault_of_the_disk_promises_nothing(
    ingest: Ingest, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "/home/someone/traces")

    with monkeypatch.context() as broken:
        for name in ("open_trace", "append", "quarantine", "withdraw"):
            broken.setattr(ingest.store, name, full)
        unfit = replace(sample_clip(0), first_frame=3)
        outcome = {
            "open": lambda: ingest.open_trace("t-2", sample_header("t-2").to_json()),
            "put": lambda: ingest.put(sample_clip(0)),
            "quarantine": lambda: ingest.put(unfit),
            "withdraw": lambda: ingest.withdraw("t-1"),
        }[verb]()
    assert outcome == Unavailable("storage_failed", "OSError: No space left on device")
    assert isinstance(ingest.put(sample_clip(0)), Accepted)
