"""``neuralos traces play``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from data_collection.window.playback import PlayedTrace
from experiments.commands.traces.looking import summary_values
from experiments.commands.traces.options import finish, path_argument
from experiments.console import Failure, Status, json_option, note
from experiments.trace_access import TraceView, find_store, known_summary, open_view


@click.command()
@path_argument
@click.argument("trace_id", metavar="ID")
@click.option("--beside", metavar="ID", help="Another trace to show beside it, in step.")
@click.option("--alone", is_flag=True, help="Show nothing beside it.")
@click.option(
    "--scale", type=click.IntRange(0), default=0, show_default=True,
    help="Window pixels to a desktop pixel; 0 is the most that fits.",
)  # fmt: skip
@click.option(
    "--shot", type=click.Path(path_type=Path, dir_okay=False),
    help="Save what the player shows as a PNG instead of opening a window; see --frame.",
)  # fmt: skip
@click.option("--frame", type=click.IntRange(0), default=0, help="Number of the frame of --shot.")
@json_option
def play(
    path: Path,
    trace_id: str,
    beside: str | None,
    alone: bool,
    scale: int,
    shot: Path | None,
    frame: int,
    as_json: bool,
) -> None:
    """Play a trace of PATH in a window: space, arrows, [ ] for speed, a bar to drag.

    \b
    neuralos traces play traces 20251122-101500-a1b2c3

    A session at the simulator is shown beside its replay on a real desktop, and a replay beside
    its origin, where both are here; --beside names another trace.
    """  # noqa: D301
    with open_view(find_store(path)) as view:
        first = known_summary(view, trace_id)
        wanted = beside or (None if alone else _partner(view, trace_id))
        chosen = [first, *([known_summary(view, wanted)] if wanted else [])]
        played = []
        for summary in chosen:
            rows = tuple(view.rows(summary.header.trace_id))
            played.append(PlayedTrace(view.root, summary.header, rows))
    # The store is free again: playing reads its files only.
    if not first.clips:
        raise Failure(Status.USAGE, "nothing_to_play", f"{trace_id} has no clips to play.")
    if shot is not None:
        _save(played, frame, shot, scale)
    else:
        from data_collection.window.player import play as play_traces

        play_traces(played, scale)
    values = [summary_values(summary) for summary in chosen]
    finish("play", values, [], as_json=as_json, shot=str(shot) if shot else None)


def _save(played: Sequence[PlayedTrace], frame: int, shot: Path, scale: int) -> None:
    from data_collection.window.player import save_shot

    shot.parent.mkdir(parents=True, exist_ok=True)
    save_shot(played, frame, shot, scale or 1)
    note(f"frame {frame} in {shot}")


def _partner(view: TraceView, trace_id: str) -> str | None:
    """Return the trace's origin, or the newest replay of it, where there is one to show."""
    summaries = {one.header.trace_id: one for one in view.summaries() if one.clips}
    found = summaries.get(trace_id)
    if found is not None and found.header.origin in summaries:
        return found.header.origin
    replays = [name for name, one in summaries.items() if one.header.origin == trace_id]
    return replays[-1] if replays else None
