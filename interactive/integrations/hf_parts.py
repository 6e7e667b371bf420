"""The parts of a Hugging Face ``Trainer`` as the control plane sees them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import nn
from transformers import Trainer

from interactive.integrations.lr_schedule import schedule_around
from interactive.integrations.optimizer import Clipping
from interactive.integrations.parts import Evaluation, Stateful, TorchParts
from interactive.integrations.settings import Settings

STATE_FILE = "trainer_state.json"
WEIGHTS_FILE = "model.safetensors"
EVALUATION = "evaluate"
"""The evaluation on the trainer's one ``eval_dataset``; several go by their names."""


class HfParts(TorchParts):
    """A trainer's model, optimizer and schedule, and its own state beside them.

    ``loaded_state`` is the ``trainer_state.json`` of the checkpoint that was loaded last,
    until the trainer has been brought to it.

    Args:
        trainer: it has its optimizer and schedule by now.
        settings: what else can be set while training.
        evaluations: further ones by name.
        also: whatever else changes while training, by name.
        code: identifies the script's code.
        digest_every: the parameters' digest is recorded each so many steps.
    """

    def __init__(
        self,
        trainer: Trainer,
        *,
        settings: Settings | None = None,
        evaluations: Mapping[str, Evaluation] | None = None,
        also: Mapping[str, Stateful] | None = None,
        code: str = "",
        digest_every: int = 1,
    ) -> None:
        self._trainer = trainer
        self._asked_to_evaluate = False
        self.loaded_state: str | None = None
        limit = trainer.args.max_grad_norm
        super().__init__(
            trainer.model,
            trainer.optimizer.optimizer,
            schedule=schedule_around(trainer.lr_scheduler),
            clipping=Clipping(limit) if limit and limit > 0 else None,
            settings=settings,
            evaluations={**self._own_evaluations(), **(evaluations or {})},
            also=also,
            seed=trainer.args.seed,
            code=code,
            digest_every=digest_every,
        )

    def save(self, folder: Path) -> None:
        """Write everything that exact resume needs, and the model's config if it has one."""
        super().save(folder)
        # A state that was loaded and not yet handed over is the trainer's state to come.
        state = self.loaded_state or _state_text(self._trainer.state)
        (folder / STATE_FILE).write_text(state, "utf-8")
        config = getattr(self._trainer.model, "config", None)
        if config is not None and hasattr(config, "to_json_file"):
            config.to_json_file(folder / "config.json")

    def load(self, folder: Path) -> None:
        """Restore what ``save`` wrote; the trainer itself is still to be brought there.

        Raises:
            ValueError: the folder does not fit; the message names the tensor.
        """
        try:
            state = (folder / STATE_FILE).read_text("utf-8")
        except OSError as error:
            raise ValueError(f"{STATE_FILE}: {error}") from None
        super().load(folder)
        self.loaded_state = state

    def evaluated(self, metrics: Mapping[str, float]) -> None:
        """Let a schedule follow the metric of an evaluation that the trainer made by itself."""
        if self._asked_to_evaluate or not self.schedule.follows_metric:
            return
        name = self._trainer.args.metric_for_best_model or "loss"
        metric = metrics.get(name if name.startswith("eval_") else f"eval_{name}")
        if metric is not None:
            self.schedule.step(float(metric))

    def _own_evaluations(self) -> dict[str, Evaluation]:
        datasets = self._trainer.eval_dataset
        if datasets is None:
            return {}
        if isinstance(datasets, dict):
            return {
                name: self._evaluation(dataset, f"eval_{name}")
                for name, dataset in datasets.items()
            }
        return {EVALUATION: self._evaluation(datasets, "eval")}

    def _evaluation(self, dataset: Any, prefix: str) -> Callable[[], Mapping[str, float]]:
        def evaluate() -> Mapping[str, float]:
            self._asked_to_evaluate = True
            try:
                found = self._trainer.evaluate(dataset, metric_key_prefix=prefix)
            finally:
                self._asked_to_evaluate = False
            return {name: value for name, value in found.items() if isinstance(value, int | float)}

        return evaluate


def refuse_trainer(trainer: Trainer) -> None:
    """Refuse a trainer that cannot be steered.

    Raises:
        ValueError: the message says why, and what to do.
    """
    args = trainer.args
    reasons = {
        "model_init makes a new model at each stretch: give the model itself": trainer.model_init,
        "several processes: one process is steered": args.world_size > 1,
        "DeepSpeed and FSDP keep the optimizer elsewhere": trainer.is_deepspeed_enabled
        or trainer.is_fsdp_enabled,
        "auto_find_batch_size changes the steps: set the batch size": args.auto_find_batch_size,
        "ignore_data_skip loses the place in the data: leave it off": args.ignore_data_skip,
    }
    for reason, applies in reasons.items():
        if applies:
            raise ValueError(f"this Trainer cannot be steered: {reason}")


def write_weights(model: nn.Module, folder: Path) -> None:
    """Write a model's whole state where ``Trainer`` looks for it; tied weights stand twice."""
    tensors = {
        name: t.detach().cpu().clone().contiguous() for name, t in model.state_dict().items()
    }
    save_file(tensors, folder / WEIGHTS_FILE)


def _state_text(state: Any) -> str:
    return json.dumps(asdict(state), indent=2, sort_keys=True) + "\n"
