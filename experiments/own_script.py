"""Replays a run inside the script that made it: ``neuralos ctl replay RUN -- python train.py``."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from experiments.console import Failure, Status, note
from interactive.record.durable import write_whole
from interactive.record.metrics import MetricsTail
from interactive.record.run_folder import RunFolder
from interactive.replaying.own_loop import REPLAY, UNCHECKED, ReplayPlan
from interactive.replaying.replay import REPORT, SECOND
from interactive.replaying.report import ReplayReport

_STDERR = 2
_LOOK_S = 0.2
_END_S = 10.0
_HINT = "The script must open its run with steer(), and let its loop end when cross() says so."


def replay_script(
    run: RunFolder,
    command: Sequence[str],
    *,
    ledger: Path | None,
    out: Path,
    progress: Callable[[int], None],
) -> ReplayReport:
    """Start a script so that the loop in it replays a run, and return what it found.

    On another machine than that of the record the script is started twice, and the two are
    compared. What the script prints goes to stderr.

    Args:
        run: the run; it is only read.
        command: the script with its interpreter and arguments.
        ledger: another ledger to follow; the run's own if None.
        out: an empty folder or none, where rows and report go.
        progress: told the number of steps made.

    Raises:
        Failure: the script cannot be started, died, or never came to the end of a replay.
    """
    plan = ReplayPlan(run.path.resolve(), out.resolve(), ledger.resolve() if ledger else None)
    report = _start(plan, command, progress)
    if report.promise == UNCHECKED:
        rows = RunFolder(plan.out).metrics
        second = replace(plan, out=plan.out / SECOND, first_pass=rows)
        report = _start(second, command, progress)
        text = (second.out / REPORT).read_text("utf-8")
        write_whole(plan.out / REPORT, text)
    return report


def _start(
    plan: ReplayPlan, command: Sequence[str], progress: Callable[[int], None]
) -> ReplayReport:
    with tempfile.TemporaryDirectory(prefix="replay-") as folder:
        path = Path(folder) / "plan.json"
        plan.write(path)
        tail = MetricsTail(RunFolder(plan.out).metrics)
        status = _run(command, {**os.environ, REPLAY: str(path)}, tail, progress)
    name = " ".join(command)[:200]
    report = plan.read_report()
    if report is not None:
        if status:
            note(f"{name!r} ended with {status}, after the replay.")
        return report
    if status:
        how = f"ended with {status}" if status > 0 else f"was ended by signal {-status}"
        raise Failure(
            Status.CHECK_FAILED, "script_died", f"{name!r} {how}.", "Its last words stand above."
        )
    what = f"{name!r} ended without replaying anything."
    raise Failure(Status.CHECK_FAILED, "not_replayed", what, _HINT)


def _run(
    command: Sequence[str],
    env: Mapping[str, str],
    tail: MetricsTail,
    progress: Callable[[int], None],
) -> int:
    """Run the script to its end and return its exit status; it does not outlive this process."""
    try:
        process = subprocess.Popen(command, env=dict(env), stdout=_STDERR)
    except OSError as error:
        message = f"{command[0]!r} cannot be started: {error.strerror or error}."
        raise Failure(Status.USAGE, "no_script", message) from None
    made = 0
    try:
        while True:
            try:
                status = process.wait(_LOOK_S)
            except subprocess.TimeoutExpired:
                status = None
            made += len(tail.read_new())
            progress(made)
            if status is not None:
                return status
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(_END_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
