from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import pytest
from crew_desks import BAD_FRAME, EXITS, RAISES

from data_collection.clock import SystemClock
from data_collection.desktops.scripted import ScriptedDesktop
from data_collection.recording.collect import collect, synthetic_header
from data_collection.recording.crew import Crew, JobRefused
from data_collection.recording.crew_work import Ended, Job, Seat
from data_collection.storage.codec import decode_clip, encode_clip
from data_collection.storage.store import EncodedClip
from data_collection.trace import TraceHeader
from data_collection.users import make_user

SCRIPTED = Seat(
    "data_collection.desktops.registry:make_desktop", "task", "s", arguments={"name": "scripted"}
)
COUNTING = Seat("crew_desks:make", "explorer", "s")


class ListKeeper:
    """Keeps what a crew makes in memory; refuses or fails for some traces."""

    def __init__(self, refuses: str = "", fails: str = "") -> None:
        self.kept: dict[str, list[EncodedClip]] = {}
        self.headers: dict[str, TraceHeader] = {}
        self._refuses = refuses
        self._fails = fails

    def keep(self, header: TraceHeader, encoded: EncodedClip) -> None:
        if header.trace_id == self._refuses:
            raise JobRefused("taken")
        if header.trace_id == self._fails:
            raise OSError(28, "No space left on device")
        self.headers[header.trace_id] = header
        self.kept.setdefault(header.trace_id, []).append(encoded)

    def frames(self, trace_id: str) -> int:
        return sum(clip.frames for clip in self.kept.get(trace_id, []))


def run(
    seat: Seat,
    jobs: list[Job],
    keeper: ListKeeper,
    workers: int = 2,
    until: Callable[[], bool] = lambda: False,
) -> dict[str, Ended]:
    ends: dict[str, Ended] = {}
    crew = Crew(
        seat,
        workers,
        keeper,
        SystemClock(),
        lambda job: None,
        lambda job, ended: ends.update({job.trace_id: ended}),
    )
    crew.run(jobs, until)
    return ends


def drawn_bodies(job: Job, user: str = "task") -> list[bytes]:
    """Return what a worker must make of a job, made here."""
    desktop = ScriptedDesktop()
    header = synthetic_header(job.trace_id, desktop, seed=job.seed, source="s", policy=user)
    return [encode_clip(clip) for clip in collect(desktop, make_user(user), header, job.clips)]


def test_workers_draw_the_same_bytes_as_anyone_with_the_seed() -> None:
    jobs = [Job(f"t-{n}", seed=n, clips=2) for n in range(3)]
    jobs[1] = replace(jobs[1], present=frozenset({0}))
    keeper = ListKeeper()
    ends = run(SCRIPTED, jobs, keeper)
    assert set(ends.values()) == {Ended()}
    for job in jobs:
        made = {clip.seq: clip.body for clip in keeper.kept[job.trace_id]}
        wanted = dict(enumerate(drawn_bodies(job)))
        assert made == {seq: wanted[seq] for seq in wanted if seq not in job.present}


def test_a_dead_worker_or_desktop_ends_its_trace_and_no_other() -> None:
    jobs = [Job(f"t-{seed}", seed=seed, clips=2) for seed in (RAISES, EXITS, 8, 9, 10)]
    keeper = ListKeeper()
    ends = run(COUNTING, jobs, keeper)
    assert ends[f"t-{RAISES}"].reason == "DesktopDied: its screen went dark"
    assert "exit code 7" in ends[f"t-{EXITS}"].reason
    whole_clips = BAD_FRAME // 15 * 15
    assert keeper.frames(f"t-{RAISES}") == whole_clips
    assert {keeper.frames(f"t-{seed}") for seed in (8, 9, 10)} == {30}
    assert all(ends[f"t-{seed}"] == Ended() for seed in (8, 9, 10))


def test_a_desktop_that_never_comes_up_fails_each_trace_with_its_reason() -> None:
    seat = replace(COUNTING, factory="crew_desks:make_none")
    ends = run(seat, [Job("t-1", 1, 2), Job("t-2", 2, 2)], ListKeeper(), workers=1)
    assert {end.reason for end in ends.values()} == {"DesktopDied: Xvfb is not installed"}


def test_a_refused_trace_leaves_the_others_alone() -> None:
    keeper = ListKeeper(refuses="t-8")
    ends = run(COUNTING, [Job("t-8", 8, 2), Job("t-9", 9, 2)], keeper, workers=1)
    assert ends == {"t-8": Ended("taken"), "t-9": Ended()}


def test_a_disk_that_refuses_ends_the_crew() -> None:
    keeper = ListKeeper(fails="t-9")
    with pytest.raises(OSError, match="No space left"):
        run(COUNTING, [Job("t-8", 8, 2), Job("t-9", 9, 2), Job("t-10", 10, 2)], keeper, workers=1)
    assert keeper.frames("t-8") == 30


def test_told_to_stop_a_drawn_trace_keeps_whole_clips_only() -> None:
    keeper = ListKeeper()
    ends = run(
        SCRIPTED, [Job("t-1", 1, 500), Job("t-2", 2, 500)], keeper, 1, lambda: bool(keeper.kept)
    )
    assert ends == {"t-1": Ended("interrupted")}
    bodies = [clip.body for clip in keeper.kept["t-1"]]
    assert bodies == drawn_bodies(Job("t-1", 1, len(bodies) + 1))[: len(bodies)]


def test_told_to_stop_a_trace_in_real_time_ends_there_and_keeps_its_last_frames() -> None:
    keeper = ListKeeper()
    seat = replace(COUNTING, real_time=True)
    ends = run(seat, [Job("t-8", 8, 500)], keeper, 1, lambda: bool(keeper.kept))
    assert ends["t-8"].reason == "interrupted"
    header, clips = keeper.headers["t-8"], keeper.kept["t-8"]
    assert header.anchor_mono_ns > 0
    assert [clip.first_frame for clip in clips] == [15 * n for n in range(len(clips))]
    times = [t for clip in clips for t in decode_clip(clip.body).t_mono_ns]
    assert all(before < after for before, after in pairwise(times))
    assert times[0] > header.anchor_mono_ns
