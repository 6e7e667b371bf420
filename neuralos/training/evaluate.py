"""Evaluation by rollout on a held-out scripted sitting, beside copying the last frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from data_collection.action import Action, fold
from data_collection.desktops.scripted import ScriptedDesktop
from data_collection.events import Event
from data_collection.users.hand import Gesture, Hand
from neuralos.data.encode import encode_action, encode_keys, reduce_frames
from neuralos.keyed import numpy_generator
from neuralos.models.simulator import Simulator
from neuralos.rollout import Frames, Recording, rollout
from neuralos.shapes import Screen
from neuralos.training.config import EvaluationConfig


@dataclass(frozen=True, slots=True)
class Evaluated:
    """Numbers of a rollout, and the frames to show: real and generated (N, Y, P, 3)."""

    measures: Mapping[str, float]
    real: Frames
    generated: Frames


def held_out_recording(config: EvaluationConfig, screen: Screen) -> Recording:
    """Return a sitting that no training data hold: Home is opened, and closed again."""
    desktop = ScriptedDesktop()
    frames = [desktop.reset(config.seed)]
    rng = numpy_generator(config.seed, "held-out")
    hand = Hand(rng, desktop.width_px, desktop.height_px)
    cursor = desktop.state()["cursor"]
    action = Action(x_px=cursor["x_px"], y_px=cursor["y_px"])
    actions, keys = [encode_action(action)], [encode_keys(action, Action())]
    hand.find(cursor["x_px"], cursor["y_px"])
    for events in _sitting(hand, desktop, config):
        previous, action = action, fold(events, action)
        frames.append(desktop.step(events))
        actions.append(encode_action(action))
        keys.append(encode_keys(action, previous))
    return Recording(reduce_frames(np.stack(frames), screen), np.stack(actions), np.stack(keys))


def evaluate_rollout(
    simulator: Simulator, recording: Recording, config: EvaluationConfig
) -> Evaluated:
    """Generate the recording from its actions alone and measure how true that is."""
    generated = rollout(simulator, recording, config.warm_frames, config.seed)
    real = recording.frames[config.warm_frames :]
    last = np.broadcast_to(recording.frames[config.warm_frames - 1], real.shape)
    positions = recording.actions[config.warm_frames :, :2] / np.float32(simulator.screen.reduction)
    errors_px = cursor_errors(real, generated, positions)
    measures = {
        "cursor_error_px": float(errors_px.mean()),
        "cursor_within_2px": float((errors_px <= 2).mean()),
        "changed_psnr_db": changed_psnr(real, generated, last),
        "copy_last_psnr_db": changed_psnr(real, last, last),
    }
    return Evaluated(measures, real, generated)


def changed_psnr(real: Frames, generated: Frames, last: Frames) -> float:
    """Return the PSNR in dB over the pixels that ever differ from the last known frame."""
    changed = (real != last).any(-1)
    difference = generated[changed].astype(np.float64) - real[changed]
    return float(10 * np.log10(255**2 / max(1e-9, np.square(difference).mean())))


_SEARCH_PX = 4
_LOOK_WIDTH_PX, _LOOK_HEIGHT_PX = 5, 6


def cursor_errors(
    real: Frames, generated: Frames, positions: npt.NDArray[np.float32]
) -> npt.NDArray[np.float64]:
    """Return per frame how far off the cursor was drawn, in simulated pixels, at most 4.

    The look around the true pointer is sought nearby in the generated frame; where it is
    nowhere to be found, the error is 4.
    """
    return np.array(
        [
            _cursor_error(true, drawn, round(float(x)), round(float(y)))
            for true, drawn, (x, y) in zip(real, generated, positions, strict=True)
        ]
    )


def _cursor_error(true: Frames, drawn: Frames, x_px: int, y_px: int) -> float:
    reach = _SEARCH_PX + 1
    wide = [(reach, reach + _LOOK_HEIGHT_PX), (reach, reach + _LOOK_WIDTH_PX), (0, 0)]
    padded_true = np.pad(true.astype(np.float64), wide, mode="edge")
    padded_drawn = np.pad(drawn.astype(np.float64), wide, mode="edge")
    look = _look(padded_true, x_px + reach - 1, y_px + reach - 1)
    best, error = 0.5 * float(np.square(look).sum()) + 1e-6, float(_SEARCH_PX)
    for dy in range(-_SEARCH_PX, _SEARCH_PX + 1):
        for dx in range(-_SEARCH_PX, _SEARCH_PX + 1):
            found = _look(padded_drawn, x_px + reach - 1 + dx, y_px + reach - 1 + dy)
            distance = float(np.square(found - look).sum())
            if distance < best:
                best, error = distance, min(float(np.hypot(dx, dy)), float(_SEARCH_PX))
    return error


def _look(frame: npt.NDArray[np.float64], left_px: int, top_px: int) -> npt.NDArray[np.float64]:
    look = frame[top_px : top_px + _LOOK_HEIGHT_PX, left_px : left_px + _LOOK_WIDTH_PX]
    centred: npt.NDArray[np.float64] = look - np.median(look, axis=(0, 1))
    return centred


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
