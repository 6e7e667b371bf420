"""A script of two ranks, as a user would write one: a small model under DDP, steered.

Commands come from a file instead of a server, by the number of updates at which they arrive.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from interactive.integrations.loop import steer
from interactive.integrations.optimizer import Clipping
from interactive.integrations.parts import TorchParts
from interactive.integrations.settings import Settings
from interactive.record.data_log import DataLog
from interactive.steering.boundary import Cadence
from interactive.trainer import StepRecord
from tests.fakes import ScriptedSource, World, delivered

SEED = 5


class RankedTrainer(TorchParts):
    """Learns a fixed linear map; each rank draws its own batch, keyed by seed, step and rank."""

    def __init__(self, group: dist.ProcessGroup, odd_rank: int | None = None) -> None:
        with torch.random.fork_rng():
            torch.manual_seed(SEED)
            model = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 4), nn.Dropout(0.1))
        self.noise = 0.1
        self.odd_rank = odd_rank
        # A module may be frozen later, so DDP must not wait for the gradients of all.
        self.ddp = DistributedDataParallel(model, process_group=group, find_unused_parameters=True)
        self._group = group
        settings = Settings()
        settings.number("noise", lambda: self.noise, self._set_noise, low=0.0, high=1.0)
        # What rank 1 refuses, and what fails on every rank or on one, to see that it is noticed.
        settings.number(
            "narrow", lambda: 0.0, lambda _: None, low=0.0, high=1.0 / (1 + dist.get_rank())
        )
        settings.number("broken", lambda: 0.0, self._break, low=0.0, high=1.0)
        settings.number("half_broken", lambda: 0.0, self._break_on_one, low=0.0, high=1.0)
        super().__init__(
            model,
            torch.optim.AdamW(model.parameters(), lr=1e-2),
            clipping=Clipping(1.0),
            settings=settings,
            evaluations={"rollout": lambda: {"weight": float(model[0].weight.detach().norm())}},
            seed=SEED,
        )

    def train_step(self) -> StepRecord:
        draw = torch.Generator().manual_seed(SEED * 1_000_003 + 1009 * self.step + dist.get_rank())
        x = torch.randn(16, 8, generator=draw)
        y = x[:, :4] - x[:, 4:] + self.noise * torch.randn(16, 4, generator=draw)
        self.optimizer.zero_grad()
        loss = nn.functional.mse_loss(self.ddp(x), y)
        loss.backward()
        norm = self.clip()
        self.optimizer.step()
        mean = loss.detach().clone()
        dist.all_reduce(mean, group=self._group)
        if self.odd_rank == dist.get_rank() and self.step == 20:
            with torch.no_grad():
                next(self.model.parameters()).add_(1e-3)
        return self.made(mean / dist.get_world_size(), norm)

    def _set_noise(self, value: float) -> None:
        self.noise = value

    def _break(self, value: float) -> None:
        if value:
            raise ValueError("it is broken")

    def _break_on_one(self, value: float) -> None:
        if value and dist.get_rank() == 1:
            raise ValueError("it is broken here")


class FileLink(ScriptedSource):
    """Stands for the link: commands from a file; a hold is long, and then the next arrives."""

    def __init__(self, world: World, data: DataLog, run: Path, hold_s: float) -> None:
        super().__init__(world, data)
        self._run = run
        self._hold_s = hold_s
        self._held_since_s = 0.0

    def reach(self, branch: str, step: int) -> None:
        """Let arrive what is due up to a place: an inbox keeps what a killed run has not seen."""
        for line, at in self._world.commands:
            if line == branch and at <= step:
                super().reach(line, at)

    def wait(self, timeout_s: float) -> None:
        (self._run / "held").touch()
        began_s = self._held_since_s = self._held_since_s or time.monotonic()
        if time.monotonic() - began_s < self._hold_s:
            time.sleep(timeout_s)
        else:
            super().wait(timeout_s)


def read_world(path: Path) -> World:
    """Return what happens by step; ``at`` null is while the run holds."""
    world = World()
    for seq, row in enumerate(json.loads(path.read_text()), 1):
        command = delivered(seq, row["command"], **row.get("envelope", {}))
        if row["at"] is None:
            world.while_held.append(command)
        else:
            world.commands.setdefault((row.get("branch", "main"), row["at"]), []).append(command)
    return world


def die_when_held(run: Path) -> None:
    while not (run / "held").exists():
        time.sleep(0.05)
    os.kill(os.getpid(), signal.SIGKILL)


def main(words: Mapping[str, Any]) -> None:
    torch.set_num_threads(1)
    run, timeout_s = Path(words["run"]), float(words["timeout"])
    # Ranks may start at quite different times; then the time-out is short.
    dist.init_process_group("gloo", timeout=timedelta(seconds=60))
    group = dist.new_group(timeout=timedelta(seconds=timeout_s))
    rank = dist.get_rank()
    world = read_world(Path(words["commands"]))
    links: list[FileLink] = []

    def connect(data: DataLog) -> FileLink:
        links.append(FileLink(world, data, run, float(words["hold"])))
        return links[0]

    # Dropout draws from the global generator, which is another on each rank.
    torch.manual_seed(SEED + rank)
    if words["die_held"] and rank == 1:
        threading.Thread(target=die_when_held, args=(run,), daemon=True).start()
    trainer = RankedTrainer(group, words["odd_rank"])
    cadence = Cadence(checkpoint_every=25, end_step=int(words["steps"]))
    with (
        open(run / f"digests-{rank}.txt", "w") as digests,
        steer(
            run, trainer, connect=connect, cadence=cadence, ranks_timeout_s=timeout_s
        ) as boundary,
    ):
        while True:
            for link in links:
                link.reach(boundary.status().branch, trainer.step)
            if not boundary.cross():
                break
            if words["kill_at"] == trainer.step and rank == 1:
                os.kill(os.getpid(), signal.SIGKILL)
            if words["end_at"] == trainer.step and rank == 1:
                boundary.request_end()
            record = trainer.train_step()
            boundary.record(record)
            print(record.step, record.digest, record.loss, record.lr, file=digests, flush=True)
    dist.destroy_process_group()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("run")
    parser.add_argument("commands")
    parser.add_argument("--steps", default="200")
    parser.add_argument("--timeout", default="60")
    parser.add_argument("--hold", default="0")
    parser.add_argument("--kill-at", type=int)
    parser.add_argument("--die-held", action="store_true")
    parser.add_argument("--end-at", type=int)
    parser.add_argument("--odd-rank", type=int)
    main(vars(parser.parse_args(sys.argv[1:])))
