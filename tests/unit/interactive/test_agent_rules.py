import math
import random
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from steered_valley import SteeredRun, Valley

from interactive.agents.agent import Agent, History, Proposal
from interactive.agents.facts import capabilities, changes_lr, evaluations, generation
from interactive.agents.reduce import ReduceConfig, ReduceOnPlateau
from interactive.agents.rollback import Rollback, RollbackConfig
from interactive.agents.rules import HalveOnPlateau, PlateauConfig
from interactive.commands import LoadCheckpoint, UpdateOptimizer
from interactive.record.ledger import Entry, EntryKind, read_ledger

TEN_TIMES = 0.1
"""Ten times the learning rate that suits the valley: it stands on a high plateau."""
DIVERGING = 0.3


class Nobody:
    def observe(self, history: History) -> Proposal | None:
        return None


def history(losses: Sequence[float], lr: float, entries: Sequence[Entry] = ()) -> History:
    steps = list(range(1, len(losses) + 1))
    return History("main", len(losses), lr, steps, losses, entries)


def entry(seq: int, step: int, command: dict[str, Any], **body: Any) -> Entry:
    full = {"state": "applied", "command": command, "command_id": str(seq), "reason": "", **body}
    return Entry(seq, step, "main", EntryKind.INTERVENTION, 0.0, full)


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.floats(-2, 2) | st.just(math.nan), min_size=1, max_size=40),
    st.sampled_from(["min", "max"]),
    st.sampled_from(["rel", "abs"]),
    st.integers(0, 3),
    st.integers(0, 3),
    st.sampled_from([0.0, 0.05, 0.3]),
    st.sampled_from([0.1, 0.5]),
    st.sampled_from([0.0, 0.02]),
)
def test_reduce_does_what_torch_does(
    values: list[float],
    mode: Any,
    threshold_mode: Any,
    patience: int,
    cooldown: int,
    threshold: float,
    factor: float,
    min_lr: float,
) -> None:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    words: dict[str, Any] = {
        "mode": mode,
        "threshold_mode": threshold_mode,
        "patience": patience,
        "cooldown": cooldown,
        "threshold": threshold,
        "factor": factor,
        "min_lr": min_lr,
    }
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, **words)
    ours, lr, entries = ReduceOnPlateau(ReduceConfig(window=1, **words)), 0.1, []
    for seen in range(1, len(values) + 1):
        theirs.step(values[seen - 1])
        proposal = ours.observe(history(values[:seen], lr, entries))
        if proposal is not None:
            assert isinstance(proposal.command, UpdateOptimizer)
            assert proposal.command.lr is not None
            lr = proposal.command.lr
            change = {"command": "update_optimizer", "lr": lr}
            entries.append(entry(len(entries), seen + 1, change))
        assert lr == optimizer.param_groups[0]["lr"]


def test_reduce_watches_an_evaluation() -> None:
    def evaluated(seq: int, distance: Any) -> Entry:
        body = {"evaluation": "rollout", "measures": {"distance": distance, "words": "many"}}
        return Entry(seq, 10 * seq + 1, "main", EntryKind.EVALUATION, 0.0, body)

    rule = ReduceOnPlateau(ReduceConfig(measure="distance", patience=1, factor=0.5))
    flat = [evaluated(seq, value) for seq, value in enumerate((3.0, 2.0, "NaN", 2.1))]
    assert rule.observe(history([], 0.1, flat[:3])) is None
    proposal = rule.observe(history([], 0.1, flat))
    assert proposal is not None
    assert proposal.command == UpdateOptimizer(lr=0.05)
    assert "distance up to step 30" in proposal.reason
    assert all(one.measures.keys() == {"distance"} for one in evaluations(history([], 0.1, flat)))


@pytest.mark.parametrize(
    "bad", [{"factor": 1.0}, {"mode": "least"}, {"window": 0}, {"patience": -1}]
)
def test_numbers_that_make_no_reduction_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        ReduceConfig(**bad)


def test_every_command_that_changes_the_learning_rate_is_known() -> None:
    lr = {"command": "update_optimizer", "lr": 1.0}
    assert changes_lr(lr)
    assert changes_lr({"command": "batch", "commands": [{"command": "note"}, lr]})
    assert changes_lr({"command": "scale_schedule", "factor": 2.0})
    assert changes_lr({"command": "replace_schedule", "schedule": "linear"})
    assert not changes_lr({"command": "update_optimizer", "weight_decay": 1.0})
    assert not changes_lr({"command": "batch", "commands": [{"command": "note"}]})


def test_facts_of_a_ledger() -> None:
    session = Entry(0, 1, "main", EntryKind.SESSION, 0.0, {"capabilities": {"optimizer": ["lr"]}})
    entries = [session, entry(1, 2, {"command": "note"}), entry(2, 2, {}, state="rejected")]
    assert capabilities(entries) == {"optimizer": ["lr"]}
    assert capabilities([]) == {}
    assert generation(entries) == 1


def noisy(count: int, level: float = 1.0) -> list[float]:
    draw = random.Random(1)
    return [level + draw.gauss(0, 0.05) for _ in range(count)]


