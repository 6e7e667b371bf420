"""The trainer process's side of the server connection: background threads, one integer each way."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import httpx

from interactive.record.data_log import DataLog
from interactive.record.metrics import json_safe
from interactive.record.run_folder import RunFolder
from interactive.steering.source import Delivered, parse_delivered
from interactive.steering.steered import Status
from interactive.trainer import DataRow

ROLE = "trainer"
_POLL_S = 10
_ROWS = 500
_TIMEOUT = httpx.Timeout(10.0, read=_POLL_S + 10.0)
_HEARTBEAT_S = 1.0
_BACKOFF_S = (0.2, 2.0)
"""First and longest wait before the server is tried again."""


class ServerAway(Exception):
    """There is no server to talk to now."""


class Link:
    """Fetches commands and data rows, and tells the server that the trainer lives.

    The training goes on whatever happens here: an exception of a thread is a reason to
    try again later, never to stop.

    Args:
        folder: the run; its address and token are read anew at every connection.
        data: where rows are made durable before ``data_head`` shows them.
        warn: told in one line when the server goes and comes.
        transport: replaces the network in tests.
        monotonic: seconds by a clock that only goes forward.
    """

    def __init__(
        self,
        folder: RunFolder,
        data: DataLog,
        *,
        warn: Callable[[str], None],
        transport: httpx.BaseTransport | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder = folder
        self._data = data
        self._warn = warn
        self._transport = transport
        self._monotonic = monotonic
        self._heard_s = monotonic()
        self._arrived: list[Delivered] = []
        self._fetched = 0
        self._lock = threading.Lock()
        self._changed = threading.Event()
        self._closed = threading.Event()
        self._threads: list[threading.Thread] = []
        self.command_head = 0

    @property
    def data_head(self) -> int:
        """Return the highest commit number whose row is durable here."""
        return self._data.head

    @property
    def away_s(self) -> float:
        """Return for how long the server has not answered; about a second while it is there."""
        return self._monotonic() - self._heard_s

    def commands(self) -> list[Delivered]:
        """Hand over the commands that arrived since the call before."""
        with self._lock:
            arrived, self._arrived = self._arrived, []
        return arrived

    def rows(self, after: int, upto: int) -> Sequence[DataRow]:
        """Return the durable rows with ``after`` < commit ≤ ``upto``."""
        return self._data.rows(after, upto)

    def wait(self, timeout_s: float) -> None:
        """Return when something arrives, or after the time."""
        if self._changed.wait(timeout_s):
            self._changed.clear()

    def start(self, status: Callable[[], Status]) -> None:
        """Begin to talk.

        Args:
            status: where the run stands, asked for from a thread.
        """
        loops: dict[str, Callable[[httpx.Client], None]] = {
            "commands": self.fetch_commands,
            "data": self.fetch_rows,
            "heartbeat": lambda client: self._beat(client, status),
        }
        for name, talk in loops.items():
            thread = threading.Thread(
                target=self._keep_talking, args=(name, talk), name=f"link-{name}", daemon=True
            )
            self._threads.append(thread)
            thread.start()

    def close(self) -> None:
        """Stop talking; a request under way is not waited for, and writes nothing more."""
        with self._lock:
            self._closed.set()
        for thread in self._threads:
            thread.join(timeout=0.2)

    def say_goodbye(self, status: Status) -> None:
        """Tell the server at once that the run has stopped; in vain where it is away."""
        try:
            with self._connect(httpx.Timeout(1.0)) as client:
                self.send_heartbeat(client, status)
        except (httpx.HTTPError, ServerAway):
            pass

    def fetch_commands(self, client: httpx.Client) -> None:
        """Wait for commands once, and take what arrived.

        Raises:
            httpx.HTTPError, ValueError, KeyError: the server did not answer as it should.
        """
        answer = client.get(
            "/api/commands", params={"after": self._fetched, "wait_s": _POLL_S}
        ).raise_for_status()
        arrived, last = [], self._fetched
        for obj in answer.json()["commands"]:
            last = max(last, int(obj["seq"]))
            try:
                arrived.append(parse_delivered(obj))
            except ValueError as error:
                self._warn(f"a command was passed over: {error}")
        if arrived:
            with self._lock:
                self._arrived += arrived
                self._fetched = last
                self.command_head = last
            self._changed.set()
        self._fetched = last

    def fetch_rows(self, client: httpx.Client) -> None:
        """Wait for index rows once, and make those that arrived durable.

        Raises:
            httpx.HTTPError, ValueError, KeyError: the server did not answer as it should.
            OSError: the rows could not be written; they are fetched again.
        """
        answer = client.get(
            "/commits", params={"after": self._data.head, "limit": _ROWS, "wait_s": _POLL_S}
        ).raise_for_status()
        rows = [DataRow(int(row["commit"]), row) for row in answer.json()["rows"]]
        if not rows:
            return
        with self._lock:
            if self._closed.is_set():
                return
            self._data.append(rows)
        self._changed.set()

    def send_heartbeat(self, client: httpx.Client, status: Status) -> None:
        """Tell the server where the run stands.

        Raises:
            httpx.HTTPError: the server did not answer as it should.
        """
        beat: dict[str, Any] = {
            "pid": os.getpid(),
            "state": status.state,
            "step": status.step,
            "branch": status.branch,
            "mark": status.mark,
            "settings": json_safe(status.settings),
        }
        client.post("/api/heartbeat", json=beat).raise_for_status()

    def _beat(self, client: httpx.Client, status: Callable[[], Status]) -> None:
        self.send_heartbeat(client, status())
        self._closed.wait(_HEARTBEAT_S)

    def _keep_talking(self, name: str, talk: Callable[[httpx.Client], None]) -> None:
        pause_s, longest_s = _BACKOFF_S
        is_away = False
        while not self._closed.is_set():
            try:
                with self._connect() as client:
                    while not self._closed.is_set():
                        talk(client)
                        self._heard_s = self._monotonic()
                        pause_s, is_away = _BACKOFF_S[0], False
            except Exception as error:
                if not is_away and not isinstance(error, ServerAway):
                    self._warn(f"link ({name}): {error!r}; trying again")
                is_away = True
            self._closed.wait(pause_s)
            pause_s = min(2 * pause_s, longest_s)

    def _connect(self, timeout: httpx.Timeout = _TIMEOUT) -> httpx.Client:
        """Return a client for the server as the run folder names it now.

        Raises:
            ServerAway: the folder names none.
        """
        address, token = self._folder.read_server(), self._folder.read_token(ROLE)
        if address is None or token is None:
            raise ServerAway
        return httpx.Client(
            base_url=address.url,
            headers={"Authorization": f"Bearer {token}"},
            timeout=timeout,
            transport=self._transport,
            trust_env=False,
        )
