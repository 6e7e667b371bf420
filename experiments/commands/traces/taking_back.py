"""``neuralos traces delete``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from data_collection.trace import ClipState
from experiments.commands.traces.options import finish, path_argument
from experiments.console import Failure, Status, json_option
from experiments.purge import Purger, has_trainer
from experiments.trace_access import (
    HeldView,
    ServedView,
    StorePlace,
    find_store,
    known_summary,
    open_view,
)
from interactive.policy import Role
from interactive.record.metrics import read_metrics


class ClipRange(click.ParamType[tuple[int, int]]):
    """Numbers of clips: ``7``, or ``3-9`` with both ends."""

    name = "clips"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        """Return the first and the last."""
        if isinstance(value, tuple):
            return value
        first, dash, last = str(value).partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            self.fail(f"{value!r} names no clips; say 7 or 3-9", param, ctx)
        found = int(first), int(last) if dash else int(first)
        if found[1] < found[0]:
            self.fail(f"{value!r} ends before it begins", param, ctx)
        return found


@click.command()
@path_argument
@click.argument("trace_id", metavar="ID")
@click.option("--clips", type=ClipRange(), help="These clips only: 7, or 3-9 with both ends.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def delete(
    path: Path, trace_id: str, clips: tuple[int, int] | None, yes: bool, as_json: bool
) -> None:
    """Take a trace of PATH back, or some of its clips, and destroy the bytes.

    \b
    neuralos traces delete traces 20251122-101500-a1b2c3
    neuralos traces delete runs/live 20251122-101500-a1b2c3 --clips 12-14 --yes

    There is no way back. Replays of the trace hold the same events and go with it. In a run
    the clips are withdrawn at once, and no step from the next one on reads them; the bytes go
    as soon as no restart can need them. What the weights have learned from them by then
    remains.
    """  # noqa: D301
    place = find_store(path)
    with open_view(place) as view:
        known_summary(view, trace_id)
        replays = _replays(view, trace_id)
        steps = _steps_that_learned(place, view, [trace_id, *replays], clips)
        what = trace_id if clips is None else f"clips {clips[0]} to {clips[1]} of {trace_id}"
        if replays:
            what += f" and of its replays ({', '.join(replays)})"
        _confirm(what, _remains(place, steps), yes)
        if isinstance(view, HeldView):
            withdrawn, purged = _withdraw(place, view, trace_id, clips)
        else:
            withdrawn, purged = _ask_server(view, trace_id, clips), None
    text = f"withdrawn: {len(withdrawn)} clips of {trace_id}. {_remains(place, steps)}"
    finish(
        "delete",
        [
            {"id": trace_id, "clips": withdrawn, "whole": clips is None, "replays": replays},
        ],
        [],
        as_json=as_json,
        text=text,
        purged_bytes=purged,
        steps_that_learned=steps,
        remains=_remains(place, steps),
    )


def _replays(view: HeldView | ServedView, trace_id: str) -> list[str]:
    """Return the replays of a trace that stand: they hold the same events and go with it."""
    found = [trace_id]
    summaries = [one for one in view.summaries() if one.state is ClipState.COMMITTED]
    for origin in found:
        names = [one.header.trace_id for one in summaries if one.header.origin == origin]
        found += [name for name in names if name not in found]
    return found[1:]


def _confirm(what: str, remains: str, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        message = f"nobody is here to ask whether to destroy {what}."
        raise Failure(Status.REFUSED, "not_confirmed", message, "Say --yes.")
    click.echo(remains, err=True)
    if not click.confirm(f"Destroy {what} for good?", err=True):
        raise Failure(Status.REFUSED, "not_confirmed", "nothing was changed.")


def _withdraw(
    place: StorePlace, view: HeldView, trace_id: str, clips: tuple[int, int] | None
) -> tuple[list[int], int]:
    first, last = clips or (None, None)
    rows = view.store.withdraw(trace_id, first, last) or []
    run = place.run
    if run is None:
        return [row.seq for row in rows], view.store.purge(trace_id)
    # A run may need its clips once more: then its server destroys them in time.
    return [row.seq for row in rows], Purger(run, view.store, lambda: has_trainer(run)).look()


def _ask_server(view: ServedView, trace_id: str, clips: tuple[int, int] | None) -> list[int]:
    path = f"/traces/{trace_id}"
    if clips is not None:
        path += f"/clips?first={clips[0]}&last={clips[1]}"
    answer = view.client.delete(path, headers=view.authorisation(Role.COLLECTOR))
    if not answer.is_success:
        message = f"the run's server answered {answer.status_code}: {answer.text[:200]}."
        raise Failure(Status.CHECK_FAILED, "not_withdrawn", message)
    return [int(seq) for seq in answer.json()["clips"]]


def _steps_that_learned(
    place: StorePlace,
    view: HeldView | ServedView,
    trace_ids: Sequence[str],
    clips: tuple[int, int] | None,
) -> int:
    """Return how many steps of the run have learned from the clips of these traces."""
    if place.run is None or not place.run.metrics.is_file():
        return 0
    first, last = clips or (0, sys.maxsize)
    commits = {
        row.commit
        for trace_id in trace_ids
        for row in view.rows(trace_id)
        if first <= row.seq <= last and row.state is ClipState.COMMITTED
    }
    return sum(not commits.isdisjoint(row.commits) for row in read_metrics(place.run.metrics))


def _remains(place: StorePlace, steps: int) -> str:
    if place.run is None:
        return "What was exported, sent on or learned from them elsewhere remains there."
    if steps:
        return f"{steps} steps of this run have learned from them: that remains in its weights."
    return "No step of this run has learned from them."
