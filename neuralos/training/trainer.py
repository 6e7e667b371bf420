"""The trainer: adopts clips, makes steps, saves and restores everything they depend on."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from data_collection.trace import ClipRow
from neuralos.data.batch import Batch
from neuralos.data.config import LaneConfig
from neuralos.data.encode import ACTION_SIZE
from neuralos.data.latents import LatentStore
from neuralos.data.mixture import Mixture
from neuralos.data.reading import ClipReader, ClipsUnreadable
from neuralos.data.rows import AdoptedClips
from neuralos.data.sampler import SegmentSampler
from neuralos.data.segments import assemble
from neuralos.keyed import torch_generator
from neuralos.models.patch_code import PatchCode
from neuralos.models.simulator import Simulator
from neuralos.models.state import SimulatorState
from neuralos.training.checkpoint import read_json, read_tensors, write_json, write_tensors
from neuralos.training.config import ObjectiveConfig, TrainingConfig
from neuralos.training.loss import Objective
from neuralos.training.optim import Optimizer
from neuralos.weights import save_simulator

MODEL_FILE = "model.safetensors"
OPTIMIZER_FILE = "optimizer.safetensors"
LANES_FILE = "lanes.safetensors"
TRAINER_FILE = "trainer.json"
ROWS_FILE = "rows.json"

_FRAMES_PER_FIT_CLIP = 3


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
    """Trains a simulator on adopted clips; its clock serves reports only."""

    def __init__(
        self,
        config: TrainingConfig,
        lanes: LaneConfig,
        objective: ObjectiveConfig,
        minimised: Objective,
        simulator: Simulator,
        optimizer: Optimizer,
        mixture: Mixture,
        reader: ClipReader,
        clock: Callable[[], float],
    ) -> None:
        self.config = config
        self.simulator = simulator
        self.optimizer = optimizer
        self.step = 0
        self.objective = objective
        self._minimised = minimised
        self._lanes = lanes
        self._reader = reader
        self._clock = clock
        self._use_clips(AdoptedClips(), mixture)
        self._state: SimulatorState | None = None
        self._first_clip: int | None = None

    @property
    def mixture(self) -> Mixture:
        """The mixture in force for passages that begin from now on."""
        return self._sampler.mixture

    @mixture.setter
    def mixture(self, mixture: Mixture) -> None:
        self._sampler.mixture = mixture

    @property
    def mark(self) -> int:
        """The highest commit number adopted."""
        return self._clips.mark

    def adopt(self, mark: int, rows: Iterable[ClipRow]) -> None:
        """Take rows up to ``mark``."""
        self._store.forget(self._clips.adopt(mark, rows))

    def withdraw(self, commits: Iterable[int]) -> None:
        """Let clips go; a passage that has read one of them ends.

        What a lane carries holds a picture of what it read. Where the passage has ended
        nothing reads that any more, and no checkpoint is to keep it; nor the picture that
        the simulator begins with, where it was of such a clip.
        """
        gone = set(commits)
        self._store.forget(self._clips.withdraw(gone))
        if self._state is not None:
            self._state = self._state.without(torch.tensor(self._sampler.ended()))
        if self._first_clip in gone:
            self._begin_with_another_clip()

    def ready(self) -> bool:
        """Return whether there is data to make a step from."""
        is_enough = (
            self.simulator.autoencoder.is_fitted or len(self._clips) >= self.config.first_clips
        )
        return is_enough and self._sampler.can_draw()

    def passages_left(self) -> int:
        """Return after how many steps every lane has begun a new passage."""
        return self._sampler.passages_left()

    def drop_passages(self, sources: Collection[str]) -> int:
        """Let the passages of some sources end at once; return how many lanes that concerns."""
        return self._sampler.drop_passages(sources)

    def train_step(self) -> StepResult:
        """Make one update; the first also settles the patch code.

        Raises:
            ClipsUnreadable: clips cannot be read; nothing has changed.
        """
        started_s = self._clock()
        batch, commits = self._next_batch()
        loaded_s = self._clock()
        self.step += 1
        generator = torch_generator(self.config.seed, "loss", self.step)
        first = self.simulator.initial_state(batch.latent_BUCHW[:, 0], batch.action_BUA[:, 0])
        loss = self._minimised(
            self.simulator, batch, self._carried(first, batch.starts_B), self.objective, generator
        )
        grad_norm, lr = self.optimizer.update(loss.total, self.step)
        self._state = loss.state
        return StepResult(
            loss=loss.total.item(),
            grad_norm=grad_norm,
            lr=lr,
            commits=commits,
            parts={name: part.item() for name, part in loss.parts.items()},
            timings_s={"load": loaded_s - started_s, "update": self._clock() - loaded_s},
        )

    def digest(self) -> str:
        """Return the digest of all parameters."""
        digest = hashlib.blake2b(digest_size=16)
        for parameter in self.simulator.parameters():
            digest.update(parameter.detach().contiguous().numpy().data)
        return digest.hexdigest()

    def averaged(self) -> Simulator:
        """Return a copy of the simulator with the averaged weights."""
        simulator = copy.deepcopy(self.simulator)
        simulator.load_state_dict({**simulator.state_dict(), **self.optimizer.average()})
        return simulator.requires_grad_(False).eval()

    def save(self, folder: Path) -> None:
        """Write everything that exact resume needs, and the simulator to play."""
        write_tensors(folder / MODEL_FILE, self.simulator.state_dict())
        write_tensors(folder / OPTIMIZER_FILE, self.optimizer.tensors())
        write_tensors(folder / LANES_FILE, self._state.state_dict() if self._state else {})
        write_json(folder / ROWS_FILE, [row.to_json() for row in self._clips.targets()])
        write_json(
            folder / TRAINER_FILE,
            {
                "step": self.step,
                "mark": self._clips.mark,
                "seed": self.config.seed,
                "optimizer": self.optimizer.state_dict(),
                "objective": asdict(self.objective),
                "frozen": self._frozen(),
                "sampler": self._sampler.state_dict(),
                "first_clip": self._first_clip,
                "autoencoder_digest": self._autoencoder_digest(),
            },
        )
        save_simulator(folder, self.simulator, self.optimizer.average(), self.step)

    def load(self, folder: Path) -> None:
        """Restore what ``save`` wrote; nothing is changed if that fails.

        Raises:
            ValueError: the folder does not fit this trainer; the message names the tensor.
        """
        about = read_json(folder / TRAINER_FILE)
        if about["seed"] != self.config.seed:
            raise ValueError(f"{TRAINER_FILE}: seed {about['seed']}, not {self.config.seed}")
        model = read_tensors(folder / MODEL_FILE, self.simulator.state_dict())
        moments = read_tensors(folder / OPTIMIZER_FILE, self.optimizer.tensors())
        lanes = self._read_lanes(folder / LANES_FILE)
        rows = [ClipRow.from_json(row) for row in read_json(folder / ROWS_FILE)]
        self.optimizer.load_state_dict(about["optimizer"])
        self.simulator.load_state_dict(model)
        self.optimizer.load(moments)
        self.objective = ObjectiveConfig(**about["objective"])
        self._freeze_exactly(about["frozen"])
        clips = AdoptedClips()
        clips.adopt(about["mark"], rows)
        self._use_clips(clips, self.mixture)
        self._sampler.load_state_dict(about["sampler"])
        self._state = lanes
        self._first_clip = about.get("first_clip")
        self.step = about["step"]

    def _use_clips(self, clips: AdoptedClips, mixture: Mixture) -> None:
        self._clips = clips
        self._sampler = SegmentSampler(self._lanes, self.config.seed, clips, mixture)
        self._store = self._empty_store()

    def _empty_store(self) -> LatentStore:
        autoencoder, cached = self.simulator.autoencoder, self.config.cached_clips
        return LatentStore(self._reader, self._clips, autoencoder, cached)

    def _frozen(self) -> list[str]:
        named = self.simulator.named_parameters()
        return [name for name, parameter in named if not parameter.requires_grad]

    def _freeze_exactly(self, names: Collection[str]) -> None:
        for name, parameter in self.simulator.named_parameters():
            parameter.requires_grad_(name not in names)
            parameter.grad = None

    def _autoencoder_digest(self) -> str | None:
        autoencoder = self.simulator.autoencoder
        return autoencoder.digest() if autoencoder.is_fitted else None

    def _next_batch(self) -> tuple[Batch, tuple[int, ...]]:
        code = self.simulator.autoencoder
        is_first = isinstance(code, PatchCode) and not code.is_fitted
        before = self._sampler.state_dict()
        try:
            if isinstance(code, PatchCode) and is_first:
                self._fit(code)
            segments = self._sampler.next()
            return assemble(segments, self._lanes.frames, self._clips, self._store)
        except ClipsUnreadable:
            self._sampler.load_state_dict(before)
            if isinstance(code, PatchCode) and is_first:
                # A replay fits it once, on the clips that are left.
                code.unfit()
                self._store = self._empty_store()
            raise

    def _fit(self, code: PatchCode) -> None:
        rows = self._clips.targets()
        stride = -(-len(rows) // self.config.fit_clips)
        frames = []
        for row in rows[::stride]:
            clip = self._reader.read([row])[0][row.commit].frames
            frames.append(clip[:: -(-len(clip) // _FRAMES_PER_FIT_CLIP)])
        self._first_clip = rows[0].commit
        self.simulator.first_frame.copy_(torch.from_numpy(frames[0][0]))
        code.fit(np.concatenate(frames))

    def _begin_with_another_clip(self) -> None:
        """Replace the simulator's first picture; no number of the training depends on it."""
        self._first_clip = None
        self.simulator.first_frame.zero_()
        for row in self._clips.targets()[:1]:
            with suppress(ClipsUnreadable):
                frames = self._reader.read([row])[0][row.commit].frames
                self.simulator.first_frame.copy_(torch.from_numpy(frames[0]))
                self._first_clip = row.commit

    def _carried(self, first: SimulatorState, starts_B: Tensor) -> SimulatorState:
        """Return the state each lane begins its segment in."""
        return first if self._state is None else first.where(starts_B, self._state)

    def _read_lanes(self, path: Path) -> SimulatorState | None:
        tensors = read_tensors(path)
        if not tensors:
            return None
        lanes = self._lanes.lanes
        latent = torch.zeros(lanes, *self.simulator.latent_shape)
        like = self.simulator.initial_state(latent, torch.zeros(lanes, ACTION_SIZE))
        return like.like(read_tensors(path, like.state_dict()))
