"""What is particular to the Hugging Face ``Trainer``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import Dataset
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments

from interactive.integrations.hf import train_steered
from interactive.record.metrics import read_metrics
from interactive.record.run_folder import RunFolder
from interactive.replaying.own_loop import REPLAY, ReplayPlan
from interactive.steering.boundary import Cadence
from tests.fakes import World, delivered
from tests.unit.interactive.adapter_loops import Examples, fresh_model
from tests.unit.interactive.frozen_heap import frozen_heap  # noqa: F401

SAVE = {"command": "save_checkpoint"}
LR = {"command": "update_optimizer", "lr": 0.003}


def make(folder: Path, model: Any = None, data: Any = None, **arguments: Any) -> Trainer:
    defaults = {
        "max_steps": 8,
        "per_device_train_batch_size": 2,
        "learning_rate": 0.02,
        "logging_strategy": "no",
        "save_strategy": "no",
    }
    given = {**defaults, **arguments}
    args = TrainingArguments(
        str(folder), report_to=[], use_cpu=True, disable_tqdm=True, dataloader_pin_memory=False,
        **given,
    )  # fmt: skip
    data = data or Examples()
    model = model or fresh_model()
    return Trainer(model=model, args=args, train_dataset=data, eval_dataset=data)


def train(
    folder: Path, trainer: Trainer, *commands: tuple[int, dict[str, Any]], **more: Any
) -> Any:
    arrived = [delivered(n, c, at_step=step) for n, (step, c) in enumerate(commands, 1)]
    connect = World(arrived=arrived).connect
    return train_steered(trainer, folder, connect=connect, warn=lambda line: None, **more)


def digests(folder: Path, branch: str = "main") -> list[str | None]:
    rows = read_metrics(RunFolder(folder).metrics)
    return [row.digest for row in rows if row.branch == branch]


def load(step: int) -> dict[str, Any]:
    return {"command": "load_checkpoint", "checkpoint": f"main-{step:06d}", "branch": "b1"}


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_steered_training_is_the_training(tmp_path: Path) -> None:
    """Nothing but the keys of dropout is another: without dropout the weights are the same."""
    bare, steered = (make(tmp_path / name) for name in ("a", "b"))
    for trainer in (bare, steered):
        trainer.model.dropout.p = 0.0
    bare.train()
    train(tmp_path / "run", steered)
    for name, tensor in bare.model.state_dict().items():
        assert torch.equal(tensor, steered.model.state_dict()[name]), name


def test_a_branch_saves_beside_its_parent(tmp_path: Path) -> None:
    """The Trainer's own checkpoint-N of a branch does not replace the parent's."""
    out = tmp_path / "out"
    first = make(out, save_strategy="steps", save_steps=2)
    train(tmp_path / "run", first, (4, SAVE), cadence=Cadence(end_step=6))
    parent = contents(out)
    assert {path.split("/")[0] for path in parent} == {f"checkpoint-{n}" for n in (2, 4, 6)}
    second = make(out, save_strategy="steps", save_steps=2)
    train(tmp_path / "run", second, (4, SAVE), (7, load(3)), (7, LR))
    now = contents(out)
    assert {path: now[path] for path in parent} == parent
    made = {path.split("/")[2] for path in set(now) - set(parent)}
    assert made == {"checkpoint-4", "checkpoint-6", "checkpoint-8"}
    assert all(path.startswith("branches/b1/") for path in set(now) - set(parent))


def test_a_replay_leaves_the_output_folder_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    saving = {"save_strategy": "steps", "save_steps": 2, "max_steps": 4}
    train(tmp_path / "run", make(out, **saving))
    before = contents(out)
    ReplayPlan(tmp_path / "run", tmp_path / "replayed").write(tmp_path / "plan.json")
    monkeypatch.setenv(REPLAY, str(tmp_path / "plan.json"))
    train(tmp_path / "run", make(out, **saving))
    assert contents(out) == before
    assert '"identical": 4' in (tmp_path / "replayed" / "report.json").read_text()


def test_the_best_model_at_the_end_is_not_taken_for_the_last(tmp_path: Path) -> None:
    """``load_best_model_at_end`` puts other weights in after the run's last checkpoint."""
    trainer = make(
        tmp_path / "out", save_strategy="steps", save_steps=1, eval_strategy="steps", eval_steps=1,
        load_best_model_at_end=True, learning_rate=0.5, max_steps=5,
    )  # fmt: skip
    train(tmp_path / "run", trainer)
    assert trainer.state.best_global_step < 5
    longer = make(tmp_path / "longer", learning_rate=0.5, max_steps=5)
    train(tmp_path / "same", longer)
    assert digests(tmp_path / "run") == digests(tmp_path / "same")
    again = make(tmp_path / "again", learning_rate=0.5, max_steps=5)
    train(tmp_path / "run", again)
    last = again.model.state_dict()
    assert all(torch.equal(last[name], t) for name, t in longer.model.state_dict().items())


