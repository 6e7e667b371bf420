"""From segments of clips to the batch that the objective takes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch

from neuralos.data.batch import Batch
from neuralos.data.encode import ACTION_SIZE, KEY_SLOTS, Frames
from neuralos.data.latents import LatentStore
from neuralos.data.reading import ClipReader
from neuralos.data.rows import AdoptedClips
from neuralos.data.sampler import Segment


def commits_of(segments: Iterable[Segment], clips: AdoptedClips) -> tuple[int, ...]:
    """Return the commits of the clips whose frames bear a loss."""
    bearing = (clips.pieces(s.trace_id, s.first_frame, s.frames) for s in segments)
    return tuple(sorted({piece.row.commit for pieces in bearing for piece in pieces}))


def assemble(
    segments: Sequence[Segment], frames: int, clips: AdoptedClips, store: LatentStore
) -> tuple[Batch, tuple[int, ...]]:
    """Return a batch of T = ``frames``, and the commits of the clips whose frames bear a loss.

    Raises:
        ClipsUnreadable: names every clip of the batch that cannot be read.
    """
    latents, actions, keys, valid = [], [], [], []
    cut = [clips.pieces(s.trace_id, s.first_frame - 1, s.frames + 1) for s in segments]
    encoded = store.get(piece.row for pieces in cut for piece in pieces)
    for segment, pieces in zip(segments, cut, strict=True):
        parts = [(encoded[piece.row.commit], piece.first, piece.end) for piece in pieces]
        latent = torch.cat([clip.latents[first:end] for clip, first, end in parts]).float()
        action = np.concatenate([clip.actions[first:end] for clip, first, end in parts])
        key = np.concatenate([clip.keys[first:end] for clip, first, end in parts])
        missing = frames - segment.frames
        latents.append(torch.cat((latent, latent[-1:].expand(missing, -1, -1, -1))))
        actions.append(np.concatenate((action, action[-1:].repeat(missing, 0))))
        keys.append(np.concatenate((key, np.zeros((missing, KEY_SLOTS), dtype=np.int64)))[1:])
        valid.append([True] * segment.frames + [False] * missing)
    action_BUA = np.stack(actions)
    assert action_BUA.shape[1:] == (frames + 1, ACTION_SIZE)
    batch = Batch(
        torch.stack(latents),
        torch.from_numpy(action_BUA),
        torch.from_numpy(np.stack(keys)),
        torch.tensor(valid),
        torch.tensor([segment.starts for segment in segments]),
        torch.arange(len(segments)),
    )
    return batch, commits_of(segments, clips)


def assemble_frames(
    segments: Sequence[Segment], clips: AdoptedClips, reader: ClipReader
) -> tuple[Frames, tuple[int, ...]]:
    """Return the frames (N, Y, P, 3) of segments, and the commits of their clips.

    Raises:
        ClipsUnreadable: names every clip that cannot be read.
    """
    pieces = [
        piece for s in segments for piece in clips.pieces(s.trace_id, s.first_frame, s.frames)
    ]
    rows = {piece.row.commit: piece.row for piece in pieces}
    read, _ = reader.read(list(rows.values()))
    frames = [read[piece.row.commit].frames[piece.first : piece.end] for piece in pieces]
    return np.concatenate(frames), tuple(sorted(rows))
