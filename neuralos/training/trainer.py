"""The trainer: adopts clips, makes steps, goes from stage to stage."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from operator import itemgetter
from pathlib import Path

import torch

from data_collection.trace import ClipRow
from neuralos.data.batch import Batch
from neuralos.data.config import LaneConfig
from neuralos.data.mixture import Mixture
from neuralos.data.reading import ClipsUnreadable
from neuralos.keyed import torch_generator
from neuralos.models.collage import CollageSimulator
from neuralos.models.looks import CellCounts
from neuralos.models.simulator import Simulator
from neuralos.models.state import SimulatorState
from neuralos.training import saving
from neuralos.training.config import ObjectiveConfig, TrainingConfig
from neuralos.training.course import Course
from neuralos.training.device import computing_in, move, move_batch
from neuralos.training.feed import Feed
from neuralos.training.loss import Objectives
from neuralos.training.micro_batches import Sum, joined, split
from neuralos.training.optim import Optimizer
from neuralos.training.parts import freeze_exactly, train_only

_AUTOENCODER = "autoencoder"


@dataclass(frozen=True, slots=True)
class StepResult:
    """One update: the loss and its parts, the gradient norm, the lr used, the clips used."""

    loss: float
    grad_norm: float
    lr: float
    commits: tuple[int, ...]
    parts: Mapping[str, float]
    timings_s: Mapping[str, float]


class Trainer:
    """Trains a simulator on adopted clips; its clock serves reports only.

    ``begin`` comes before the first step, or ``load``.
    """

    def __init__(
        self,
        config: TrainingConfig,
        lanes: LaneConfig,
        objective: ObjectiveConfig,
        objectives: Objectives,
        simulator: Simulator,
        optimizer: Optimizer,
        feed: Feed,
        device: torch.device,
        clock: Callable[[], float],
    ) -> None:
        self.config = config
        self.lanes = lanes
        self.simulator = simulator
        self.optimizer = optimizer
        self.feed = feed
        self.device = device
        self.step = 0
        self.objective = objective
        self.course = Course(config.plan())
        self.state: SimulatorState | None = None
        self.first_clip: int | None = None
        self._objectives = objectives
        self._clock = clock

    @property
    def mixture(self) -> Mixture:
        """The mixture in force for passages that begin from now on."""
        return self.feed.sampler.mixture

    @mixture.setter
    def mixture(self, mixture: Mixture) -> None:
        self.feed.sampler.mixture = mixture

    @property
    def mark(self) -> int:
        """The highest commit number adopted."""
        return self.feed.clips.mark

    def adopt(self, mark: int, rows: Iterable[ClipRow]) -> None:
        """Take rows up to ``mark``."""
        self.feed.adopt(mark, rows)

    def withdraw(self, commits: Iterable[int]) -> None:
        """Let clips go; a passage that has read one of them ends.

        What a lane carries holds a picture of what it read. Where the passage has ended
        nothing reads that any more, and no checkpoint is to keep it; nor the picture that
        the simulator begins with, where it was of such a clip.
        """
        gone = set(commits)
        self.feed.withdraw(gone)
        if self.state is not None:
            ended = torch.tensor(self.feed.sampler.ended(), device=self.device)
            self.state = self.state.without(ended[self.feed.share.own])
        if self.first_clip in gone:
            self._begin_with_another_clip()

    def ready(self) -> bool:
        """Return whether there is data to make a step from."""
        is_enough = (
            self.simulator.autoencoder.is_fitted or len(self.feed.clips) >= self.config.first_clips
        )
        return is_enough and self.feed.sampler.can_draw()

    def passages_left(self) -> int:
        """Return after how many steps every lane has begun a new passage."""
        return self.feed.sampler.passages_left()

    def drop_passages(self, sources: Collection[str]) -> int:
        """Let the passages of some sources end at once; return how many lanes that concerns."""
        return self.feed.sampler.drop_passages(sources)

    def begin(self) -> None:
        """Enter the first stage."""
        self._enter()

    def begin_stage(self, name: str) -> None:
        """Let the present stage end, and another begin with the next step."""
        self._leave()
        self.course.begin(name, self.step)
        self._enter()

    def train_step(self) -> StepResult:
        """Make one update, and enter the next stage if this one's steps are made.

        Raises:
            ClipsUnreadable: clips cannot be read; nothing has changed.
        """
        started_s = self._clock()
        is_pixels = self.course.stage.objective in self._objectives.pixel
        loss, commits, loaded_s = self._pixel_loss() if is_pixels else self._latent_loss()
        grad_norm, lr = self.optimizer.finish(loss.mean(), self.step)
        result = StepResult(
            loss=loss.mean(),
            grad_norm=grad_norm,
            lr=lr,
            commits=commits,
            parts=loss.parts(),
            timings_s={"load": loaded_s - started_s, "update": self._clock() - loaded_s},
        )
        following = self.course.next_name()
        if following is not None and self.course.steps_left(self.step) == 0:
            self.begin_stage(following)
        return result

    def digest(self) -> str:
        """Return the digest of all parameters."""
        digest = hashlib.blake2b(digest_size=16)
        for parameter in self.simulator.parameters():
            digest.update(parameter.detach().cpu().contiguous().numpy().data)
        return digest.hexdigest()

    def averaged(self) -> Simulator:
        """Return a copy of the simulator with the averaged weights."""
        simulator = copy.deepcopy(self.simulator)
        simulator.load_state_dict({**simulator.state_dict(), **self.optimizer.average()})
        return simulator.requires_grad_(False).eval()

    def save(self, folder: Path) -> None:
        """Write everything that exact resume needs, and the simulator to play."""
        saving.save(self, folder)

    def save_lanes(self, folder: Path) -> None:
        """Write what the lanes that are here carry, as a rank beyond the first does."""
        saving.save_lanes(self, folder)

    def load(self, folder: Path) -> None:
        """Restore what ``save`` wrote, on however many ranks; nothing is changed if that fails.

        Raises:
            ValueError: the folder does not fit this trainer; the message names the tensor.
        """
        saved = saving.read(self, folder)
        about = saved.about
        self.optimizer.load_state_dict(about["optimizer"])
        self.simulator.load_state_dict(saved.model)
        self.optimizer.load(saved.moments)
        self.objective = ObjectiveConfig(**about["objective"])
        if "course" in about:
            self.course.load_state_dict(about["course"])
        freeze_exactly(self.simulator, about["frozen"])
        self.feed.reshape(self._shape())
        self.feed.use(saved.clips, self.mixture)
        self.feed.sampler.load_state_dict(about["sampler"])
        self.state = saved.state
        self.first_clip = about.get("first_clip")
        self.step = about["step"]

    def _enter(self) -> None:
        stage = self.course.stage
        train_only(self.simulator, stage.trains)
        if stage.lr:
            self.optimizer.begin_rate(stage.lr, stage.warmup_steps)
        self.feed.reshape(self._shape())
        if _AUTOENCODER in stage.trains:
            # What latents mean changes from here on.
            self.simulator.autoencoder.unfit()
            self.state = None

    def _leave(self) -> None:
        if _AUTOENCODER in self.course.stage.trains:
            names = dict(self.simulator.named_parameters())
            self.optimizer.take_average(n for n in names if n.startswith(f"{_AUTOENCODER}."))

    def _shape(self) -> LaneConfig:
        stage, lanes = self.course.stage, self.lanes
        return replace(
            lanes, frames=stage.frames or lanes.frames, segments=stage.segments or lanes.segments
        )

    def _generator(self) -> torch.Generator:
        return torch_generator(self.config.seed, "loss", self.step)

    def _latent_loss(self) -> tuple[Sum, tuple[int, ...], float]:
        """Compute loss and gradients of the next step on latents."""
        batch, commits = self._next_latents()
        loaded_s = self._clock()
        self.step += 1
        stage = self.course.stage
        minimised = self._objectives.latent[stage.objective](stage, self.step, self.config)
        batch, generator = move_batch(batch, self.device), self._generator()
        passes = list(split(len(batch.starts_B), self.config.micro_batches))
        whole = self.feed.share.micro_batch()
        total, states = Sum(self.optimizer, len(passes), self.feed.share.ranks), []
        for rows in passes:
            with computing_in(self.config.precision, self.device):
                # Each pass has a graph of its own, from the learned beginning on; even a slice of
                # everything would add gradients up in another order.
                begins = self._carried(batch)
                begins = begins if len(passes) == 1 else begins.map(itemgetter(rows))
                part = replace(batch.rows(rows), whole=whole)
                loss = minimised(self.simulator, part, begins, self.objective, generator)
            total.add(loss.total, loss.parts, loss.count)
            states.append(loss.state)
        total.end()
        # Under autocast parts of it come out in half precision.
        self.state = joined(states).map(lambda t: t.float() if t.is_floating_point() else t)
        return total, commits, loaded_s

    def _pixel_loss(self) -> tuple[Sum, tuple[int, ...], float]:
        """Compute loss and gradients of the next step on frames."""
        frames, commits = self.feed.frames()
        loaded_s = self._clock()
        if self.first_clip is None:
            self._begin_with_another_clip()
        self.step += 1
        stage = self.course.stage
        minimised = self._objectives.pixel[stage.objective](stage, self.step, self.config)
        frames_NYP3, generator = move(torch.from_numpy(frames), self.device), self._generator()
        passes = list(split(len(frames), self.config.micro_batches))
        total = Sum(self.optimizer, len(passes), self.feed.share.ranks)
        for rows in passes:
            with computing_in(self.config.precision, self.device):
                loss = minimised(self.simulator, frames_NYP3[rows], generator)
            total.add(loss.total, loss.parts, loss.count)
        total.end()
        return total, commits, loaded_s

    def _next_latents(self) -> tuple[Batch, tuple[int, ...]]:
        code = self.simulator.autoencoder
        is_first = not code.is_fitted
        try:
            if is_first:
                self._fit()
            return self.feed.latents()
        except ClipsUnreadable:
            if is_first:
                # A replay fits it once, on the clips that are left.
                code.unfit()
                self.feed.forget_latents()
            raise

    def _fit(self) -> None:
        frames, commit = self.feed.some_frames(self.config.fit_clips)
        self.first_clip = commit
        self.simulator.first_frame.copy_(torch.from_numpy(frames[0]))
        if isinstance(self.simulator, CollageSimulator):
            counts = CellCounts(self.simulator.screen)
            for clip in self.feed.some_clips(self.config.look_clips):
                counts.add(clip)
            self.simulator.fit(counts)
        self.simulator.autoencoder.fit(frames)
        # Ranks on other processors may have fitted other bits.
        simulator = self.simulator
        self.feed.share.ranks.copy([*simulator.parameters(), *simulator.buffers()])
        self.feed.forget_latents()

    def _begin_with_another_clip(self) -> None:
        """Replace the simulator's first picture; no number of the training depends on it."""
        self.first_clip = None
        self.simulator.first_frame.zero_()
        if found := self.feed.first_frame():
            self.simulator.first_frame.copy_(torch.from_numpy(found[0]))
            self.first_clip = found[1]

    def _carried(self, batch: Batch) -> SimulatorState:
        """Return the state in which each lane begins its segment."""
        first = self.simulator.initial_state(batch.latent_BUCHW[:, 0], batch.action_BUA[:, 0])
        return first if self.state is None else first.where(batch.starts_B, self.state)
