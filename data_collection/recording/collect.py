"""Traces of scripted users, made as fast as the desktop can draw, without a window."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from data_collection.desktops.desktop import Desktop
from data_collection.events import Event
from data_collection.trace import Clip, Consent, TraceHeader
from data_collection.users.user import User


def synthetic_header(
    trace_id: str, desktop: Desktop, *, seed: int, source: str, policy: str
) -> TraceHeader:
    """Return the header of a scripted user's trace, whose timeline begins at 0.

    With no clock in it, the same seed gives the same bytes everywhere.
    """
    return TraceHeader(
        trace_id=trace_id,
        desktop=desktop.name,
        width_px=desktop.width_px,
        height_px=desktop.height_px,
        seed=seed,
        source=source,
        consent=Consent.SYNTHETIC,
        anchor_wall_s=0.0,
        anchor_mono_ns=0,
        policy=policy,
    )


def collect(desktop: Desktop, user: User, header: TraceHeader, clips: int) -> Iterator[Clip]:
    """Let a user work at a desktop and yield the clips of the trace.

    Args:
        desktop: any desktop; it is reset with the header's seed.
        user: who acts; reset with the same seed.
        header: what the trace says of itself.
        clips: how many clips of one second each.
    """
    period_ns = round(1e9 / header.fps)
    desktop.reset(header.seed)
    user.reset(header.seed, desktop.width_px, desktop.height_px)
    event_seq = 0
    for seq in range(clips):
        frames, times, groups = [], [], []
        for index in range(header.fps):
            due_ns = (seq * header.fps + index + 1) * period_ns
            group: list[Event] = []
            for event in user.act(desktop.state()):
                group.append(replace(event, t_mono_ns=due_ns - period_ns // 2, seq=event_seq))
                event_seq += 1
            frames.append(desktop.step(group))
            times.append(due_ns)
            groups.append(tuple(group))
        yield Clip(
            trace_id=header.trace_id,
            seq=seq,
            first_frame=seq * header.fps,
            frames=np.stack(frames),
            t_mono_ns=tuple(times),
            events=tuple(groups),
            state=desktop.state(),
        )
