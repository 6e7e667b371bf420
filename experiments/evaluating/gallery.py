"""Pictures of rollouts beside the real frames, and of where on the screen they differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from neuralos.data.encode import Frames
from neuralos.evaluation.evaluation import COPY_LAST, MODEL
from neuralos.evaluation.passage import Passage
from neuralos.evaluation.scoring import GENERAL, LONG
from neuralos.evaluation.tasks import TASKS, TaskJudge, Verdict

COLUMNS = 10
_WIDTH_PX = 128
_GAP_PX, _LABEL_PX, _SIDE_PX = 3, 14, 64
_PAPER, _INK, _MARK = (255, 255, 255), (60, 60, 60), (196, 40, 40)
_HEAT = np.array(
    [(0, 0, 4), (66, 10, 104), (147, 38, 103), (221, 81, 58), (252, 165, 10), (252, 255, 164)],
    dtype=np.float64,
)
"""From no difference to the largest."""
_SHOWN_PASSAGES = {GENERAL: 3, LONG: 1}


@dataclass(frozen=True, slots=True)
class Strip:
    """A picture of one episode: real frames, generated ones, their difference."""

    id: str
    caption: str
    picture: Image.Image


@dataclass(slots=True)
class Heat:
    """Sums over the frames of a screen, pixel by pixel."""

    frames: int = 0
    changed: npt.NDArray[np.float64] | None = None
    model: npt.NDArray[np.float64] | None = None
    copy_last: npt.NDArray[np.float64] | None = None

    def add(self, passage: Passage, drawn: Mapping[str, Frames]) -> None:
        """Take in a passage's generated frames."""
        known = passage.frames[passage.warm - 1]
        sums = {"changed": (passage.real != known).any(-1).sum(0).astype(np.float64)}
        for name in (MODEL, COPY_LAST):
            difference = drawn[name].astype(np.float32) - passage.real
            sums[name] = np.square(difference).mean(-1).sum(0, dtype=np.float64)
        for name, one in sums.items():
            before = getattr(self, name)
            setattr(self, name, one if before is None else before + one)
        self.frames += passage.generated

    def pictures(self) -> list[tuple[str, Image.Image]]:
        """Return where the screen changed, and the errors of the model and of copying."""
        if self.changed is None or self.model is None or self.copy_last is None:
            return []
        model, copied = (np.sqrt(one / self.frames) for one in (self.model, self.copy_last))
        most = max(float(model.max()), float(copied.max()), 1.0)
        return [
            ("how often each pixel changed (brightest: 100 %)", _heat(self.changed / self.frames)),
            (f"error of the model (brightest: {most:.0f} levels)", _heat(model / most)),
            ("error of copying the last frame (same scale)", _heat(copied / most)),
        ]


@dataclass(slots=True)
class Gallery:
    """Keeps what a page shows: a success and a failure of each task, and some passages."""

    successes: dict[str, Strip] = field(default_factory=dict)
    failures: dict[str, Strip] = field(default_factory=dict)
    passages: dict[str, Strip] = field(default_factory=dict)
    heat: Heat = field(default_factory=Heat)

    def watch(self, passage: Passage, drawn: Mapping[str, Frames]) -> None:
        """Look at what was drawn for a passage."""
        generated = drawn[MODEL]
        if passage.group in TASKS:
            verdict = TaskJudge.of(passage).judge(generated)
            kept = self.successes if verdict.success else self.failures
            # The first of each by name, whatever the order in which they were drawn.
            if passage.group not in kept or passage.id < kept[passage.group].id:
                caption = f"{passage.id}: {told(verdict)}"
                kept[passage.group] = Strip(passage.id, caption, _task_strip(passage, generated))
            return
        if passage.group == GENERAL:
            self.heat.add(passage, drawn)
        self.passages[passage.id] = Strip(passage.id, passage.id, _long_strip(passage, generated))
        mine = sorted(name for name in self.passages if name.startswith(passage.group))
        for name in mine[_SHOWN_PASSAGES[passage.group] :]:
            del self.passages[name]


def told(verdict: Verdict) -> str:
    """Return in a line why a task succeeded or failed."""
    faults = verdict.faults()
    return "success" if verdict.success else "failure: " + ", ".join(faults)


def _task_strip(passage: Passage, generated: Frames) -> Image.Image:
    event, last = passage.event - passage.warm, passage.generated - 1
    fixed = {0, max(0, event - 1), event, last}
    spread = np.linspace(0, last, COLUMNS - 1).round().astype(int).tolist()
    # The frames around the event are always shown; the others are spread over the rest.
    free = [step for step in spread if step not in fixed]
    room = COLUMNS - 1 - len(fixed)
    picked = [free[index * len(free) // room] for index in range(min(room, len(free)))]
    return _strip(passage, generated, sorted({*fixed, *picked}), event)


def _long_strip(passage: Passage, generated: Frames) -> Image.Image:
    steps = np.geomspace(1, passage.generated, COLUMNS - 1).round().astype(int) - 1
    return _strip(passage, generated, sorted(set(steps.tolist())), None)


def _strip(
    passage: Passage, generated: Frames, steps: Sequence[int], event: int | None
) -> Image.Image:
    known = passage.frames[passage.warm - 1]
    rows = {
        "real": [known, *(passage.real[step] for step in steps)],
        "generated": [known, *(generated[step] for step in steps)],
    }
    heats = [_heat(_difference(a, b)) for a, b in zip(rows["real"], rows["generated"], strict=True)]
    labels = ["known", *(f"+{step + 1}" for step in steps)]
    height_px = round(_WIDTH_PX * known.shape[0] / known.shape[1])
    size = (
        _SIDE_PX + len(labels) * (_WIDTH_PX + _GAP_PX),
        _LABEL_PX + 3 * (height_px + _GAP_PX),
    )
    canvas = Image.new("RGB", size, _PAPER)
    draw = ImageDraw.Draw(canvas)
    for column, label in enumerate(labels):
        marked = event is not None and column > 0 and steps[column - 1] == event
        text = f"{label} event" if marked else label
        draw.text(
            (_SIDE_PX + column * (_WIDTH_PX + _GAP_PX) + 2, 1), text, _MARK if marked else _INK
        )
    pictures = [[Image.fromarray(one) for one in row] for row in rows.values()]
    for row, (name, images) in enumerate(
        zip([*rows, "difference"], [*pictures, heats], strict=True)
    ):
        top_px = _LABEL_PX + row * (height_px + _GAP_PX)
        draw.text((2, top_px + height_px // 2 - 6), name, _INK)
        for column, image in enumerate(images):
            fitted = image.resize((_WIDTH_PX, height_px), Image.Resampling.BOX)
            canvas.paste(fitted, (_SIDE_PX + column * (_WIDTH_PX + _GAP_PX), top_px))
    return canvas


def _difference(one: Frames, other: Frames) -> npt.NDArray[np.float64]:
    """Return how much two frames differ at each pixel, from 0 to 1."""
    levels: npt.NDArray[np.float64] = np.abs(one.astype(np.float64) - other).max(-1)
    return levels / 255


def _heat(share: npt.NDArray[np.float64]) -> Image.Image:
    """Return shares from 0 to 1 as colours."""
    place = np.clip(share, 0, 1) * (len(_HEAT) - 1)
    lower = np.minimum(place.astype(int), len(_HEAT) - 2)
    part = (place - lower)[..., None]
    colours = _HEAT[lower] * (1 - part) + _HEAT[lower + 1] * part
    return Image.fromarray(colours.round().astype(np.uint8))
