"""Which of many possible outcomes a generated frame is nearest to after a transition."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from neuralos.data.encode import Frames
from neuralos.evaluation.frame_quality import squared_error
from neuralos.evaluation.passage import COMPARED_REDUCTION, Passage
from neuralos.evaluation.transitions import CHANGE, Transition

_CHANGED_LEVELS = 8
_LEAST_CHANGED_PIXELS = 6
"""On a 128×96 screen: outcomes that differ in fewer pixels look the same."""
_THUMBNAIL_STEP_PX = 16

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the screen looked before a transition and when it had settled, without cursor."""

    kind: str
    passage: str
    judged: int
    before: Frames
    right: Frames


@dataclass(frozen=True, slots=True)
class Question:
    """After a transition: is the generated frame nearest to the right outcome?

    ``judged`` counts from the passage's first frame, ``clear`` is where no cursor can be.
    ``wrong`` are the state before, the other outcomes of the passage, and of each other kind
    of transition (where kinds are unknown: of each other passage) the outcome that began from
    the most similar screen.
    """

    kind: str
    judged: int
    right: Frames
    wrong: tuple[Frames, ...]
    clear: Mask

    def answered(self, drawn: Frames) -> bool:
        """Say whether a frame (Y, P, 3) is nearer to the right outcome than to any other."""
        right = squared_error(drawn, self.right)[self.clear].mean()
        return all(right < squared_error(drawn, one)[self.clear].mean() for one in self.wrong)


@dataclass(frozen=True, slots=True)
class QuestionBook:
    """The questions of each passage, and the share of the most frequent kind."""

    questions: dict[str, tuple[Question, ...]]

    @property
    def majority(self) -> tuple[str, float | None]:
        """The most frequent kind of transition, and its share; neither where kinds are unknown."""
        kinds = Counter(one.kind for questions in self.questions.values() for one in questions)
        if not kinds or CHANGE in kinds:
            return "", None
        kind, count = kinds.most_common(1)[0]
        return kind, count / kinds.total()

    def of(self, passage: Passage) -> tuple[Question, ...]:
        """Return the questions of a passage."""
        return self.questions.get(passage.id, ())


class OutcomeBook:
    """Collects the outcomes of all passages, then asks the questions."""

    def __init__(self) -> None:
        self._outcomes: list[Outcome] = []
        self._clear: list[Mask] = []
        self._least = _LEAST_CHANGED_PIXELS

    def add(self, passage: Passage) -> None:
        """Take in the transitions of a passage that can be seen."""
        scale = COMPARED_REDUCTION / passage.reduction
        self._least = round(_LEAST_CHANGED_PIXELS * scale**2)
        for change in passage.transitions:
            outcome = _outcome(passage, change)
            clear = passage.clear_of_pointer(change.judged)
            if self._differ(outcome.before, outcome.right, clear):
                self._outcomes.append(outcome)
                self._clear.append(clear)

    def questions(self) -> QuestionBook:
        """Return the questions about every transition."""
        found: dict[str, list[Question]] = {}
        for outcome, clear in zip(self._outcomes, self._clear, strict=True):
            wrong = tuple(
                one for one in self._candidates(outcome) if self._differ(one, outcome.right, clear)
            )
            question = Question(outcome.kind, outcome.judged, outcome.right, wrong, clear)
            found.setdefault(outcome.passage, []).append(question)
        return QuestionBook({name: tuple(questions) for name, questions in found.items()})

    def _candidates(self, outcome: Outcome) -> Iterator[Frames]:
        yield outcome.before
        others: dict[str, list[Outcome]] = {}
        for one in self._outcomes:
            if one.passage == outcome.passage and one is not outcome:
                yield one.right
            elif one.passage != outcome.passage:
                # Changes of no known kind are told apart by their passage.
                other = one.passage if one.kind == CHANGE else one.kind
                if other != outcome.kind:
                    others.setdefault(other, []).append(one)
        for same_kind in others.values():
            yield min(same_kind, key=lambda one: _apart(one.before, outcome.before)).right

    def _differ(self, one: Frames, other: Frames, clear: Mask) -> bool:
        differs = np.abs(one.astype(np.int16) - other).max(-1) > _CHANGED_LEVELS
        return int((differs & clear).sum()) >= self._least


def _outcome(passage: Passage, change: Transition) -> Outcome:
    before, right = passage.bare(change.first - 1), passage.bare(change.judged)
    return Outcome(change.kind, passage.id, change.judged, before, right)


def _apart(one: Frames, other: Frames) -> float:
    """Return how unlike two screens are, by every few pixels of them."""
    step = max(1, _THUMBNAIL_STEP_PX * one.shape[1] // 512)
    return float(np.square(one[::step, ::step].astype(np.int32) - other[::step, ::step]).mean())
