"""A loop that Accelerate prepared, as the verbs of the control plane."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from accelerate import Accelerator
from torch import nn

from interactive.integrations.lr_schedule import LrSchedule
from interactive.integrations.optimizer import Clipping
from interactive.integrations.parts import Evaluation, Stateful, TorchParts
from interactive.integrations.settings import Settings


def accelerate_parts(
    accelerator: Accelerator,
    model: nn.Module,
    optimizer: Any,
    *,
    schedule: LrSchedule | None = None,
    clipping: Clipping | None = None,
    settings: Settings | None = None,
    evaluations: Mapping[str, Evaluation] | None = None,
    also: Mapping[str, Stateful] | None = None,
    seed: int = 0,
    code: str = "",
    digest_every: int = 1,
) -> TorchParts:
    """Return the parts of a loop, with what Accelerate wrapped around them taken off.

    Args:
        accelerator: one process; its gradient scaler, if there is one, is saved too.
        model: as ``accelerator.prepare`` returned it.
        optimizer: as ``accelerator.prepare`` returned it.
        schedule: as for ``TorchParts``; it is not prepared.
        clipping: the norm that the loop gives to ``accelerator.clip_grad_norm_``.
        settings: what else can be set while training.
        evaluations: functions by name.
        also: whatever else changes while training, by name.
        seed: of what the parts draw themselves.
        code: identifies the script's code.
        digest_every: the parameters' digest is recorded each so many steps.

    Raises:
        ValueError: there are several processes, or the optimizer lives elsewhere.
    """
    if accelerator.num_processes > 1:
        raise ValueError("this loop cannot be steered: one process is steered, not several")
    if accelerator.distributed_type in ("DEEPSPEED", "FSDP", "MEGATRON_LM"):
        raise ValueError(f"this loop cannot be steered: {accelerator.distributed_type}")
    scaler = {} if accelerator.scaler is None else {"scaler": accelerator.scaler}
    return TorchParts(
        accelerator.unwrap_model(model),
        getattr(optimizer, "optimizer", optimizer),
        schedule=schedule,
        clipping=clipping,
        settings=settings,
        evaluations=evaluations,
        also={**scaler, **(also or {})},
        seed=seed,
        code=code,
        digest_every=digest_every,
    )
