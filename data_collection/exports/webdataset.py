"""WebDataset: tar shards whose samples are segments of T frames, as a world model reads them."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from data_collection.action import Action
from data_collection.events import Event, event_to_json
from data_collection.exports.action_vector import NAMES, action_vector
from data_collection.exports.episodes import Counter, Episode, seconds, select
from data_collection.exports.exporter import (
    DEFAULTS,
    ExportOptions,
    ExportReport,
    LeftOut,
    NothingToExport,
    Progress,
    RowsOf,
)
from data_collection.exports.folder import files_in, new_folder, write_json
from data_collection.storage.index import TraceSummary
from data_collection.trace import Frame

FORMAT = "neuralos.webdataset/1"
SHARD = "shard-{number:06d}.tar"
_BLOCK_BYTES = 512
"""A member of a tar file has a head of one block, and whole blocks of content."""


@dataclass(slots=True)
class _Segment:
    """Consecutive frames on their way into a sample."""

    first_frame: int
    frames: list[Frame] = field(default_factory=list)
    actions: list[Action] = field(default_factory=list)
    times_ns: list[int] = field(default_factory=list)
    events: list[tuple[Event, ...]] = field(default_factory=list)
    tasks: list[str] = field(default_factory=list)


class WebDatasetExporter:
    """Writes shards that ``webdataset`` streams.

    A sample has ``000.webp`` … (T frames, lossless unless asked otherwise), ``actions.npy``
    (float32, T rows in the order of ``dataset.json``'s ``action_names``) and ``json`` (trace,
    first frame, times, raw events, tasks). Row i of the actions is what *led to* frame i.
    """

    name = "webdataset"
    summary = "tar shards of T-frame segments: lossless WebP, actions, JSON"

    def export(
        self,
        root: Path,
        traces: Sequence[TraceSummary],
        rows_of: RowsOf,
        out: Path,
        *,
        options: ExportOptions = DEFAULTS,
        progress: Progress | None = None,
    ) -> ExportReport:
        """Write the shards and ``dataset.json``; see ``Exporter.export``.

        Segments do not overlap; the frames after an episode's last whole segment are left
        out, and counted in the report. Pictures are always lossless: a lossy one would be
        larger on a desktop's flat colours.
        """
        selection = select(traces, rows_of, options)
        counter = Counter(progress, selection.frames)
        left_out = list(selection.left_out)
        frames = 0
        episodes: list[str] = []
        with new_folder(out) as folder, _Shards(folder, options.shard_bytes) as shards:
            for episode in selection.episodes:
                segments = episode.frames // options.segment_frames
                rest = episode.frames - segments * options.segment_frames
                if rest:
                    hint = f"{rest} frames after the last whole segment of {episode.name}"
                    left_out.append(LeftOut(episode.header.trace_id, None, "short_tail", hint))
                if segments:
                    episodes.append(episode.header.trace_id)
                for segment in _segments(root, episode, options.segment_frames, counter):
                    shards.add(*_sample(episode, segment))
                    frames += len(segment.frames)
            if not frames:
                hint = f"no episode has {options.segment_frames} frames; name a shorter segment"
                raise NothingToExport("there is no whole segment", hint)
            shards.close()
            write_json(folder / "dataset.json", _description(shards, options, frames))
        files, size_bytes = files_in(out)
        exported = tuple(dict.fromkeys(episodes))
        return ExportReport(exported, files, len(episodes), frames, size_bytes, tuple(left_out))


class _Shards:
    """Tar files of about ``shard_bytes`` each; a sample is never split."""

    def __init__(self, folder: Path, shard_bytes: int) -> None:
        self._folder = folder
        self._shard_bytes = shard_bytes
        self._tar: tarfile.TarFile | None = None
        self._bytes = 0
        self.samples: dict[str, int] = {}
        """How many samples each shard has, by its file's name."""

    def __enter__(self) -> _Shards:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def add(self, key: str, parts: dict[str, bytes]) -> None:
        """Append a sample: its parts by extension."""
        blocks = sum(1 + -(-len(part) // _BLOCK_BYTES) for part in parts.values())
        size = blocks * _BLOCK_BYTES
        if self._tar is None or self._bytes + size > self._shard_bytes:
            self.close()
            name = SHARD.format(number=len(self.samples))
            self._tar = tarfile.open(self._folder / name, "w", format=tarfile.USTAR_FORMAT)  # noqa: SIM115
            self._bytes = 0
            self.samples[name] = 0
        for extension, content in parts.items():
            # No clock and no owner in it: the same traces give the same bytes.
            member = tarfile.TarInfo(f"{key}.{extension}")
            member.size = len(content)
            self._tar.addfile(member, io.BytesIO(content))
        self._bytes += size
        self.samples[next(reversed(self.samples))] += 1

    def close(self) -> None:
        """Finish the shard that is open, if any."""
        if self._tar is not None:
            self._tar.close()
            self._tar = None


def _segments(root: Path, episode: Episode, length: int, counter: Counter) -> Iterator[_Segment]:
    """Yield an episode's whole segments."""
    number = episode.rows[0].first_frame
    segment = _Segment(number)
    for second in seconds(root, episode):
        clip = second.clip
        for index, frame in enumerate(clip.frames):
            segment.frames.append(frame)
            segment.actions.append(second.actions[index])
            segment.times_ns.append(clip.t_mono_ns[index])
            segment.events.append(clip.events[index])
            segment.tasks.append(second.tasks[index])
            number += 1
            if len(segment.frames) == length:
                yield segment
                segment = _Segment(number)
        counter.add(len(clip.frames))


def _sample(episode: Episode, segment: _Segment) -> tuple[str, dict[str, bytes]]:
    header = episode.header
    parts = {f"{index:03d}.webp": _webp(frame) for index, frame in enumerate(segment.frames)}
    array = io.BytesIO()
    np.save(array, np.stack([action_vector(action) for action in segment.actions]))
    parts["actions.npy"] = array.getvalue()
    described: dict[str, Any] = {
        "trace": header.trace_id,
        "first_frame": segment.first_frame,
        "frames": len(segment.frames),
        "fps": header.fps,
        "width_px": header.width_px,
        "height_px": header.height_px,
        "source": header.source,
        "frame_source": header.frame_source,
        "t_mono_ns": segment.times_ns,
        "tasks": segment.tasks,
        "events": [[event_to_json(event) for event in group] for group in segment.events],
    }
    parts["json"] = json.dumps(described, separators=(",", ":")).encode()
    # A dot would end the key: WebDataset takes all after the first one as the extension.
    return f"{header.trace_id}-{segment.first_frame:08d}", parts


def _webp(frame: Frame) -> bytes:
    content = io.BytesIO()
    # On the scripted desktop 1.7 kB a frame in 4 ms; method 0 makes 20 kB of it, and 4 at
    # quality 80 saves a tenth in twice the time. Lossy at quality 80 is 9.4 kB.
    Image.fromarray(frame).save(content, "WEBP", lossless=True, quality=20, method=2)
    return content.getvalue()


def _description(shards: _Shards, options: ExportOptions, frames: int) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "segment_frames": options.segment_frames,
        "frames": frames,
        "action_names": list(NAMES),
        "shards": [{"file": file, "samples": count} for file, count in shards.samples.items()],
    }
