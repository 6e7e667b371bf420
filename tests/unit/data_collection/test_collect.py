from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from crew_desks import CountingDesk

from data_collection.desktops.scripted import ScriptedDesktop
from data_collection.events import Event, Marker
from data_collection.recording.collect import RealTime, collect, synthetic_header
from data_collection.recording.goals import GoalOutcome, all_reached, goal_outcomes
from data_collection.trace import Clip
from data_collection.users import TaskUser, make_user
from data_collection.users.task import Outcome


class SteppingClock:
    """A clock that moves when somebody sleeps, and by ``step_ns`` at each look."""

    def __init__(self, step_ns: int = 1000) -> None:
        self.now_ns = 5_000_000_000
        self.step_ns = step_ns

    def monotonic_ns(self) -> int:
        self.now_ns += self.step_ns
        return self.now_ns

    def wall_s(self) -> float:
        return 1000.0

    def sleep(self, duration_s: float) -> None:
        self.now_ns += int(duration_s * 1e9)


class GoalUser:
    """Acts out a script of goals: tick -> goal begun, or outcome of the one before."""

    name = "script"

    def __init__(self, script: dict[int, str | bool], ends_well: bool = False) -> None:
        self.goal = ""
        self.outcomes: list[Outcome] = []
        self._script = script
        self._ends_well = ends_well
        self._tick = 0

    def reset(self, seed: int, width_px: int, height_px: int) -> None:
        self._tick = 0

    def act(self, state: dict[str, Any]) -> list[Event]:
        said = self._script.get(self._tick)
        self._tick += 1
        if isinstance(said, bool):
            self.outcomes.append(Outcome(self.goal, said, self._tick))
        elif said:
            self.goal = said
        return []

    def reached(self, state: dict[str, Any]) -> bool:
        return self._ends_well


def collected(user: Any, clips: int = 2, **options: Any) -> list[Clip]:
    desktop = CountingDesk()
    header = synthetic_header("t-1", desktop, seed=3, source="s", policy="p")
    return list(collect(desktop, user, header, clips, **options))


def markers(clips: list[Clip]) -> list[tuple[str, str]]:
    events = [event for clip in clips for group in clip.events for event in group]
    return [(event.kind, event.note) for event in events if isinstance(event, Marker)]


def test_goals_are_in_the_trace_and_read_back() -> None:
    script: dict[int, str | bool] = {0: "open Home", 6: True, 9: "drag it", 20: False, 22: "type"}
    clips = collected(GoalUser(script))
    assert markers(clips) == [
        ("reset", ""), ("goal", "open Home"), ("goal_reached", "open Home"), ("goal", "drag it"),
        ("goal_missed", "drag it"), ("goal", "type"), ("goal_unfinished", "type"),
    ]  # fmt: skip
    outcomes = goal_outcomes(clips)
    assert outcomes == [
        GoalOutcome("open Home", True, 6),
        GoalOutcome("drag it", False, 20),
        GoalOutcome("type", None, 29),
    ]
    assert not all_reached(outcomes)
    assert all_reached([outcomes[0], outcomes[2]])
    assert not all_reached([outcomes[2]])


def test_a_goal_reached_with_the_last_frame_counts() -> None:
    assert markers(collected(GoalUser({0: "type"}, ends_well=True)))[-1] == ("goal_reached", "type")


def test_events_are_numbered_without_gaps_and_stamped_before_their_frame() -> None:
    clips = collected(make_user("explorer"))
    events = [event for clip in clips for group in clip.events for event in group]
    assert [event.seq for event in events] == list(range(len(events)))
    for clip in clips:
        for group, due_ns in zip(clip.events, clip.t_mono_ns, strict=True):
            assert all(event.t_mono_ns <= due_ns for event in group)


def test_a_task_user_on_the_scripted_desktop_tells_its_goals() -> None:
    desktop = ScriptedDesktop()
    header = synthetic_header("t-1", desktop, seed=3, source="s", policy="task")
    user = TaskUser()
    clips = list(collect(desktop, user, header, 12))
    told = goal_outcomes(clips)
    assert [(o.goal, o.reached) for o in told[: len(user.outcomes)]] == [
        (outcome.goal, outcome.reached) for outcome in user.outcomes
    ]
    assert len(user.outcomes) >= 2


def test_in_real_time_frames_come_once_a_period_and_bear_the_clocks_time() -> None:
    clock = SteppingClock()
    timing = RealTime(clock, 15)
    clips = collected(make_user("explorer"), timing=timing)
    times = np.array([t for clip in clips for t in clip.t_mono_ns])
    assert times[0] > 5_000_000_000
    assert np.diff(times) == pytest.approx(1e9 / 15, abs=1e5)
    assert (timing.late, timing.lost_ns) == (0, 0)


def test_a_desktop_that_is_too_slow_loses_time_and_no_frame() -> None:
    clock = SteppingClock(step_ns=40_000_000)
    timing = RealTime(clock, 15)
    clips = collected(make_user("explorer"), timing=timing)
    assert sum(len(clip.frames) for clip in clips) == 30
    assert timing.late > 20
    assert timing.lost_ns > 0


def test_a_trace_ends_early_when_told_to() -> None:
    asked = iter(range(100))
    clips = collected(make_user("explorer"), until=lambda: next(asked) >= 20)
    assert [len(clip.frames) for clip in clips] == [15, 5]
