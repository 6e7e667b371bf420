"""Three lines make a hand-written training loop steerable.

with steer(run_dir, trainer) as boundary:
    while boundary.cross():
        boundary.record(trainer.train_step())

A trainer whose data may get lost raises ``DataLost``; the loop then calls ``boundary.lose``
in place of ``record`` and goes on, as ``interactive.integrations.worker`` does.

The same loop replays a recorded run where the environment says so (``INTERACTIVE_REPLAY``).
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from interactive.record.data_log import DataLog
from interactive.record.run_folder import RunFolder
from interactive.replaying.own_loop import REPLAY, ReplayPlan, open_replay
from interactive.steering.boundary import Cadence
from interactive.steering.link import Link
from interactive.steering.session import open_session
from interactive.steering.steered import Steered
from interactive.trainer import ControllableTrainer


def print_warning(text: str) -> None:
    """Print one line where the logs go."""
    print(text, file=sys.stderr, flush=True)


@contextmanager
def steer(
    run_dir: Path,
    trainer: ControllableTrainer,
    *,
    cadence: Cadence | None = None,
    clock: Callable[[], float] = time.time,
    warn: Callable[[str], None] = print_warning,
) -> Iterator[Steered]:
    """Take a run up and connect it to its server, whether or not that is there.

    Steps that were recorded after the newest checkpoint are made again first, and checked.

    Args:
        run_dir: an existing run folder (``RunFolder.create``).
        trainer: fresh; it is brought to where the run was left.
        cadence: what the run does by itself; nothing if None.
        clock: wall-clock seconds, written for readers only.
        warn: told in one line of what went wrong and did not matter to the training.

    Raises:
        RunFolderError: the folder cannot be used, or has a trainer already.
        Diverged: a redone step is not what had been recorded.
        BadReplayPlan: the environment names a replay that cannot be read.
    """
    if plan := os.environ.get(REPLAY):
        with open_replay(ReplayPlan.read(Path(plan)), trainer) as replaying:
            yield replaying
        return
    folder = RunFolder.open(run_dir)
    links: list[Link] = []

    def open_link(data: DataLog) -> Link:
        links.append(Link(folder, data, warn=warn))
        return links[0]

    with open_session(
        folder,
        trainer,
        open_source=open_link,
        cadence=cadence or Cadence(),
        clock=clock,
        warn=warn,
    ) as session:
        link = links[0]
        link.start(session.status)
        try:
            yield session
        finally:
            link.close()
        if session.status().state == "stopped":
            link.say_goodbye(session.status())
