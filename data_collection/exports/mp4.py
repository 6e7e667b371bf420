"""MP4 + JSONL: one video, one line per frame and one header file for every episode."""

from __future__ import annotations

import json
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from data_collection.action import Action
from data_collection.events import Event, event_to_json
from data_collection.exports.episodes import Counter, Episode, seconds, select
from data_collection.exports.exporter import (
    DEFAULTS,
    ExportOptions,
    ExportReport,
    Progress,
    RowsOf,
)
from data_collection.exports.folder import files_in, new_folder, write_json
from data_collection.exports.video import VideoFile, require_av
from data_collection.storage.index import TraceSummary

TICKS_PER_S = 1_000_000
FORMAT = "neuralos.mp4-jsonl/1"


class Mp4Exporter:
    """Plain files that any player and any program can read."""

    name = "mp4"
    summary = "one MP4 and one JSONL file per trace"

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
        """Write ``NAME.mp4``, ``NAME.jsonl`` and ``NAME.json`` for every episode.

        Frame i of the video has line i of the JSONL file, and the same time: ``t_us``
        microseconds after the first. See ``Exporter.export`` for arguments and exceptions.
        """
        require_av()
        selection = select(traces, rows_of, options)
        counter = Counter(progress, selection.frames)
        with new_folder(out) as folder:
            for episode in selection.episodes:
                _write(root, episode, folder, options, counter)
        return selection.report(*files_in(out))


def action_to_json(action: Action) -> dict[str, Any]:
    """Return an action as a JSON object; keys are SDL scancodes."""
    return {
        "x_px": action.x_px,
        "y_px": action.y_px,
        "held": list(action.held),
        "clicked": list(action.clicked),
        "clicks": action.clicks,
        "wheel_dy": action.wheel_dy,
        "keys": sorted(action.keys),
        "keys_held": sorted(action.keys_held),
    }


def _write(
    root: Path, episode: Episode, folder: Path, options: ExportOptions, counter: Counter
) -> None:
    header = episode.header
    video = VideoFile(
        folder / f"{episode.name}.mp4",
        header.width_px,
        header.height_px,
        header.fps,
        tick=Fraction(1, TICKS_PER_S),
        lossless=options.lossless,
        crf=options.crf,
    )
    frame_number = 0
    start_ns: int | None = None
    try:
        with open(folder / f"{episode.name}.jsonl", "w", encoding="utf-8") as lines:
            for second in seconds(root, episode):
                clip = second.clip
                start_ns = clip.t_mono_ns[0] if start_ns is None else start_ns
                parts = zip(clip.frames, clip.t_mono_ns, second.actions, clip.events, strict=True)
                for frame, t_ns, action, events in parts:
                    t_us = round((t_ns - start_ns) / 1000)
                    video.add(frame, t_us)
                    lines.write(_line(frame_number, t_us, t_ns, action, events))
                    frame_number += 1
                counter.add(len(clip.frames))
        video.close()
    except BaseException:
        video.abandon()
        raise
    write_json(
        folder / f"{episode.name}.json",
        {
            "format": FORMAT,
            "trace": header.to_json(),
            "part": episode.number,
            "first_frame": episode.rows[0].first_frame,
            "frames": frame_number,
            "lossless": options.lossless,
            "crf": None if options.lossless else options.crf,
            "pixel_format": video.pixel_format,
        },
    )


def _line(number: int, t_us: int, t_mono_ns: int, action: Action, events: tuple[Event, ...]) -> str:
    line = {
        "frame": number,
        "t_us": t_us,
        "t_mono_ns": t_mono_ns,
        "action": action_to_json(action),
        "events": [event_to_json(event) for event in events],
    }
    return json.dumps(line, separators=(",", ":")) + "\n"
