"""``neuralos collect``."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Column, Table

from data_collection.clock import SystemClock
from data_collection.desktops.registry import DESKTOPS, PROFILES, make_desktop
from data_collection.recording.crew_work import Ended
from data_collection.storage.store import TraceStore
from data_collection.users import make_user
from experiments.collecting import (
    WITHDRAWN,
    CollectPlan,
    Standing,
    make_missing,
    standings,
    trace_values,
)
from experiments.commands.traces.options import wide_console
from experiments.console import Failure, Status, emit, json_option, note
from experiments.contact_sheet import write_sheet
from experiments.durations import Duration
from experiments.ending import Ending
from interactive.record.run_folder import RunFolder
from neuralos.data.mixture import BASE_SOURCE

_PROBLEMS_SHOWN = 5


@click.command()
@click.option(
    "--desktop", type=click.Choice(DESKTOPS), default="scripted", show_default=True,
    help="scripted is drawn in Python, as fast as it goes; x11 is a real desktop in real time.",
)  # fmt: skip
@click.option(
    "--profile", type=click.Choice(PROFILES), default="lean", show_default=True,
    help="What runs on x11: openbox with pcmanfm, or XFCE.",
)  # fmt: skip
@click.option(
    "--user", default="task", show_default=True, help="The scripted user: task, explorer, …"
)
@click.option("--traces", type=click.IntRange(1), default=4, show_default=True, help="How many.")
@click.option(
    "--seconds", type=Duration(), default=20.0, show_default=True, help="Length of each trace."
)
@click.option(
    "--workers", type=click.IntRange(1), default=1, show_default=True,
    help="How many desktops work at the same time, each in a process of its own.",
)  # fmt: skip
@click.option("--seed", default=0, show_default=True, help="Seed of desktops and users.")
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), default=Path("traces"),
    show_default=True, help="Folder of the trace store that they go to, or of a run at rest.",
)  # fmt: skip
@click.option(
    "--source", default=BASE_SOURCE, show_default=True,
    help="What the clips count as in a run's mixture: base or live.",
)  # fmt: skip
@click.option(
    "--sheet", type=click.Path(path_type=Path, dir_okay=False),
    help="Also draw a contact sheet (PNG): a row of frames of each trace.",
)  # fmt: skip
@json_option
def collect(
    desktop: str,
    profile: str,
    user: str,
    traces: int,
    seconds: float,
    workers: int,
    seed: int,
    out: Path,
    source: str,
    sheet: Path | None,
    as_json: bool,
) -> None:
    """Let scripted users work at desktops and keep what they do as traces.

    \b
    neuralos collect --desktop scripted --user task --traces 8 --seconds 30 --out traces
    neuralos collect --desktop x11 --user explorer --workers 2 --out traces

    The same command again makes only what is missing. On the scripted desktop the same seed
    gives the same clips, byte for byte. Ctrl-C ends it cleanly. Exits with 1 where a trace
    ended early or did not verify, and says which and why.
    """  # noqa: D301
    make_user(user)
    # A desktop that cannot be made here is a matter of the machine, and said before anything.
    make_desktop(desktop, profile=profile).close()
    plan = CollectPlan(desktop, user, traces, max(1, round(seconds)), seed, profile, source=source)
    run = RunFolder(out)
    store = TraceStore.open(run.traces if run.info_file.is_file() else out)
    try:
        with Ending() as ending:
            values = collect_into(store, plan, workers, ending)
        if sheet is not None:
            drawn = write_sheet(sheet, store, [(t["id"], t["goal"]) for t in values["traces"]])
            values["sheet"] = str(sheet) if drawn else None
    finally:
        store.close()
    if not as_json:
        _print_table(values)
    emit("collect", values, as_json=as_json, text=_in_words(values, out))
    ending.exit_status()
    if not values["verified"]:
        raise click.exceptions.Exit(int(Status.CHECK_FAILED))


def collect_into(
    store: TraceStore, plan: CollectPlan, workers: int, until: Callable[[], bool]
) -> dict[str, Any]:
    """Make what is missing of a plan, verify the store, and return the command's object.

    Raises:
        Failure: the disk refused; what was stored is kept.
    """
    clock = SystemClock()
    planned = standings(plan, store)
    started = time.monotonic()
    with _progress() as bars:
        done = [trace for trace in planned if trace.job is None]
        present = sum(len(trace.job.present) for trace in planned if trace.job)
        of_traces = bars.add_task("traces", total=plan.traces, completed=len(done))
        of_clips = bars.add_task(
            "clips",
            total=plan.traces * plan.seconds,
            completed=len(done) * plan.seconds + present,
        )

        def end(ended: Ended) -> None:
            bars.advance(of_traces)
            if ended.reason:
                bars.console.print(f"a trace ended early: {ended.reason}", markup=False)

        try:
            make_missing(
                plan.seat(),
                planned,
                store,
                min(workers, plan.traces),
                clock,
                until=until,
                on_clip=lambda: bars.advance(of_clips),
                on_trace=end,
            )
        except OSError as error:
            hint = "Free some room and run the same command again."
            message = f"{store.root} could not be written: {error}."
            raise Failure(Status.ENVIRONMENT, "disk", message, hint) from error
    wall_s = time.monotonic() - started
    return _values(store, planned, wall_s)


def _values(store: TraceStore, planned: list[Standing], wall_s: float) -> dict[str, Any]:
    traces = [trace_values(trace, store) for trace in planned]
    problems = store.verify()
    bad = {problem.trace for problem in problems}
    for trace in traces:
        trace["verified"] = trace["id"] not in bad and not trace["reason"] and trace["frames"] > 0
    made = sum(trace["frames"] for trace in traces if trace["made"])
    return {
        "traces": traces,
        "verified": all(trace["verified"] or trace["reason"] == WITHDRAWN for trace in traces),
        "problems": [
            {"trace": p.trace, "clip": p.clip, "code": p.code, "hint": p.hint} for p in problems
        ],
        "made_frames": made,
        "wall_s": round(wall_s, 2),
    }


@contextmanager
def _progress() -> Iterator[Progress]:
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True)) as progress:
        yield progress


def _print_table(values: dict[str, Any]) -> None:
    table = Table(Column("trace", no_wrap=True), "frames", "fps", "late", "reached", "goal")
    for trace in values["traces"]:
        goal = trace["reason"] or trace["goal"]
        reached = "yes" if trace["reached"] else "no"
        numbers = (str(trace["frames"]), f"{trace['fps']:.2f}", _or_dash(trace["late"]))
        table.add_row(trace["id"], *numbers, reached, goal)
    wide_console().print(table)
    for problem in values["problems"][:_PROBLEMS_SHOWN]:
        note("{trace}/{clip}: {code}, {hint}".format(**problem))


def _or_dash(value: int | None) -> str:
    return "-" if value is None else str(value)


def _in_words(values: dict[str, Any], out: Path) -> str:
    whole = sum(trace["verified"] for trace in values["traces"])
    return f"{whole} of {len(values['traces'])} traces whole and verified in {out}"
