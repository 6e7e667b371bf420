"""A small desktop, sink, clock and telemetry for the tests of window and recorder."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from data_collection.action import Action
from data_collection.events import Event
from data_collection.storage.sink import Cut
from data_collection.trace import Clip, Frame, TraceHeader

WIDTH_PX, HEIGHT_PX = 64, 48


class FakeClock:
    """Time that passes only in ``sleep``, or where a test pushes it on."""

    def __init__(self) -> None:
        self.now_ns = 1_000_000_000
        self.at_sleep: Callable[[], None] = lambda: None

    def monotonic_ns(self) -> int:
        return self.now_ns

    def wall_s(self) -> float:
        return 1_700_000_000.0 + self.now_ns / 1e9

    def sleep(self, duration_s: float) -> None:
        self.now_ns += round(duration_s * 1e9)
        self.at_sleep()


class FakeDesktop:
    """Frame n of a desktop is filled with n; it remembers what it was given."""

    def __init__(self, name: str = "fake", fill: int = 0) -> None:
        self.name = name
        self.width_px, self.height_px = WIDTH_PX, HEIGHT_PX
        self.label = f"{name} desktop"
        self.fill = fill
        self.ticks = 0
        self.seeds: list[int] = []
        self.groups: list[tuple[Event, ...]] = []
        self.closed = False
        self.at_step: Callable[[], None] = lambda: None

    def reset(self, seed: int) -> Frame:
        self.ticks = 0
        self.seeds.append(seed)
        return self._frame()

    def step(self, events: Sequence[Event]) -> Frame:
        self.ticks += 1
        self.groups.append(tuple(events))
        self.at_step()
        return self._frame()

    def state(self) -> dict[str, Any]:
        return {"ticks": self.ticks}

    def close(self) -> None:
        self.closed = True

    def _frame(self) -> Frame:
        return np.full((HEIGHT_PX, WIDTH_PX, 3), (self.fill + self.ticks) % 256, np.uint8)


class FakeSimulator(FakeDesktop):
    """A desktop that takes a warm start."""

    def __init__(self) -> None:
        super().__init__("simulator", fill=100)
        self.label = "simulator: step 240"
        self.warm_frames: list[Frame] = []
        self.warm_actions: list[Action] = []

    def warm_start(self, frames: Sequence[Frame], actions: Sequence[Action]) -> None:
        self.warm_frames, self.warm_actions = list(frames), list(actions)

    def state(self) -> dict[str, Any]:
        pairs = zip(self.warm_frames, self.warm_actions, strict=True)
        warm = [[int(frame[0, 0, 0]), action.x_px] for frame, action in pairs]
        return {**super().state(), "warm": warm}


class FakeSink:
    """Keeps what it is given; raises ``refusal`` where it is set."""

    def __init__(self) -> None:
        self.headers: list[TraceHeader] = []
        self.clips: list[Clip] = []
        self.refusal: OSError | None = None
        self.withdrawn: list[tuple[str, int]] = []

    def open(self, header: TraceHeader) -> None:
        self.headers.append(header)

    def put(self, header: TraceHeader, clip: Clip) -> None:
        if self.refusal is not None:
            raise self.refusal
        assert header == self.headers[-1], "a clip of a trace that was not announced"
        self.clips.append(clip)

    def withdraw(self, header: TraceHeader, first_seq: int, last_seq: int) -> Cut:
        if self.refusal is not None:
            raise self.refusal
        gone = [clip for clip in self.clips_of(header) if first_seq <= clip.seq <= last_seq]
        assert len(gone) == last_seq - first_seq + 1, "a clip that the sink never had"
        self.clips = [clip for clip in self.clips if all(clip is not one for one in gone)]
        self.withdrawn += [(header.trace_id, clip.seq) for clip in gone]
        return Cut(unsent=len(gone) - len(gone) // 2, sent=len(gone) // 2)

    def close(self) -> None:
        pass

    def clips_of(self, header: TraceHeader) -> list[Clip]:
        return [clip for clip in self.clips if clip.trace_id == header.trace_id]


class FakeTelemetry:
    def __init__(self) -> None:
        self.disk = 10_000_000_000

    def unacknowledged(self) -> int:
        return 2

    def disk_left_bytes(self) -> int | None:
        return self.disk

    def training(self) -> str:
        return "step 7"


class Temperamental(FakeDesktop):
    """A desktop that dies, hangs or breaks when a key of that name is pressed."""

    def step(self, events: Sequence[Event]) -> Frame:
        for event in events:
            order = getattr(event, "keysym", "")
            if order == "die":
                os._exit(3)
            if order == "hang":
                time.sleep(3600)
            if order == "break":
                raise ValueError("the wallpaper is missing")
        self.label = f"tick {self.ticks + 1}"
        return super().step(events)


def make_temperamental(name: str) -> Temperamental:
    return Temperamental(name)


def make_warm() -> FakeSimulator:
    return FakeSimulator()


def make_nothing() -> FakeDesktop:
    raise FileNotFoundError("no weights at step 12")
