"""Clips as latents and action numbers, read when they are needed and kept while there is room."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor

from data_collection.action import Action, fold
from data_collection.events import ButtonChanged, PointerMoved
from data_collection.trace import FPS, ClipRow
from neuralos.data.encode import Floats, Keys, encode_action, encode_keys
from neuralos.data.packed_clips import PackedClips
from neuralos.data.reading import ClipEvents, ClipReader, ReadClip
from neuralos.data.rows import AdoptedClips
from neuralos.models.autoencoder import Autoencoder

_EVENTS_PER_CLIP = 4
"""The events of so many clips are kept for each whose latents are."""
_LOOK_BACK = 3
"""Clips that are searched for buttons and keys still held."""


@dataclass(frozen=True, slots=True)
class EncodedClip:
    """A clip as the models read it: ``latents`` (N, C, H, W) in half precision."""

    latents: Tensor
    actions: Floats
    keys: Keys


class LatentStore:
    """Encodes clips one by one in one batch shape, so that their bits depend on nothing else.

    Latents of the ``cached_clips`` clips used last are kept, and events of some more.

    Args:
        reader: reads the clips of rows.
        clips: says which clips come before which.
        autoencoder: encodes frames.
        cached_clips: how many clips to keep.
        packed_clips: of how many more the frames are kept, packed.
    """

    def __init__(
        self,
        reader: ClipReader,
        clips: AdoptedClips,
        autoencoder: Autoencoder,
        cached_clips: int,
        packed_clips: int = 0,
    ) -> None:
        self._reader = reader
        self._clips = clips
        self._autoencoder = autoencoder
        self._cached_clips = cached_clips
        self._packed = PackedClips(packed_clips)
        self._cache: OrderedDict[int, EncodedClip] = OrderedDict()
        self._events: OrderedDict[int, ClipEvents] = OrderedDict()

    def get(self, rows: Iterable[ClipRow]) -> dict[int, EncodedClip]:
        """Return clips by commit number, reading at once all that are not at hand.

        Raises:
            ClipsUnreadable: names every clip that cannot be read.
        """
        wanted = {row.commit: row for row in rows}
        new = [row for commit, row in wanted.items() if commit not in self._cache]
        read = self._read(new)
        found = {}
        for commit, row in wanted.items():
            encoded = self._cache.pop(commit, None) or self._encode(row, read[commit])
            found[commit] = self._cache[commit] = encoded
        _shorten(self._cache, self._cached_clips)
        _shorten(self._events, _EVENTS_PER_CLIP * self._cached_clips)
        return found

    def forget(self, commits: Iterable[int]) -> None:
        """Drop clips that are gone, or whose first action may be another now.

        What is kept never differs from what a restart would read.
        """
        for commit in commits:
            self._cache.pop(commit, None)
            self._events.pop(commit, None)
            self._packed.forget((commit,))

    def _read(self, rows: Sequence[ClipRow]) -> dict[int, ReadClip]:
        """Read clips, and the events of those before them that are always looked at."""
        whole = {row.commit for row in rows}
        before = {
            one.commit: one
            for row in rows
            for one in islice(self._clips.before(row), _LOOK_BACK)
            if one.commit not in self._events and one.commit not in whole
        }
        kept = {row.commit: self._packed.get(row.commit) for row in rows}
        missing = [row for row in rows if kept[row.commit] is None]
        read, events = self._reader.read(missing, list(before.values()))
        for commit, clip in read.items():
            self._packed.put(commit, clip)
        read.update({commit: clip for commit, clip in kept.items() if clip is not None})
        for row in rows:
            events[row.commit] = read[row.commit].events
        self._events.update(events)
        return read

    def _encode(self, row: ClipRow, clip: ReadClip) -> EncodedClip:
        action = self._action_before(row)
        actions, keys = [], []
        for events in clip.events:
            previous, action = action, fold(events, action)
            actions.append(encode_action(action))
            keys.append(encode_keys(action, previous))
        return EncodedClip(
            encode_frames(self._autoencoder, clip.frames).half().cpu(),
            np.stack(actions),
            np.stack(keys),
        )

    def _action_before(self, row: ClipRow) -> Action:
        """Return what the clips before this one left.

        At least ``_LOOK_BACK`` of them are read, and more until one says where the pointer is.
        """
        earlier: list[ClipEvents] = []
        for count, before in enumerate(self._clips.before(row), 1):
            if before.commit not in self._events:
                self._events.update(self._reader.read((), [before])[1])
            earlier.append(self._events[before.commit])
            if count >= _LOOK_BACK and any(map(_says_where, earlier)):
                break
        action = Action()
        for clip in reversed(earlier):
            for events in clip:
                action = fold(events, action)
        return action


def _shorten(kept: OrderedDict[int, Any], most: int) -> None:
    while len(kept) > most:
        kept.popitem(last=False)


def _says_where(clip: ClipEvents) -> bool:
    return any(isinstance(e, (PointerMoved, ButtonChanged)) for events in clip for e in events)


@torch.no_grad()
def encode_frames(
    autoencoder: Autoencoder, frames: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]
) -> Tensor:
    """Return the latents of at most ``FPS`` reduced frames, computed as a batch of ``FPS``."""
    padded = np.zeros((FPS, *frames.shape[1:]), dtype=np.uint8)
    padded[: len(frames)] = frames
    return autoencoder.encode(torch.from_numpy(padded).to(autoencoder.device))[: len(frames)]
