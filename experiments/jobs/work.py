"""What a job's process does: the work, told line by line as JSON on its standard output."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from experiments.code_version import code_version
from experiments.console import as_failure
from experiments.counterfactuals import ablate_run, freeze_run
from experiments.jobs.requests import JOB_REQUEST, Ablate, DryRun, Freeze, JobRequest, Replay
from interactive.record.metrics import read_metrics
from interactive.record.run_folder import RunFolder
from interactive.replaying.dry_run import dry_run
from interactive.replaying.replay import replay

Progress = Callable[[int, int], None]
NICE = 10
"""A job leaves the processor to the training."""


class Cancelled(BaseException):
    """The server asked the work to end, or is gone."""


def do_job(run: Path, request: str, out: Path, ended: threading.Event) -> None:
    """Do a job and print progress, then its result or its error.

    Args:
        run: the run folder.
        request: what to do, as JSON.
        out: a folder for files; the work goes on from those that are there.
        ended: set when the work is to end.
    """
    if hasattr(os, "nice"):
        os.nice(NICE)

    def progress(done: int, total: int) -> None:
        if ended.is_set():
            raise Cancelled
        _say({"progress": {"done": done, "total": total}})

    try:
        _say({"result": _work(JOB_REQUEST.validate_json(request), run, out, progress)})
    except Cancelled:
        return
    except Exception as error:
        known = as_failure(error)
        code = known.code if known else type(error).__name__
        hint = known.hint if known else ""
        _say({"error": {"code": code, "message": str(error)[:500], "hint": hint}})


def _work(request: JobRequest, run: Path, out: Path, progress: Progress) -> Mapping[str, Any]:
    match request:
        case DryRun():
            total = 2 * request.steps
            return dry_run(
                run,
                request.command,
                steps=request.steps,
                checkpoint=request.checkpoint,
                progress=lambda done: progress(done, total),
            )
        case Replay():
            total = sum(1 for _ in read_metrics(RunFolder(run).metrics))
            report = replay(
                run,
                out_dir=out,
                progress=lambda done: progress(done, total),
                code_version=code_version(),
            )
            return {**report.to_json(), "out": str(out)}
        case Ablate():
            return ablate_run(
                run,
                out,
                request.drop,
                relative=request.relative,
                seeds=request.seeds,
                told=_Told(run, progress),
            )
        case Freeze():
            return freeze_run(run, out, seeds=request.seeds, told=_Told(run, progress))


class _Told:
    """Adds up the steps of several runs; how many runs there are shows as they begin."""

    def __init__(self, run: Path, progress: Progress) -> None:
        self._each = sum(1 for _ in read_metrics(RunFolder(run).metrics))
        self._steps: dict[str, int] = {}
        self._progress = progress

    def __call__(self, name: str, steps: int) -> None:
        self._steps[name] = steps
        self._progress(sum(self._steps.values()), self._each * len(self._steps))


def _say(line: Mapping[str, Any]) -> None:
    click.echo(json.dumps(line))
