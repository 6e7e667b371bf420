"""The optimizer: AdamW with gradient clipping, a warm-up, and averaged weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from neuralos.ranks import Ranks, sum_gradients
from neuralos.training.config import OptimizerConfig

_NUMBERS = ("lr", "weight_decay", "eps", "betas")


class LearningRateSchedule(Protocol):
    """Sets AdamW's learning rate for the update to come."""

    def step(self, metrics: float) -> None:
        """Go on to the next update's rate; some schedules follow a metric, here the loss."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Return the state as a JSON object."""
        ...

    def load_state_dict(self, state_dict: dict[str, Any], /) -> None:
        """Restore ``state_dict``'s object."""
        ...


class WarmUp(LambdaLR):
    """Rises to the rate in even steps, and then holds it."""

    def __init__(self, optimizer: torch.optim.Optimizer, steps: int) -> None:
        super().__init__(optimizer, lambda done: min(1.0, (done + 1) / max(1, steps)))

    def step(self, metrics: float | None = None) -> None:
        """Go on to the next update's rate, whatever the loss."""
        super().step()


class Optimizer:
    """One update of a module's parameters and of their running average.

    ``schedule`` is the warm-up until another is put in its place.
    """

    def __init__(self, module: nn.Module, config: OptimizerConfig) -> None:
        self.max_grad_norm = config.max_grad_norm
        self.ema_decay = config.ema_decay
        self._names = [name for name, _ in module.named_parameters()]
        self._parameters: list[Tensor] = list(module.parameters())
        self._average = [parameter.detach().clone() for parameter in self._parameters]
        self.adamw = torch.optim.AdamW(
            self._parameters,
            lr=config.lr,
            betas=(config.beta1, config.beta2),
            eps=config.eps,
            weight_decay=config.weight_decay,
            fused=True,
        )
        self.schedule: LearningRateSchedule = WarmUp(self.adamw, config.warmup_steps)
        self.begin_rate: Callable[[float, int], None] = self._warm_up
        """Begins another learning rate, after so many steps of warm-up."""

    def update(self, loss: Tensor, step: int) -> tuple[float, float]:
        """Make the update of step ``step`` (from 1); return gradient norm and the lr used."""
        self.clear()
        self.add(loss)
        return self.finish(loss.item(), step)

    def clear(self) -> None:
        """Forget all gradients."""
        self.adamw.zero_grad(set_to_none=True)

    def add(self, loss: Tensor) -> None:
        """Add a loss's gradients to those at hand."""
        if loss.requires_grad:
            # Else all that this loss depends on is frozen: the step is made, and moves nothing.
            loss.backward()  # type: ignore[no-untyped-call]

    def sum_gradients(self, ranks: Ranks) -> None:
        """Replace the gradients at hand by their sums over all ranks."""
        sum_gradients(self._parameters, ranks)

    def divide(self, count: float) -> None:
        """Divide the gradients at hand, which are of a sum, to be those of a mean."""
        gradients = [p.grad for p in self._parameters if p.grad is not None]
        if gradients:
            torch._foreach_div_(gradients, count)

    def finish(self, loss: float, step: int) -> tuple[float, float]:
        """Make the update of step ``step`` (from 1) with the gradients at hand.

        Returns:
            The norm of the gradients and the learning rate used.
        """
        lr = float(self.adamw.param_groups[0]["lr"])
        norm = nn.utils.clip_grad_norm_(self._parameters, self.max_grad_norm)
        self.adamw.step()
        decay = min(self.ema_decay, (1 + step) / (10 + step))
        with torch.no_grad():
            torch._foreach_lerp_(self._average, self._parameters, 1 - decay)
        self.schedule.step(loss)
        return float(norm), lr

    def take_average(self, names: Iterable[str]) -> None:
        """Replace some parameters by their averages."""
        wanted = set(names)
        with torch.no_grad():
            for name, average, parameter in zip(
                self._names, self._average, self._parameters, strict=True
            ):
                if name in wanted:
                    parameter.copy_(average)

    def average(self) -> dict[str, Tensor]:
        """Return the averaged parameters by name."""
        return dict(zip(self._names, self._average, strict=True))

    def begin_average(self, names: Iterable[str]) -> None:
        """Let the averages of some parameters begin with what these are now."""
        wanted = set(names)
        for name, average, parameter in zip(
            self._names, self._average, self._parameters, strict=True
        ):
            if name in wanted:
                average.copy_(parameter.detach())

    def tensors(self) -> dict[str, Tensor]:
        """Return AdamW's moments and the averages by name, for a checkpoint."""
        tensors = {f"average.{name}": tensor for name, tensor in self.average().items()}
        for name, parameter in zip(self._names, self._parameters, strict=True):
            for kind, tensor in self._state(parameter).items():
                tensors[f"{kind}.{name}"] = tensor
        return tensors

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Restore ``tensors``' tensors, whose names and shapes have been checked."""
        for name, average, parameter in zip(
            self._names, self._average, self._parameters, strict=True
        ):
            average.copy_(tensors[f"average.{name}"])
            # The fused update walks memory, so moments must lie as their parameter does.
            self.adamw.state[parameter] = {
                kind: torch.empty_like(like).copy_(tensors[f"{kind}.{name}"])
                for kind, like in self._state(parameter).items()
            }

    def state_dict(self) -> dict[str, Any]:
        """Return numbers and schedule as a JSON object."""
        group = self.adamw.param_groups[0]
        return {
            **{name: group[name] for name in _NUMBERS},
            "max_grad_norm": self.max_grad_norm,
            "ema_decay": self.ema_decay,
            "schedule": self.schedule.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore ``state_dict``'s object.

        Raises:
            ValueError: an older version wrote it, or it is of another schedule.
        """
        if "schedule" not in state:
            raise ValueError("the optimizer's state was written by an older version")
        self.schedule.load_state_dict(dict(state["schedule"]))
        group = self.adamw.param_groups[0]
        for name in _NUMBERS:
            group[name] = tuple(state[name]) if name == "betas" else state[name]
        self.max_grad_norm, self.ema_decay = state["max_grad_norm"], state["ema_decay"]

    def _warm_up(self, lr: float, warmup_steps: int) -> None:
        for group in self.adamw.param_groups:
            group["lr"] = group["initial_lr"] = lr
        self.schedule = WarmUp(self.adamw, warmup_steps)

    def _state(self, parameter: Tensor) -> dict[str, Tensor]:
        state: dict[str, Tensor] = self.adamw.state.get(parameter, {})
        if state:
            return state
        zeros = torch.zeros_like(parameter)
        step = torch.zeros((), device=parameter.device)
        return {"step": step, "exp_avg": zeros, "exp_avg_sq": zeros}
