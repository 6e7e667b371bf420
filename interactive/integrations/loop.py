"""Three lines make a hand-written training loop steerable.

with steer(run_dir, parts) as run:
    while run.cross():
        ...  # the update
        run.record(parts.made(loss, grad_norm))

``parts`` is a ``TorchParts``, or whatever else offers the verbs of ``ControllableTrainer``.
A loop whose data may get lost calls ``run.lose`` in place of ``record`` and goes on, as
``interactive.integrations.worker`` does.

The same loop replays a recorded run where the environment says so (``INTERACTIVE_REPLAY``).
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from interactive.record.data_log import DataLog
from interactive.record.run_folder import RunFolder, RunInfo
from interactive.replaying.own_loop import REPLAY, ReplayPlan, open_replay
from interactive.steering.boundary import Cadence
from interactive.steering.link import Link
from interactive.steering.session import open_session
from interactive.steering.source import Source
from interactive.steering.steered import Steered
from interactive.trainer import ControllableTrainer

RANKS_TIMEOUT_S = 300.0


def print_warning(text: str) -> None:
    """Print one line where the logs go."""
    print(text, file=sys.stderr, flush=True)


@dataclass(frozen=True, slots=True)
class NewRun:
    """What is fixed when a loop makes its run folder.

    Args:
        config: the text of the configuration, in TOML; for readers only.
        seed: of the run; for readers only.
        code_version: identifies the script.
    """

    config: str = ""
    seed: int = 0
    code_version: str = ""

    def open(self, run_dir: Path) -> RunFolder:
        """Return the run folder, made if there is no run in it.

        Raises:
            RunFolderError: it cannot be used.
        """
        if not RunFolder(run_dir).info_file.exists():
            info = RunInfo(entry_point="", seed=self.seed, code_version=self.code_version)
            RunFolder.create(run_dir, config=self.config, info=info)
        return RunFolder.open(run_dir)


@contextmanager
def steer(
    run_dir: Path | str,
    trainer: ControllableTrainer,
    *,
    new: NewRun | None = None,
    connect: Callable[[DataLog], Source] | None = None,
    cadence: Cadence | None = None,
    clock: Callable[[], float] = time.time,
    warn: Callable[[str], None] = print_warning,
    ranks_timeout_s: float = RANKS_TIMEOUT_S,
) -> Iterator[Steered]:
    """Take a run up and connect it to its server, whether or not that is there.

    Steps that were recorded after the newest checkpoint are made again first, and checked.
    Where ``torch.distributed`` is initialised with several ranks, each calls this: rank 0
    steers all of them, and the others write nothing of the run's own files.

    Args:
        run_dir: the run folder, which all ranks share; it is made if there is no run in it.
        trainer: fresh; it is brought to where the run was left.
        new: what is written into a run folder that is made.
        connect: makes what commands come from, given the durable rows of data; the run's
            server if None.
        cadence: what the run does by itself; nothing if None.
        clock: wall-clock seconds, written for readers only.
        warn: told in one line of what went wrong and did not matter to the training.
        ranks_timeout_s: a rank that says nothing for so long is taken for dead.

    Raises:
        RunFolderError: the folder cannot be used, or has a trainer already.
        Diverged: a redone step is not what had been recorded.
        BadReplayPlan: the environment names a replay that cannot be read.
    """

    def open_alone(trainer: ControllableTrainer) -> AbstractContextManager[Steered]:
        return _steer_alone(Path(run_dir), trainer, new, connect, cadence or Cadence(), clock, warn)

    # A loop without torch is not made to import it.
    if "torch.distributed" in sys.modules:
        from interactive.integrations import ranks

        if ranks.has_ranks():
            from interactive.integrations.rank_follower import follow_ranks
            from interactive.integrations.rank_zero import lead_ranks

            with ranks.open_ranks(ranks_timeout_s) as group:
                if group.rank == 0:
                    with lead_ranks(group, trainer, open_alone) as leading:
                        yield leading
                else:
                    with follow_ranks(group, trainer) as following:
                        yield following
            return
    with open_alone(trainer) as alone:
        yield alone


@contextmanager
def _steer_alone(
    run_dir: Path,
    trainer: ControllableTrainer,
    new: NewRun | None,
    connect: Callable[[DataLog], Source] | None,
    cadence: Cadence,
    clock: Callable[[], float],
    warn: Callable[[str], None],
) -> Iterator[Steered]:
    if plan := os.environ.get(REPLAY):
        with open_replay(ReplayPlan.read(Path(plan)), trainer) as replaying:
            yield replaying
        return
    folder = (new or NewRun()).open(run_dir)
    links: list[Link] = []

    def open_link(data: DataLog) -> Link:
        links.append(Link(folder, data, warn=warn))
        return links[0]

    with open_session(
        folder,
        trainer,
        open_source=connect or open_link,
        cadence=cadence,
        clock=clock,
        warn=warn,
    ) as session:
        for link in links:
            link.start(session.status)
        try:
            yield session
        finally:
            for link in links:
                link.close()
        if session.status().state == "stopped":
            for link in links:
                link.say_goodbye(session.status())
