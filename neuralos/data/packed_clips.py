"""Clips as they were read, packed in memory: to read one again costs a tenth."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import zstandard

from neuralos.data.reading import ClipEvents, ReadClip

_LEVEL = 1


@dataclass(frozen=True, slots=True)
class _Packed:
    body: bytes
    shape: tuple[int, ...]
    events: ClipEvents


@dataclass(slots=True)
class PackedClips:
    """The reduced frames and the events of the ``most`` clips used last, by commit number.

    Frames of a screen hardly differ from one to the next, so what is kept is how they do.
    """

    most: int
    _kept: OrderedDict[int, _Packed] = field(default_factory=OrderedDict)

    def get(self, commit: int) -> ReadClip | None:
        """Return a clip as it was put in; None if it is not here."""
        packed = self._kept.get(commit)
        if packed is None:
            return None
        self._kept.move_to_end(commit)
        body = zstandard.ZstdDecompressor().decompress(packed.body)
        frames = np.frombuffer(bytearray(body), dtype=np.uint8).reshape(packed.shape)
        for before, frame in pairwise(frames):
            frame ^= before
        return ReadClip(frames, packed.events)

    def put(self, commit: int, clip: ReadClip) -> None:
        """Keep a clip, and let the one go that was not used for longest if there are too many."""
        if self.most == 0:
            return
        changes = clip.frames.copy()
        changes[1:] ^= clip.frames[:-1]
        body = zstandard.ZstdCompressor(level=_LEVEL).compress(changes.tobytes())
        self._kept[commit] = _Packed(body, changes.shape, clip.events)
        if len(self._kept) > self.most:
            self._kept.popitem(last=False)

    def forget(self, commits: Iterable[int]) -> None:
        """Drop clips that are gone."""
        for commit in commits:
            self._kept.pop(commit, None)
