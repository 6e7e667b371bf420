"""How a command finds a run: by its folder, or by its server's address and a token."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from experiments.console import Failure, Status
from interactive.client import RunClient, ServerUnreachable
from interactive.policy import Role
from interactive.record.run_folder import RunFolder
from interactive.server.tokens import read_token

Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Connection:
    """What the user said of where the run is."""

    run: Path | None
    server: str | None
    token_file: Path | None

    def folder(self) -> RunFolder:
        """Return the run folder.

        Raises:
            Failure: only a server was named.
            RunMissing: the folder holds no run.
        """
        if self.run is None:
            raise Failure(Status.USAGE, "no_folder", "this command reads a run folder: name it.")
        return RunFolder.open(self.run, writable=False)

    def client(self, role: Role) -> RunClient:
        """Return a client of the run's server.

        Raises:
            Failure: the server's address or token is not known.
            ServerUnreachable: the run says of no server where it listens.
        """
        if self.server is not None:
            if self.token_file is None:
                raise Failure(Status.USAGE, "no_token", "--server also needs --token-file.")
            return RunClient.connect(self.server, _token(self.token_file, role))
        folder = self.folder()
        address = folder.read_server()
        if address is None:
            raise ServerUnreachable(f"no server has served {folder.path} yet")
        return RunClient.connect(address.url, _token(folder.tokens, role))


def _token(path: Path, role: Role) -> str:
    try:
        return read_token(path, role)
    except (OSError, KeyError, ValueError) as error:
        message = f"no token for {role.value} in {path}: {error}."
        raise Failure(Status.USAGE, "no_token", message) from None


def server_options(function: Function) -> Function:
    """Give a command ``--server`` and ``--token-file``."""
    function = click.option(
        "--token-file",
        type=click.Path(path_type=Path),
        help="File with the token for --server: one bare token, or a run's tokens.json.",
    )(function)
    return click.option("--server", help="Address of a run's server, instead of its folder.")(
        function
    )
