from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from data_collection.trace import ClipRow
from interactive.commands import UpdateOptimizer, UpdateSetting
from interactive.outcome import Rejected
from interactive.trainer import DataRow, Plan, StepRecord, TrainerCommand
from neuralos.config import ConfigError, read_document, to_toml
from neuralos.control import SteeredTrainer, create_trainer
from neuralos.run_config import NeuralosConfig
from neuralos.training.course import Course
from neuralos.training.stages import STAGES, Stage, StageChange, stages_of

Recorded = tuple[Path, list[ClipRow]]
Begin = Callable[[], SteeredTrainer]

STAGED = """
stages = ["draft", "segments", "last"]

[training.stage.draft]
trains = ["rnn"]
objective = "gated"
steps = 3
lr = 1e-3
warmup_steps = 2
frames = 5

[training.stage.segments]
steps = 4
lr = 2e-3

[training.stage.last]
trains = ["denoiser"]
objective = "gated"
segments = 1
"""


@pytest.fixture
def begin(micro_config: Path, recorded: Recorded, tmp_path: Path) -> Begin:
    """Return what starts a trainer of three stages, with all data adopted."""
    config = tmp_path / "staged.toml"
    config.write_text(micro_config.read_text().replace("fit_clips = 4", f"fit_clips = 4{STAGED}"))

    def make() -> SteeredTrainer:
        trainer = create_trainer(config, recorded[0])
        trainer.adopt(len(recorded[1]), [DataRow(row.commit, row.to_json()) for row in recorded[1]])
        return trainer

    return make


def bits(record: StepRecord) -> tuple[object, ...]:
    return record.step, record.loss, record.grad_norm, record.lr, record.digest, record.commits


def stage(trainer: SteeredTrainer) -> object:
    return trainer.settings()["settings"]["training.stage"]


def apply(trainer: SteeredTrainer, command: TrainerCommand) -> None:
    plan = trainer.plan(command)
    assert isinstance(plan, Plan)
    plan.apply()


def test_steps_go_through_the_stages_in_order(begin: Begin) -> None:
    trainer = begin()
    seen = []
    for _ in range(10):
        at, frozen = stage(trainer), trainer.settings()["frozen"]
        seen.append((at, trainer.train_step().lr))
        assert any(name.startswith("denoiser.") for name in frozen) == (at == "draft")
        assert any(name.startswith("rnn.") for name in frozen) == (at == "last")
    assert [name for name, _ in seen] == ["draft"] * 3 + ["segments"] * 4 + ["last"] * 3
    assert [lr for _, lr in seen] == [5e-4, 1e-3, 1e-3] + [2e-3] * 7


def test_a_stage_moves_only_what_it_trains(begin: Begin) -> None:
    trainer = begin()
    model = trainer._trainer.simulator
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    for _ in range(3):
        trainer.train_step()
    moved = {n for n, p in model.named_parameters() if not p.equal(before[n])}
    assert any(name.startswith("rnn.") for name in moved)
    assert not any(name.startswith("denoiser.") for name in moved)


@pytest.mark.parametrize("killed_at", [2, 3, 5, 8])
def test_a_resumed_run_is_bit_identical_in_and_between_stages(
    begin: Begin, tmp_path: Path, killed_at: int
) -> None:
    straight, killed, resumed = begin(), begin(), begin()
    for _ in range(killed_at):
        assert bits(straight.train_step()) == bits(killed.train_step())
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    killed.save(folder)
    resumed.load(folder)
    assert stage(resumed) == stage(straight)
    for _ in range(10 - killed_at):
        assert bits(straight.train_step()) == bits(resumed.train_step())


def test_a_command_ends_a_stage_and_counts_the_next_from_there(begin: Begin) -> None:
    one, two = begin(), begin()
    for trainer in (one, two):
        trainer.train_step()
        apply(trainer, UpdateSetting(setting="training.stage", value="segments"))
    seen = []
    for _ in range(5):
        seen.append(stage(one))
        assert bits(one.train_step()) == bits(two.train_step())
    assert seen == ["segments"] * 4 + ["last"]


