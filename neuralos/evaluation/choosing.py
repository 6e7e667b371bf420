"""How the episodes of ``basic-v1`` were chosen; prints the suite, the same each time.

``python -m neuralos.evaluation.choosing > neuralos/evaluation/basic_v1.json``
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice

from data_collection.desktops.scripted import ScriptedConfig
from neuralos.evaluation.episode import EXPLORER, TASK_USER, Episode, Stage, Tick, sit
from neuralos.evaluation.events import TaskEvent, task_events
from neuralos.evaluation.film import film
from neuralos.evaluation.suite import LEAST_SEED, Suite, dump_suite
from neuralos.evaluation.tasks import TASKS, TaskJudge, task_length
from neuralos.evaluation.transitions import change_between
from neuralos.keyed import numpy_generator

KINDS = (
    "open_home", "open_trash", "open_terminal", "launch_browser", "open_folder", "create_folder",
    "drag_window", "resize_window", "maximise_window", "minimise_window", "restore_window",
    "close_window", "type_in_terminal", "browse",
)  # fmt: skip
WARM = 16
_GENERAL, _LONG, _EACH_TASK = 40, 8, 24
_SITTING_TICKS = 700
_LATEST_START = 300
_LEAD_TICKS = (3, 13)
"""A task's first generated frame lies so many ticks before its decisive input."""


def choose() -> Suite:
    """Return the suite ``basic-v1``."""
    stage = Stage(ScriptedConfig(), KINDS)
    chosen = [
        *choose_passages("general", _GENERAL, 64, LEAST_SEED, stage),
        *choose_passages("long", _LONG, 256, LEAST_SEED + 1000, stage),
        *choose_tasks(_EACH_TASK, LEAST_SEED + 2000, stage),
    ]
    episodes = tuple(replace(one, digest=film(one, stage)[1]) for one in chosen)
    return Suite("basic-v1", stage.config, stage.kinds, episodes)


def choose_passages(
    group: str, count: int, generated: int, seed: int, stage: Stage
) -> Iterator[Episode]:
    """Yield stretches of what users do, two of three by a task user."""
    for number in range(count):
        rng = numpy_generator(seed + number, "start")
        user = EXPLORER if number % 3 == 2 else TASK_USER
        episode = Episode(
            id=f"{group}-{number:02d}",
            group=group,
            user=user,
            seed=seed + number,
            start=0,
            frames=WARM + generated,
            warm=WARM,
        )
        ticks = list(islice(sit(episode, stage), _LATEST_START + 100))
        start = int(rng.integers(_LATEST_START))
        while not knowable(ticks[start]):
            start += 1
        yield replace(episode, start=start)


def choose_tasks(
    each: int, seed: int, stage: Stage, tasks: Sequence[str] = TASKS
) -> Iterator[Episode]:
    """Yield ``each`` episodes of every task, at most one of a task from a sitting."""
    found: dict[str, list[Episode]] = {task: [] for task in tasks}
    while any(len(episodes) < each for episodes in found.values()):
        sitting = Episode("", "", TASK_USER, seed, 0, 0, warm=WARM)
        ticks = list(islice(sit(sitting, stage), _SITTING_TICKS))
        events = task_events(ticks)
        for task in [task for task in tasks if len(found[task]) < each]:
            rng = numpy_generator(seed, "task", task)
            mine = [event for event in events if event.task == task]
            for index in rng.permutation(len(mine)):
                lead = int(rng.integers(*_LEAD_TICKS))
                name = f"{task}-{len(found[task]):02d}"
                episode = _episode(sitting, name, mine[int(index)], lead, ticks)
                if episode and _clear(episode, stage):
                    found[task].append(episode)
                    break
        seed += 1
    for task in tasks:
        yield from found[task]


def _episode(
    sitting: Episode, name: str, event: TaskEvent, lead: int, ticks: Sequence[Tick]
) -> Episode | None:
    """Return the episode around an event; None where its start is not fit."""
    first = event.decisive - lead
    start = first - WARM
    if start < 0 or not knowable(ticks[start]):
        return None
    calm = range(first, event.decisive)
    if any(change_between(ticks[at - 1].state, ticks[at].state) for at in calm):
        return None
    return replace(
        sitting,
        id=name,
        group=event.task,
        start=start,
        frames=WARM + task_length(event.event - first + 1),
        until=event.event,
        decisive=event.decisive,
        event=event.event,
    )


def knowable(tick: Tick) -> bool:
    """Say whether nothing is under way that began before: a launch or a drag."""
    return not tick.state["launching"] and not tick.state["dragging"]


def _clear(episode: Episode, stage: Stage) -> bool:
    """Say whether the event can be told, and the real frames pass."""
    passage, _ = film(episode, stage)
    judge = TaskJudge.of(passage)
    return judge.possible and judge.judge(passage.real).success


if __name__ == "__main__":
    sys.stdout.write(dump_suite(choose()))
