"""Replay with a progress bar."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from experiments.code_version import code_version
from interactive.record.metrics import read_metrics
from interactive.record.run_folder import RunFolder
from interactive.replaying.replay import replay
from interactive.replaying.report import ReplayReport


def replay_with_progress(run: Path, ledger: Path | None, out: Path | None) -> ReplayReport:
    """Replay a run, showing on stderr how far it is; the same ``out`` goes on after a kill.

    Raises:
        RunMissing: there is no run.
        RunExists: ``out`` holds something else.
    """
    total = sum(1 for _ in read_metrics(RunFolder(run).metrics))
    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("replay", total=total)
        return replay(
            run,
            ledger=ledger,
            out_dir=out,
            progress=lambda steps: bar.update(task, completed=steps),
            code_version=code_version(),
        )
