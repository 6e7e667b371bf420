"""Rank 0 of several: its session steers all of them.

What a session does to its trainer is done on every rank, at the same point of the run: so
live steering, recovery and replay need to know nothing of ranks. The ledger is written
before the trainer is asked to apply, hence before any rank applies.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from interactive.commands import TrainerCommand
from interactive.integrations.ranks import RankGroup, RanksFailed, fold, plain
from interactive.outcome import Reason, Rejected
from interactive.record.metrics import json_safe
from interactive.steering.steered import Status, Steered
from interactive.trainer import (
    ControllableTrainer,
    DataLost,
    DataRow,
    EvaluationResult,
    Plan,
    StepRecord,
)


@runtime_checkable
class Foreseeing(Protocol):
    """Knows beforehand that a boundary needs nothing."""

    def is_quiet(self, step: int) -> bool:
        """Return whether nothing is known that is due after ``step`` updates."""
        ...


class Leader:
    """Rank 0's end of the exchange.

    While it leads, a thread of its own gives signs of life, so that a pause, or an
    evaluation that only rank 0 makes, may take longer than the time-out.
    """

    def __init__(self, group: RankGroup) -> None:
        self.group = group
        self._lock = threading.Lock()
        self._leading = threading.Event()
        self._closed = threading.Event()
        self._told_s = 0.0
        self._lost: RanksFailed | None = None
        self._request_end: Callable[[], None] = lambda: None
        self._thread = threading.Thread(target=self._beat, name="ranks", daemon=True)
        self._thread.start()

    def begin(self, request_end: Callable[[], None]) -> None:
        """Lead from now on; ``request_end`` is called where another rank is told to end."""
        self._request_end = request_end
        self._told_s = time.monotonic()
        self._leading.set()

    def end(self, verb: str, **facts: Any) -> None:
        """Tell the others how it goes on, and lead no more.

        Raises:
            RankLost: another rank is gone.
        """
        with self._lock:
            self._leading.clear()
            self._tell({"verb": verb, **facts})

    def give_up(self, error: Exception) -> None:
        """Tell the others, if they listen, that rank 0 ends by an error."""
        if self._leading.is_set() and self._lost is None:
            with suppress(RanksFailed):
                self.end("fail", why=f"{type(error).__name__}: {error}"[:500])

    def check(self) -> None:
        """Raise what a sign of life found out.

        Raises:
            RankLost: another rank is gone.
        """
        if self._lost is not None:
            raise self._lost

    def lead(self, verb: str, what: str, act: Callable[[], str], **facts: Any) -> str:
        """Have every rank do something, and return what it came to on all of them.

        Args:
            verb: what ``rank_follower`` is to do.
            what: the same for a reader.
            act: does it here.
            facts: what the others need to know.

        Raises:
            RankLost: another rank is gone.
            RanksDiverged: it did not come to the same.
            Exception: it failed, and in the same way on all ranks.
        """
        with self._lock:
            self._tell({"verb": verb, "what": what, **facts})
            outcome = self.group.agree(what, act)
        if outcome.error is not None:
            raise outcome.error
        return outcome.text

    def ask(self, verb: str, own: str, **facts: Any) -> list[str]:
        """Ask every rank something, and return the answers by rank; ``own`` is rank 0's."""
        with self._lock:
            self._tell({"verb": verb, **facts})
            return self.group.gather(own)

    def close(self) -> None:
        """Give no more signs of life."""
        self._closed.set()
        self._leading.set()
        self._thread.join()

    def _tell(self, message: Mapping[str, Any] | None) -> None:
        self.check()
        if not self._leading.is_set() and message is None:
            return
        if self.group.tell(message):
            self._request_end()
        self._told_s = time.monotonic()

    def _beat(self) -> None:
        pause_s = self.group.beat_s / 2
        while True:
            self._leading.wait()
            if self._closed.wait(pause_s):
                return
            with self._lock:
                if time.monotonic() - self._told_s >= pause_s:
                    try:
                        self._tell(None)
                    except RanksFailed as error:
                        # The hold of a paused run is left, and the loop then meets the error.
                        self._lost = error
                        self._request_end()
                        return


