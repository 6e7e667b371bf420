"""Chances of clips: what they are, and that they depend on nothing but the clips."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_collection.trace import ClipRow
from neuralos.config import ConfigError
from neuralos.data.mixture import TRANSITION_WEIGHT, Mixture, clip_chances
from neuralos.data.rows import AdoptedClips
from neuralos.run_config import NeuralosConfig, read_document

MakeRows = Callable[..., list[ClipRow]]


def chances(rows: list[ClipRow], mixture: Mixture) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    clips = AdoptedClips()
    clips.adopt(max(row.commit for row in rows), rows)
    return clip_chances(clips.columns(), mixture)


def plain_chances(rows: list[ClipRow], mixture: Mixture) -> list[float]:
    """The same as `clip_chances` without a cap, one clip after the other."""
    later = Counter(row.source for row in rows)
    found, totals = [], Counter[str]()
    for row in rows:
        later[row.source] -= 1
        age = later[row.source] / mixture.half_life_clips[row.source]
        found.append(row.weight * max(2.0**-6, 2.0**-age))
        totals[row.source] += found[-1]
    return [
        chance * mixture.weights[row.source] / totals[row.source]
        for row, chance in zip(rows, found, strict=True)
    ]


@st.composite
def clip_rows(draw: st.DrawFn, most: int = 60) -> list[ClipRow]:
    kinds = st.tuples(st.integers(0, 5), st.sampled_from(["base", "live"]), st.integers(1, 8))
    drawn = draw(st.lists(kinds, min_size=1, max_size=most))
    seqs = Counter[str]()
    rows = []
    for commit, (trace, source, weight) in enumerate(drawn, start=1):
        name = f"{source}-{trace}"
        rows.append(
            ClipRow(
                commit, name, seqs[name], source, "", 0, 0, "", "", 15 * seqs[name], 15, weight,
                "real", "", 0.0, 0.0,
            )
        )  # fmt: skip
        seqs[name] += 1
    return rows


@settings(max_examples=100, deadline=None, derandomize=True)
@given(clip_rows(), st.floats(0.3, 5000), st.floats(0, 4))
def test_chances_are_weight_times_recency_and_the_sources_share(
    rows: list[ClipRow], half_life: float, live: float
) -> None:
    mixture = Mixture(
        weights={"base": 1.0, "live": live}, half_life_clips={"base": half_life, "live": 7.0}
    )
    assert np.allclose(chances(rows, mixture), plain_chances(rows, mixture), rtol=1e-9, atol=0)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(clip_rows(), st.floats(0.02, 1.0))
def test_no_trace_gets_more_than_the_cap_as_far_as_there_are_traces(
    rows: list[ClipRow], cap: float
) -> None:
    mixture = Mixture(trace_cap=cap)
    before, after = chances(rows, Mixture()), chances(rows, mixture)
    for source in {row.source for row in rows}:
        old, new = Counter[str](), Counter[str]()
        for row, one, other in zip(rows, before, after, strict=True):
            if row.source == source:
                old[row.trace_id] += one
                new[row.trace_id] += other
        allowed = max(cap, 1 / len(new))
        assert sum(new.values()) == pytest.approx(1.0)
        assert max(new.values()) <= allowed * (1 + 1e-9)
        # What is below the cap keeps its proportions, and never loses.
        free = [trace for trace in new if new[trace] < allowed * (1 - 1e-9)]
        ratios = [new[trace] / old[trace] for trace in free]
        assert ratios == pytest.approx(ratios[:1] * len(ratios))
        assert all(ratio >= 1 - 1e-9 for ratio in ratios)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(clip_rows(), st.integers(0, 99), st.sampled_from([1.0, 0.3]))
def test_the_bits_of_chances_do_not_depend_on_how_the_clips_came(
    rows: list[ClipRow], seed: int, cap: float
) -> None:
    """A restart adopts in one go what a run adopted in many, and what was withdrawn not at all."""
    mixture = Mixture(trace_cap=cap, half_life_clips={"base": 9.0, "live": 3.0})
    shuffled = random.Random(seed).sample(rows, len(rows))
    gone = {row.commit for row in shuffled[: len(rows) // 3]}
    left = [row for row in rows if row.commit not in gone]
    many = AdoptedClips()
    for row in shuffled:
        many.adopt(row.commit, [row])
        if row.commit % 3 == 0:
            many.columns()
    many.withdraw(gone)
    if not left:
        assert len(many) == 0
        return
    assert many.targets() == left
    assert clip_chances(many.columns(), mixture).tobytes() == chances(left, mixture).tobytes()


def test_clips_that_barely_move_are_drawn_less(make_rows: MakeRows) -> None:
    rows = [*make_rows("still", [0], 1, weight=1), *make_rows("busy", [0], 2, weight=8)]
    still, busy = chances(rows, Mixture())
    assert busy == pytest.approx(8 * still, rel=1e-4)


def test_a_single_frame_has_no_frame_before_it_and_is_not_drawn(make_rows: MakeRows) -> None:
    rows = [*make_rows("one", [0], 1, frames=1), *make_rows("two", [0], 2, frames=2)]
    assert chances(rows, Mixture()).tolist() == [0.0, 1.0]


@pytest.mark.parametrize("cap", ["0.0", "1.5", "-1.0"])
def test_a_cap_that_is_no_share_is_refused(cap: str) -> None:
    document = read_document(None, (f"mixture.trace_cap={cap}",))
    with pytest.raises(ConfigError, match="trace_cap"):
        NeuralosConfig.of(document)


@settings(max_examples=40, deadline=None)
@given(clip_rows(), st.sampled_from([0.25, 0.6, 0.9]))
def test_transitions_get_their_share_of_each_source(rows: list[ClipRow], wanted: float) -> None:
    plain, favoured = chances(rows, Mixture()), chances(rows, Mixture(transitions=wanted))
    for source in ("base", "live"):
        mine = np.array([row.source == source for row in rows])
        busy = np.array([row.weight >= TRANSITION_WEIGHT for row in rows]) & mine
        calm = mine & ~busy
        if busy.any() and calm.any():
            assert favoured[busy].sum() == pytest.approx(wanted * favoured[mine].sum())
        else:
            assert np.array_equal(favoured[mine], plain[mine])
        for part in (busy, calm):
            if part.any():
                ratio = favoured[part] / plain[part]
                assert ratio == pytest.approx(np.full(len(ratio), ratio[0]))


@pytest.mark.parametrize("share", [1.0, -0.1, float("nan")])
def test_transitions_are_a_share_below_one(share: float) -> None:
    with pytest.raises(ValueError, match="transitions"):
        Mixture(transitions=share)
