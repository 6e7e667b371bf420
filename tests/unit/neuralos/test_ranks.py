"""Several ranks train as one: the same curve, the same checkpoints, the same end of lost clips."""

from __future__ import annotations

import json
import multiprocessing
import threading
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist

from data_collection.storage.codec import ClipCorrupt
from data_collection.trace import ClipRow
from interactive.trainer import DataRow, StepRecord
from neuralos.build import build_trainer, make_deterministic
from neuralos.config import ConfigError
from neuralos.control import SteeredTrainer, create_trainer
from neuralos.data.reading import ClipSource, ClipsUnreadable, clips_of
from neuralos.ranks import LaneShare, Ranks, ranks_here, sum_gradients
from neuralos.run_config import read_config
from tests.thread_ranks import ThreadRanks, on_ranks

Recorded = tuple[Path, list[ClipRow]]

TOLERANCE = 1e-5
"""Of loss and gradient norm, relative: what adding in another order changes in so few steps."""
STEPS = 5

_SEEDED = threading.Lock()
"""First weights come from the process's one generator."""


def micro(path: Path, text: str, changes: dict[str, str]) -> Path:
    """Write a configuration of four lanes, so that two and four ranks can share them."""
    for old, new in {"lanes = 2": "lanes = 4", **changes}.items():
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)
    return path


@pytest.fixture
def four_lanes(micro_config: Path, tmp_path: Path) -> Path:
    return micro(tmp_path / "four.toml", micro_config.read_text(), {})


def start(
    config: Path, recorded: Recorded, ranks: Ranks | None = None, source: ClipSource | None = None
) -> SteeredTrainer:
    run_dir, rows = recorded
    make_deterministic()
    read = read_config(config)
    with _SEEDED:
        source = source or clips_of(run_dir / "traces")
        trainer = build_trainer(read, source, lambda: 0.0, ranks=ranks)
    steered = SteeredTrainer(trainer, read, run_dir)
    steered.adopt(len(rows), [DataRow(row.commit, row.to_json()) for row in rows])
    return steered


def train(trainer: SteeredTrainer, steps: int = STEPS) -> list[StepRecord]:
    return [replace(trainer.train_step(), timings_s={}) for _ in range(steps)]


def assert_same_curve(records: list[StepRecord], other: list[StepRecord]) -> None:
    for here, there in zip(records, other, strict=True):
        assert (here.step, here.commits, here.lr) == (there.step, there.commits, there.lr)
        assert here.loss == pytest.approx(there.loss, rel=TOLERANCE)
        assert here.grad_norm == pytest.approx(there.grad_norm, rel=TOLERANCE)
        assert here.extra == pytest.approx(there.extra, rel=TOLERANCE, abs=TOLERANCE)


def save(trainer: SteeredTrainer, ranks: ThreadRanks, folder: Path) -> None:
    """Save as the ranks of a run do: rank 0 the checkpoint, the others what only they have."""
    if ranks.rank == 0:
        folder.mkdir()
        trainer.save(folder)
    ranks.exchange("saved")
    if ranks.rank:
        own = folder / f"rank-{ranks.rank}"
        own.mkdir()
        trainer.save_rank(own)
    ranks.exchange("kept")


@pytest.mark.parametrize(
    ("size", "changes"),
    [
        (2, {}),
        (4, {}),
        (2, {"fit_clips = 4": "fit_clips = 4\nmicro_batches = 2"}),
    ],
    ids=["two", "four", "two-in-micro-batches"],
)
def test_several_ranks_make_the_curve_of_one(
    size: int, changes: dict[str, str], micro_config: Path, recorded: Recorded, tmp_path: Path
) -> None:
    config = micro(tmp_path / "config.toml", micro_config.read_text(), changes)
    alone = train(start(config, recorded))
    together = on_ranks(size, lambda ranks: train(start(config, recorded, ranks)))
    assert all(one == together[0] for one in together)
    assert_same_curve(together[0], alone)
    assert together[0][0].loss != together[0][-1].loss


def test_a_checkpoint_goes_on_with_any_number_of_ranks(
    four_lanes: Path, recorded: Recorded, tmp_path: Path
) -> None:
    of_two, of_one = tmp_path / "of-two", tmp_path / "of-one"

    def train_and_save(ranks: ThreadRanks) -> list[StepRecord]:
        trainer = start(four_lanes, recorded, ranks)
        train(trainer, 3)
        save(trainer, ranks, of_two)
        return train(trainer, 4)

    def go_on(folder: Path, ranks: Ranks | None) -> list[StepRecord]:
        trainer = start(four_lanes, recorded, ranks)
        trainer.load(folder)
        return train(trainer, 4)

    two = on_ranks(2, train_and_save)[0]
    assert on_ranks(2, lambda ranks: go_on(of_two, ranks)) == [two, two]
    assert_same_curve(go_on(of_two, None), two)
    assert_same_curve(on_ranks(4, lambda ranks: go_on(of_two, ranks))[3], two)
    alone = start(four_lanes, recorded)
    train(alone, 3)
    of_one.mkdir()
    alone.save(of_one)
    assert_same_curve(on_ranks(2, lambda ranks: go_on(of_one, ranks))[1], train(alone, 4))


def test_a_checkpoint_that_lacks_a_rank_is_refused(
    four_lanes: Path, recorded: Recorded, tmp_path: Path
) -> None:
    folder = tmp_path / "checkpoint"

    def train_and_save(ranks: ThreadRanks) -> None:
        trainer = start(four_lanes, recorded, ranks)
        train(trainer, 1)
        if ranks.rank == 0:
            folder.mkdir()
            trainer.save(folder)

    on_ranks(2, train_and_save)
    with pytest.raises(ValueError, match=r"lanes.safetensors: tensor '\w+' is .*\(2, "):
        start(four_lanes, recorded).load(folder)


