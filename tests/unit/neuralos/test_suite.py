"""The fixed suite: what it holds, that it can be made again, that nothing else passes for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from neuralos.data.encode import TINY_SCREEN
from neuralos.evaluation.choosing import KINDS, choose_passages, choose_tasks
from neuralos.evaluation.episode import Episode, Stage
from neuralos.evaluation.film import SuiteMismatch, checked_film
from neuralos.evaluation.shelf import Shelf
from neuralos.evaluation.suite import (
    LEAST_SEED,
    SUITES,
    Suite,
    UnknownSuite,
    dump_suite,
    load_suite,
)
from neuralos.evaluation.tasks import MORE_TIME, TASKS, TaskJudge

SUITE = load_suite("basic-v1")
DIGEST = "11e9f202e133a719"
"""Changes only together with the suite's name."""


def test_the_suite_is_the_one_that_was_fixed() -> None:
    assert SUITE.digest == DIGEST
    assert Suite.from_json(SUITE.to_json()) == SUITE
    assert len(dump_suite(SUITE).splitlines()) == len(SUITE.episodes) + 2


def test_the_suite_holds_general_and_long_passages_and_every_task() -> None:
    groups = [episode.group for episode in SUITE.episodes]
    assert {group: groups.count(group) for group in groups} == {
        "general": 40, "long": 8, **dict.fromkeys(TASKS, 24)
    }  # fmt: skip
    assert len({episode.id for episode in SUITE.episodes}) == len(SUITE.episodes)
    for episode in SUITE.episodes:
        assert episode.warm == 16
        if episode.group in TASKS:
            needed = episode.event - episode.start - episode.warm + 1
            assert needed <= episode.frames - episode.warm < MORE_TIME * needed + 1


def test_no_training_run_draws_the_seeds_of_the_suite() -> None:
    most_seed, most_traces = 2**32, 10**6
    assert most_seed * 100_003 + most_traces < LEAST_SEED
    assert min(episode.seed for episode in SUITE.episodes) >= LEAST_SEED


@pytest.mark.parametrize("group", ["general", *TASKS])
def test_an_episode_can_be_made_again_and_its_real_frames_pass(group: str) -> None:
    episode = next(one for one in SUITE.episodes if one.group == group)
    passage = checked_film(episode, SUITE.stage, TINY_SCREEN)
    assert passage.frames.shape == (episode.frames, 96, 128, 3)
    if group in TASKS:
        assert TaskJudge.of(passage).judge(passage.real).success


@pytest.mark.nightly
def test_every_episode_can_be_made_again() -> None:
    for episode in SUITE.episodes:
        checked_film(episode, SUITE.stage, TINY_SCREEN)


def test_an_episode_that_became_another_is_named() -> None:
    episode = next(one for one in SUITE.episodes if one.group == "home")
    stage = Stage(replace(SUITE.config, snap_px=4), SUITE.kinds)
    moved = next(one for one in SUITE.episodes if one.group == "drag")
    with pytest.raises(SuiteMismatch, match=moved.id):
        checked_film(moved, stage, TINY_SCREEN)
    with pytest.raises(SuiteMismatch, match=episode.digest):
        checked_film(replace(episode, seed=episode.seed + 1), SUITE.stage, TINY_SCREEN)


def without_digests(ids: Sequence[str]) -> list[Episode]:
    return [replace(one, digest="") for one in SUITE.episodes if one.id in ids]


def test_passages_are_chosen_the_same_each_time() -> None:
    stage = Stage(SUITE.config, KINDS)
    chosen = list(choose_passages("general", 3, 64, LEAST_SEED, stage))
    assert chosen == without_digests(["general-00", "general-01", "general-02"])


@pytest.mark.nightly
def test_tasks_are_chosen_the_same_each_time() -> None:
    stage = Stage(SUITE.config, KINDS)
    chosen = list(choose_tasks(1, LEAST_SEED + 2000, stage))
    assert chosen == without_digests([f"{task}-00" for task in TASKS])


def test_a_suite_that_there_is_not_is_named() -> None:
    with pytest.raises(UnknownSuite, match="did you mean 'basic-v1'"):
        load_suite("basic-v2")
    assert SUITES == ("basic-v1",)


def test_a_cached_passage_is_the_one_that_was_made(tmp_path: Path) -> None:
    suite = SUITE.part(1)
    episode = next(one for one in suite.episodes if one.group == "folder")
    made = Shelf(suite, TINY_SCREEN, tmp_path).passage(episode)
    (file,) = tmp_path.rglob("*.passage")
    written = file.stat().st_mtime_ns
    again = Shelf(suite, TINY_SCREEN, tmp_path).passage(episode)
    assert file.stat().st_mtime_ns == written
    for name in ("frames", "bare_frames", "bare_index", "actions", "keys"):
        assert np.array_equal(getattr(made, name), getattr(again, name))
    assert (made.done, made.transitions) == (again.done, again.transitions)

    file.write_bytes(file.read_bytes()[:-40])
    mended = Shelf(suite, TINY_SCREEN, tmp_path).passage(episode)
    assert np.array_equal(mended.frames, made.frames)
    assert file.stat().st_mtime_ns != written


def test_a_cache_that_cannot_be_written_costs_only_time(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    suite = SUITE.part(1)
    episode = next(one for one in suite.episodes if one.group == "close")
    passage = Shelf(suite, TINY_SCREEN, tmp_path / "file").passage(episode)
    assert len(passage.frames) == episode.frames
