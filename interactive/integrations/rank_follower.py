"""The ranks beyond the first: they make the steps, and at boundaries do as rank 0 tells."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Protocol, runtime_checkable

from pydantic import Field, TypeAdapter

from interactive.commands import TrainerCommand
from interactive.integrations.rank_zero import describe_plan
from interactive.integrations.ranks import RankGroup, RanksFailed
from interactive.outcome import Reason, Rejected
from interactive.steering.steered import Status
from interactive.trainer import ControllableTrainer, DataLost, DataRow, Plan, StepRecord

TRAINER_COMMAND: TypeAdapter[TrainerCommand] = TypeAdapter(
    Annotated[TrainerCommand, Field(discriminator="command")]
)


@runtime_checkable
class RankKeeper(Protocol):
    """A trainer that has what differs from rank to rank, such as its generators."""

    def save_rank(self, folder: Path) -> None:
        """Write it into an existing empty folder."""
        ...

    def load_rank(self, folder: Path) -> None:
        """Restore what ``save_rank`` wrote, after ``load``."""
        ...


class FollowerBoundary:
    """What the loop of a rank beyond the first calls; it writes nothing.

    Args:
        group: all ranks.
        trainer: this rank's own.
    """

    def __init__(self, group: RankGroup, trainer: ControllableTrainer) -> None:
        self._group = group
        self._trainer = trainer
        self._plans: dict[int, Plan | Rejected] = {}
        self._digest: str | None = None
        self._end_requested = False
        self._status = Status("recovering", trainer.step, "", 0, trainer.settings())

    def cross(self) -> bool:
        """Do what rank 0 tells, if there is anything, and return whether there is a next step.

        Raises:
            RankLost: a rank is gone.
            RanksDiverged: the ranks are not the same any more.
        """
        if self._group.has_posted and not self._group.wait_head().care:
            self._post()
            return True
        if not self.follow():
            return False
        self._post()
        return True

    def record(self, record: StepRecord) -> None:
        """Keep the digest of the step, to be compared; rank 0 writes the record."""
        self._digest = record.digest

    def lose(self, lost: DataLost) -> None:
        """Go on without clips, as rank 0 does: every rank must have raised ``DataLost``."""
        self.follow()

    def request_end(self) -> None:
        """Have rank 0 end the run; safe in a signal handler or a thread."""
        self._end_requested = True

    def status(self) -> Status:
        """Return where the run stood when rank 0 said so last."""
        return self._status

    def follow(self) -> bool:
        """Do as rank 0 tells until it says how it goes on; return whether it does.

        Raises:
            RanksFailed: rank 0 ended by an error, or a rank is gone, or ranks differ.
        """
        while True:
            message = self._group.hear(end=self._end_requested)
            match message:
                case None:
                    continue
                case {"verb": "go" | "stop" as verb}:
                    self._plans.clear()
                    self._status = Status(
                        str(message["state"]),
                        self._trainer.step,
                        str(message["branch"]),
                        int(message["mark"]),
                        self._trainer.settings(),
                    )
                    return bool(verb == "go")
                case {"verb": "fail", "why": why}:
                    raise RanksFailed(f"rank {self._group.rank}: rank 0 ended by an error: {why}")
                case {"verb": "plan", "number": number, "command": command}:
                    self._plan(int(number), command)
                case _:
                    self._obey(message)

    def _post(self) -> None:
        self._group.post_head(
            care=False, end=self._end_requested, step=self._trainer.step, digest=self._digest
        )

    def _plan(self, number: int, body: Mapping[str, Any]) -> None:
        try:
            planned = self._trainer.plan(TRAINER_COMMAND.validate_json(json.dumps(body)))
        except Exception as error:
            planned = Rejected(Reason.UNSUPPORTED, f"it cannot be planned: {error!r}")
        self._plans[number] = planned
        self._group.gather(describe_plan(planned))

    def _obey(self, message: Mapping[str, Any]) -> None:
        act = self._action(message)

        def act_and_digest() -> str:
            act()
            return "" if message["verb"] == "keep" else self._trainer.digest()

        self._group.agree(str(message["what"]), act_and_digest)

    def _action(self, message: Mapping[str, Any]) -> Callable[[], None]:
        trainer = self._trainer
        match message["verb"]:
            case "apply":
                planned = self._plans[int(message["number"])]
                if isinstance(planned, Rejected):
                    raise RuntimeError("rank 0 applies what was refused")
                return planned.apply
            case "adopt":
                rows = [DataRow(**row) for row in message["rows"]]
                return lambda: trainer.adopt(int(message["mark"]), rows)
            case "withdraw":
                return lambda: trainer.withdraw(list(message["commits"]))
            case "load":
                return lambda: self._load(Path(message["folder"]))
            case "keep":
                return lambda: self._keep(Path(message["folder"]))
            case "digest":
                return lambda: None
            case verb:
                raise RuntimeError(f"rank 0 asks for {verb!r}")

    def _keep(self, folder: Path) -> None:
        """Put what only this rank has beside what rank 0 saved, before that is published."""
        if isinstance(self._trainer, RankKeeper):
            own = self._own_folder(folder)
            own.mkdir()
            self._trainer.save_rank(own)

    def _load(self, folder: Path) -> None:
        self._trainer.load(folder)
        own = self._own_folder(folder)
        if isinstance(self._trainer, RankKeeper) and own.is_dir():
            self._trainer.load_rank(own)

    def _own_folder(self, folder: Path) -> Path:
        return folder / f"rank-{self._group.rank}"


@contextmanager
def follow_ranks(group: RankGroup, trainer: ControllableTrainer) -> Iterator[FollowerBoundary]:
    """Take the run up as rank 0 does, and follow it.

    Args:
        group: all ranks.
        trainer: this rank's own, fresh.

    Raises:
        RanksFailed: rank 0 could not take it up.
    """
    boundary = FollowerBoundary(group, trainer)
    boundary.follow()
    yield boundary
