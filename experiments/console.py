"""What every command owes the programs that call it: one JSON object, one exit status."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from enum import IntEnum
from typing import Any, TypeVar

import click

Function = TypeVar("Function", bound=Callable[..., Any])


class Status(IntEnum):
    """Exit statuses."""

    OK = 0
    CHECK_FAILED = 1
    USAGE = 2
    REFUSED = 3
    ENVIRONMENT = 4
    UNREACHABLE = 5
    TIMED_OUT = 6
    INTERRUPTED = 130


class Failure(Exception):
    """A command's clear end: exit status, a code for programs, a line and a hint for people.

    ``values`` are what the command has to say all the same, beside the ``error`` object.
    """

    def __init__(
        self,
        status: Status,
        code: str,
        message: str,
        hint: str = "",
        values: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.code = code
        self.hint = hint
        self.values = values or {}


STATUS_OF: dict[str, Status] = {
    "ConfigError": Status.USAGE,
    "UnknownUser": Status.USAGE,
    "UnknownDesktop": Status.USAGE,
    "UnknownFormat": Status.USAGE,
    "UnknownSuite": Status.USAGE,
    "SuiteMismatch": Status.CHECK_FAILED,
    "NothingToEvaluate": Status.REFUSED,
    "ImportSourceMissing": Status.USAGE,
    "ExportExists": Status.REFUSED,
    "ExportUnwritable": Status.ENVIRONMENT,
    "NothingToExport": Status.REFUSED,
    "ExtraMissing": Status.ENVIRONMENT,
    "RunVersionMismatch": Status.USAGE,
    "RunMissing": Status.USAGE,
    "RunExists": Status.USAGE,
    "NoCheckpoint": Status.REFUSED,
    "UnknownEntry": Status.USAGE,
    "NothingRecorded": Status.REFUSED,
    "LostTrack": Status.CHECK_FAILED,
    "BadEntryPoint": Status.USAGE,
    "RunBusy": Status.ENVIRONMENT,
    "ChildDied": Status.CHECK_FAILED,
    "BindRefused": Status.REFUSED,
    "SinkError": Status.ENVIRONMENT,
    "IndexFailed": Status.ENVIRONMENT,
    "LedgerDamaged": Status.CHECK_FAILED,
    "JournalCorrupt": Status.CHECK_FAILED,
    "CheckpointDamaged": Status.CHECK_FAILED,
    "CheckpointRefused": Status.REFUSED,
    "ClipCorrupt": Status.CHECK_FAILED,
    "Diverged": Status.CHECK_FAILED,
    "DataLost": Status.CHECK_FAILED,
    "ReplayNeedsWithdrawn": Status.CHECK_FAILED,
    "NotAllowed": Status.REFUSED,
    "RunUnwritable": Status.ENVIRONMENT,
    "StoreLocked": Status.ENVIRONMENT,
    "SpoolFull": Status.ENVIRONMENT,
    "NoDisplay": Status.ENVIRONMENT,
    "UnknownHostKey": Status.USAGE,
    "DesktopDied": Status.ENVIRONMENT,
    "ProgramsMissing": Status.ENVIRONMENT,
    "PortTaken": Status.ENVIRONMENT,
    "ServerUnreachable": Status.UNREACHABLE,
    "ServerAway": Status.UNREACHABLE,
    "SenderNotAllowed": Status.REFUSED,
    "NotReplayable": Status.REFUSED,
    "AgentBusy": Status.ENVIRONMENT,
    "UnsafeEndpoint": Status.REFUSED,
    "TimedOut": Status.TIMED_OUT,
}
"""The exit status of each named exception of the packages below, by the class's name."""


def _snake(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_")


def as_failure(error: BaseException) -> Failure | None:
    """Turn a named exception into a failure; ``None`` for one that nobody named."""
    if isinstance(error, Failure):
        return error
    for cls in type(error).__mro__:
        if cls.__name__ in STATUS_OF:
            hint = str(getattr(error, "hint", ""))
            status = STATUS_OF[cls.__name__]
            return Failure(status, _snake(cls.__name__), str(error), hint)
    if isinstance(error, click.ClickException):
        return Failure(Status.USAGE, "usage", error.format_message())
    if isinstance(error, PermissionError):
        return Failure(Status.ENVIRONMENT, "permission", str(error))
    return None


def emit(command: str, values: Mapping[str, Any], *, as_json: bool, text: str = "") -> None:
    """Print a command's result: the JSON object for programs, or ``text`` for people."""
    if as_json:
        click.echo(json.dumps({"schema": f"neuralos.{command}/1", **values}))
    elif text:
        click.echo(text)


def json_option(function: Function) -> Function:
    """Give a command ``--json``, handed to it as ``as_json``."""
    return click.option(
        "--json",
        "as_json",
        is_flag=True,
        help="Print one JSON object as the last line of stdout; progress goes to stderr.",
    )(function)


def note(message: str) -> None:
    """Say something to the person on stderr."""
    click.echo(message, err=True)


def run_cli(root: click.Group, arguments: list[str]) -> int:
    """Run the command line and return its exit status; one clear line for each failure."""
    as_json = "--json" in arguments
    try:
        result = root.main(args=arguments, prog_name="neuralos", standalone_mode=False)
        return int(result) if isinstance(result, int) else int(Status.OK)
    except (KeyboardInterrupt, click.Abort):
        failure = Failure(Status.INTERRUPTED, "interrupted", "interrupted")
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return int(Status.USAGE)
    except click.exceptions.Exit as error:
        return error.exit_code
    except Exception as error:
        known = as_failure(error)
        if known is None:
            raise
        failure = known
    if as_json:
        error_object = {"code": failure.code, "message": failure.message, "hint": failure.hint}
        click.echo(json.dumps({**failure.values, "error": error_object}))
    hint = f" {failure.hint}" if failure.hint else ""
    click.echo(f"neuralos: {failure.message}{hint}", err=True)
    return int(failure.status)