def test_a_schedule_follows_the_metric_of_the_trainers_own_evaluations(tmp_path: Path) -> None:
    plateau = {"mode": "max", "factor": 0.5, "patience": 0}
    trainer = make(
        tmp_path / "out", eval_strategy="steps", eval_steps=2,
        lr_scheduler_type="reduce_lr_on_plateau", lr_scheduler_kwargs=plateau,
    )  # fmt: skip
    asked = {"command": "evaluate", "evaluation": "evaluate"}
    train(tmp_path / "run", trainer, (2, asked), (3, asked), (4, asked))
    rates = [row.lr for row in read_metrics(RunFolder(tmp_path / "run").metrics)]
    # The loss falls, which "max" takes for no progress: from the second evaluation on it halves.
    assert rates == [0.02] * 4 + [0.01] * 2 + [0.005] * 2


class Tokens(Dataset[dict[str, torch.Tensor]]):
    def __len__(self) -> int:
        return 12

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        ids = torch.randint(0, 32, (9,), generator=torch.Generator().manual_seed(index))
        return {"input_ids": ids, "labels": ids}


def language_model() -> GPT2LMHeadModel:
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=32, n_positions=16, n_embd=8, n_layer=1, n_head=2, bos_token_id=0, eos_token_id=0
    )
    return GPT2LMHeadModel(config)


def test_a_model_with_tied_weights_branches_and_loads_as_any_model(tmp_path: Path) -> None:
    trainer = make(
        tmp_path / "out", language_model(), Tokens(), gradient_accumulation_steps=2, max_steps=6
    )
    train(tmp_path / "run", trainer, (3, SAVE), (6, load(2)))
    assert digests(tmp_path / "run", "b1")[:3] == digests(tmp_path / "run")[2:]
    saved = tmp_path / "run/checkpoints/main-000002"
    loaded = GPT2LMHeadModel.from_pretrained(saved)
    assert loaded.lm_head.weight is loaded.transformer.wte.weight
    assert loaded.config.n_embd == 8


@pytest.mark.parametrize(
    ("arguments", "word"),
    [({"ignore_data_skip": True}, "ignore_data_skip"), ({"auto_find_batch_size": True}, "batch")],
)
def test_a_trainer_that_cannot_be_steered_says_why(
    tmp_path: Path, arguments: dict[str, Any], word: str
) -> None:
    with pytest.raises(ValueError, match=word):
        train(tmp_path / "run", make(tmp_path / "out", **arguments))
    assert not (tmp_path / "run").exists()


def test_afterwards_the_trainer_is_its_own_again(tmp_path: Path) -> None:
    trainer = make(tmp_path / "out", max_steps=3)
    callbacks = list(trainer.callback_handler.callbacks)
    train(tmp_path / "run", trainer, (2, SAVE), (3, load(1)))
    assert trainer.callback_handler.callbacks == callbacks
    assert trainer.args.output_dir == str(tmp_path / "out")
    assert trainer.get_batch_samples.__self__ is trainer
    assert trainer.training_step.__self__ is trainer
    assert [p.name for p in (tmp_path / "out").iterdir()] == []


def test_the_loop_needs_no_torch() -> None:
    """A trainer of another library is steered without torch being loaded."""
    code = (
        "import sys, interactive.integrations.loop as l; "
        "sys.exit(bool({'torch', 'transformers', 'accelerate'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
