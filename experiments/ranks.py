"""A run's trainer as several ranks, as ``torchrun`` starts them.

Every rank runs the same command. Rank 0 starts the loop as it does alone, and its trainer
process is rank 0 of the training. On all others the command itself is the trainer: they have no
server, window or mirror, write nothing but their part of checkpoints, and do as rank 0 tells.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from experiments.console import Failure, Status

_LOOK_S = 0.5


@dataclass(frozen=True, slots=True)
class Place:
    """Which rank a process is, of how many, and which device of its machine is its own."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0

    @classmethod
    def of(cls, env: Mapping[str, str] = os.environ) -> Place:
        """Return what ``torchrun`` says in the environment; alone where it says nothing.

        Raises:
            Failure: it makes no sense.
        """
        try:
            size = int(env.get("WORLD_SIZE") or 1)
            if size == 1:
                return cls()
            rank = int(env["RANK"])
            return cls(rank, size, int(env.get("LOCAL_RANK") or rank))
        except (KeyError, ValueError) as error:
            message = f"the environment names no rank: {error}."
            hint = "torchrun sets RANK, WORLD_SIZE and LOCAL_RANK; unset them to train alone."
            raise Failure(Status.USAGE, "bad_ranks", message, hint) from None

    @property
    def has_others(self) -> bool:
        """Whether there are other ranks."""
        return self.size > 1


@contextmanager
def joined(place: Place, ended: threading.Event | None = None) -> Iterator[None]:
    """Join the other ranks; where there are CUDA devices each has one of its own.

    Args:
        place: which rank this is; nothing is done for one alone.
        ended: where it is set while the others are waited for, the process ends.

    Raises:
        Failure: the others did not come.
    """
    if not place.has_others:
        yield
        return
    import torch
    import torch.distributed as dist

    backend = "gloo"
    if torch.cuda.is_available():
        # More ranks than devices are for training on the CPU.
        if place.local_rank < torch.cuda.device_count():
            torch.cuda.set_device(place.local_rank)
        backend = "cpu:gloo,cuda:nccl"
    _join(place, backend, ended or threading.Event())
    try:
        yield
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()


def _join(place: Place, backend: str, ended: threading.Event) -> None:
    from datetime import timedelta

    import torch.distributed as dist

    from neuralos.ranks import SILENCE_S

    is_joined = threading.Event()

    def give_up() -> None:
        while not is_joined.wait(_LOOK_S):
            if ended.is_set():
                _end_waiting(place)

    # The wait for the others cannot be interrupted.
    watch = threading.Thread(target=give_up, name="join", daemon=True)
    watch.start()
    try:
        dist.init_process_group(
            backend,
            rank=place.rank,
            world_size=place.size,
            timeout=timedelta(seconds=SILENCE_S),
        )
    except (RuntimeError, ValueError) as error:
        message = f"rank {place.rank} did not find the other {place.size - 1}."
        raise Failure(Status.ENVIRONMENT, "no_ranks", message, str(error).splitlines()[0]) from None
    finally:
        is_joined.set()
        watch.join()


def _end_waiting(place: Place) -> NoReturn:
    sys.stderr.write(f"rank {place.rank}: told to end before all {place.size} ranks were there\n")
    sys.stderr.flush()
    os._exit(int(Status.CHECK_FAILED))


def train_rank(run: Path, place: Place) -> None:
    """Train a run as one rank, until rank 0 says that it is over.

    Args:
        run: the run folder, which all ranks must share.
        place: which rank this is.

    Raises:
        Failure: the folder is not there, or the others did not come.
    """
    from experiments.config import run_steering
    from interactive.integrations.worker import run_worker
    from interactive.record.run_folder import RunFolder

    with joined(place):
        if not RunFolder(run).info_file.exists():
            message = f"rank {place.rank}: there is no run in {run.resolve()}."
            hint = "Rank 0 made it where it is: all ranks must see the same folder."
            raise Failure(Status.ENVIRONMENT, "folder_not_shared", message, hint)
        run_worker(run, cadence=run_steering(run).cadence())


def interrupt_at_sigterm() -> None:
    """Let torchrun's signal end a loop as Ctrl-C does."""

    def interrupt(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)


def torchrun(ranks: int, *words: str) -> list[str]:
    """Return the command that starts ``python -m experiments.processes WORDS`` on ranks here."""
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    return [*start, "--nproc-per-node", str(ranks), "-m", "experiments.processes", *words]