def checkpoint(seq: int, name: str, updates: int, branch: str = "main") -> Entry:
    body = {"checkpoint": name, "digest": "", "kept": False}
    return Entry(seq, updates + 1, branch, EntryKind.CHECKPOINT, 0.0, body)


CHECKPOINTS = (checkpoint(0, "main-000050", 50), checkpoint(1, "main-000097", 97))


@pytest.mark.parametrize("bad", [[math.nan], [math.inf], [9.0] * 5, [9.0, math.nan] * 3])
def test_a_loss_that_runs_away_leads_back(bad: list[float]) -> None:
    rule = Rollback(RollbackConfig())
    proposal = rule.observe(history(noisy(100) + bad, 0.1, CHECKPOINTS))
    assert proposal is not None
    assert proposal.command == LoadCheckpoint(checkpoint="main-000050")
    assert proposal.reason.startswith("rollback: ")


@pytest.mark.parametrize(
    "tail", [[], [9.0] * 4, [9.0, 9.0, 1.0, 9.0, 9.0], [1.3] * 5, [0.1] * 5, [math.nan, 1.0]]
)
def test_single_spikes_and_noise_are_borne(tail: list[float]) -> None:
    assert Rollback(RollbackConfig()).observe(history(noisy(100) + tail, 0.1, CHECKPOINTS)) is None


def test_a_rule_that_looks_late_still_sees_it() -> None:
    late = history(noisy(200) + [9.0] * 80, 0.1, CHECKPOINTS)
    proposal = Rollback(RollbackConfig()).observe(late)
    assert proposal is not None
    assert proposal.command == LoadCheckpoint(checkpoint="main-000097")


def test_a_checkpoint_that_is_gone_is_passed_over() -> None:
    gone = entry(
        2, 102, {"command": "load_checkpoint", "checkpoint": "main-000050"},
        state="rejected", code="unknown_checkpoint",
    )  # fmt: skip
    entries = (*CHECKPOINTS, gone)
    assert (
        Rollback(RollbackConfig()).observe(history([*noisy(100), math.nan], 0.1, entries)) is None
    )


def test_on_a_branch_it_goes_back_past_the_fork_only_to_what_both_lines_share() -> None:
    opened = {"branch": "b1", "checkpoint": "main-000050", "step": 50, "mark": 0}
    entries = (
        *CHECKPOINTS,
        entry(2, 100, {"command": "load_checkpoint"}, effective=opened, reason="a person's"),
    )
    losses = [1.0, math.nan]
    on_branch = History("b1", 52, 0.1, [51, 52], losses, entries)
    proposal = Rollback(RollbackConfig(margin=0)).observe(on_branch)
    assert proposal is not None
    assert proposal.command == LoadCheckpoint(checkpoint="main-000050")


def times_ten(at: int, lr: float) -> Any:
    return lambda made: {"command": "update_optimizer", "lr": lr} if made == at else None


@pytest.mark.parametrize(
    "rule",
    [
        HalveOnPlateau(PlateauConfig(window=20, patience=2, min_lr=1e-3)),
        ReduceOnPlateau(ReduceConfig(window=20, patience=2, factor=0.5, min_lr=1e-3)),
    ],
)
def test_a_rule_rescues_a_tenfold_learning_rate(tmp_path: Path, rule: Agent) -> None:
    left = SteeredRun(tmp_path / "left", Valley(0.01)).train(
        600, Nobody(), at=times_ten(100, TEN_TIMES)
    )
    run = SteeredRun(tmp_path / "steered", Valley(0.01))
    steered = run.train(600, rule, at=times_ten(100, TEN_TIMES))
    assert steered[:120] == left[:120]
    assert fmean(steered[-100:]) < 0.3 * fmean(left[-100:])
    assert {one["command"] for one in run.sent} == {"update_optimizer"}


def test_a_rule_rescues_a_run_that_diverges(tmp_path: Path) -> None:
    at = times_ten(100, DIVERGING)
    left = SteeredRun(tmp_path / "left", Valley(0.03)).train(300, Nobody(), at=at)
    assert left[-1] > 1e9
    run = SteeredRun(tmp_path / "steered", Valley(0.03))
    steered = run.train(300, Rollback(RollbackConfig()), at=at)
    assert fmean(steered[-50:]) < 2 * fmean(steered[50:100])
    assert [one["command"] for one in run.sent[:2]] == ["load_checkpoint", "update_optimizer"]
    assert run.trainer.settings()["optimizer"]["lr"] < 0.03
    states = {e.body["state"] for e in read_ledger(run.folder.ledger) if "state" in e.body}
    assert states == {"applied"}


def test_nan_leads_back_and_the_run_goes_on(tmp_path: Path) -> None:
    run = SteeredRun(tmp_path / "run", Valley(0.03, poison_at=120))
    losses = run.train(200, Rollback(RollbackConfig()))
    assert any(map(math.isnan, losses))
    assert all(map(math.isfinite, losses[-50:]))
    assert [one["command"] for one in run.sent] == ["load_checkpoint", "update_optimizer"]
