"""Whatever can be changed in the trainer changes it, is saved with it, and is drawn alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from data_collection.trace import ClipRow
from interactive.commands import COMMAND
from interactive.integrations.lr_schedule import schedule_around
from interactive.outcome import Reason, Rejected
from interactive.trainer import DataRow, Plan, StepRecord
from neuralos.control import SteeredTrainer, create_trainer
from neuralos.training.config import OptimizerConfig
from neuralos.training.optim import Optimizer

Recorded = tuple[Path, list[ClipRow]]

CHANGES: dict[str, list[dict[str, Any]]] = {
    "optimizer": [
        {"command": "update_optimizer", "lr": 0.01, "weight_decay": 0.3, "beta1": 0.5},
        {"command": "update_optimizer", "max_grad_norm": 0.01},
    ],
    "scale": [{"command": "scale_schedule", "factor": 9.0}],
    "replace": [
        {
            "command": "replace_schedule",
            "schedule": "OneCycleLR",
            "lr": 0.02,
            "arguments": {"total_steps": 30},
        },
        {"command": "scale_schedule", "factor": 0.5},
    ],
    "mixture": [{"command": "update_mixture", "weights": {"base": 0.1}, "fresh_rows": 0}],
    "drop": [{"command": "update_mixture", "drop": ["base"]}],
    "data set": [
        {"command": "update_mixture", "fresh_rows": 0},
        {"command": "update_dataset", "dataset": "base", "parameters": {"half_life_clips": 0.2}},
    ],
    "loss": [
        {"command": "update_setting", "setting": "objective.fate", "value": 3.0},
        {"command": "update_setting", "setting": "objective.feedback_noise", "value": 1.5},
        {"command": "update_setting", "setting": "objective.drawn_frames", "value": 1},
    ],
    "reset": [{"command": "module_operation", "operation": "reset_parameters", "module": "fate"}],
    "freeze": [{"command": "module_operation", "operation": "freeze", "module": "rnn"}],
}


def start(config: Path, recorded: Recorded) -> SteeredTrainer:
    run_dir, rows = recorded
    trainer = create_trainer(config, run_dir)
    trainer.adopt(len(rows), [DataRow(row.commit, row.to_json()) for row in rows])
    return trainer


def bits(records: list[StepRecord]) -> list[tuple[object, ...]]:
    return [(r.step, r.loss, r.grad_norm, r.lr, r.digest, r.commits) for r in records]


def train(trainer: SteeredTrainer, steps: int) -> list[tuple[object, ...]]:
    return bits([trainer.train_step() for _ in range(steps)])


def apply(trainer: SteeredTrainer, changes: list[dict[str, Any]]) -> None:
    for change in changes:
        plan = trainer.plan(COMMAND.validate_python(change))
        assert isinstance(plan, Plan), plan
        plan.apply()


@pytest.fixture(scope="module")
def begun(
    recorded: Recorded, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path, list[tuple[object, ...]]]:
    """Return a configuration, a checkpoint after two steps, and the steps after it unsteered."""
    from conftest import MICRO

    folder = tmp_path_factory.mktemp("begun")
    config, checkpoint = folder / "micro.toml", folder / "checkpoint"
    config.write_text(MICRO, encoding="utf-8")
    checkpoint.mkdir()
    trainer = start(config, recorded)
    train(trainer, 2)
    trainer.save(checkpoint)
    return config, checkpoint, train(trainer, 4)


@pytest.mark.parametrize("changes", CHANGES.values(), ids=CHANGES)
def test_every_change_is_seen_saved_and_made_again_bit_for_bit(
    changes: list[dict[str, Any]],
    begun: tuple[Path, Path, list[tuple[object, ...]]],
    recorded: Recorded,
    tmp_path: Path,
) -> None:
    config, checkpoint, plain = begun
    trainer = create_trainer(config, recorded[0])
    trainer.load(checkpoint)
    apply(trainer, changes)
    first = train(trainer, 2)
    trainer.save(tmp_path)
    settings = trainer.settings()
    rest = train(trainer, 2)
    assert first + rest != plain

    resumed = create_trainer(config, recorded[0])
    resumed.load(tmp_path)
    assert resumed.settings() == settings
    assert train(resumed, 2) == rest
    resumed.load(checkpoint)
    apply(resumed, changes)
    assert train(resumed, 4) == first + rest


def test_average_follows_its_setting_and_begins_anew_with_a_reset_module(
    micro_config: Path, recorded: Recorded
) -> None:
    trainer = start(micro_config, recorded)
    train(trainer, 1)
    apply(trainer, [{"command": "update_setting", "setting": "optimizer.ema_decay", "value": 0.0}])
    train(trainer, 1)
    inner = trainer._trainer
    latest = dict(inner.simulator.named_parameters())
    assert all(torch.equal(one, latest[name]) for name, one in inner.optimizer.average().items())
    apply(trainer, CHANGES["reset"])
    average = inner.optimizer.average()
    assert torch.equal(average["fate.weight"], latest["fate.weight"])


def test_a_schedule_that_follows_a_metric_follows_the_loss(
    micro_config: Path, recorded: Recorded
) -> None:
    trainer = start(micro_config, recorded)
    never_better = {"patience": 0, "threshold": 1e6, "threshold_mode": "abs", "factor": 0.5}
    plateau = {"schedule": "ReduceLROnPlateau", "lr": 0.008, "arguments": never_better}
    apply(trainer, [{"command": "replace_schedule", **plateau}])
    # Whatever the first loss, it is the best so far.
    assert [trainer.train_step().lr for _ in range(4)] == [0.008, 0.008, 0.004, 0.002]


def test_a_loss_that_depends_on_nothing_that_is_trained_does_not_end_the_training() -> None:
    line = _line()
    optimizer = Optimizer(line, OptimizerConfig(warmup_steps=2))
    before = [parameter.clone() for parameter in line.requires_grad_(False).parameters()]
    rates = [optimizer.update(_loss(line, step), step) for step in (1, 2)]
    assert rates == [(0.0, 1.5e-3), (0.0, 3e-3)]
    assert all(map(torch.equal, before, line.parameters()))


def test_what_is_dropped_is_read_no_more_until_it_weighs_again(
    micro_config: Path, recorded: Recorded
) -> None:
    trainer = start(micro_config, recorded)
    live = {row.commit for row in recorded[1] if row.source == "live"}
    train(trainer, 1)
    plan = trainer.plan(COMMAND.validate_python({"command": "update_mixture", "drop": ["live"]}))
    assert isinstance(plan, Plan)
    assert plan.effective == {
        "weights": {"base": 1.0, "live": 0.0},
        "first_step": 2,
        "last_step": 2,
    }
    plan.apply()
    for _ in range(3):
        assert not set(trainer.train_step().commits) & live
    apply(trainer, [{"command": "update_mixture", "weights": {"live": 1.0}}])
    assert set(trainer.train_step().commits) & live, "the fresh rows take them again"


@pytest.mark.parametrize(
    ("command", "code", "hint"),
    [
        ({"command": "update_optimizer", "momentum": 0.9}, Reason.UNSUPPORTED, "it has: lr"),
        ({"command": "update_optimizer", "lr": 0.1, "group": 1}, Reason.UNKNOWN_GROUP, "'0'"),
        ({"command": "update_mixture", "drop": ["bass"]}, Reason.UNKNOWN_SOURCE, "'base'"),
        (
            {"command": "update_mixture", "drop": ["base", "live"]},
            Reason.OUT_OF_BOUNDS,
            "at least one",
        ),
        (
            {"command": "update_mixture", "drop": ["base"], "weights": {"base": 1.0}},
            Reason.OUT_OF_BOUNDS,
            "dropped",
        ),
        ({"command": "update_dataset", "attach": "other"}, Reason.UNSUPPORTED, "one store"),
        (
            {"command": "update_dataset", "dataset": "lvie", "parameters": {"live_intake": False}},
            Reason.UNKNOWN_DATASET,
            "'live'",
        ),
        (
            {"command": "update_dataset", "dataset": "base", "parameters": {"live_intake": False}},
            Reason.UNKNOWN_SETTING,
            "'half_life_clips'",
        ),
        (
            {"command": "update_setting", "setting": "objective.fat", "value": 1.0},
            Reason.UNKNOWN_SETTING,
            "'objective.fate'",
        ),
        (
            {"command": "update_setting", "setting": "optimizer.ema_decay", "value": 1.0},
            Reason.OUT_OF_BOUNDS,
            "between",
        ),
        (
            {"command": "module_operation", "operation": "freeze", "module": "rnn.lstn"},
            Reason.UNKNOWN_MODULE,
            "'rnn.lstm'",
        ),
        (
            {"command": "module_operation", "operation": "reset_parameters", "module": "rnn"},
            Reason.UNSUPPORTED,
            "rnn.key_table",
        ),
    ],
)
def test_what_cannot_be_done_is_refused_with_a_hint(
    command: dict[str, Any], code: Reason, hint: str, micro_config: Path, recorded: Recorded
) -> None:
    answer = create_trainer(micro_config, recorded[0]).plan(COMMAND.validate_python(command))
    assert isinstance(answer, Rejected)
    assert (answer.code, hint in answer.hint) == (code, True), answer.hint


def test_capabilities_name_what_can_be_asked(micro_config: Path, recorded: Recorded) -> None:
    able = create_trainer(micro_config, recorded[0]).capabilities()
    assert able["optimizer"] == ["lr", "weight_decay", "beta1", "beta2", "eps", "max_grad_norm"]
    assert "rnn.lstm" in able["operations"]["reset_parameters"]
    assert able["settings"]["objective.drawn_frames"]["whole"] is True


def test_a_checkpoint_of_an_older_version_is_refused(
    micro_config: Path, recorded: Recorded, tmp_path: Path
) -> None:
    import json

    trainer = start(micro_config, recorded)
    train(trainer, 1)
    trainer.save(tmp_path)
    about = json.loads((tmp_path / "trainer.json").read_text())
    del about["optimizer"]["schedule"]
    (tmp_path / "trainer.json").write_text(json.dumps(about))
    before = trainer.digest()
    with pytest.raises(ValueError, match="older version"):
        trainer.load(tmp_path)
    assert trainer.digest() == before


@pytest.mark.parametrize("steered", [False, True])
def test_the_warm_up_gives_the_bits_of_a_rate_written_by_hand(steered: bool) -> None:
    """The same updates as a loop that writes the rate of each step into AdamW itself."""
    config = OptimizerConfig(warmup_steps=7, lr=3e-3)
    ones, others = (_line(), _line())
    by_hand = torch.optim.AdamW(ones.parameters(), fused=True)
    optimizer = Optimizer(others, config)
    if steered:
        optimizer.schedule = schedule_around(optimizer.schedule)
    for step in range(1, 20):
        group = by_hand.param_groups[0]
        group["lr"] = config.lr * min(1.0, step / max(1, config.warmup_steps))
        group["weight_decay"], group["eps"] = config.weight_decay, config.eps
        group["betas"] = (config.beta1, config.beta2)
        by_hand.zero_grad()
        _loss(ones, step).backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(ones.parameters(), config.max_grad_norm)
        by_hand.step()
        _, lr = optimizer.update(_loss(others, step), step)
        assert lr == group["lr"]
        pairs = zip(ones.parameters(), others.parameters(), strict=True)
        assert all(torch.equal(one, other) for one, other in pairs)


def _line() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Linear(5, 3)


def _loss(module: nn.Module, step: int) -> torch.Tensor:
    inputs = torch.rand(4, 5, generator=torch.Generator().manual_seed(step))
    return ((module(inputs) - 1.0) ** 2).mean()
