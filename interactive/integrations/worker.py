"""What the trainer process does: take the run up, train, and end cleanly when told to."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from interactive.integrations.loop import print_warning, steer
from interactive.record.run_folder import RunFolder
from interactive.steering.boundary import Cadence
from interactive.steering.steered import Steered
from interactive.trainer import DataLost

_SIGNALS = ("SIGINT", "SIGTERM", "SIGBREAK")
"""Whichever of these the system has."""


def run_worker(
    run_dir: Path,
    *,
    cadence: Cadence,
    on_open: Callable[[Steered], None] = lambda boundary: None,
    warn: Callable[[str], None] = print_warning,
) -> None:
    """Train a run until a stop command, a signal, or the cadence's last step.

    A signal ends the process at the next boundary with a checkpoint and without a stop
    entry: to the run it is as if the process had only been away.

    Args:
        run_dir: the run; its entry point makes the trainer.
        cadence: what the run does by itself.
        on_open: given the boundary once the run is live, to end it from another thread.
        warn: told in one line of what went wrong and did not matter to the training.

    Raises:
        RunFolderError: the folder cannot be used, or has a trainer already.
        Diverged: a redone step is not what had been recorded.
    """
    trainer = RunFolder.open(run_dir).build_trainer()
    with steer(run_dir, trainer, cadence=cadence, warn=warn) as boundary, _ended_by(boundary):
        on_open(boundary)
        while boundary.cross():
            try:
                made = trainer.train_step()
            except DataLost as lost:
                boundary.lose(lost)
            else:
                boundary.record(made)


@contextmanager
def _ended_by(boundary: Steered) -> Iterator[None]:
    """Let signals end the run cleanly; only a main thread can listen to them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = [getattr(signal, name) for name in _SIGNALS if hasattr(signal, name)]
    before = {n: signal.signal(n, lambda *_: boundary.request_end()) for n in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