def test_a_rate_set_between_two_stages_holds_in_the_second(begin: Begin) -> None:
    """The stage begins with the end of the step before, so a command comes after it."""
    trainer = begin()
    for _ in range(3):
        trainer.train_step()
    apply(trainer, UpdateOptimizer(lr=7e-4))
    assert trainer.train_step().lr == 7e-4


def test_a_stage_that_there_is_not_is_refused_with_the_nearest(begin: Begin) -> None:
    refused = begin().plan(UpdateSetting(setting="training.stage", value="segmnts"))
    assert isinstance(refused, Rejected)
    assert "segments" in (refused.hint or "")


def test_a_checkpoint_of_other_stages_is_refused(
    begin: Begin, micro_config: Path, recorded: Recorded, tmp_path: Path
) -> None:
    trainer = begin()
    trainer.train_step()
    trainer.save(tmp_path)
    other = create_trainer(micro_config, recorded[0])
    before = other.digest()
    with pytest.raises(ValueError, match="stage 'draft' is not among segments"):
        other.load(tmp_path)
    assert (other.digest(), other.step) == (before, 0)


def test_the_paper_has_its_seven_stages() -> None:
    names = ["autoencoder", "rnn", "denoiser", "joint", "scheduled", "long", "continuous"]
    stages = stages_of(names, {})
    assert [stage.trains for stage in stages[:4]] == [
        ("autoencoder",),
        ("rnn",),
        ("denoiser",),
        ("rnn", "denoiser"),
    ]
    assert {stage.loss_on for stage in stages[1:]} == {"last"}
    scheduled = STAGES["scheduled"]
    assert [scheduled.own_frames_at(step) for step in (19, 20, 21, 40)] == [0, 1, 0, 1]
    assert scheduled.own_sampler_steps == 32
    assert [STAGES[name].frames for name in ("scheduled", "long")] == [32, 64]
    assert (STAGES["continuous"].lr, STAGES["continuous"].warmup_steps) == (5e-6, 1000)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('stages = ["jiont"]', "'jiont' is unknown; did you mean 'joint'"),
        ('stages = ["rnn", "rnn"]', "each of them once"),
        ("stages = []", "at least one"),
        ("stage = { jont = { steps = 3 } }", "'jont' is unknown; did you mean 'segments'"),
        ("stage = { segments = { stepps = 3 } }", "did you mean 'steps'"),
        ("stage = { segments = { steps = -3 } }", "a number is below 0"),
        ('stage = { segments = { trains = ["unet"] } }', "did you mean"),
        ('stage = { segments = { trains = ["autoencoder"] } }', "the autoencoder alone"),
        ('device = "gpu"', "auto, cpu, cuda"),
        ("micro_batches = 0", "micro_batches is at least 1"),
    ],
)
def test_stages_that_cannot_be_are_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "run.toml"
    path.write_text(f"[training]\n{text}\n")
    with pytest.raises(ConfigError, match=message):
        NeuralosConfig.of(read_document(path))


def test_stages_read_back_the_same_and_take_overrides(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text('[training]\nstages = ["rnn", "mine"]\n[training.stage.mine]\n'
                    'trains = ["denoiser"]\nobjective = "denoising"\n')  # fmt: skip
    config = NeuralosConfig.of(read_document(path, ["training.stage.rnn.steps=7"]))
    assert [(s.name, s.steps) for s in config.training.plan()] == [("rnn", 7), ("mine", 0)]
    path.write_text(to_toml(config.sections()))
    assert NeuralosConfig.of(read_document(path)) == config


def test_the_stage_of_a_step_follows_from_what_was_made_and_commanded() -> None:
    course = Course(stages_of(("segments", "b"), {
        "segments": StageChange(steps=4),
        "b": StageChange(trains=("rnn",), objective="guess", steps=2),
    }))  # fmt: skip
    assert [course.steps_left(step) for step in (0, 3, 4, 9)] == [4, 1, 0, 0]
    course.begin("b", 4)
    assert course.steps_left(100) is None
    assert course.next_name() is None
    again = Course([Stage("segments"), Stage("b")])
    again.load_state_dict(course.state_dict())
    assert again.stage.name == "b"