class MirroredTrainer:
    """A ``ControllableTrainer`` whose changes are made on every rank.

    Args:
        trainer: rank 0's own.
        leader: tells the other ranks.
    """

    def __init__(self, trainer: ControllableTrainer, leader: Leader) -> None:
        self._trainer = trainer
        self._leader = leader
        self._plans = 0

    @property
    def step(self) -> int:
        """Return the number of updates done."""
        return self._trainer.step

    @property
    def evaluations(self) -> tuple[str, ...]:
        """Return the names that ``evaluate`` accepts."""
        return self._trainer.evaluations

    def settings(self) -> Mapping[str, Any]:
        """Return what can be steered, as it is on rank 0 and so on all."""
        return self._trainer.settings()

    def capabilities(self) -> Mapping[str, Any]:
        """Return what commands may name."""
        return self._trainer.capabilities()

    def fingerprint(self) -> Mapping[str, str]:
        """Return what bit-equality depends on: the number of ranks is part of it."""
        return {**self._trainer.fingerprint(), "world_size": str(self._leader.group.size)}

    def ready(self) -> bool:
        """Return whether a step can be made; rank 0 speaks for all."""
        self._leader.check()
        return self._trainer.ready()

    def plan(self, command: TrainerCommand) -> Plan | Rejected:
        """Plan on every rank; what they do not plan alike is refused, and nothing has changed."""
        self._plans += 1
        number, planned = self._plans, self._trainer.plan(command)
        body = command.model_dump(mode="json", exclude_none=True)
        texts = self._leader.ask("plan", describe_plan(planned), number=number, command=body)
        odd = [rank for rank, text in enumerate(texts) if text != texts[0]]
        if odd:
            hint = f"rank {odd[0]} plans it otherwise: {texts[odd[0]]}; rank 0: {texts[0]}"
            return Rejected(Reason.UNSUPPORTED, hint)
        if isinstance(planned, Rejected):
            return planned

        def apply() -> None:
            self._everywhere("apply", planned.apply, number=number)

        return Plan(planned.old, planned.requested, planned.effective, apply)

    def adopt(self, mark: int, rows: Sequence[DataRow]) -> None:
        """Take rows into the data of every rank."""
        bodies = [asdict(row) for row in rows]
        self._everywhere("adopt", lambda: self._trainer.adopt(mark, rows), mark=mark, rows=bodies)

    def withdraw(self, commits: Sequence[int]) -> None:
        """Take clips out of the data of every rank."""
        self._everywhere("withdraw", lambda: self._trainer.withdraw(commits), commits=list(commits))

    def evaluate(self, evaluation: str, branch: str) -> EvaluationResult:
        """Run a named evaluation, on rank 0 alone: it must not wait for other ranks."""
        return self._trainer.evaluate(evaluation, branch)

    def digest(self) -> str:
        """Return the digest of the parameters, which every rank must have.

        Raises:
            RanksDiverged: a rank has another.
        """
        return self._everywhere("digest", lambda: None)

    def save(self, folder: Path) -> None:
        """Write a checkpoint, to which other ranks add what only they have."""
        self._trainer.save(folder)
        self._leader.lead("keep", "keep", lambda: "", folder=str(folder))

    def load(self, folder: Path) -> None:
        """Load the same checkpoint on every rank; they must share its folder."""
        self._everywhere("load", lambda: self._trainer.load(folder), folder=str(folder))

    def _everywhere(self, verb: str, act: Callable[[], None], **facts: Any) -> str:
        """Do something on every rank, and compare the parameters after it."""
        what = f"{verb} before step {self.step + 1}"

        def act_and_digest() -> str:
            act()
            return self._trainer.digest()

        return self._leader.lead(verb, what, act_and_digest, **facts)


