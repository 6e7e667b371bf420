"""Measures: what true frames, copies and mixtures get, and that batches change nothing."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch

from neuralos.build import build_simulator
from neuralos.data.encode import TINY_SCREEN, Frames
from neuralos.evaluation import evaluate
from neuralos.evaluation.cursor import FARTHEST_PX, cursor_errors
from neuralos.evaluation.evaluation import PREDICTORS, rows_at_once
from neuralos.evaluation.outcomes import OutcomeBook, QuestionBook
from neuralos.evaluation.passage import Passage
from neuralos.evaluation.predictor import CopyLast, Predictor, Recited, Simulated
from neuralos.evaluation.rollouts import batches, roll_out
from neuralos.evaluation.scoring import Scores, upright
from neuralos.evaluation.shelf import Shelf
from neuralos.evaluation.suite import load_suite
from neuralos.evaluation.tasks import TASKS, TaskJudge
from neuralos.models.config import DenoiserConfig, RnnConfig, SimulatorConfig
from neuralos.models.simulator import Simulator
from neuralos.shapes import Screen

KEPT = ("general-00", "general-01", *(f"{task}-00" for task in TASKS))


@dataclass(frozen=True)
class Listed:
    """Passages in memory."""

    passages: Sequence[Passage]
    name: str = "listed"

    @property
    def lengths(self) -> Sequence[int]:
        return [passage.generated for passage in self.passages]

    def passage(self, number: int) -> Passage:
        return self.passages[number]


@pytest.fixture(scope="module")
def passages() -> list[Passage]:
    suite = load_suite("basic-v1")
    shelf = Shelf(suite, TINY_SCREEN, None)
    return [shelf.passage(episode) for episode in suite.episodes if episode.id in KEPT]


@pytest.fixture(scope="module")
def simulator(passages: Sequence[Passage]) -> Simulator:
    rnn = RnnConfig(8, 8, 8, 8, 4, 64, 4, 4, 4, 4, 4, 4)
    config = SimulatorConfig(components=64, rnn=rnn, denoiser=DenoiserConfig((16, 16), 1, 4, 4))
    built = build_simulator(config, 0)
    frames = np.concatenate([passage.frames[::8] for passage in passages])
    built.autoencoder.fit(frames)  # type: ignore[operator]
    return built.eval()


def scored(predictor: Predictor, passages: Sequence[Passage]) -> Scores:
    scores, book = Scores(), questions(passages)
    for passage in passages:
        (generated,) = roll_out(predictor, [passage])
        scores.score(passage, generated, book)
    return scores


def questions(passages: Sequence[Passage]) -> QuestionBook:
    book = OutcomeBook()
    for passage in passages:
        if passage.group not in TASKS:
            book.add(passage)
    return book.questions()


def value(scores: Scores, measure: str) -> float:
    estimate = scores.sheet.estimate(measure, 0)
    assert estimate is not None
    assert estimate.low <= estimate.value <= estimate.high
    return estimate.value


def test_true_frames_get_everything(passages: Sequence[Passage]) -> None:
    scores = scored(Recited(), passages)
    assert value(scores, "cursor_error_px") == 0
    for measure in ("cursor_within_2px", "transitions", "tasks", "ssim@1", "ssim_changed@64"):
        assert value(scores, measure) == pytest.approx(1)
    assert value(scores, "tasks_early") == 0
    assert set(scores.verdicts) == {f"{task}-00" for task in TASKS}


def test_the_autoencoder_alone_passes_every_task(
    passages: Sequence[Passage], simulator: Simulator
) -> None:
    scores = scored(Recited(simulator.autoencoder), passages)
    assert value(scores, "tasks") == 1
    assert value(scores, "transitions") > 0.9
    assert value(scores, "psnr_changed") < value(scored(Recited(), passages), "psnr_changed")


def test_a_frozen_screen_gets_nothing(passages: Sequence[Passage]) -> None:
    for known in (-1, 0):
        scores = scored(CopyLast(known), passages)
        assert value(scores, "tasks") == 0
        assert value(scores, "transitions") <= 0.25
        assert value(scores, "cursor_error_px") > 2


def mixed(passage: Passage) -> Frames:
    known = passage.frames[passage.warm - 1].astype(np.int16)
    mixture: Frames = ((passage.real + known) // 2).astype(np.uint8)
    return mixture


def test_half_of_both_is_no_success(passages: Sequence[Passage]) -> None:
    for passage in passages:
        if passage.group in TASKS:
            assert not TaskJudge.of(passage).judge(mixed(passage)).present


def test_blocks_of_the_right_colour_are_no_success(passages: Sequence[Passage]) -> None:
    for passage in passages:
        if passage.group in TASKS:
            frames = passage.real.copy()
            blocks = frames[-1].reshape(12, 8, 16, 8, 3).mean((1, 3)).astype(np.uint8)
            frames[-1] = blocks.repeat(8, 0).repeat(8, 1)
            assert not TaskJudge.of(passage).judge(frames).present


def test_what_comes_too_early_is_no_success(passages: Sequence[Passage]) -> None:
    for passage in passages:
        if passage.group in TASKS:
            at_once = np.repeat(passage.real[-1:], passage.generated, axis=0)
            verdict = TaskJudge.of(passage).judge(at_once)
            assert (verdict.present, verdict.early, verdict.success) == (True, True, False)


def test_an_event_may_come_a_little_early_but_not_late(passages: Sequence[Passage]) -> None:
    browser = next(passage for passage in passages if passage.group == "browser")
    event = browser.event - browser.warm
    for shift, success in ((-4, True), (-5, False), (4, True), (browser.generated, False)):
        at = np.arange(browser.generated) - shift
        frames = browser.real[at.clip(0, browser.generated - 1)].copy()
        frames[max(0, event + shift) :] = browser.real[-1]
        assert TaskJudge.of(browser).judge(frames).success is success


def test_something_broken_elsewhere_is_no_success(passages: Sequence[Passage]) -> None:
    home = next(passage for passage in passages if passage.group == "home")
    judge = TaskJudge.of(home)
    frames = home.real.copy()
    frames[-1][~judge.changed] = 255 - frames[-1][~judge.changed]
    assert not judge.judge(frames).success


def moved(passage: Passage, by_px: tuple[int, int], ground: Frames | None = None) -> Frames:
    """Return the generated part with its cursor elsewhere, on the real ground or another."""
    frames = []
    for index in range(passage.warm, len(passage.frames)):
        cursor = passage.frames[index].astype(np.int16) - passage.bare(index)
        below = passage.bare(index) if ground is None else ground
        shifted = np.roll(cursor, by_px, (1, 0))
        frames.append(np.clip(below + shifted, 0, 255).astype(np.uint8))
    return np.stack(frames)


def inside(passage: Passage) -> list[bool]:
    """Return which generated frames have their pointer well inside the screen."""
    points = [passage.pointer(index) for index in range(passage.warm, len(passage.frames))]
    return [40 < x_px < 440 and 40 < y_px < 300 for x_px, y_px in points]


@pytest.mark.parametrize(("by_px", "error_px"), [((0, 0), 0), ((2, 1), 5**0.5), ((-4, 3), 5)])
def test_the_error_is_how_far_the_cursor_is_off(
    passages: Sequence[Passage], by_px: tuple[int, int], error_px: float
) -> None:
    errors_px = cursor_errors(passages[0], moved(passages[0], by_px))[inside(passages[0])]
    assert np.median(errors_px) == pytest.approx(error_px)


def test_the_cursor_is_found_on_another_ground(passages: Sequence[Passage]) -> None:
    grey = np.full_like(passages[0].frames[0], 90)
    errors_px = cursor_errors(passages[0], moved(passages[0], (1, 0), grey))[inside(passages[0])]
    assert np.median(errors_px) <= 1.5


def test_no_cursor_at_all_has_the_largest_error(passages: Sequence[Passage]) -> None:
    passage = passages[0]
    bare = np.stack([passage.bare(i) for i in range(passage.warm, len(passage.frames))])
    assert (cursor_errors(passage, bare) == FARTHEST_PX).all()


def test_a_hidden_cursor_is_not_counted(passages: Sequence[Passage]) -> None:
    hidden = replace(passages[0], frames=passages[0].bare_frames[passages[0].bare_index])
    assert np.isnan(cursor_errors(hidden, hidden.real)).all()


def test_batches_do_not_change_what_is_drawn(
    passages: Sequence[Passage], simulator: Simulator
) -> None:
    chosen = [passages[0], passages[2], passages[5]]
    together = roll_out(Simulated(simulator, 0), chosen)
    for passage, drawn in zip(chosen, together, strict=True):
        (alone,) = roll_out(Simulated(simulator, 0), [passage])
        assert alone.shape == passage.real.shape
        # Sums of another order round otherwise, by a level at most.
        assert np.abs(alone.astype(np.int16) - drawn).max() <= 1


def test_a_finer_screen_is_compared_as_the_usual_one(passages: Sequence[Passage]) -> None:
    suite = load_suite("basic-v1")
    episode = next(one for one in suite.episodes if one.id == "close-00")
    usual = next(passage for passage in passages if passage.id == "close-00")
    for reduction in (1, 2):
        finer = Shelf(suite, Screen(reduction, 8), None).passage(episode)
        compared = finer.compared()
        assert finer.frames.shape[1:3] == (384 // reduction, 512 // reduction)
        assert np.abs(compared.frames.astype(np.int16) - usual.frames).max() <= 1
        assert compared.bare_frames.shape == usual.bare_frames.shape
        assert TaskJudge.of(compared).judge(compared.real).success
    assert usual.compared() is usual
    assert [rows_at_once(Screen(reduction, 8)) for reduction in (1, 2, 4)] == [1, 4, 16]


def test_a_simulator_gone_wrong_draws_black(
    passages: Sequence[Passage], simulator: Simulator
) -> None:
    broken = copy.deepcopy(simulator)
    with torch.no_grad():
        for parameter in broken.parameters():
            parameter.fill_(torch.nan)
    (drawn,) = roll_out(Simulated(broken, 0), [passages[2]])
    assert drawn.shape == passages[2].real.shape
    assert drawn.max() == 0


def test_batches_hold_every_passage_once_and_long_ones_together() -> None:
    found = list(batches([5, 9, 1, 9, 7], rows=2))
    assert found == [[1, 3], [4, 0], [2]]


def test_a_screen_gone_blank_or_noisy_has_collapsed(passages: Sequence[Passage]) -> None:
    real = passages[0].real
    assert upright(real, real)
    assert not upright(real, np.full_like(real, round(float(real.mean()))))
    noise = np.random.default_rng(0).integers(0, 256, real.shape, dtype=np.uint8)
    assert not upright(real, noise)


def test_an_evaluation_says_all_of_each_measure(
    passages: Sequence[Passage], simulator: Simulator
) -> None:
    seen: list[str] = []

    def watch(passage: Passage, drawn: Mapping[str, Frames]) -> None:
        assert all(frames.shape == passage.real.shape for frames in drawn.values())
        seen.append(passage.id)

    some = [passage for passage in passages if passage.group in ("general", "drag")]
    evaluation = evaluate(simulator, Listed(some), watch=watch)
    measures: dict[str, dict[str, Any]] = evaluation.measures()
    assert sorted(seen) == sorted(passage.id for passage in some)
    assert {"cursor_within_2px", "transitions", "psnr_changed@64", "task_drag"} <= set(measures)
    for name, measure in measures.items():
        low, high = measure["ci95"]
        assert low <= measure["model"] <= high
        assert {*PREDICTORS, "majority", "n", "ci95", "baseline_ci95"} == set(measure)
        assert (measure["majority"] is not None) == (name == "transitions")
    assert sum(kind["n"] for kind in evaluation.kinds().values()) == measures["transitions"]["n"]
