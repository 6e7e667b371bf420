"""A simulator on a suite, beside its baselines."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import process_time
from typing import Any, Protocol

import numpy as np

from neuralos.data.encode import Frames
from neuralos.evaluation.intervals import Estimate
from neuralos.evaluation.outcomes import OutcomeBook, QuestionBook
from neuralos.evaluation.passage import COMPARED_REDUCTION, Passage, compared_frames
from neuralos.evaluation.predictor import CopyLast, Predictor, Recited, Simulated
from neuralos.evaluation.rollouts import ROWS, batches, roll_out
from neuralos.evaluation.scoring import ORDER, Scores
from neuralos.evaluation.shelf import Shelf, default_cache
from neuralos.evaluation.suite import load_suite
from neuralos.evaluation.tasks import TASKS
from neuralos.models.simulator import Simulator
from neuralos.shapes import Screen

MODEL, COPY_LAST, FROZEN_FIRST, CEILING = "model", "copy_last", "frozen_first", "ceiling"
REPLAY_FLOOR = "replay_floor"
"""Another replay of the same events on the real desktop, where there is one."""
PREDICTORS = (MODEL, COPY_LAST, FROZEN_FIRST, CEILING)

Progress = Callable[[str, int, int], None]
"""Told what is going on, how much is done, and of how much."""


def _silent(what: str, done: int, total: int) -> None:
    """Tell nobody."""


class Source(Protocol):
    """Where the passages of an evaluation come from."""

    name: str

    @property
    def lengths(self) -> Sequence[int]:
        """How many frames of each passage are generated."""
        ...

    def passage(self, number: int) -> Passage:
        """Return a passage."""
        ...


Watcher = Callable[[Passage, Mapping[str, Frames]], None]
"""Shown each passage with what every predictor drew."""


@dataclass(slots=True)
class Evaluation:
    """The scores of a simulator and of its baselines.

    ``majority`` is the most frequent kind of transition and its share, where kinds are known;
    ``frame_ms`` are the
    CPU milliseconds of each frame of one passage drawn alone.
    """

    name: str
    seed: int
    majority: tuple[str, float | None]
    scores: dict[str, Scores] = field(default_factory=dict)
    frame_ms: list[float] = field(default_factory=list)

    def measures(self) -> dict[str, dict[str, Any]]:
        """Return an object for each measure: what each predictor got, ``n``, intervals."""
        found: dict[str, dict[str, Any]] = {}
        for name in sorted(self.scores[MODEL].sheet.measures, key=_place):
            estimates = {
                predictor: scores.sheet.estimate(name, self.seed)
                for predictor, scores in self.scores.items()
            }
            model = estimates.pop(MODEL)
            if model is not None:
                found[name] = self._measure(name, model, estimates)
        return found

    def kinds(self) -> dict[str, dict[str, Any]]:
        """Return, for each kind of transition, how many there are and who got them right."""
        return {
            kind: {
                "n": len(right),
                **{
                    predictor: float(np.mean(scores.kinds[kind]))
                    for predictor, scores in self.scores.items()
                    if kind in scores.kinds
                },
            }
            for kind, right in sorted(self.scores[MODEL].kinds.items())
        }

    def _measure(
        self, name: str, model: Estimate, baselines: Mapping[str, Estimate | None]
    ) -> dict[str, Any]:
        known = {predictor: one for predictor, one in baselines.items() if one is not None}
        return {
            MODEL: model.value,
            **{predictor: one.value for predictor, one in known.items()},
            "majority": self.majority[1] if name == "transitions" else None,
            "n": model.n,
            "ci95": model.interval,
            "baseline_ci95": {predictor: one.interval for predictor, one in known.items()},
        }


def _place(measure: str) -> tuple[int, int, str]:
    """Return where a measure is told: those of ``ORDER`` first, then by step and name."""
    if measure in ORDER:
        return ORDER.index(measure), 0, ""
    name, _, step = measure.partition("@")
    return len(ORDER), int(step or 0), name


def evaluate(
    simulator: Simulator,
    source: Source,
    *,
    seed: int = 0,
    progress: Progress = _silent,
    watch: Watcher | None = None,
) -> Evaluation:
    """Roll a simulator out on every passage of a source and score it beside the baselines.

    Args:
        simulator: what is evaluated; its autoencoder gives the ceiling.
        source: the passages.
        seed: of the simulator's noise and of the bootstrap.
        progress: told how far it is.
        watch: shown every rollout.

    Raises:
        SuiteMismatch: the desktop no longer gives what the suite was fixed with.
    """
    simulator.eval()
    predictors: dict[str, Predictor] = {
        MODEL: Simulated(simulator, seed),
        COPY_LAST: CopyLast(),
        FROZEN_FIRST: CopyLast(0),
        CEILING: Recited(simulator.autoencoder),
    }
    book = _book(source, progress)
    evaluation = Evaluation(source.name, seed, book.majority)
    done, total = 0, sum(source.lengths)
    for batch in batches(source.lengths, rows_at_once(simulator.screen)):
        passages = [source.passage(number) for number in batch]
        drawn = {name: roll_out(predictor, passages) for name, predictor in predictors.items()}
        for row, shown in enumerate(passages):
            passage = shown.compared()
            frames = {
                name: compared_frames(drawn[name][row], shown.reduction) for name in predictors
            }
            if passage.twin is not None:
                frames[REPLAY_FLOOR] = passage.twin[passage.warm :]
            for name, generated in frames.items():
                evaluation.scores.setdefault(name, Scores()).score(passage, generated, book)
            if watch is not None:
                watch(passage, frames)
            done += passage.generated
            progress("rollouts", done, total)
    evaluation.frame_ms = frame_times(simulator, source.passage(0), seed)
    return evaluation


def _book(source: Source, progress: Progress) -> QuestionBook:
    book = OutcomeBook()
    for number in range(len(source.lengths)):
        passage = source.passage(number).compared()
        if passage.group not in TASKS:
            book.add(passage)
        progress("passages", number + 1, len(source.lengths))
    return book.questions()


def rows_at_once(screen: Screen) -> int:
    """Return how many passages are drawn at once: fewer of larger frames, which all stay."""
    larger = max(1, COMPARED_REDUCTION // screen.reduction) ** 2
    return max(1, ROWS // larger)


def frame_times(simulator: Simulator, passage: Passage, seed: int) -> list[float]:
    """Return the CPU milliseconds of each generated frame of a passage drawn alone."""
    predictor = Simulated(simulator, seed)
    predictor.begin([passage])
    times_ms = []
    for t in range(passage.warm, len(passage.frames)):
        before_s = process_time()
        predictor.draw(passage.actions[t][None], passage.keys[t][None])
        times_ms.append(1000 * (process_time() - before_s))
    return times_ms


class SuiteSource:
    """The passages of a suite, from a shelf."""

    def __init__(self, shelf: Shelf) -> None:
        self.name = shelf.suite.name
        self._shelf = shelf

    @property
    def lengths(self) -> Sequence[int]:
        """How many frames of each episode are generated."""
        return [episode.frames - episode.warm for episode in self._shelf.suite.episodes]

    def passage(self, number: int) -> Passage:
        """Return the passage of an episode."""
        return self._shelf.passage(self._shelf.suite.episodes[number])


def evaluate_suite(
    simulator: Simulator,
    suite: str = "basic-v1",
    *,
    each: int | None = None,
    seed: int = 0,
    cache: Path | None = None,
    progress: Progress = _silent,
    watch: Watcher | None = None,
) -> Evaluation:
    """Evaluate a simulator on a suite that is part of the package.

    Args:
        simulator: what is evaluated.
        suite: name of the suite.
        each: take only so many episodes of each group: quick, and no result to report.
        seed: of the noise and the bootstrap.
        cache: where the passages are kept; the user's cache folder if not given.
        progress: told how far it is.
        watch: shown every rollout.

    Raises:
        UnknownSuite: there is none of that name.
        SuiteMismatch: the desktop no longer gives what the suite was fixed with.
    """
    chosen = load_suite(suite)
    if each is not None:
        chosen = chosen.part(each)
    source = SuiteSource(Shelf(chosen, simulator.screen, cache or default_cache()))
    return evaluate(simulator, source, seed=seed, progress=progress, watch=watch)
