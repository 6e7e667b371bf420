"""The optimizer: AdamW with gradient clipping, a warm-up, and averaged weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from neuralos.training.config import SETTINGS, OptimizerConfig


class Optimizer:
    """One update of a module's parameters and of their running average."""

    def __init__(self, module: nn.Module, config: OptimizerConfig) -> None:
        self.config = config
        self._names = [name for name, _ in module.named_parameters()]
        self._parameters: list[Tensor] = list(module.parameters())
        self._average = [parameter.detach().clone() for parameter in self._parameters]
        self._adamw = torch.optim.AdamW(self._parameters, lr=config.lr, fused=True)
        self._scheduled = True

    def update(self, loss: Tensor, step: int) -> tuple[float, float]:
        """Make the update of step ``step`` (from 1); return gradient norm and the lr used."""
        group = self._adamw.param_groups[0]
        lr = self.config.lr
        if self._scheduled:
            lr *= min(1.0, step / max(1, self.config.warmup_steps))
        group["lr"] = lr
        group["weight_decay"], group["eps"] = self.config.weight_decay, self.config.eps
        group["betas"] = (self.config.beta1, self.config.beta2)
        self._adamw.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(self._parameters, self.config.max_grad_norm)
        self._adamw.step()
        decay = min(self.config.ema_decay, (1 + step) / (10 + step))
        with torch.no_grad():
            torch._foreach_lerp_(self._average, self._parameters, 1 - decay)
        return float(norm), float(group["lr"])

    def set(self, changes: Mapping[str, float]) -> None:
        """Change some of ``SETTINGS``; a new lr detaches the learning-rate schedule."""
        self.config = replace(self.config, **changes)  # type: ignore[arg-type]
        if "lr" in changes:
            self._scheduled = False

    def average(self) -> dict[str, Tensor]:
        """Return the averaged parameters by name."""
        return dict(zip(self._names, self._average, strict=True))

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
            self._adamw.state[parameter] = {
                kind: torch.empty_like(like).copy_(tensors[f"{kind}.{name}"])
                for kind, like in self._state(parameter).items()
            }

    def state_dict(self) -> dict[str, float | bool]:
        """Return settings and schedule as a JSON object."""
        return {**self.config.settings(), "scheduled": self._scheduled}

    def load_state_dict(self, state: Mapping[str, float]) -> None:
        """Restore ``state_dict``'s object."""
        settings = {name: state[name] for name in SETTINGS}
        self.config = replace(self.config, **settings)  # type: ignore[arg-type]
        self._scheduled = bool(state["scheduled"])

    def _state(self, parameter: Tensor) -> dict[str, Tensor]:
        state: dict[str, Tensor] = self._adamw.state.get(parameter, {})
        if state:
            return state
        zeros = torch.zeros_like(parameter)
        return {"step": torch.zeros(()), "exp_avg": zeros, "exp_avg_sq": zeros}
