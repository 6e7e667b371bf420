"""Whatever a body holds, examining it says what it is or why it is unfit, and no more."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hostile_clips import JUNK, XOR, forged, squeeze
from hypothesis import given, settings
from hypothesis import strategies as st
from trace_samples import FPS, HEIGHT_PX, PERIOD_NS, WIDTH_PX, sample_header

from data_collection.events import Button
from data_collection.streaming.clip_checks import Fault
from data_collection.streaming.examine import Examined, examine
from data_collection.streaming.trace_request import parse_header
from data_collection.trace import Consent

PIXELS = squeeze(bytes(FPS * HEIGHT_PX * WIDTH_PX * 3))

numbers = st.one_of(st.integers(-3, 40), st.integers(-(2**65), 2**65))
times = st.integers(0, 2 * FPS * PERIOD_NS)
leaves = st.one_of(
    st.none(), st.booleans(), numbers, st.floats(allow_nan=False, allow_infinity=False), st.text()
)
values = st.recursive(
    leaves,
    lambda below: st.one_of(st.lists(below, max_size=3), st.dictionaries(st.text(), below)),
    max_leaves=12,
)
events = st.one_of(
    st.fixed_dictionaries(
        {"type": st.just("pointer_moved"), "x_px": numbers, "y_px": numbers, "t_mono_ns": times}
    ),
    st.fixed_dictionaries(
        {
            "type": st.just("button_changed"),
            "button": st.sampled_from([*(button.value for button in Button), "x"]),
            "down": st.booleans(),
            "x_px": st.integers(0, WIDTH_PX),
            "y_px": st.integers(0, HEIGHT_PX),
        }
    ),
    st.fixed_dictionaries(
        {
            "type": st.just("key_changed"),
            "scancode": st.integers(-1, 600),
            "keysym": st.text(),
            "down": st.booleans(),
        }
    ),
    st.fixed_dictionaries({"type": st.just("marker"), "kind": st.sampled_from(["consent", "x"])}),
    values,
)


def numbered(groups: list[list[Any]]) -> list[list[Any]]:
    """Give most events the numbers that they should have, so that more checks are reached."""
    seq = 0
    for group in groups:
        for event in group:
            if isinstance(event, dict) and "type" in event:
                event["seq"] = seq
                seq += 1
    return groups


def exactly(count: int, of: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    return st.lists(of, min_size=count, max_size=count)


ordered = st.builds(
    lambda start, gaps: [start + sum(gaps[: n + 1]) for n in range(len(gaps))],
    st.integers(-(10**9), 10**10),
    exactly(FPS, st.integers(-1, 7 * 10**9)),
)
metas = st.fixed_dictionaries(
    {
        "trace_id": st.one_of(st.just("t-1"), values),
        "seq": st.one_of(st.just(0), numbers),
        "first_frame": st.one_of(st.just(0), numbers),
        "t_mono_ns": st.one_of(ordered, st.just([PERIOD_NS * n for n in range(FPS)]), values),
        "events": st.one_of(exactly(FPS, st.lists(events, max_size=3)).map(numbered), values),
        "state": st.one_of(st.dictionaries(st.text(), values, max_size=3), values),
    }
)


def holds(meta: Any, consent: Consent) -> None:
    header = replace(sample_header(), consent=consent)
    outcome = examine(header, 0, forged(squeeze(json.dumps(meta).encode()), PIXELS, **XOR))
    assert isinstance(outcome, (Examined, Fault))
    if isinstance(outcome, Fault):
        assert outcome.code
        assert 0 < len(outcome.hint) <= 200
        outcome.hint.encode()
    else:
        assert (outcome.frames, outcome.first_frame) == (FPS, 0)
        assert 0 <= outcome.first_ns < outcome.last_ns
        assert Examined.from_json(json.loads(json.dumps(outcome.to_json()))) == outcome


@settings(max_examples=150, deadline=None)
@given(metas, st.sampled_from(Consent))
def test_any_meta_is_fit_or_unfit_for_a_reason(meta: Any, consent: Consent) -> None:
    holds(meta, consent)


@pytest.mark.nightly
@settings(max_examples=10_000, deadline=None)
@given(metas, st.sampled_from(Consent))
def test_any_meta_is_fit_or_unfit_for_a_reason_at_length(meta: Any, consent: Consent) -> None:
    holds(meta, consent)


GOOD = sample_header().to_json()
changes = st.dictionaries(
    st.one_of(st.sampled_from(list(GOOD)), st.text()),
    st.one_of(st.sampled_from(JUNK), values),
    max_size=2,
)


@settings(max_examples=150, deadline=None)
@given(changes)
def test_any_header_is_parsed_or_refused_by_its_field(changed: dict[str, Any]) -> None:
    obj, refusal = {**GOOD, **changed}, ""
    try:
        header = parse_header(obj)
    except ValueError as error:
        refusal = str(error)
    if refusal:
        assert refusal.startswith(tuple(changed))
    else:
        assert header.to_json() == obj
