"""``neuralos traces relabel``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click
import httpx

from data_collection.clock import SystemClock
from data_collection.desktops.process import DesktopDied
from data_collection.desktops.registry import DESKTOPS, PROFILES, make_desktop
from data_collection.recording.chain import NotReplayable
from data_collection.storage.codec import ClipCorrupt
from data_collection.streaming.send_traces import TraceSender
from experiments.commands.traces.options import (
    Bar,
    TraceProblem,
    finish,
    path_argument,
    progress_bar,
)
from experiments.console import Failure, Status, json_option, note
from experiments.durations import Duration
from experiments.ending import Ending
from experiments.relabelling import (
    Relabelled,
    Relabeller,
    ServerShelf,
    Shelf,
    StoreShelf,
    Target,
    sessions,
    settled,
)
from experiments.trace_access import HeldView, ServedView, find_store, known_summary, open_view
from interactive.policy import Role

POLL_S = 0.5
_TIMEOUT_S = 30.0


@click.command()
@path_argument
@click.argument("trace_ids", metavar="[ID]...", nargs=-1)
@click.option(
    "--desktop", type=click.Choice(DESKTOPS), default="scripted", show_default=True,
    help="What to replay on: scripted as fast as it draws, x11 at the true cadence.",
)  # fmt: skip
@click.option("--profile", type=click.Choice(PROFILES), default="lean", show_default=True,
              help="What runs on x11.")  # fmt: skip
@click.option(
    "--times", type=click.IntRange(1), default=1, show_default=True,
    help="Replays of each; with 3 the object has the floor, how much they differ.",
)  # fmt: skip
@click.option("--follow", is_flag=True, help="Go on with sessions as they end, until Ctrl-C.")
@click.option("--for", "seconds", type=Duration(), help="With --follow: end after so long.")
@click.option(
    "--settle", type=Duration(), default=5.0, show_default=True,
    help="With --follow: a session has ended when no clip came for so long.",
)  # fmt: skip
@json_option
def relabel(
    path: Path,
    trace_ids: tuple[str, ...],
    desktop: str,
    profile: str,
    times: int,
    follow: bool,
    seconds: float | None,
    settle: float,
    as_json: bool,
) -> None:
    """Replay the events of traces of PATH on a real desktop, for real frames to learn from.

    \b
    neuralos traces relabel runs/live --desktop scripted
    neuralos traces relabel traces ID --desktop x11 --times 3
    neuralos traces relabel runs/live --follow

    Without an ID, every trace without real frames (a session at the simulator, an imported
    log) that has not been replayed. Each replay is a trace beside its origin and names it.
    What cannot be replayed exactly (something before it was not recorded) is refused and
    named; then the exit status is 1.
    """  # noqa: D301
    target = Target(
        desktop if desktop == "scripted" else f"{desktop}-{profile}",
        desktop != "scripted",
        lambda width_px, height_px: make_desktop(desktop, width_px, height_px, profile),
    )
    with Ending(seconds) as ending, open_view(find_store(path)) as view:
        chosen = [known_summary(view, one).header.trace_id for one in trace_ids]
        with _shelf(view) as shelf, progress_bar("frames") as bar:
            work = _Work(Relabeller(view, target, shelf, SystemClock(), times, ending), bar)
            if follow:
                _follow(work, view, settle, ending)
            else:
                work.do(chosen or sessions(view), ending)
    floor = work.relabeller.meter.floor
    made = sum(one.made and one.whole for one in work.done)
    counts = f"{sum(not one.made for one in work.done)} were before, {len(work.problems)} refused"
    text = f"{made} traces relabelled, {counts}"
    traces = [one.to_json() for one in work.done]
    more = {"floor": floor.to_json() if floor else None}
    try:
        finish("relabel", traces, work.problems, as_json=as_json, text=text, **more)
    finally:
        ending.exit_status()


@contextmanager
def _shelf(view: HeldView | ServedView) -> Iterator[Shelf]:
    """Return where replays go: back into the store, by whoever holds it."""
    if isinstance(view, HeldView):
        yield StoreShelf(view.store, SystemClock())
        return
    headers = view.authorisation(Role.COLLECTOR)
    with httpx.Client(base_url=view.client.base_url, headers=headers, timeout=_TIMEOUT_S) as client:
        yield ServerShelf(TraceSender(client, SystemClock()))


class _Work:
    """What was done and what was refused, and the bar that shows it."""

    def __init__(self, relabeller: Relabeller, bar: Bar) -> None:
        self.relabeller = relabeller
        self.done: list[Relabelled] = []
        self.problems: list[TraceProblem] = []
        self._bar = bar
        self._frames = 0
        relabeller.on_frames = self._count

    def do(self, trace_ids: Sequence[str], until: Callable[[], bool]) -> None:
        """Relabel traces one after another."""
        for trace_id in trace_ids:
            if until():
                return
            try:
                self.done.append(self.relabeller.relabel(trace_id))
            except NotReplayable as refusal:
                self.problems.append(TraceProblem(trace_id, None, refusal.code, str(refusal)))
            except (ClipCorrupt, DesktopDied) as error:
                code = getattr(error, "code", "desktop_died")
                self.problems.append(TraceProblem(trace_id, None, code, str(error)))

    def _count(self, frames: int) -> None:
        self._frames += frames
        self._bar(self._frames, self._frames)


def _follow(
    work: _Work, view: HeldView | ServedView, settle_s: float, until: Callable[[], bool]
) -> None:
    """Relabel each session once it has ended, for as long as the run's server is there.

    Raises:
        Failure: no server holds the store, so that nothing can come.
    """
    if isinstance(view, HeldView):
        message = f"no server holds {view.root}, so no session can come."
        raise Failure(Status.USAGE, "not_served", message, "Leave --follow out.")
    clock = SystemClock()
    # A session that grew after all is done again: what was sent is not sent twice.
    seen: dict[str, int] = {}
    while not until():
        try:
            view.refresh()
        except httpx.HTTPError as error:
            note(f"the run's server is gone: {error}")
            return
        due = [
            one
            for one in sessions(view)
            if len(view.rows(one)) != seen.get(one) and settled(view, one, clock.wall_s(), settle_s)
        ]
        for trace_id in due:
            work.do([trace_id], until)
            seen[trace_id] = len(view.rows(trace_id))
        if not due:
            clock.sleep(POLL_S)
