"""When a command in the foreground ends: after a time, or at Ctrl-C, and cleanly at both."""

from __future__ import annotations

import signal
import threading
import time
from types import FrameType

import click

from experiments.console import Status


class Ending:
    """Answers whether it is time to end; Ctrl-C sets it instead of interrupting the work."""

    def __init__(self, seconds: float | None = None) -> None:
        self.event = threading.Event()
        self.interrupted = False
        self._deadline = None if seconds is None else time.monotonic() + seconds

    def __call__(self) -> bool:
        """Return whether the time is up or Ctrl-C was pressed."""
        late = self._deadline is not None and time.monotonic() >= self._deadline
        return late or self.event.is_set()

    def __enter__(self) -> Ending:
        self._before = {
            number: signal.signal(number, self._interrupt)
            for number in (signal.SIGINT, signal.SIGTERM)
        }
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def exit_status(self) -> None:
        """End the command with the status of Ctrl-C, if that is how it ended."""
        if self.interrupted:
            raise click.exceptions.Exit(int(Status.INTERRUPTED))

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        self.interrupted = True
        self.event.set()