class RankedSession:
    """What the loop of rank 0 calls: a session, whose boundaries are those of all ranks.

    Args:
        session: live, redoing or replaying.
        leader: leads the other ranks at a boundary.
        trainer: says how many updates are done.
    """

    def __init__(self, session: Steered, leader: Leader, trainer: ControllableTrainer) -> None:
        self._session = session
        # Found out once: to ask this of a protocol takes longer than the whole boundary.
        self._foreseeing = session if isinstance(session, Foreseeing) else None
        self._leader = leader
        self._trainer = trainer
        self._digest: str | None = None

    def cross(self) -> bool:
        """Do what is due before the next step, on all ranks.

        Raises:
            RankLost: a rank is gone.
            RanksDiverged: the ranks are not the same any more.
        """
        group = self._leader.group
        if group.has_posted:
            head = group.wait_head()
            if head.end:
                self._session.request_end()
            elif not head.care:
                self._post()
                return True
        with self._leading() as leading:
            leading.goes_on = self._session.cross()
        if leading.goes_on:
            self._post()
        return leading.goes_on

    def record(self, record: StepRecord) -> None:
        """Take the step that was just made.

        Raises:
            OSError: it cannot be written; a run without a record does not go on.
        """
        self._digest = record.digest
        self._session.record(record)

    def lose(self, lost: DataLost) -> None:
        """Take that no rank made the step, for want of clips that cannot be read.

        Raises:
            DataLost: the run cannot go on without them.
        """
        with self._leading():
            self._session.lose(lost)

    def request_end(self) -> None:
        """End before the next step; safe in a signal handler or a thread."""
        self._session.request_end()

    def status(self) -> Status:
        """Return where the run stands; safe in any thread."""
        return self._session.status()

    def _post(self) -> None:
        step = self._trainer.step
        is_quiet = self._foreseeing is not None and self._foreseeing.is_quiet(step + 1)
        self._leader.group.post_head(care=not is_quiet, end=False, step=step, digest=self._digest)

    @contextmanager
    def _leading(self) -> Iterator[_Leading]:
        """Lead the others through a boundary, and tell them how it goes on."""
        leading = _Leading()
        self._leader.begin(self._session.request_end)
        try:
            yield leading
        except Exception as error:
            self._leader.give_up(error)
            raise
        status = self._session.status()
        facts = {"state": status.state, "branch": status.branch, "mark": status.mark}
        self._leader.end("go" if leading.goes_on else "stop", **facts)


@dataclass(slots=True)
class _Leading:
    goes_on: bool = True


@contextmanager
def lead_ranks(
    group: RankGroup,
    trainer: ControllableTrainer,
    open_session: Callable[[ControllableTrainer], AbstractContextManager[Steered]],
) -> Iterator[Steered]:
    """Open a session on rank 0, and steer all ranks with it.

    Args:
        group: all ranks.
        trainer: rank 0's own, fresh.
        open_session: given the trainer that stands for those of all ranks.

    Raises:
        RankLost: another rank is gone.
        RanksDiverged: the trainers do not begin with the same parameters.
    """
    leader = Leader(group)
    leader.begin(lambda: None)
    try:
        mirrored = MirroredTrainer(trainer, leader)
        mirrored.digest()
        with open_session(mirrored) as session:
            leader.end("go", state="opened", branch="", mark=0)
            yield RankedSession(session, leader, trainer)
    except Exception as error:
        leader.give_up(error)
        raise
    finally:
        leader.close()


def describe_plan(planned: Plan | Rejected) -> str:
    """Return what a plan says, so short that it can be compared, and read."""
    if isinstance(planned, Rejected):
        text = plain({"refused": planned.code.value, "hint": planned.hint})
    else:
        body = {"old": planned.old, "requested": planned.requested, "effective": planned.effective}
        text = plain(json_safe(body))
    return f"{fold(text):x} {text}"
