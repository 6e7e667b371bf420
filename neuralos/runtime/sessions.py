"""Sessions: who sits in which slot of an engine, and what is kept of each."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from torch import Tensor

from neuralos.keyed import torch_generator
from neuralos.models.state import SimulatorState


class NoFreeSlot(RuntimeError):
    """All slots of the engine are taken."""


class NoSuchSession(LookupError):
    """The session is not in the engine; the message says why, where that is known."""


@dataclass(frozen=True, slots=True)
class Passenger:
    """A session outside an engine: before it joins, or after it was parked.

    ``state`` is one row; ``drawn`` counts its frames so far, ``code`` is the digest of
    the autoencoder whose latents it holds.
    """

    name: str
    seed: int
    state: SimulatorState
    code: str
    drawn: int = 0


@dataclass(slots=True, eq=False)
class Session:
    """A session in a slot.

    ``counters`` count what was put right of its inputs; ``failure`` says what ended it,
    where that was not its user.
    """

    name: str
    seed: int
    slot: int
    drawn: int = 0
    counters: Counter[str] = field(default_factory=Counter)
    failure: str = ""

    def fill_noise(self, noise_CHW: Tensor) -> None:
        """Draw the noise of the next frame: a function of the session's seed and that frame.

        Who else is in the engine cannot matter.
        """
        generator = torch_generator(self.seed, "draw", self.drawn, device=noise_CHW.device)
        noise_CHW.normal_(generator=generator)


class Slots:
    """Which session is in which slot; the lowest free one is taken."""

    def __init__(self, count: int) -> None:
        self._taken: list[Session | None] = [None] * count

    def __len__(self) -> int:
        return len(self._taken)

    @property
    def sessions(self) -> list[Session]:
        """Return the sessions in the order of their slots."""
        return [session for session in self._taken if session is not None]

    def take(self, passenger: Passenger) -> Session:
        """Give a passenger the lowest free slot.

        Raises:
            NoFreeSlot: there is none.
        """
        for slot, taken in enumerate(self._taken):
            if taken is None:
                session = Session(passenger.name, passenger.seed, slot, passenger.drawn)
                self._taken[slot] = session
                return session
        raise NoFreeSlot(f"all {len(self)} slots are taken; {passenger.name!r} has to wait")

    def free(self, session: Session) -> None:
        """Take a session out of its slot.

        Raises:
            NoSuchSession: it is in none.
        """
        self.check(session)
        self._taken[session.slot] = None

    def check(self, session: Session) -> None:
        """Do nothing if the session is in its slot.

        Raises:
            NoSuchSession: it is not.
        """
        if self._taken[session.slot] is not session:
            raise NoSuchSession(session.failure or f"{session.name}: it has left")
