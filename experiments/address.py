"""Where a run's server listens, and under which names it is known."""

from __future__ import annotations

import contextlib
import os
import socket
from dataclasses import dataclass

from interactive.record.run_folder import ServerAddress
from interactive.server.auth import check_bind
from interactive.server.security import LOOPBACK_HOSTS

_EVERY_INTERFACE = {"0.0.0.0": "127.0.0.1", "::": "::1"}
"""Addresses that mean all of this machine's, and where it reaches itself then."""

_NOWHERE = ("192.0.2.1", 9)
"""An address for documentation: choosing a way to it sends nothing."""


class PortTaken(Exception):
    """The address cannot be listened on."""

    def __init__(self, host: str, port: int, why: str) -> None:
        super().__init__(f"cannot listen on {host}:{port}: {why}.")
        self.hint = "Name another --port, or leave it out to take a free one."


class BindRefused(Exception):
    """The address is open to others, and nobody said that it may be."""

    def __init__(self, hint: str) -> None:
        super().__init__("refusing to listen beyond this machine.")
        self.hint = f"{hint}: --allow-remote."


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server listens; ``allow_remote`` lets it listen beyond this machine."""

    host: str = "127.0.0.1"
    port: int = 0
    allow_remote: bool = False

    @property
    def url(self) -> str:
        """Return the address as a URL for processes on this machine."""
        host = _EVERY_INTERFACE.get(self.host, self.host)
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    def check(self) -> None:
        """Make sure that nobody is served who was not meant to be.

        Raises:
            BindRefused: the address reaches beyond this machine and nobody allowed it.
        """
        refusal = check_bind(self.host, self.allow_remote)
        if refusal is not None:
            raise BindRefused(refusal.hint)

    def names(self) -> frozenset[str]:
        """Return the host names under which the server is asked; others are rebound names."""
        if self.host not in _EVERY_INTERFACE:
            return LOOPBACK_HOSTS | {self.host}
        return LOOPBACK_HOSTS | {self.host} | _own_names()


def free_port(host: str, wanted: int, before: ServerAddress | None) -> int:
    """Return the port to listen on: the wanted one, the run's last one, or any free one.

    Raises:
        PortTaken: the wanted port is not free.
    """
    if wanted:
        _probe(host, wanted)
        return wanted
    if before is not None:
        try:
            return _probe(host, int(before.url.rsplit(":", 1)[1]))
        except PortTaken:
            pass
    return _probe(host, 0)


def _probe(host: str, port: int) -> int:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        if os.name == "posix":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise PortTaken(host, port, error.strerror or str(error)) from None
        return int(probe.getsockname()[1])


def _own_names() -> frozenset[str]:
    """Return this machine's name, and the addresses that it has under it or sends from."""
    name = socket.gethostname()
    names = {name, socket.getfqdn()}
    with contextlib.suppress(OSError):
        names |= {str(found[4][0]) for found in socket.getaddrinfo(name, None)}
    with (
        contextlib.suppress(OSError),
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
    ):
        sender.connect(_NOWHERE)
        names.add(str(sender.getsockname()[0]))
    return frozenset(one.lower() for one in names)
