"""What the commands of `neuralos traces` share: their argument, their object, their end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import click
from rich.console import Console
from rich.progress import Progress

from experiments.console import Status, emit, note

path_argument = click.argument("path", type=click.Path(path_type=Path, exists=True))
_SHOWN = 20
_PIPE_COLUMNS = 160


class Problem(Protocol):
    """Something that is wrong with a trace or a clip of it."""

    @property
    def trace(self) -> str:
        """The trace."""
        ...

    @property
    def clip(self) -> int | None:
        """The clip's number; None for the trace as a whole."""
        ...

    @property
    def code(self) -> str:
        """Short stable name of what is wrong."""
        ...

    @property
    def hint(self) -> str:
        """The particulars."""
        ...


@dataclass(frozen=True, slots=True)
class TraceProblem:
    """A problem that a command found."""

    trace: str
    clip: int | None
    code: str
    hint: str


def finish(
    command: str,
    traces: Sequence[Mapping[str, Any]],
    problems: Sequence[Problem],
    *,
    as_json: bool,
    text: str = "",
    **more: Any,
) -> None:
    """Print a command's object, and end with status 1 where there are problems."""
    values = {
        "traces": list(traces),
        "ok": not problems,
        "problems": [
            {"trace": one.trace, "clip": one.clip, "code": one.code, "hint": one.hint}
            for one in problems
        ],
        **more,
    }
    if not as_json:
        for one in problems[:_SHOWN]:
            place = one.trace if one.clip is None else f"{one.trace}/{one.clip}"
            note(f"{place}: {one.code}, {one.hint}")
        if len(problems) > _SHOWN:
            note(f"… and {len(problems) - _SHOWN} more; --json names them all")
    emit(f"traces.{command}", values, as_json=as_json, text=text)
    if problems:
        raise click.exceptions.Exit(int(Status.CHECK_FAILED))


def wide_console() -> Console:
    """Return stdout for tables: a terminal as wide as it is, a pipe wide enough."""
    console = Console()
    return console if console.is_terminal else Console(width=_PIPE_COLUMNS)


class Bar:
    """A progress bar that is told (done, of)."""

    def __init__(self, progress: Progress, what: str) -> None:
        self._progress = progress
        self._task = progress.add_task(what, total=None)

    def __call__(self, done: int, of: int) -> None:
        """Show that ``done`` of ``of`` are done."""
        self._progress.update(self._task, completed=done, total=of)


@contextmanager
def progress_bar(what: str) -> Iterator[Bar]:
    """Show a bar on stderr for as long as the block runs."""
    with Progress(console=Console(stderr=True)) as progress:
        yield Bar(progress, what)
