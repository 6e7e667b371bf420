"""A dry run from the command line: here from the run's folder, or by the run's server."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError
from rich.console import Console
from rich.progress import Progress

from experiments.connection import Connection
from experiments.console import Failure, Status
from interactive.client import RunClient
from interactive.policy import Role
from interactive.replaying.dry_run import dry_run

POLL_S = 0.5


def try_command(
    connection: Connection,
    command: Mapping[str, Any],
    steps: int,
    checkpoint: str | None,
    *,
    through_server: bool,
) -> dict[str, Any]:
    """Return what a dry run found, showing on stderr how far it is.

    Raises:
        Failure: the command makes no sense, or the job of the server failed.
        NoCheckpoint: there is nothing to fork from.
    """
    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("dry run", total=2 * steps)
        if through_server:
            with connection.client(Role.OPERATOR) as client:
                return _by_server(
                    client,
                    {"command": command, "steps": steps, "checkpoint": checkpoint},
                    lambda done: bar.update(task, completed=done),
                )
        try:
            return dry_run(
                connection.folder().path,
                command,
                steps=steps,
                checkpoint=checkpoint,
                progress=lambda done: bar.update(task, completed=done),
            )
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            place = ".".join(map(str, first["loc"]))
            raise Failure(Status.USAGE, "malformed", f"{place}: {first['msg']}") from None


def _by_server(client: RunClient, fields: Mapping[str, Any], progress: Any) -> dict[str, Any]:
    job = client.start_job("dry_run", **fields)
    while job["state"] in ("queued", "running"):
        time.sleep(POLL_S)
        job = client.job(job["job_id"])
        progress(job["progress"]["done"])
    if job["state"] != "done":
        error = job["error"] or {"code": job["state"], "message": job["state"], "hint": ""}
        raise Failure(Status.CHECK_FAILED, error["code"], error["message"], error["hint"])
    return dict(job["result"])
