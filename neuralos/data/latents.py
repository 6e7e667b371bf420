"""Clips as latents and action numbers, read when they are needed and kept while there is room."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from data_collection.action import Action, fold
from data_collection.trace import FPS, Clip, ClipRow
from neuralos.data.encode import Floats, Keys, encode_action, encode_keys, reduce_frames
from neuralos.data.rows import AdoptedClips
from neuralos.models.patch_code import PatchCode

ReadClip = Callable[[ClipRow], Clip]


@dataclass(frozen=True, slots=True)
class EncodedClip:
    """A clip as the models read it: ``latents`` (N, C, H, W) in half precision."""

    latents: Tensor
    actions: Floats
    keys: Keys


class LatentStore:
    """Encodes clips one by one in one batch shape, so that their bits depend on nothing else.

    The action at a clip's start is what the clips before it in its run left; it is kept
    for good, the latents of the ``cached_clips`` clips used last.
    """

    def __init__(
        self, read: ReadClip, clips: AdoptedClips, code: PatchCode, cached_clips: int
    ) -> None:
        self._read = read
        self._clips = clips
        self._code = code
        self._cached_clips = cached_clips
        self._cache: OrderedDict[int, EncodedClip] = OrderedDict()
        self._last_actions: dict[int, Action] = {}

    def get(self, row: ClipRow) -> EncodedClip:
        """Return a clip, reading it if it is not at hand."""
        encoded = self._cache.pop(row.commit, None) or self._load(row)
        self._cache[row.commit] = encoded
        while len(self._cache) > self._cached_clips:
            self._cache.popitem(last=False)
        return encoded

    def _load(self, row: ClipRow) -> EncodedClip:
        """Read a clip, after those of its run whose last action is not known yet."""
        before = self._clips.before(row)
        known = len(before)
        while known and before[known - 1].commit not in self._last_actions:
            known -= 1
        for earlier in before[known:]:
            self.get(earlier)
        action = self._last_actions[before[-1].commit] if before else Action()
        clip = self._read(row)
        actions, keys = [], []
        for events in clip.events:
            previous, action = action, fold(events, action)
            actions.append(encode_action(action))
            keys.append(encode_keys(action, previous))
        self._last_actions[row.commit] = action
        return EncodedClip(
            encode_frames(self._code, reduce_frames(clip.frames)).half(),
            np.stack(actions),
            np.stack(keys),
        )


@torch.no_grad()
def encode_frames(code: PatchCode, frames: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> Tensor:
    """Return the latents of at most ``FPS`` reduced frames, computed as a batch of ``FPS``."""
    padded = np.zeros((FPS, *frames.shape[1:]), dtype=np.uint8)
    padded[: len(frames)] = frames
    return code.encode(torch.from_numpy(padded))[: len(frames)]
