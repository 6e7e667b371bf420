"""Where a boundary hears of commands and data, and nothing of how they came."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from pydantic import ValidationError

from interactive.commands import Envelope
from interactive.outcome import Issuer, IssuerKind
from interactive.trainer import DataRow


@dataclass(frozen=True, slots=True)
class Delivered:
    """A command as it was delivered; ``envelope`` is None where it made no sense (``problem``).

    ``approved_by`` says who let it through where it needed approval: name, kind, reason, wall_s.
    """

    seq: int
    issuer: Issuer
    command_id: str
    envelope: Envelope | None
    problem: str = ""
    approved_by: Mapping[str, Any] | None = None


class Source(Protocol):
    """What a boundary listens to; the two heads are integers, cheap to read at every step."""

    @property
    def command_head(self) -> int:
        """Return a number that changes when a command arrives."""
        ...

    @property
    def data_head(self) -> int:
        """Return the highest commit number whose row is durable in the run folder."""
        ...

    @property
    def away_s(self) -> float:
        """Return for how long there has been no server to hear of commands from."""
        ...

    def commands(self) -> list[Delivered]:
        """Hand over the commands that arrived since the call before, in inbox order."""
        ...

    def rows(self, after: int, upto: int) -> Sequence[DataRow]:
        """Return the durable rows with ``after`` < commit ≤ ``upto``."""
        ...

    def wait(self, timeout_s: float) -> None:
        """Return when a head changes, or after the time."""
        ...


def parse_delivered(obj: Mapping[str, Any]) -> Delivered:
    """Return a command from the server's JSON; one that makes no sense says so in ``problem``.

    Raises:
        ValueError: it has no number or no issuer, so nothing can be said about it.
    """
    try:
        seq = int(obj["seq"])
        issuer = Issuer(str(obj["issuer"]["name"]), IssuerKind(obj["issuer"]["kind"]))
        raw = obj["envelope"]
        approved_by = obj.get("approved_by")
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"no delivered command: {error!r}") from error
    try:
        envelope = Envelope.model_validate(raw)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        given = raw.get("command_id") if isinstance(raw, Mapping) else None
        command_id = str(given)[:64] if given else f"inbox-{seq}"
        return Delivered(seq, issuer, command_id, None, f"{place}: {first['msg']}")
    return Delivered(seq, issuer, str(envelope.command_id), envelope, approved_by=approved_by)
