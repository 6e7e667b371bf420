"""Evaluation by rollout on a held-out scripted sitting, beside copying the last frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from data_collection.action import Action, fold
from data_collection.desktops.scripted import ScriptedDesktop
from data_collection.events import Event
from data_collection.users.hand import Gesture, Hand
from neuralos.evaluation.cursor import cursor_errors
from neuralos.evaluation.episode import Tick
from neuralos.evaluation.film import Film
from neuralos.evaluation.frame_quality import psnr_db, squared_error
from neuralos.evaluation.passage import Passage
from neuralos.evaluation.predictor import Simulated
from neuralos.evaluation.rollouts import roll_out
from neuralos.evaluation.scoring import WITHIN_PX
from neuralos.keyed import numpy_generator
from neuralos.models.simulator import Simulator
from neuralos.rollout import Frames
from neuralos.shapes import Screen
from neuralos.training.config import EvaluationConfig


@dataclass(frozen=True, slots=True)
class Evaluated:
    """Numbers of a rollout, and the frames to show: real and generated (N, Y, P, 3)."""

    measures: Mapping[str, float]
    real: Frames
    generated: Frames


def held_out_passage(config: EvaluationConfig, screen: Screen) -> Passage:
    """Return a sitting that no training data hold: Home is opened, and closed again."""
    desktop, film = ScriptedDesktop(), Film(screen)
    frame = desktop.reset(config.seed)
    rng = numpy_generator(config.seed, "held-out")
    hand = Hand(rng, desktop.width_px, desktop.height_px)
    cursor = desktop.state()["cursor"]
    action = Action(x_px=cursor["x_px"], y_px=cursor["y_px"])
    film.add(Tick((), action, frame, desktop.bare_frame, desktop.state()))
    hand.find(cursor["x_px"], cursor["y_px"])
    for events in _sitting(hand, desktop, config):
        action = fold(events, action)
        frame = desktop.step(events)
        film.add(Tick(tuple(events), action, frame, desktop.bare_frame, desktop.state()))
    return film.passage("held-out", "general", config.warm_frames, Action())


def evaluate_rollout(simulator: Simulator, passage: Passage, config: EvaluationConfig) -> Evaluated:
    """Generate the passage from its actions alone and measure how true that is."""
    (generated,) = roll_out(Simulated(simulator, config.seed), [passage])
    real = passage.real
    last = np.broadcast_to(passage.frames[passage.warm - 1], real.shape)
    errors_px = cursor_errors(passage, generated)
    errors_px = errors_px[~np.isnan(errors_px)]
    measures = {
        "cursor_error_px": float(errors_px.mean()) if errors_px.size else 0.0,
        "cursor_within_2px": float((errors_px <= WITHIN_PX).mean()) if errors_px.size else 1.0,
        "changed_psnr_db": changed_psnr(real, generated, last),
        "copy_last_psnr_db": changed_psnr(real, last, last),
    }
    return Evaluated(measures, real, generated)


def changed_psnr(real: Frames, generated: Frames, last: Frames) -> float:
    """Return the PSNR in dB over the pixels that ever differ from the last known frame."""
    changed = (real != last).any(-1)
    if not changed.any():
        return float(psnr_db(0.0))
    return float(psnr_db(float(squared_error(generated[changed], real[changed]).mean())))


def _sitting(
    hand: Hand, desktop: ScriptedDesktop, config: EvaluationConfig
) -> Sequence[list[Event]]:
    """Return the events of every frame after the first."""
    x_px, y_px, width_px, height_px = desktop.state()["icons"][0]["rect"]
    gesture: Gesture = hand.move(300, 250)
    gesture += hand.move(x_px + width_px // 2, y_px + height_px // 2)
    gesture += hand.double_click() + hand.rest(4)
    gesture += hand.move(350, 300) + hand.move(200, 200) + hand.move(400, 120)
    wanted = config.warm_frames + config.frames - 1
    gesture += hand.rest(max(0, wanted - len(gesture)))
    return gesture[:wanted]
