"""Clips as latents and action numbers, read when they are needed and kept while there is room."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from data_collection.action import Action, fold
from data_collection.events import ButtonChanged, Event, PointerMoved
from data_collection.trace import FPS, Clip, ClipRow
from neuralos.data.encode import Floats, Keys, encode_action, encode_keys, reduce_frames
from neuralos.data.rows import AdoptedClips
from neuralos.models.patch_code import PatchCode

ReadClip = Callable[[ClipRow], Clip]
ClipEvents = tuple[tuple[Event, ...], ...]

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

    Latents of the ``cached_clips`` clips used last are kept, events of all that were read.
    """

    def __init__(
        self, read: ReadClip, clips: AdoptedClips, code: PatchCode, cached_clips: int
    ) -> None:
        self._read = read
        self._clips = clips
        self._code = code
        self._cached_clips = cached_clips
        self._cache: OrderedDict[int, EncodedClip] = OrderedDict()
        self._events: dict[int, ClipEvents] = {}

    def get(self, row: ClipRow) -> EncodedClip:
        """Return a clip, reading it if it is not at hand."""
        encoded = self._cache.pop(row.commit, None) or self._load(row)
        self._cache[row.commit] = encoded
        while len(self._cache) > self._cached_clips:
            self._cache.popitem(last=False)
        return encoded

    def forget(self, commits: Iterable[int]) -> None:
        """Drop clips whose first action may be another now; they are read again when needed.

        What is kept never differs from what a restart would read.
        """
        for commit in commits:
            self._cache.pop(commit, None)

    def _load(self, row: ClipRow) -> EncodedClip:
        clip = self._read(row)
        self._events[row.commit] = clip.events
        action = self._action_before(row)
        actions, keys = [], []
        for events in clip.events:
            previous, action = action, fold(events, action)
            actions.append(encode_action(action))
            keys.append(encode_keys(action, previous))
        return EncodedClip(
            encode_frames(self._code, reduce_frames(clip.frames)).half(),
            np.stack(actions),
            np.stack(keys),
        )

    def _action_before(self, row: ClipRow) -> Action:
        """Return what the clips before this one left.

        At least ``_LOOK_BACK`` of them are read, and more until one says where the pointer is.
        """
        earlier: list[ClipEvents] = []
        for count, before in enumerate(reversed(self._clips.before(row)), 1):
            if before.commit not in self._events:
                self._events[before.commit] = self._read(before).events
            earlier.append(self._events[before.commit])
            if count >= _LOOK_BACK and any(map(_says_where, earlier)):
                break
        action = Action()
        for clip in reversed(earlier):
            for events in clip:
                action = fold(events, action)
        return action


def _says_where(clip: ClipEvents) -> bool:
    return any(isinstance(e, (PointerMoved, ButtonChanged)) for events in clip for e in events)


@torch.no_grad()
def encode_frames(
    code: PatchCode, frames: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]
) -> Tensor:
    """Return the latents of at most ``FPS`` reduced frames, computed as a batch of ``FPS``."""
    padded = np.zeros((FPS, *frames.shape[1:]), dtype=np.uint8)
    padded[: len(frames)] = frames
    return code.encode(torch.from_numpy(padded))[: len(frames)]
