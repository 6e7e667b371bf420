"""The interaction logs of the NeuralOS demo (``session_*.jsonl``) as traces."""

from __future__ import annotations

import re
from pathlib import Path

from data_collection.imports.demo_events import HEIGHT_PX, WIDTH_PX, Hand
from data_collection.imports.demo_lines import LogLine, read_lines
from data_collection.imports.demo_pictures import Pictures
from data_collection.imports.demo_segments import LogSegment, frame_time_s, mend_times, split
from data_collection.imports.demo_timeline import LEAD_S, clips
from data_collection.imports.importer import (
    ImportedTrace,
    ImportProblem,
    ImportReport,
    ImportSourceMissing,
    Progress,
)
from data_collection.storage.codec import encode_clip
from data_collection.storage.store import EncodedClip, TraceOpening, TraceStore
from data_collection.storage.trace_file import valid_trace_id
from data_collection.trace import Consent, TraceHeader

_FILE = re.compile(r"session_([A-Za-z0-9_-]{1,48})\.jsonl")
_SOURCE = "demo-logs"


class DemoLogs:
    """Reads the demo's logs: a trace for every stretch between two resets.

    Without the pictures that may lie beside a log its frames are black and
    ``frame_source`` is ``missing``: such a trace is there to be relabelled. With them
    ``frame_source`` is ``simulator``. Neither is ever a target to learn from.
    """

    name = "demo-logs"
    summary = "the NeuralOS demo's session_*.jsonl, with or without their pictures"

    def load(
        self,
        source: Path,
        store: TraceStore,
        *,
        consent: Consent = Consent.GIVEN,
        progress: Progress | None = None,
    ) -> ImportReport:
        """Add logs to a store; see ``Importer.load``."""
        paths = _logs(source)
        total = sum(path.stat().st_size for path in paths)
        traces: list[ImportedTrace] = []
        problems: list[ImportProblem] = []
        done = 0
        for path in paths:
            for segment, frame_s in _read(path, problems, done, total, progress):
                imported = _store(path, segment, frame_s, consent, store, problems)
                if imported is not None:
                    traces.append(imported)
            done += path.stat().st_size
        problems.sort(key=lambda one: (one.file, one.line))
        return ImportReport(tuple(traces), tuple(problems))


def _logs(source: Path) -> list[Path]:
    """Return the logs at a place: the file itself, or those of a folder."""
    if source.is_file():
        return [source]
    found = sorted(source.rglob("session_*.jsonl")) if source.is_dir() else []
    if not found:
        raise ImportSourceMissing(source, "name a session_*.jsonl file, or a folder of them")
    return found


def _read(
    path: Path,
    problems: list[ImportProblem],
    done: int,
    total: int,
    progress: Progress | None,
) -> list[tuple[LogSegment, float]]:
    """Return a log's segments, each with the usual time of its simulator's frames."""
    name = _FILE.fullmatch(path.name)
    if name is None:
        hint = "not named session_<id>.jsonl; left out"
        problems.append(ImportProblem(path.name, 0, "file_name", hint))
        return []
    lines: list[LogLine] = []
    for line, end in read_lines(path, name.group(1), problems):
        if line is not None:
            lines.append(line)
        if progress is not None:
            progress(done + end, total)
    segments = split(lines, path.name, problems)
    frame_s = frame_time_s(segments)
    return [(segment, frame_s) for segment in segments]


def _store(
    path: Path,
    segment: LogSegment,
    frame_s: float,
    consent: Consent,
    store: TraceStore,
    problems: list[ImportProblem],
) -> ImportedTrace | None:
    """Make a trace of a segment and store it; None, and a problem, where it cannot be."""
    session = path.stem.removeprefix("session_")
    pictures = Pictures(path.parent / f"frames_{session}", path.name, problems)
    shown = pictures if pictures.has_any(segment) else None
    timed = mend_times(segment, frame_s, path.name, problems)
    lines = Hand(path.name, problems).take(timed, segment.end_line)
    header = _header(session, segment, consent, "missing" if shown is None else "simulator")
    first_line = segment.lines[0].number
    if not valid_trace_id(header.trace_id):
        hint = f"{header.trace_id!r} can be no trace's id; left out"
        problems.append(ImportProblem(path.name, first_line, "file_name", hint))
        return None
    opening = store.open_trace(header)
    if opening in (TraceOpening.DIFFERENT, TraceOpening.WITHDRAWN):
        hint = f"the store has a {opening.value} trace {header.trace_id}; left out"
        problems.append(ImportProblem(path.name, first_line, f"{opening.value}_trace", hint))
        return None
    frames = events = 0
    new = False
    for clip in clips(header, lines, shown):
        encoded = EncodedClip.of(clip, encode_clip(clip))
        # Nobody acknowledged it on a wire; the log's own time keeps a store reproducible.
        try:
            stored = store.append(header, encoded, header.wall_s(clip.t_mono_ns[-1]))
        except KeyError:
            hint = f"clip {clip.seq} of {header.trace_id} was withdrawn; left out"
            problems.append(ImportProblem(path.name, first_line, "withdrawn_clip", hint))
            continue
        if stored.row.body_sha != encoded.body_sha:
            hint = f"clip {clip.seq} of {header.trace_id} is stored with other bytes; stopped there"
            problems.append(ImportProblem(path.name, first_line, "different_clip", hint))
            break
        frames += len(clip.frames)
        events += sum(len(group) for group in clip.events)
        new |= stored.new
    return ImportedTrace(header.trace_id, frames, events, header.frame_source, new)


def _header(session: str, segment: LogSegment, consent: Consent, frame_source: str) -> TraceHeader:
    return TraceHeader(
        trace_id=f"demo-{session.lower().replace('_', '-')}-{segment.number}",
        desktop="neuralos-demo",
        width_px=WIDTH_PX,
        height_px=HEIGHT_PX,
        seed=0,
        source=_SOURCE,
        consent=consent,
        anchor_wall_s=segment.lines[0].end_s - LEAD_S,
        anchor_mono_ns=0,
        frame_source=frame_source,
        policy="person",
        versions={"importer": "demo-logs/1"},
    )
