"""The ranks of a run talk of control in a process group of their own, and never of gradients.

Between two steps that need nothing, all they exchange is one small reduction that was begun
before the step and is waited for after it. All else is an exchange that rank 0 leads.
"""

from __future__ import annotations

import json
import re
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from hashlib import blake2b
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

_BEATS = 5
"""So many signs of life in one time-out."""

_WHERE = re.compile(r"\[/[^\]]*\] ")
"""The place in gloo's sources with which its messages begin."""

_NONE, _CARE, _END = 0, 1, 2
"""What a head asks for: nothing, a look at this boundary, the end of the run."""


class RanksFailed(SystemExit):
    """The ranks cannot go on together: each ends with one line and status 1.

    An exit and no exception, so that nothing that outlives a failed command outlives this.
    """


class RankLost(RanksFailed):
    """Another rank is gone, or says nothing any more."""


class RanksDiverged(RanksFailed):
    """Ranks that must be the same are not."""


@dataclass(frozen=True, slots=True)
class Head:
    """What all ranks learned together: whether there is something to do, or an end is wanted."""

    care: bool
    end: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an action did on this rank: a text that must be the same on all, and the error."""

    text: str
    error: Exception | None = None


class RankGroup:
    """The control plane's process group (gloo); all its calls are made in the same order.

    Args:
        timeout_s: a rank that says nothing for so long is taken for dead.
    """

    def __init__(self, timeout_s: float) -> None:
        self.rank = dist.get_rank()
        self.size = dist.get_world_size()
        self.timeout_s = timeout_s
        self.beat_s = timeout_s / _BEATS
        self._group = dist.new_group(backend="gloo", timeout=timedelta(seconds=timeout_s))
        # The backend itself: the wrappers of torch.distributed cost as much again, each step.
        self._gloo: Any = self._group._get_backend(torch.device("cpu"))
        self._largest = dist.AllreduceOptions()
        self._largest.reduceOp = dist.ReduceOp(dist.ReduceOp.MAX)
        self._head = np.zeros(3, np.int64)
        self._head_tensor = torch.from_numpy(self._head)
        self._posted: Any = None
        self._place = ""

    @property
    def has_posted(self) -> bool:
        """Return whether a head is on its way."""
        return self._posted is not None

    def post_head(self, *, care: bool, end: bool, step: int, digest: str | None) -> None:
        """Begin to tell all ranks what this one knows of the next boundary.

        Args:
            care: whether something is to be done there.
            end: whether this rank was told to end.
            step: updates done here.
            digest: of the parameters after them, where it was due.
        """
        self._place = f"step {step}: {digest}"
        mark = fold(self._place)
        # The largest of a number and of its negative are the same only if all are.
        head = self._head
        head[0] = _END if end else _CARE if care else _NONE
        head[1], head[2] = mark, -mark
        try:
            self._posted = self._gloo.allreduce([self._head_tensor], self._largest)
        except RuntimeError as error:
            raise self.lost(error) from None

    def wait_head(self) -> Head:
        """Return what all ranks learned, from the head that was posted last.

        Raises:
            RankLost: a rank is gone.
            RanksDiverged: the ranks had made other steps, or have other parameters.
        """
        try:
            self._posted.wait()
        except RuntimeError as error:
            raise self.lost(error) from None
        self._posted = None
        asked, mark, negative = self._head
        if mark != -negative:
            self._compare(self._place)
        return Head(bool(asked > _NONE), bool(asked == _END))

    def tell(self, message: Mapping[str, Any] | None) -> bool:
        """Tell the other ranks something, or None as a sign of life; for rank 0.

        Returns:
            Whether another rank was told to end.
        """
        body = b"" if message is None else json.dumps(message).encode()
        end = self._frame(len(body), False)
        if body:
            self._broadcast(torch.frombuffer(bytearray(body), dtype=torch.uint8))
        return end

    def hear(self, *, end: bool) -> dict[str, Any] | None:
        """Wait for what rank 0 tells; None is a sign of life.

        Args:
            end: whether this rank was told to end, which rank 0 learns.
        """
        header = np.array([0, end], np.int64)
        self._reduce(header)
        if not header[0]:
            return None
        body = torch.empty(int(header[0]), dtype=torch.uint8)
        self._broadcast(body)
        message: dict[str, Any] = json.loads(body.numpy().tobytes())
        return message

    def agree(self, what: str, act: Callable[[], str]) -> Outcome:
        """Do something on all ranks at once, and insist that it did the same on all.

        It may take longer than the time-out: signs of life are exchanged meanwhile.

        Args:
            what: named if it was not the same.
            act: does it, and returns what must be the same on all ranks.

        Returns:
            What it did, here as everywhere; an error that every rank had is not raised.

        Raises:
            RankLost: a rank is gone.
            RanksDiverged: it was not the same; the message names step and rank.
        """
        done = threading.Event()
        lost: list[RankLost] = []
        watch = threading.Thread(target=self._wait_for_all, args=(done, lost), daemon=True)
        watch.start()
        try:
            outcome = Outcome(act())
        except Exception as error:
            outcome = Outcome(f"{type(error).__name__}: {error}", error)
        done.set()
        watch.join()
        if lost:
            raise lost[0]
        kind = type(outcome.error).__name__ if outcome.error else outcome.text
        marks = self._gather(np.array([fold(kind)], np.int64))
        if len({int(mark[0]) for mark in marks}) > 1:
            self._compare(f"{what}: {outcome.text}")
        return outcome

    def gather(self, text: str, longest: int = 300) -> list[str]:
        """Return what each rank has to say, by rank, cut to ``longest`` bytes."""
        room = np.zeros(longest, np.uint8)
        said = np.frombuffer(text.encode()[:longest], np.uint8)
        room[: len(said)] = said
        texts = [one.tobytes().rstrip(b"\0") for one in self._gather(room)]
        return [text.decode(errors="ignore") for text in texts]

    def close(self) -> None:
        """Leave the group; whoever waits for this rank learns that it is gone."""
        dist.destroy_process_group(self._group)

    @contextmanager
    def _lost_is_said(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:
            raise self.lost(error) from None

    def lost(self, error: BaseException) -> RankLost:
        """Return what a failed exchange means, in one line."""
        why = _WHERE.sub("", str(error).splitlines()[0] if str(error) else repr(error))
        return RankLost(
            f"rank {self.rank}: another rank is gone or silent ({self._place or 'at the start'}; "
            f"{why.split('. ')[0][:200]}). Start all ranks again: the run goes on from its newest "
            "checkpoint"
        )

    def _compare(self, text: str) -> None:
        texts = self.gather(text)
        ours = texts[0]
        others = [f"rank {n} has {t!r}" for n, t in enumerate(texts) if t != ours]
        raise RanksDiverged(
            f"rank {self.rank}: the ranks differ: {'; '.join(others) or 'in what is not shown'}"
            f"; rank 0 has {ours!r}"
        )

    def _wait_for_all(self, done: threading.Event, lost: list[RankLost]) -> None:
        """Tell the others whether this rank is done, again and again, until all are."""
        try:
            while True:
                done.wait(self.beat_s)
                left = np.array([not done.is_set()], np.int64)
                self._reduce(left)
                if not left[0]:
                    return
        except RankLost as error:
            lost.append(error)

    def _frame(self, size: int, end: bool) -> bool:
        header = np.array([size, end], np.int64)
        self._reduce(header)
        return bool(header[1])

    def _reduce(self, numbers: np.ndarray[Any, Any]) -> None:
        with self._lost_is_said():
            self._gloo.allreduce([torch.from_numpy(numbers)], self._largest).wait()

    def _broadcast(self, body: torch.Tensor) -> None:
        with self._lost_is_said():
            dist.broadcast(body, 0, group=self._group)

    def _gather(self, mine: np.ndarray[Any, Any]) -> list[np.ndarray[Any, Any]]:
        tensor = torch.from_numpy(mine)
        found = [torch.empty_like(tensor) for _ in range(self.size)]
        with self._lost_is_said():
            dist.all_gather(found, tensor, group=self._group)
        return [one.numpy() for one in found]


def has_ranks() -> bool:
    """Return whether this process is one of several ranks."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


@contextmanager
def open_ranks(timeout_s: float) -> Iterator[RankGroup]:
    """Make the control plane's group; an exchange that fails in the loop ends in one line.

    Raises:
        RankLost: another rank is gone.
    """
    group = RankGroup(timeout_s)
    try:
        yield group
    except RuntimeError as error:
        # The script's own exchanges notice first where a rank dies during a step.
        if isinstance(error, dist.DistError) or "gloo" in str(error):
            raise group.lost(error) from error
        raise
    finally:
        if not sys.is_finalizing():
            group.close()


def plain(body: Sequence[Any] | Mapping[str, Any]) -> str:
    """Return a text that is the same wherever the facts are."""
    return json.dumps(body, sort_keys=True, default=str)


def fold(text: str) -> int:
    """Return a number of 56 bits that is another for another text."""
    return int.from_bytes(blake2b(text.encode(), digest_size=7).digest())
