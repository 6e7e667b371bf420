"""The base data of a run: scripted users at the scripted desktop, made on the first start."""

from __future__ import annotations

from dataclasses import dataclass

from rich.console import Console
from rich.progress import track

from data_collection.clock import Clock
from data_collection.desktops.scripted import ScriptedDesktop
from data_collection.recording.collect import collect, synthetic_header
from data_collection.storage.codec import encode_clip
from data_collection.storage.store import EncodedClip, TraceStore
from data_collection.users import make_user
from neuralos.data.mixture import BASE_SOURCE

USERS = ("opener", "opener", "task", "explorer")


@dataclass(frozen=True, slots=True)
class BaseConfig:
    """How much base data a run starts with: ``traces`` of ``clips`` seconds each."""

    traces: int = 24
    clips: int = 10


def missing_traces(store: TraceStore, config: BaseConfig, seed: int) -> list[int]:
    """Return the numbers of the base traces that are not whole in the store."""
    return [
        number
        for number in range(config.traces)
        if len(store.index.present(_trace_id(seed, number))) < config.clips
    ]


def make_base(store: TraceStore, config: BaseConfig, seed: int, clock: Clock) -> None:
    """Make the base traces that are missing; the same seed gives the same bytes.

    Args:
        store: where they go, held by this process.
        config: how many.
        seed: of the users; trace n acts with a seed of its own.
        clock: for the time of acknowledgement.
    """
    desktop = ScriptedDesktop()
    for number in track(
        missing_traces(store, config, seed), "base data", console=Console(stderr=True)
    ):
        policy = USERS[number % len(USERS)]
        header = synthetic_header(
            _trace_id(seed, number),
            desktop,
            seed=seed * 100_003 + number,
            source=BASE_SOURCE,
            policy=policy,
        )
        store.open_trace(header)
        present = set(store.index.present(header.trace_id))
        for clip in collect(desktop, make_user(policy), header, config.clips):
            if clip.seq not in present:
                body = encode_clip(clip)
                store.append(header, EncodedClip.of(clip, body), clock.wall_s())


def _trace_id(seed: int, number: int) -> str:
    return f"base-{seed}-{number:04d}"
