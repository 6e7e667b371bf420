"""A sitting at a scripted desktop and then at a simulator of it, and what really happened."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from data_collection.desktops.scripted import ScriptedDesktop
from data_collection.events import Event, Marker
from data_collection.recording.collect import synthetic_header
from data_collection.storage.codec import encode_clip
from data_collection.storage.store import EncodedClip, TraceStore
from data_collection.trace import FPS, Clip, Frame, TraceHeader
from data_collection.users import make_user

PERIOD_NS = 10**9 // FPS


@dataclass
class Sitting:
    """The traces of a sitting: a real one, then a simulator's that goes on from it."""

    real: TraceHeader
    simulated: TraceHeader
    real_clips: list[Clip]
    simulated_clips: list[Clip]
    truth: list[Frame]
    """What the real desktop would have shown during the simulator's trace."""

    def store(self, root: Path) -> TraceStore:
        """Open a store with both traces in it."""
        store = TraceStore.open(root)
        put(store, self.real, self.real_clips)
        put(store, self.simulated, self.simulated_clips)
        return store


def put(store: TraceStore, header: TraceHeader, clips: Sequence[Clip]) -> None:
    store.open_trace(header)
    for clip in clips:
        store.append(header, EncodedClip.of(clip, encode_clip(clip)), 1.0)


def sitting(seed: int = 5, clips: int = 2, user: str = "explorer") -> Sitting:
    """Let a user work at a real desktop, then at a simulator that shows noise."""
    desktop = ScriptedDesktop()
    real = synthetic_header(f"s{seed}-real", desktop, seed=seed, source="live", policy="person")
    desktop.reset(seed)
    hand = make_user(user)
    hand.reset(seed, desktop.width_px, desktop.height_px)
    events = iter(range(10**6))

    def second(trace_id: str, seq: int, opening: str, simulated: bool) -> tuple[Clip, list[Frame]]:
        frames, groups = [], []
        for index in range(FPS):
            acted: list[Event] = hand.act(desktop.state())
            if seq == 0 and index == 0:
                acted = [Marker(opening), *acted]
            group = tuple(replace(event, seq=next(events)) for event in acted)
            groups.append(group)
            frames.append(desktop.step(group))
        first = seq * FPS
        shown = np.stack(frames)
        if simulated:
            shown = np.random.default_rng(seq).integers(0, 256, shown.shape, np.uint8)
        base = (first + (clips * FPS if simulated else 0)) * PERIOD_NS
        times = tuple(base + (index + 1) * PERIOD_NS for index in range(FPS))
        return Clip(trace_id, seq, first, shown, times, tuple(groups), desktop.state()), frames

    real_clips = [second(real.trace_id, seq, "reset", False)[0] for seq in range(clips)]
    simulated = replace(
        real,
        trace_id=f"s{seed}-simulated",
        desktop="simulator",
        frame_source="simulator",
        checkpoint="main-000100",
        follows=real.trace_id,
        follows_frames=clips * FPS,
    )
    simulated_clips, truth = [], []
    for seq in range(clips):
        clip, frames = second(simulated.trace_id, seq, "resume", True)
        simulated_clips.append(clip)
        truth += frames
    return Sitting(real, simulated, real_clips, simulated_clips, truth)
