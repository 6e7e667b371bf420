"""Replay with a progress bar."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from experiments.code_version import code_version
from experiments.config import ENTRY_POINT
from experiments.own_script import replay_script
from interactive.record.ledger import EntryKind, read_ledger
from interactive.record.metrics import read_metrics
from interactive.record.run_folder import RunFolder
from interactive.replaying.replay import free_folder, replay
from interactive.replaying.report import ReplayReport


def replay_with_progress(run: Path, ledger: Path | None, out: Path | None) -> ReplayReport:
    """Replay a run, showing on stderr how far it is; the same ``out`` goes on after a kill.

    Raises:
        RunMissing: there is no run.
        RunExists: ``out`` holds something else.
    """
    with _progress_bar(run) as progress:
        return replay(
            run, ledger=ledger, out_dir=out, progress=progress, code_version=code_version()
        )


def replay_script_with_progress(
    run: Path, command: Sequence[str], ledger: Path | None, out: Path | None
) -> ReplayReport:
    """Replay a run inside the script that made it, showing on stderr how far it is.

    Raises:
        RunMissing: there is no run.
        Failure: the script cannot be started, died, or replayed nothing.
    """
    folder = RunFolder.open(run, writable=out is None)
    with _progress_bar(run) as progress:
        place = out or free_folder(folder.replays, "replay")
        return replay_script(folder, command, ledger=ledger, out=place, progress=progress)


def ranks_of_run(folder: RunFolder) -> int:
    """Return on how many ranks `neuralos train` made a run's last steps; 1 for scripts' runs."""
    if folder.info().entry_point != ENTRY_POINT:
        return 1
    sessions = [e for e in read_ledger(folder.ledger) if e.kind is EntryKind.SESSION]
    return int(sessions[-1].body["fingerprint"].get("world_size", 1)) if sessions else 1


@contextmanager
def _progress_bar(run: Path) -> Iterator[Callable[[int], None]]:
    total = sum(1 for _ in read_metrics(RunFolder(run).metrics))
    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("replay", total=total)
        yield lambda steps: bar.update(task, completed=steps)
