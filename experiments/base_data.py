"""The base data of a run: scripted users at the scripted desktop, made on the first start."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from itertools import islice

from rich.console import Console
from rich.progress import track

from data_collection.clock import Clock
from data_collection.desktops.scripted import ScriptedConfig, ScriptedDesktop
from data_collection.recording.collect import collect, synthetic_header
from data_collection.recording.happenings import HAPPENINGS, Watched
from data_collection.storage.codec import encode_clip
from data_collection.storage.store import EncodedClip, TraceStore
from data_collection.trace import TraceHeader
from data_collection.users import USERS, make_user
from neuralos.data.mixture import BASE_SOURCE

_SEEDS_APART = 100_003
_TRIES_APART = 1_000_000_007
_MOST_TRIES = 100


class NeverWithout(Exception):
    """A user does again and again what its traces must not show."""

    def __init__(self, user: str, without: tuple[str, ...]) -> None:
        super().__init__(f"none of {_MOST_TRIES} traces of {user!r} is without {list(without)}")
        self.hint = "Leave the user out of [base] users, or shorten the traces."


@dataclass(frozen=True, slots=True)
class BaseConfig:
    """How much base data a run starts with, and who makes them.

    There are ``traces`` of ``clips`` seconds each, shared out among ``users`` by weight, at
    a desktop whose browser takes ``launch_frames`` to come. A trace that shows one of
    ``without`` is drawn again.
    """

    traces: int = 24
    clips: int = 10
    users: Mapping[str, float] = field(
        default_factory=lambda: {"opener": 2.0, "task": 1.0, "explorer": 1.0}
    )
    launch_frames: int = 40
    without: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse users and happenings that there are not, and shares that share nothing.

        Raises:
            ValueError: as said; the message names the nearest.
        """
        _check_known("user", self.users, USERS)
        _check_known("happening", self.without, HAPPENINGS)
        if any(share < 0 for share in self.users.values()) or not any(self.users.values()):
            raise ValueError("users need shares of 0 or more, and one above 0")

    def users_in_turn(self) -> Iterator[str]:
        """Yield the user of each trace; any beginning of it holds the shares as well as can be."""
        whole = sum(self.users.values())
        made = dict.fromkeys(self.users, 0)
        number = 0
        while True:
            number += 1
            owed = {name: number * self.users[name] / whole - made[name] for name in made}
            user = max(owed, key=lambda name: owed[name])
            made[user] += 1
            yield user


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
        config: how many, and of whom.
        seed: of the users; trace n acts with a seed of its own.
        clock: for the time of acknowledgement.

    Raises:
        NeverWithout: a user cannot but do what its traces must not show.
    """
    desktop = ScriptedDesktop(ScriptedConfig(launch_frames=config.launch_frames))
    users = list(islice(config.users_in_turn(), config.traces))
    missing = missing_traces(store, config, seed)
    for number in track(missing, "base data", console=Console(stderr=True)):
        trace_id = _trace_id(seed, number)
        header, clips = _make_trace(desktop, users[number], trace_id, config, seed, number)
        store.open_trace(header)
        present = set(store.index.present(trace_id))
        for clip in clips:
            if clip.seq not in present:
                store.append(header, clip, clock.wall_s())


def _make_trace(
    desktop: ScriptedDesktop, name: str, trace_id: str, config: BaseConfig, seed: int, number: int
) -> tuple[TraceHeader, list[EncodedClip]]:
    """Return a trace that shows nothing of what it must be without.

    A trace is tried from the start, so a restart tries the same ones again.
    """
    for attempt in range(_MOST_TRIES):
        header = synthetic_header(
            trace_id,
            desktop,
            seed=seed * _SEEDS_APART + number + attempt * _TRIES_APART,
            source=BASE_SOURCE,
            policy=name,
        )
        user = Watched(make_user(name), config.without)
        clips = [
            EncodedClip.of(clip, encode_clip(clip))
            for clip in collect(desktop, user, header, config.clips, until=user.has_seen)
        ]
        if not user.look(desktop.state()):
            return header, clips
    raise NeverWithout(name, config.without)


def _check_known(what: str, names: Iterable[str], known: Collection[str]) -> None:
    for name in names:
        if name not in known:
            nearest = get_close_matches(name, known, n=1, cutoff=0.0)[0]
            raise ValueError(f"no {what} {name!r}; did you mean {nearest!r}?")


def _trace_id(seed: int, number: int) -> str:
    return f"base-{seed}-{number:04d}"
