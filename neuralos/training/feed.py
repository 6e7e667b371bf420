"""What a training reads: the clips adopted, the segments drawn from them, their latents."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TypeVar

import numpy as np
import torch

from data_collection.trace import ClipRow
from neuralos.data.batch import Batch
from neuralos.data.config import LaneConfig
from neuralos.data.encode import Frames
from neuralos.data.latents import LatentStore
from neuralos.data.mixture import Mixture
from neuralos.data.reading import ClipReader, ClipsUnreadable
from neuralos.data.rows import AdoptedClips
from neuralos.data.sampler import Segment, SegmentSampler
from neuralos.data.segments import assemble, assemble_frames, commits_of
from neuralos.models.autoencoder import Autoencoder
from neuralos.ranks import LaneShare

Read = TypeVar("Read")

_FRAMES_PER_FIT_CLIP = 3


class Feed:
    """Batches of latents, or of frames, from the clips adopted so far.

    Args:
        lanes: the shape of a batch.
        seed: decides every draw.
        reader: reads clips.
        autoencoder: encodes them.
        cached_clips: how many clips' latents are kept.
        packed_clips: of how many more the frames are kept, packed.
        mixture: the mixture in force at first.
        share: which lanes are read here; every rank knows where all of them stand.
    """

    def __init__(
        self,
        lanes: LaneConfig,
        seed: int,
        reader: ClipReader,
        autoencoder: Autoencoder,
        cached_clips: int,
        packed_clips: int,
        mixture: Mixture,
        share: LaneShare,
    ) -> None:
        self.share = share
        self._lanes = lanes
        self._seed = seed
        self._reader = reader
        self._autoencoder = autoencoder
        self._kept_clips = cached_clips, packed_clips
        self.use(AdoptedClips(), mixture)

    def use(self, clips: AdoptedClips, mixture: Mixture) -> None:
        """Begin with other clips."""
        self.clips = clips
        self.sampler = SegmentSampler(self._lanes, self._seed, clips, mixture)
        self.forget_latents()

    def forget_latents(self) -> None:
        """Drop all latents: the autoencoder is another now."""
        self._store = LatentStore(self._reader, self.clips, self._autoencoder, *self._kept_clips)

    def reshape(self, lanes: LaneConfig) -> None:
        """Give batches of another shape from now on; every passage ends where it differs."""
        if lanes != self._lanes:
            self._lanes = lanes
            self.sampler.reshape(lanes)

    def adopt(self, mark: int, rows: Iterable[ClipRow]) -> None:
        """Take rows up to ``mark``."""
        self._store.forget(self.clips.adopt(mark, rows))

    def withdraw(self, commits: Iterable[int]) -> None:
        """Let clips go."""
        self._store.forget(self.clips.withdraw(commits))

    def latents(self) -> tuple[Batch, tuple[int, ...]]:
        """Return the batch of the next step, and the commits of its clips.

        Raises:
            ClipsUnreadable: clips cannot be read; the next call draws the same.
        """
        lane_B = torch.tensor(self.share.own)

        def assembled(segments: list[Segment]) -> Batch:
            batch, _ = assemble(segments, self._lanes.frames, self.clips, self._store)
            return replace(batch, lane_B=lane_B)

        return self._draw(assembled)

    def frames(self) -> tuple[Frames, tuple[int, ...]]:
        """Return the frames (N, Y, P, 3) of the next step, and the commits of their clips.

        Raises:
            ClipsUnreadable: as ``latents``.
        """
        return self._draw(lambda drawn: assemble_frames(drawn, self.clips, self._reader)[0])

    def some_frames(self, clips: int) -> tuple[Frames, int]:
        """Return a few frames (N, Y, P, 3) of about so many clips, and the first one's commit.

        Raises:
            ClipsUnreadable: one of these cannot be read.
        """
        kept = [clip[:: -(-len(clip) // _FRAMES_PER_FIT_CLIP)] for clip in self.some_clips(clips)]
        return np.concatenate(kept), self.clips.targets()[0].commit

    def some_clips(self, clips: int) -> Iterator[Frames]:
        """Read about so many clips, evenly chosen, one by one: frames (N, Y, P, 3).

        Raises:
            ClipsUnreadable: one of these cannot be read.
        """
        rows = self.clips.targets()
        for row in rows[:: -(-len(rows) // clips)]:
            yield self._together(partial(self._frames_of, row))

    def _frames_of(self, row: ClipRow) -> Frames:
        return self._reader.read([row])[0][row.commit].frames

    def first_frame(self) -> tuple[Frames, int] | None:
        """Return the first frame (Y, P, 3) of the first clip, and its commit, if it can be read."""
        for row in self.clips.targets()[:1]:
            with suppress(ClipsUnreadable):
                return self._reader.read([row])[0][row.commit].frames[0], row.commit
        return None

    def _draw(self, assembled: Callable[[list[Segment]], Read]) -> tuple[Read, tuple[int, ...]]:
        """Return what is read for the lanes that are here, and the commits of all lanes' clips."""
        before = self.sampler.state_dict()
        segments = self.sampler.next()
        try:
            own = [segments[lane] for lane in self.share.own]
            return self._together(lambda: assembled(own)), commits_of(segments, self.clips)
        except ClipsUnreadable:
            self.sampler.load_state_dict(before)
            raise

    def _together(self, read: Callable[[], Read]) -> Read:
        """Read clips on every rank: what one of them cannot read, none has read.

        Raises:
            ClipsUnreadable: names, on every rank, the clips that any could not read.
        """
        found: list[Read] = []
        why: dict[int, str] = {}
        try:
            found.append(read())
        except ClipsUnreadable as error:
            why = error.why
        for said in self.share.ranks.exchange(json.dumps(why) if why else ""):
            why = {**why, **{int(one): text for one, text in json.loads(said or "{}").items()}}
        if why:
            raise ClipsUnreadable(why)
        return found[0]
