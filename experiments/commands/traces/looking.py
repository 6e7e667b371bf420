"""``neuralos traces list`` and ``show``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from PIL import Image
from rich.table import Column, Table

from data_collection.recording.trace_facts import TraceFacts, read_trace
from data_collection.storage.codec import ClipCorrupt
from data_collection.storage.index import TraceSummary
from data_collection.storage.reading import read_frames
from data_collection.trace import ClipRow, ClipState
from experiments.commands.traces.options import TraceProblem, finish, path_argument, wide_console
from experiments.console import Failure, Status, json_option, note
from experiments.trace_access import TraceView, find_store, known_summary, open_view


@click.command("list")
@path_argument
@json_option
def list_traces(path: Path, as_json: bool) -> None:
    """List the traces of PATH, a store or a run.

    \b
    neuralos traces list runs/live
    """  # noqa: D301
    with open_view(find_store(path)) as view:
        summaries = view.summaries()
    if not as_json:
        _print_list(summaries)
    mb = sum(summary.size_bytes for summary in summaries) / 1e6
    text = f"{len(summaries)} traces, {sum(s.clips for s in summaries)} clips, {mb:.1f} MB"
    finish("list", [summary_values(one) for one in summaries], [], as_json=as_json, text=text)


def summary_values(summary: TraceSummary) -> dict[str, Any]:
    """Return what is known of a trace without reading its clips."""
    header = summary.header
    return {
        "id": header.trace_id,
        "desktop": header.desktop,
        "source": header.source,
        "policy": header.policy,
        "seconds": round(summary.frames / header.fps, 3),
        "frames": summary.frames,
        "clips": summary.clips,
        "size_bytes": summary.size_bytes,
        "consent": header.consent.value,
        "withdrawn": summary.state is ClipState.TOMBSTONED,
        "withdrawn_clips": summary.withdrawn,
        "frame_source": header.frame_source,
        "origin": header.origin,
        "follows": header.follows,
    }


def _print_list(summaries: Sequence[TraceSummary]) -> None:
    names = ("desktop", "source", "policy", "seconds", "clips", "MB", "consent", "withdrawn")
    table = Table(Column("id", no_wrap=True), *names)
    for summary in summaries:
        header = summary.header
        whole = summary.state is ClipState.TOMBSTONED
        table.add_row(
            header.trace_id,
            header.desktop,
            header.source,
            header.policy,
            f"{summary.frames / header.fps:.1f}",
            str(summary.clips),
            f"{summary.size_bytes / 1e6:.2f}",
            header.consent.value,
            "all" if whole else f"{summary.withdrawn} clips" if summary.withdrawn else "",
        )
    wide_console().print(table)


@click.command()
@path_argument
@click.argument("trace_id", metavar="ID")
@click.option("--frame", type=click.IntRange(0), help="Number of a frame to save; see --to.")
@click.option("--to", type=click.Path(path_type=Path, dir_okay=False), help="PNG file for --frame.")
@json_option
def show(path: Path, trace_id: str, frame: int | None, to: Path | None, as_json: bool) -> None:
    """Show a trace of PATH: header, events by type, goals, clips; save one of its frames.

    \b
    neuralos traces show traces collect-scripted-task-20s-0-0000
    neuralos traces show traces collect-scripted-task-20s-0-0000 --frame 30 --to frame.png
    """  # noqa: D301
    if (frame is None) != (to is None):
        raise Failure(Status.USAGE, "usage", "--frame and --to go together.")
    with open_view(find_store(path)) as view:
        summary = known_summary(view, trace_id)
        rows = view.rows(trace_id)
        if frame is not None and to is not None:
            _save_frame(view, rows, frame, to)
        problems = []
        facts = None
        try:
            facts = read_trace(view.root, rows)
        except ClipCorrupt as error:
            problems.append(TraceProblem(trace_id, None, error.code, error.hint))
    if not as_json:
        _print_trace(summary, rows, facts)
    values = [_values(summary, rows, facts)]
    finish("show", values, problems, as_json=as_json, frame_png=str(to) if to else None)


def _save_frame(view: TraceView, rows: Sequence[ClipRow], number: int, to: Path) -> None:
    live = [row for row in rows if row.state is ClipState.COMMITTED]
    try:
        pixels = read_frames(view.root, live, number, 1)[0]
    except IndexError:
        end = max((row.first_frame + row.frames for row in live), default=0)
        hint = f"Its clips hold frames before {end}."
        message = f"there is no frame {number}."
        raise Failure(Status.USAGE, "unknown_frame", message, hint) from None
    to.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(to)
    note(f"frame {number} in {to}")


def _values(
    summary: TraceSummary, rows: Sequence[ClipRow], facts: TraceFacts | None
) -> dict[str, Any]:
    clips = [
        {
            "seq": row.seq,
            "commit": row.commit,
            "first_frame": row.first_frame,
            "frames": row.frames,
            "size_bytes": row.length,
            "weight": row.weight,
            "state": row.state.value,
            "content_sha": row.content_sha,
        }
        for row in rows
    ]
    values = {**summary_values(summary), "header": summary.header.to_json(), "clips_table": clips}
    if facts is None:
        return values
    return {
        **values,
        "fps": round(facts.fps, 2),
        "events": dict(facts.events),
        "goal": facts.goal,
        "reached": facts.reached,
        "outcomes": [outcome.to_json() for outcome in facts.outcomes],
        "missing": list(facts.missing),
    }


def _print_trace(summary: TraceSummary, rows: Sequence[ClipRow], facts: TraceFacts | None) -> None:
    console = wide_console()
    for name, value in summary.header.to_json().items():
        console.print(f"{name:>16}  {value}", markup=False, highlight=False)
    if facts is not None:
        events = ", ".join(f"{count} {kind}" for kind, count in facts.events.items())
        console.print(f"{'events':>16}  {events}", markup=False, highlight=False)
        console.print(f"{'fps':>16}  {facts.fps:.2f}", markup=False, highlight=False)
        for outcome in facts.outcomes:
            ended = {True: "reached", False: "missed", None: "unfinished"}[outcome.reached]
            line = f"{'goal':>16}  {outcome.goal}: {ended} by frame {outcome.frame}"
            console.print(line, markup=False, highlight=False)
    table = Table("clip", "commit", "first frame", "frames", "kB", "weight", "state")
    for row in rows:
        size = f"{row.length / 1e3:.1f}"
        numbers = (row.seq, row.commit, row.first_frame, row.frames, size, row.weight)
        table.add_row(*map(str, numbers), row.state.value)
    console.print(table)
