"""All measures of one predictor on one passage."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from neuralos.data.encode import Frames
from neuralos.evaluation.cursor import cursor_errors
from neuralos.evaluation.frame_quality import contrast, squared_error, ssim_map
from neuralos.evaluation.intervals import Sheet
from neuralos.evaluation.outcomes import QuestionBook
from neuralos.evaluation.passage import Passage
from neuralos.evaluation.tasks import TASKS, TaskJudge, Verdict

GENERAL, LONG = "general", "long"
STEPS = (1, 8, 32, 64, 256)
WITHIN_PX = 2.0
_LAST_FRAMES = 16
_UPRIGHT = (0.6, 1.67)
"""Contrast of a rollout that has not collapsed, as a share of the real frames'."""

ORDER = (
    "cursor_within_2px", "cursor_error_px", "transitions", "tasks", "tasks_early",
    *(f"task_{task}" for task in TASKS), "psnr_changed", "psnr", "no_collapse@256",
    "cursor_within_2px@long", "cursor_error_px@long", "psnr_changed@long", "psnr@long",
)  # fmt: skip
"""In which order measures are told; those at a step come after these."""

Curve = npt.NDArray[np.float64]


@dataclass(slots=True)
class Scores:
    """What one predictor got: the sheet, the verdicts of tasks, and error against time.

    ``curves`` holds, for each passage that is no task, the squared error of each generated
    frame; ``changed_curves`` the same over the pixels that differ from the last known frame.
    """

    sheet: Sheet = field(default_factory=Sheet)
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    curves: dict[str, Curve] = field(default_factory=dict)
    changed_curves: dict[str, Curve] = field(default_factory=dict)
    kinds: dict[str, list[bool]] = field(default_factory=dict)
    """Whether each transition of a kind came out right."""

    def score(self, passage: Passage, generated: Frames, book: QuestionBook) -> None:
        """Take in the generated frames (G, Y, P, 3) of a passage."""
        if passage.group in TASKS:
            self._score_task(passage, generated)
            return
        long = passage.group == LONG
        errors_px = cursor_errors(passage, generated)
        suffix = "@long" if long else ""
        within = np.where(np.isnan(errors_px), np.nan, errors_px <= WITHIN_PX)
        self.sheet.add(f"cursor_error_px{suffix}", passage.id, errors_px)
        self.sheet.add(f"cursor_within_2px{suffix}", passage.id, within)
        self._score_transitions(passage, generated, book)
        self._score_quality(passage, generated, suffix)
        if long:
            self.sheet.add("no_collapse@256", passage.id, upright(passage.real, generated))

    def _score_task(self, passage: Passage, generated: Frames) -> None:
        verdict = TaskJudge.of(passage).judge(generated)
        self.verdicts[passage.id] = verdict
        self.sheet.add(f"task_{passage.group}", passage.id, verdict.success)
        self.sheet.add("tasks", passage.id, verdict.success)
        self.sheet.add("tasks_early", passage.id, verdict.early)

    def _score_transitions(self, passage: Passage, generated: Frames, book: QuestionBook) -> None:
        for question in book.of(passage):
            right = question.answered(generated[question.judged - passage.warm])
            self.sheet.add("transitions", passage.id, right)
            self.kinds.setdefault(question.kind, []).append(right)

    def _score_quality(self, passage: Passage, generated: Frames, suffix: str) -> None:
        known = passage.frames[passage.warm - 1]
        errors = np.stack(
            [squared_error(a, b) for a, b in zip(generated, passage.real, strict=True)]
        )
        changed = (passage.real != known).any(-1)
        self.sheet.add(f"psnr{suffix}", passage.id, errors.mean((1, 2)))
        self.sheet.add(f"psnr_changed{suffix}", passage.id, errors[changed])
        self.curves[passage.id] = errors.mean((1, 2))
        counts = changed.sum((1, 2))
        sums = np.where(changed, errors, 0.0).sum((1, 2))
        self.changed_curves[passage.id] = np.where(counts, sums / np.maximum(counts, 1), np.nan)
        for step in STEPS:
            index = step - 1
            if index >= len(generated):
                continue
            likeness = ssim_map(generated[index], passage.real[index])
            self.sheet.add(f"psnr@{step}", passage.id, errors[index].mean())
            self.sheet.add(f"psnr_changed@{step}", passage.id, errors[index][changed[index]])
            self.sheet.add(f"ssim@{step}", passage.id, likeness.mean())
            self.sheet.add(f"ssim_changed@{step}", passage.id, likeness[changed[index]])


def upright(real: Frames, generated: Frames) -> bool:
    """Say whether a long rollout still looks like a screen at its end.

    Over the last 16 frames its contrast is near that of the real frames, and its error below
    that of a frame of the real mean colour.
    """
    shown, drawn = real[-_LAST_FRAMES:], generated[-_LAST_FRAMES:]
    ratio = float(contrast(drawn).mean() / max(1e-9, contrast(shown).mean()))
    spread = float(np.square(shown - shown.mean((1, 2), keepdims=True)).mean())
    error = float(squared_error(drawn, shown).mean())
    return _UPRIGHT[0] <= ratio <= _UPRIGHT[1] and error < spread
