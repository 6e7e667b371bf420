"""A store with a few small traces, for the tests of exports."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from data_collection.action import Action, fold
from data_collection.desktops.scripted import ScriptedConfig, ScriptedDesktop
from data_collection.events import Event, Marker
from data_collection.recording.collect import collect, synthetic_header
from data_collection.storage.codec import encode_clip
from data_collection.storage.store import EncodedClip, TraceStore
from data_collection.trace import Clip, TraceHeader
from data_collection.users import make_user

WIDTH_PX, HEIGHT_PX = 256, 192


def scripted_clips(trace_id: str, seed: int, clips: int) -> tuple[TraceHeader, list[Clip]]:
    """Return a scripted user's trace on a small scripted desktop, without its markers."""
    desktop = ScriptedDesktop(ScriptedConfig(width_px=WIDTH_PX, height_px=HEIGHT_PX))
    header = synthetic_header(trace_id, desktop, seed=seed, source="scripted", policy="explorer")
    recorded = collect(desktop, make_user("explorer"), header, clips)
    return header, [replace(clip, events=unmarked(clip.events)) for clip in recorded]


def unmarked(groups: tuple[tuple[Event, ...], ...]) -> tuple[tuple[Event, ...], ...]:
    return tuple(
        tuple(event for event in group if not isinstance(event, Marker)) for group in groups
    )


def add(store: TraceStore, header: TraceHeader, clips: list[Clip]) -> None:
    store.open_trace(header)
    for clip in clips:
        store.append(header, EncodedClip.of(clip, encode_clip(clip)), 0.0)


def small_store(root: Path) -> tuple[TraceStore, dict[str, list[Clip]]]:
    """Return an open store: ``whole`` (3 clips), ``gappy`` (clips 0, 1, 3) and their clips."""
    store = TraceStore.open(root)
    clips = {}
    for trace_id, seed, missing in (("whole", 1, ()), ("gappy", 2, (2,))):
        header, recorded = scripted_clips(trace_id, seed, 3 if not missing else 4)
        clips[trace_id] = [clip for clip in recorded if clip.seq not in missing]
        add(store, header, clips[trace_id])
    return store, clips


def actions_of(clips: list[Clip]) -> list[Action]:
    """Return the action that led to each frame, folded from rest."""
    actions = []
    action = Action()
    for clip in clips:
        for events in clip.events:
            action = fold(events, action)
            actions.append(action)
    return actions


def events_of(clips: list[Clip]) -> list[tuple[Event, ...]]:
    return [events for clip in clips for events in clip.events]
