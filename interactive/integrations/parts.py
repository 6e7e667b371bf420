"""A model, its optimizer and what else a script has, as the verbs of the control plane."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from interactive.commands import (
    ModuleOperation,
    ReplaceSchedule,
    ScaleSchedule,
    TrainerCommand,
    UpdateDataset,
    UpdateMixture,
    UpdateOptimizer,
    UpdateSetting,
)
from interactive.integrations.datasets import Datasets
from interactive.integrations.generators import undisturbed
from interactive.integrations.lr_schedule import LrSchedule, schedule_by_name
from interactive.integrations.modules import ModuleOperations
from interactive.integrations.optimizer import Clipping, OptimizerPlans
from interactive.integrations.parts_state import ALSO, PartsState
from interactive.integrations.settings import Settings
from interactive.outcome import Rejected
from interactive.trainer import DataRow, EvaluationResult, Plan, StepRecord

Evaluation = Callable[[], "Mapping[str, float] | EvaluationResult"]
_LIBRARIES = ("torch", "transformers", "accelerate", "numpy")


class Stateful(Protocol):
    """Whatever a script has that changes: a data position, a gradient scaler, averaged weights."""

    def state_dict(self) -> Mapping[str, Any]:
        """Return the state: plain values, tensors and arrays."""
        ...

    def load_state_dict(self, state_dict: Any, /) -> Any:
        """Restore the state."""
        ...


class TorchParts:
    """All verbs of a ``ControllableTrainer`` but ``train_step``, for a script's own parts.

    A subclass, or the loop itself, makes the updates and hands each one's loss and gradient
    norm to ``made``. Data that were not registered in ``datasets`` must be a function of
    ``step``, or keep their position in ``also``.

    Args:
        model: what is trained.
        optimizer: what trains it.
        schedule: the learning-rate schedule that the loop steps; without one the parts have
            their own, constant until it is replaced, and step it themselves.
        clipping: the norm that the loop clips to, where it can be steered.
        settings: what else can be set while training.
        evaluations: functions by name; they may draw and switch the model's mode as they like.
        datasets: data sets that can be mixed, attached and detached.
        also: whatever else changes while training, by name; saved and restored.
        seed: of what the parts draw themselves.
        code: identifies the script's code, so that a replay can say that it differs.
        digest_every: the parameters' digest is recorded each so many steps.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: Optimizer,
        *,
        schedule: LrSchedule | None = None,
        clipping: Clipping | None = None,
        settings: Settings | None = None,
        evaluations: Mapping[str, Evaluation] | None = None,
        datasets: Datasets | None = None,
        also: Mapping[str, Stateful] | None = None,
        seed: int = 0,
        code: str = "",
        digest_every: int = 1,
    ) -> None:
        self.model = model
        self.optimizer = optimizer
        self.schedule = schedule or schedule_by_name(optimizer)
        self.clipping = clipping
        self._steps_schedule = schedule is None
        self._own_settings = settings or Settings()
        self._evaluations = dict(evaluations or {})
        self.datasets = datasets or Datasets(seed)
        self._code = code
        self._digest_every = digest_every
        self._step = 0
        self._plans = OptimizerPlans(optimizer, self.schedule, clipping)
        self._modules = ModuleOperations(model, optimizer, seed)
        self._state = PartsState(
            model,
            optimizer,
            self._modules,
            {
                "schedule": self.schedule,
                "settings": self._own_settings,
                "datasets": self.datasets,
                **{f"{ALSO}{name}": part for name, part in (also or {}).items()},
            },
        )
        self._used_lrs: list[float] | None = None
        optimizer.register_step_post_hook(self._note_rates)

    @property
    def step(self) -> int:
        """Return the number of updates done."""
        return self._step

    @property
    def evaluations(self) -> tuple[str, ...]:
        """Return the names that ``evaluate`` accepts."""
        return tuple(self._evaluations)

    def settings(self) -> Mapping[str, Any]:
        """Return what can be steered, with its present values."""
        values = self._own_settings.state_dict()
        return {
            "optimizer": self._plans.settings(),
            "schedule": self.schedule.describe(),
            **({"settings": values} if values else {}),
            **({"mixture": self.datasets.settings()} if self.datasets else {}),
            **({"frozen": frozen} if (frozen := self._modules.frozen()) else {}),
        }

    def capabilities(self) -> Mapping[str, Any]:
        """Return what commands may name."""
        return {
            "optimizer": self._plans.names(),
            "groups": self._plans.groups(),
            "schedules": self._plans.schedules(),
            "sources": self.datasets.names(),
            "datasets": self.datasets.names(),
            "settings": self._own_settings.describe(),
            "operations": self._modules.describe(),
            "evaluations": list(self.evaluations),
        }

    def plan(self, command: TrainerCommand) -> Plan | Rejected:
        """Say what a command would change, or why it cannot."""
        match command:
            case UpdateOptimizer():
                return self._plans.plan_numbers(command)
            case ScaleSchedule():
                return self._plans.plan_scale(command)
            case ReplaceSchedule():
                return self._plans.plan_replace(command)
            case UpdateSetting():
                return self._own_settings.plan(command)
            case UpdateMixture():
                return self.datasets.plan_mixture(command, self._step)
            case UpdateDataset():
                return self.datasets.plan_dataset(command, self._step)
            case ModuleOperation():
                return self._modules.plan(command, self._step)

    def made(
        self,
        loss: float | Tensor,
        grad_norm: float | Tensor,
        *,
        metric: float | None = None,
        commits: Sequence[int] = (),
        extra: Mapping[str, float] | None = None,
    ) -> StepRecord:
        """Count an update that was just made, and return its record.

        Args:
            loss: of this update.
            grad_norm: of this update, before clipping.
            metric: what a schedule such as ReduceLROnPlateau follows, where the parts step
                the schedule themselves; the loss if None.
            commits: the clips used, for loops fed by live data.
            extra: further numbers, for reading only.
        """
        lost, norm = _number(loss), _number(grad_norm)
        self._step += 1
        used = self._used_lrs or self.schedule.get_last_lr()
        self._used_lrs = None
        if self._steps_schedule:
            self.schedule.step(lost if metric is None else metric)
        others = zip(self._plans.groups()[1:], used[1:], strict=True)
        due = self._digest_every > 0 and self._step % self._digest_every == 0
        return StepRecord(
            step=self._step,
            loss=lost,
            grad_norm=norm,
            lr=used[0],
            digest=self.digest() if due else None,
            commits=tuple(commits),
            extra={**{f"lr.{name}": lr for name, lr in others}, **(extra or {})},
        )

    def clip(self) -> float:
        """Clip the gradients as ``clipping`` says, and return their norm before that."""
        most = self.clipping.max_grad_norm if self.clipping else float("inf")
        return float(nn.utils.clip_grad_norm_(self.model.parameters(), most))

    def adopt(self, mark: int, rows: Sequence[DataRow]) -> None:
        """Pass live clips over; a trainer that learns from them overrides this."""

    def withdraw(self, commits: Sequence[int]) -> None:
        """Pass withdrawals over; a trainer that learns from live clips overrides this."""

    def ready(self) -> bool:
        """Return whether a step can be made."""
        return True

    def evaluate(self, evaluation: str, branch: str) -> EvaluationResult:
        """Run a named evaluation; it shifts neither the generators nor the model's mode.

        Raises:
            ValueError: there is no evaluation of that name.
        """
        if evaluation not in self._evaluations:
            raise ValueError(f"no evaluation {evaluation!r}")
        modes = [(module, module.training) for module in self.model.modules()]
        try:
            with undisturbed():
                found = self._evaluations[evaluation]()
        finally:
            for module, mode in modes:
                module.training = mode
        if isinstance(found, EvaluationResult):
            return found
        return EvaluationResult({name: float(value) for name, value in found.items()})

    def fingerprint(self) -> Mapping[str, str]:
        """Return what bit-equality depends on."""
        versions = {name: found for name in _LIBRARIES if (found := _version(name))}
        return {
            "machine": platform.machine(),
            "cpu": torch.backends.cpu.get_cpu_capability(),
            "threads": str(torch.get_num_threads()),
            "deterministic": str(torch.are_deterministic_algorithms_enabled()),
            "device": str(next((p.device for p in self.model.parameters()), "cpu")),
            **versions,
            "code": self._code,
        }

    def digest(self) -> str:
        """Return the digest of the parameters."""
        digest = hashlib.blake2b(digest_size=16)
        for parameter in self.model.parameters():
            flat = parameter.detach().cpu().contiguous().flatten()
            digest.update(flat.view(torch.uint8).numpy().data)
        return digest.hexdigest()

    def save(self, folder: Path) -> None:
        """Write everything that exact resume needs into an existing empty folder.

        Raises:
            TypeError: a part keeps something that could only be pickled; the message names it.
        """
        self._state.save(folder, {"step": self._step, **self._clipped_to()})

    def load(self, folder: Path) -> None:
        """Restore what ``save`` wrote.

        Raises:
            ValueError: the folder does not fit; the message names the tensor.
        """
        about = self._state.load(folder)
        self._step = about["step"]
        self._used_lrs = None
        if self.clipping is not None and "max_grad_norm" in about:
            self.clipping.max_grad_norm = about["max_grad_norm"]

    def save_rank(self, folder: Path) -> None:
        """Write what differs from rank to rank; called on the ranks beyond the first."""
        self._state.save_rank(folder)

    def load_rank(self, folder: Path) -> None:
        """Restore what ``save_rank`` wrote, after ``load``."""
        self._state.load_rank(folder)

    def _clipped_to(self) -> dict[str, float]:
        return {"max_grad_norm": self.clipping.max_grad_norm} if self.clipping else {}

    def _note_rates(self, optimizer: Optimizer, *_: Any) -> None:
        self._used_lrs = [float(group["lr"]) for group in optimizer.param_groups]


def _number(value: float | Tensor) -> float:
    return float(value.detach() if isinstance(value, Tensor) else value)


def _version(library: str) -> str | None:
    try:
        return version(library)
    except PackageNotFoundError:
        return None
