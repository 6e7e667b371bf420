"""Drives an engine in a thread: clients hand inputs in and ask for frames, and never wait."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from neuralos.runtime.encoding import Encoded, Encoder, Outlet
from neuralos.runtime.engine import Engine
from neuralos.runtime.inputs import Controls
from neuralos.runtime.sessions import NoSuchSession, Passenger, Session
from neuralos.runtime.swap import StagedWeights

MOST_PENDING = 4
"""Inputs of one client that may wait; more than that is a client that runs ahead."""

INPUTS_REFUSED = "inputs_refused"
"""Name of a counter: inputs of a client that ran ahead."""


class DriverClosed(RuntimeError):
    """The driver has ended; the message says why."""


@dataclass(slots=True, eq=False)
class Client:
    """One session as its client sees it."""

    session: Session
    outlet: Outlet
    pending: deque[Controls] = field(default_factory=deque)

    @property
    def counters(self) -> Counter[str]:
        """What was put right, refused or dropped."""
        return self.session.counters

    def frame(self) -> Future[Encoded]:
        """Ask for the newest frame not taken yet; see ``Outlet.take``."""
        return self.outlet.take()


class Driver:
    """Steps, in one thread, every session of which an input waits, as soon as one does.

    Joining, leaving and new weights take effect between two frames. Frames are encoded in
    the encoder's threads while the next ones are drawn.
    """

    def __init__(self, engine: Engine, encoder: Encoder) -> None:
        self._engine = engine
        self._encoder = encoder
        self._clients: list[Client] = []
        self._between: deque[tuple[Callable[[], Any], Future[Any]]] = deque()
        self._work = threading.Condition()
        self._ended: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)

    def start(self) -> None:
        """Begin to step."""
        self._thread.start()

    def connect(self, passenger: Passenger) -> Future[Client]:
        """Let a session join; ``Engine.board`` made it ready."""
        return self._ask(lambda: self._join(passenger))

    def disconnect(self, client: Client) -> Future[None]:
        """Let a session leave."""
        return self._ask(lambda: self._leave(client))

    def swap(self, staged: StagedWeights) -> Future[None]:
        """Go on with other weights; ``Engine.stage`` got them ready."""
        return self._ask(lambda: self._engine.swap(staged))

    def submit(self, client: Client, controls: Controls) -> bool:
        """Hand in the input of a client's next frame; never waits.

        Returns:
            False where the client is too far ahead; the refusal is counted.
        """
        with self._work:
            if len(client.pending) >= MOST_PENDING:
                client.counters[INPUTS_REFUSED] += 1
                return False
            client.pending.append(controls)
            self._work.notify()
        return True

    def close(self) -> None:
        """End; what clients wait for fails with ``DriverClosed``."""
        self._end(DriverClosed("the driver was closed"))
        self._thread.join()

    def _ask(self, act: Callable[[], Any]) -> Future[Any]:
        future: Future[Any] = Future()
        with self._work:
            if self._ended is not None:
                future.set_exception(self._ended)
            else:
                self._between.append((act, future))
                self._work.notify()
        return future

    def _run(self) -> None:
        try:
            while self._wait():
                self._act_between()
                self._step()
        except Exception as error:
            self._end(DriverClosed(f"the engine failed: {type(error).__name__}: {error}"))

    def _wait(self) -> bool:
        """Wait for something to do; return False at the end."""
        with self._work:
            self._work.wait_for(
                lambda: self._ended or self._between or any(c.pending for c in self._clients)
            )
            return self._ended is None

    def _act_between(self) -> None:
        with self._work:
            acts = list(self._between)
            self._between.clear()
        for act, future in acts:
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(act())
            except Exception as error:
                future.set_exception(error)

    def _step(self) -> None:
        with self._work:
            inputs = {c: c.pending.popleft() for c in self._clients if c.pending}
        if not inputs:
            return
        drawn = self._engine.step({client.session: said for client, said in inputs.items()})
        for client in inputs:
            if client.session in drawn.failed:
                self._clients.remove(client)
                client.outlet.end(NoSuchSession(client.session.failure))
            else:
                client.outlet.put(drawn.frames[client.session], client.session.drawn)

    def _join(self, passenger: Passenger) -> Client:
        session = self._engine.join(passenger)
        client = Client(session, Outlet(self._encoder, session.counters))
        self._clients.append(client)
        return client

    def _leave(self, client: Client) -> None:
        self._engine.leave(client.session)
        self._clients.remove(client)
        client.pending.clear()
        client.outlet.end(NoSuchSession(f"{client.session.name}: it has left"))

    def _end(self, reason: Exception) -> None:
        with self._work:
            if self._ended is not None:
                return
            self._ended = reason
            waiting = [future for _, future in self._between]
            self._between.clear()
            self._work.notify()
        for future in waiting:
            if future.set_running_or_notify_cancel():
                future.set_exception(reason)
        for client in list(self._clients):
            client.outlet.end(reason)