def test_clips_that_one_rank_cannot_read_are_lost_to_all(
    four_lanes: Path, recorded: Recorded
) -> None:
    run_dir, _ = recorded
    whole = clips_of(run_dir / "traces")
    is_broken = threading.Event()

    def act(ranks: ThreadRanks) -> tuple[dict[int, str], list[StepRecord]]:
        def read(row: ClipRow) -> Any:
            if is_broken.is_set() and ranks.rank == 1 and row.commit in (2, 8):
                raise ClipCorrupt("sha", "it has other bytes")
            return whole.clip(row)

        trainer = start(four_lanes, recorded, ranks, ClipSource(read, whole.events))
        inner = trainer._trainer
        train(trainer, 1)
        inner.feed.forget_latents()
        ranks.exchange("trained")
        is_broken.set()
        lost: dict[int, str] = {}
        before = (inner.step, inner.feed.sampler.state_dict())
        for _ in range(20):
            try:
                before = (inner.step, inner.feed.sampler.state_dict())
                inner.train_step()
            except ClipsUnreadable as error:
                assert (inner.step, inner.feed.sampler.state_dict()) == before
                lost = error.why
                break
        trainer.withdraw([2, 8])
        return lost, train(trainer, 2)

    (lost, records), (lost_1, records_1) = on_ranks(2, act)
    assert lost == lost_1
    assert {2, 8} >= set(lost) > set()
    assert records == records_1


def test_lanes_that_cannot_be_shared_are_refused(micro_config: Path, recorded: Recorded) -> None:
    with pytest.raises(ConfigError, match=r"lanes.lanes is 2, which 4 ranks .* multiple of 4"):
        on_ranks(4, lambda ranks: start(micro_config, recorded, ranks))


def test_every_micro_batch_is_of_the_same_lanes_on_any_number_of_ranks() -> None:
    shares = on_ranks(2, lambda ranks: LaneShare(12, 3, ranks))
    assert [share.own for share in shares] == [[0, 1, 4, 5, 8, 9], [2, 3, 6, 7, 10, 11]]
    assert shares[0].order(1) == list(range(12))
    assert sorted(shares[0].order(4)) == list(range(12))
    assert shares[0].order(4)[:3] == [0, 4, 8]


def test_a_parameter_without_a_gradient_anywhere_keeps_none() -> None:
    def act(ranks: ThreadRanks) -> list[torch.Tensor | None]:
        parameters = [torch.zeros(2, requires_grad=True) for _ in range(3)]
        parameters[0].grad = torch.full((2,), 1.0 + ranks.rank)
        if ranks.rank == 1:
            parameters[1].grad = torch.ones(2)
        sum_gradients(parameters, ranks)
        return [parameter.grad for parameter in parameters]

    for both, one, none in on_ranks(2, act):
        assert both is not None
        assert both.tolist() == [3.0, 3.0]
        assert one is not None
        assert one.tolist() == [1.0, 1.0]
        assert none is None


def act_as_rank(
    rank: int, meeting: Path, config: Path, folder: Path, rows: list[ClipRow]
) -> dict[str, Any]:
    """Be one process of two: return what came of the exchanges, and of some steps."""
    dist.init_process_group(
        "gloo",
        init_method=f"file://{meeting}",
        rank=rank,
        world_size=2,
        timeout=timedelta(seconds=120),
    )
    ranks = ranks_here()
    wide = torch.tensor([1.5 + rank], dtype=torch.float64)
    ranks.sum([wide])
    many = [torch.full((3, 2), float(rank + number)) for number in range(3)]
    ranks.sum(many)
    copied = torch.full((2, 3), float(rank)).T
    ranks.copy([copied])
    trainer = create_trainer(config, folder)
    trainer.adopt(len(rows), [DataRow(row.commit, row.to_json()) for row in rows])
    records = train(trainer, 3)
    found = {
        "sums": [wide.tolist(), [one[0, 0].item() for one in many]],
        "copied": copied.sum().item(),
        "said": [ranks.exchange(""), ranks.exchange("größer" if rank else "")],
        "gathered": ranks.gather(torch.tensor([[rank, 7]])).tolist(),
        "digests": [record.digest for record in records],
        "losses": [record.loss for record in records],
    }
    dist.destroy_process_group()
    return found


def _act_in_a_process(rank: int, meeting: Path, *words: Any) -> None:
    found = act_as_rank(rank, meeting, *words)
    meeting.with_name("found.json").write_text(json.dumps(found))


def test_two_processes_on_gloo_are_two_ranks(
    four_lanes: Path, recorded: Recorded, tmp_path: Path
) -> None:
    run_dir, rows = recorded
    words = (tmp_path / "meeting", four_lanes, run_dir, rows)
    other = multiprocessing.get_context("spawn").Process(target=_act_in_a_process, args=(1, *words))
    other.start()
    found = act_as_rank(0, *words)
    other.join(120)
    assert other.exitcode == 0
    assert found == json.loads((tmp_path / "found.json").read_text())
    assert found["sums"] == [[4.0], [1.0, 3.0, 5.0]]
    assert found["copied"] == 0.0
    assert found["said"] == [["", ""], ["", "größer"]]
    assert found["gathered"] == [[0, 7], [1, 7]]
    alone = train(start(four_lanes, recorded), 3)
    assert found["losses"] == pytest.approx([record.loss for record in alone], rel=TOLERANCE)
