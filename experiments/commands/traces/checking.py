"""``neuralos traces verify`` and ``recover``."""

from __future__ import annotations

from pathlib import Path

import click

from data_collection.storage import trace_file
from data_collection.storage.codec import ClipCorrupt
from data_collection.storage.reading import read_clip
from data_collection.storage.recovery import INDEX_FILE, Recovered, recover_file
from data_collection.storage.store import Problem, TraceStore
from data_collection.trace import ClipState
from experiments.commands.traces.options import (
    Bar,
    TraceProblem,
    finish,
    path_argument,
    progress_bar,
)
from experiments.console import Failure, Status, json_option
from experiments.trace_access import HeldView, ServedView, find_store, open_view


@click.command()
@path_argument
@json_option
def verify(path: Path, as_json: bool) -> None:
    """Read every clip of PATH back and compare it with what was acknowledged.

    \b
    neuralos traces verify traces

    Each clip's bytes are hashed and decoded. Exits with 1 where something is wrong, and says
    which trace, which clip and what.
    """  # noqa: D301
    with open_view(find_store(path)) as view, progress_bar("clips") as bar:
        problems = view.store.verify(bar) if isinstance(view, HeldView) else _verify(view, bar)
        bad = {problem.trace for problem in problems}
        summaries = view.summaries()
    traces = [
        {
            "id": summary.header.trace_id,
            "clips": summary.clips,
            "ok": summary.header.trace_id not in bad,
        }
        for summary in summaries
    ]
    clips = sum(summary.clips for summary in summaries)
    text = f"{clips} clips of {len(traces)} traces read back, {len(problems)} problems"
    finish("verify", traces, problems, as_json=as_json, text=text)


def _verify(view: ServedView, bar: Bar) -> list[Problem]:
    """Read the clips of a store that its server holds."""
    problems = []
    rows = [row for one in view.summaries() for row in view.rows(one.header.trace_id)]
    for number, row in enumerate(rows, start=1):
        if row.state is ClipState.COMMITTED:
            try:
                read_clip(view.root, row)
            except ClipCorrupt as error:
                problems.append(Problem(row.trace_id, row.seq, error.code, error.hint))
        bar(number, len(rows))
    return problems


@click.command()
@path_argument
@json_option
def recover(path: Path, as_json: bool) -> None:
    """Put right what a crash left of PATH: a store, a run, or a single .mcap file.

    \b
    neuralos traces recover traces
    neuralos traces recover 20251122-101500-a1b2c3.mcap

    Whole clips get their rows in the index, a torn end is cut, and a lost index is built
    again. Says what came back and what was given up, and why. Exits with 1 where a trace
    could not be brought back.
    """  # noqa: D301
    if path.is_file():
        found = [_recover_file(path)]
    else:
        # The server of a run has done this as it started; this one waits for nobody.
        store = TraceStore.open(find_store(path).root)
        found = list(store.recovered)
        store.close()
    traces = [
        {"id": one.trace, "clips": one.clips, "cut_bytes": one.cut_bytes, "reason": one.reason}
        for one in found
    ]
    problems = [
        TraceProblem(one.trace, None, "not_recovered", one.reason)
        for one in found
        if not path.is_file()
        and one.trace != INDEX_FILE
        and not one.clips
        and not one.cut_bytes
        and not one.lost
    ]
    problems += [
        TraceProblem(one.trace, seq, "lost", "its bytes are gone; the clip is withdrawn")
        for one in found
        for seq in one.lost
    ]
    lines = [
        f"{one.trace}: {one.clips} clips brought back, {one.cut_bytes} bytes cut"
        + (f" ({one.reason})" if one.reason else "")
        for one in found
    ]
    text = "\n".join(lines) or "nothing to put right"
    finish("recover", traces, problems, as_json=as_json, text=text)


def _recover_file(path: Path) -> Recovered:
    if path.suffix != trace_file.SUFFIX:
        raise Failure(Status.USAGE, "no_trace", f"{path} is no {trace_file.SUFFIX} file.")
    try:
        return recover_file(path)
    except ValueError as error:
        raise Failure(
            Status.CHECK_FAILED, "no_trace", f"{path} cannot be recovered: {error}."
        ) from None
