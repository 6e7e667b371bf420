"""Hostile commands at a run that trains: none stops it, none changes it without an entry."""

from pathlib import Path

import pytest

from interactive.replaying.replay import replay
from tests.hostile_commands import hostile_bodies
from tests.hostile_run import run_hostile


@pytest.mark.parametrize(
    ("count", "seed"), [(300, 1), pytest.param(10_000, 2, marks=pytest.mark.nightly)]
)
def test_hostile_commands_change_nothing_that_the_ledger_does_not_say(
    tmp_path: Path, count: int, seed: int
) -> None:
    tally = run_hostile(tmp_path / "run", count, seed)
    assert (tally.sent, tally.stops) == (count, 0)
    assert tally.unexplained == []
    assert tally.steps > count / 8
    # Some of each kind came through, or the test would show nothing.
    assert {"malformed", "unknown_command", "out_of_bounds", "id_reused"} <= set(tally.refused)
    assert {"applied", "unknown_checkpoint"} <= set(tally.met)
    report = replay(tmp_path / "run")
    assert report.first_divergence is None
    assert report.identical == report.steps == tally.steps


def test_a_seed_decides_what_is_sent() -> None:
    first, again, other = hostile_bodies(5), hostile_bodies(5), hostile_bodies(6)
    taken = [next(first) for _ in range(50)]
    assert taken == [next(again) for _ in range(50)]
    assert taken != [next(other) for _ in range(50)]
