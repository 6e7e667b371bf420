"""A Python client of a run's server."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import httpx

from interactive.commands import COMMAND, Command
from interactive.event_stream import RunEvent, parse_events
from interactive.outcome import FINAL_STATES, CommandState

ANSWER_S = 10.0
MAX_WAIT_S = 30.0
REFUSED = (409, 422, 429)
"""The statuses with which a command is refused; the answer says why."""


class ClientError(Exception):
    """A request that got no proper answer; the message says what to do."""


class ServerUnreachable(ClientError):
    """Nobody answers at the address."""


class NotAllowed(ClientError):
    """The token is unknown, or its role may not do this."""


class Unanswered(ClientError):
    """The server answered with an error."""


@dataclass(frozen=True, slots=True)
class CommandAnswer:
    """What is known of a command: its place in the order, and what became of it."""

    command_id: str
    state: CommandState
    seq: int | None = None
    step: int | None = None
    branch: str | None = None
    old: Mapping[str, Any] = field(default_factory=dict)
    requested: Mapping[str, Any] = field(default_factory=dict)
    effective: Mapping[str, Any] = field(default_factory=dict)
    code: str | None = None
    hint: str | None = None

    @property
    def is_final(self) -> bool:
        """Return whether nothing more will become of it."""
        return self.state in FINAL_STATES


class TimedOut(ClientError):
    """A command has no final state yet; ``answer`` is what is known of it."""

    def __init__(self, answer: CommandAnswer, wait_s: float) -> None:
        """Say how long was waited, and for what."""
        super().__init__(f"command {answer.command_id} is {answer.state.value} after {wait_s:g} s")
        self.answer = answer


@dataclass(frozen=True, slots=True)
class MetricsCurve:
    """A field over the steps of a branch, as the server thinned it; ``count`` it had."""

    branch: str
    field: str
    steps: tuple[int, ...]
    values: tuple[float, ...]
    count: int


def new_command_id(
    unix_s: Callable[[], float] = time.time, random_bits: Callable[[int], int] = secrets.randbits
) -> UUID:
    """Return a UUID of version 7: time-ordered, and random in 74 bits."""
    stamp_ms = int(unix_s() * 1000) & (1 << 48) - 1
    high = stamp_ms << 16 | 0x7 << 12 | random_bits(12)
    return UUID(int=high << 64 | 0b10 << 62 | random_bits(62))


class RunClient:
    """Reads a run and sends it commands.

    Args:
        http: a client whose base address is the server's and which carries the token.
        new_id: makes command ids.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        http: httpx.Client,
        new_id: Callable[[], UUID] = new_command_id,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._http = http
        self._new_id = new_id
        self._clock = clock

    @classmethod
    def connect(cls, url: str, token: str) -> RunClient:
        """Return a client of a server; nothing is sent before the first call."""
        headers = {"Authorization": f"Bearer {token}"}
        # A token must not follow a redirect or a proxy to somebody else.
        http = httpx.Client(base_url=url, headers=headers, timeout=ANSWER_S, trust_env=False)
        return cls(http)

    def send(
        self,
        command: Command | Mapping[str, Any],
        *,
        reason: str = "",
        command_id: UUID | None = None,
        at_step: int | None = None,
        expires_at_step: int | None = None,
        if_generation: int | None = None,
        branch: str | None = None,
        after_evaluation: bool = False,
        supersedes: UUID | None = None,
        wait_s: float = 0.0,
    ) -> CommandAnswer:
        """Send a command, and wait for what becomes of it.

        Args:
            command: the command; a mapping is sent as it is, for the server to judge.
            reason: why, for those who read the ledger.
            command_id: the same id sends the same command at most once; made if not given.
            at_step: the step before which it is to take effect; the next one if not given.
            expires_at_step: the step from which it must not take effect any more.
            if_generation: refuse it unless so many interventions have been applied.
            branch: the branch on which it is to take effect; whatever branch if not given.
            after_evaluation: wait for the next evaluation.
            supersedes: the command that it takes back, if that still waits.
            wait_s: how long to wait for a final state; 0 returns once it is accepted.

        Returns:
            The answer; a refusal is one with the state ``rejected``.

        Raises:
            TimedOut: no final state within ``wait_s``; the command stands.
            ServerUnreachable: nobody answered; sending again with the same id is safe.
            NotAllowed: the token may not send commands.
        """
        body = {
            "command_id": str(command_id or self._new_id()),
            "command": command if isinstance(command, Mapping) else as_json(command),
            "reason": reason,
            "at_step": at_step,
            "expires_at_step": expires_at_step,
            "if_generation": if_generation,
            "branch": branch,
            "after_evaluation": after_evaluation or None,
            "supersedes": str(supersedes) if supersedes else None,
        }
        body = {name: value for name, value in body.items() if value is not None}
        text = json.dumps(body)
        response = self._request("POST", "/api/commands", content=text, accept=REFUSED)
        answer = _command_answer({"command_id": body["command_id"], **response.json()})
        if answer.is_final or wait_s <= 0:
            return answer
        return self.wait(answer.command_id, wait_s)

    def wait(self, command_id: str, wait_s: float) -> CommandAnswer:
        """Return a command's final answer.

        Raises:
            TimedOut: it has none within ``wait_s``.
        """
        deadline_s = self._clock() + wait_s
        while True:
            left_s = max(0.0, min(MAX_WAIT_S, deadline_s - self._clock()))
            answer = self.command(command_id, left_s)
            if answer.is_final:
                return answer
            if self._clock() >= deadline_s:
                raise TimedOut(answer, wait_s)

    def command(self, command_id: str, wait_s: float = 0.0) -> CommandAnswer:
        """Return what is known of a command, after ``wait_s`` at the latest."""
        path = f"/api/commands/{UUID(command_id)}"
        if wait_s <= 0:
            return _command_answer(self._get(path, {}))
        return _command_answer(self._get(path, {"wait_s": wait_s}, timeout_s=ANSWER_S + wait_s))

    def check(self, command: Command | Mapping[str, Any], **envelope: Any) -> dict[str, Any]:
        """Return what the server would say of a command: its verdict, and why; nothing is sent."""
        said = command if isinstance(command, Mapping) else as_json(command)
        body = {"command_id": str(self._new_id()), "command": said, **envelope}
        found: dict[str, Any] = self._request(
            "POST", "/api/commands/check", content=json.dumps(body)
        ).json()
        return found

    def approve(self, command_id: str, reason: str = "") -> CommandAnswer:
        """Let a command through that waits for approval; the ledger will say who did, and why.

        Returns:
            The answer, with its place in the order; ``rejected`` where it was decided before.
        """
        return self._decide(command_id, "approve", reason)

    def veto(self, command_id: str, reason: str = "") -> CommandAnswer:
        """Refuse a command for good that waits for approval."""
        return self._decide(command_id, "veto", reason)

    def approvals(self, decided: int = 0) -> list[dict[str, Any]]:
        """Return the commands that wait for approval, and the newest ``decided`` others."""
        found: list[dict[str, Any]] = self._get("/api/approvals", {"decided": decided})["approvals"]
        return found

    def agents(self) -> dict[str, Any]:
        """Say whether agents may send commands, and who halted them."""
        return self._get("/api/agents", {})

    def halt_agents(self, reason: str = "") -> dict[str, Any]:
        """Refuse what agents send from here on; held commands of theirs are not let through."""
        text = json.dumps({"reason": reason})
        halted: dict[str, Any] = self._request("POST", "/api/agents/halt", content=text).json()
        return halted

    def allow_agents(self) -> dict[str, Any]:
        """Let agents send again."""
        allowed: dict[str, Any] = self._request("POST", "/api/agents/allow").json()
        return allowed

    def start_job(self, kind: str, **fields: Any) -> dict[str, Any]:
        """Let the server work something out beside the run, and return the job as it stands.

        Args:
            kind: ``dry_run``, ``replay``, ``ablate`` or ``freeze``.
            fields: what it is to be told, such as ``command`` and ``steps`` of a dry run.
        """
        text = json.dumps({"kind": kind, **fields})
        job: dict[str, Any] = self._request("POST", "/api/jobs", content=text).json()
        return job

    def job(self, job_id: str) -> dict[str, Any]:
        """Return a job: its state, how far it is, its result or its error."""
        return self._get(f"/api/jobs/{job_id}", {})

    def jobs(self) -> list[dict[str, Any]]:
        """Return the jobs, oldest first."""
        found: list[dict[str, Any]] = self._get("/api/jobs", {})["jobs"]
        return found

    def cancel_job(self, job_id: str) -> dict[str, Any]:
        """End a job, or take it out of the queue; one that is over stays as it is."""
        job: dict[str, Any] = self._request("POST", f"/api/jobs/{job_id}/cancel").json()
        return job

    def status(self) -> dict[str, Any]:
        """Return how the run stands."""
        return self._get("/api/status", {})

    def ledger(self, after: int = -1) -> list[dict[str, Any]]:
        """Return the ledger's entries after a seq."""
        entries: list[dict[str, Any]] = []
        while True:
            page = self._get("/api/ledger", {"after": after})
            entries += page["entries"]
            after += len(page["entries"])
            if not page["entries"] or after >= page["head"]:
                return entries

    def metrics(
        self,
        field: str = "loss",
        *,
        branch: str | None = None,
        max_points: int = 1000,
        last: int | None = None,
    ) -> MetricsCurve:
        """Return a field over the steps of a branch (the current one if not named)."""
        params = {"field": field, "branch": branch, "max_points": max_points, "last": last}
        got = self._get("/api/metrics", {k: v for k, v in params.items() if v is not None})
        values = tuple(float(value) for value in got["values"])
        return MetricsCurve(got["branch"], got["field"], tuple(got["steps"]), values, got["count"])

    def rollouts(self) -> list[dict[str, Any]]:
        """Return the names of the rollouts' pictures, oldest first."""
        found: list[dict[str, Any]] = self._get("/api/rollouts", {})["rollouts"]
        return found

    def login_url(self) -> str:
        """Return an address that opens the dashboard once, without a token to type.

        The secret stands in the fragment, which browsers send to nobody.
        """
        secret = self._request("POST", "/api/login/secret").json()["secret"]
        return f"{str(self._http.base_url).rstrip('/')}/#login={secret}"

    def events(self, after: str = "") -> Iterator[RunEvent]:
        """Yield events until the server closes the stream; go on with the last ``cursor``."""
        headers = {"Last-Event-ID": after} if after else {}
        try:
            with self._http.stream("GET", "/api/events", headers=headers) as got:
                if got.status_code != 200:
                    got.read()
                _check(got, accept=())
                yield from parse_events(got.iter_lines())
        except httpx.TransportError as error:
            raise self._unreachable(error) from error

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> RunClient:
        """Return itself."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close the connections."""
        self.close()

    def _decide(self, command_id: str, decision: str, reason: str) -> CommandAnswer:
        path = f"/api/commands/{UUID(command_id)}/{decision}"
        text = json.dumps({"reason": reason})
        got = self._request("POST", path, content=text, accept=(409,)).json()
        state = "accepted" if got["state"] == "approved" else got["state"]
        known = {key: got[key] for key in ("seq", "code", "hint") if key in got}
        return _command_answer({"command_id": command_id, **known, "state": state})

    def _get(
        self, path: str, params: Mapping[str, Any], timeout_s: float | None = None
    ) -> dict[str, Any]:
        response = self._request("GET", path, params=params, timeout_s=timeout_s)
        got: dict[str, Any] = response.json()
        return got

    def _request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        content: str | None = None,
        timeout_s: float | None = None,
        accept: tuple[int, ...] = (),
    ) -> httpx.Response:
        headers = {"Content-Type": "application/json"} if content is not None else {}
        timeout: dict[str, Any] = {} if timeout_s is None else {"timeout": timeout_s}
        try:
            response = self._http.request(
                method, path, params=params, content=content, headers=headers, **timeout
            )
        except httpx.TransportError as error:
            raise self._unreachable(error) from error
        _check(response, accept)
        return response

    def _unreachable(self, error: Exception) -> ServerUnreachable:
        reason = str(error) or type(error).__name__
        return ServerUnreachable(f"no server at {self._http.base_url}: {reason}")


def as_json(command: Command) -> dict[str, Any]:
    """Return a command as a JSON object without the fields it leaves open."""
    shown: dict[str, Any] = COMMAND.dump_python(command, mode="json", exclude_none=True)
    return shown


def _command_answer(got: Mapping[str, Any]) -> CommandAnswer:
    known = {
        name: got[name]
        for name in CommandAnswer.__dataclass_fields__
        if got.get(name) is not None and name != "state"
    }
    return CommandAnswer(state=CommandState(got["state"]), **known)


def _check(response: httpx.Response, accept: tuple[int, ...]) -> None:
    if response.status_code < 300 or response.status_code in accept:
        return
    try:
        detail = response.json()["detail"]
    except (ValueError, KeyError, TypeError):
        detail = response.text[:200]
    if response.status_code in (401, 403):
        raise NotAllowed(str(detail))
    raise Unanswered(f"{response.status_code}: {detail}")
