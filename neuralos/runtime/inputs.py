"""What reaches a simulator of the inputs that people and programs send, however odd."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np

from data_collection.action import Action
from data_collection.trace import FPS
from neuralos.data.encode import (
    ACTION_SIZE,
    KEY_SLOTS,
    KEY_TABLE,
    PERIODS,
    WHEEL,
    WHEEL_MOST,
    Floats,
    Keys,
    encode_action,
    encode_keys,
)
from neuralos.shapes import SCREEN_HEIGHT_PX, SCREEN_WIDTH_PX

POSITION_CLAMPED = "position_clamped"
WHEEL_CLAMPED = "wheel_clamped"
NUMBER_CLAMPED = "number_clamped"
NUMBER_UNREADABLE = "number_unreadable"
KEY_UNKNOWN = "key_unknown"
"""Names of counters: what was put right."""

_MOST_PERIODS = FPS
"""A frame that stands for more than a second is none that was ever trained on."""

_LOWEST = np.zeros(ACTION_SIZE, dtype=np.float32)
_HIGHEST = np.ones(ACTION_SIZE, dtype=np.float32)
_HIGHEST[:2] = SCREEN_WIDTH_PX - 1, SCREEN_HEIGHT_PX - 1
_LOWEST[WHEEL], _HIGHEST[WHEEL] = -WHEEL_MOST, WHEEL_MOST
_HIGHEST[PERIODS] = _MOST_PERIODS


@dataclass(frozen=True, slots=True)
class Controls:
    """The input of one frame: ``action`` (A,) and ``keys`` (K,), as models read them."""

    action: Floats
    keys: Keys


NO_CONTROLS = Controls(np.zeros(ACTION_SIZE, dtype=np.float32), np.zeros(KEY_SLOTS, dtype=np.int64))


def usable_action(action: Action, counters: Counter[str]) -> Action:
    """Return an action within the screen, its wheel within limits, without unknown keys.

    Args:
        action: as events were folded.
        counters: count what was put right.
    """
    x_px = max(0, min(SCREEN_WIDTH_PX - 1, action.x_px))
    y_px = max(0, min(SCREEN_HEIGHT_PX - 1, action.y_px))
    wheel_dy = max(-WHEEL_MOST, min(WHEEL_MOST, action.wheel_dy))
    unknown = {key for key in action.keys | action.keys_held if not 0 < key < KEY_TABLE}
    counters[POSITION_CLAMPED] += (x_px, y_px) != (action.x_px, action.y_px)
    counters[WHEEL_CLAMPED] += wheel_dy != action.wheel_dy
    counters[KEY_UNKNOWN] += len(unknown)
    return replace(
        action,
        x_px=x_px,
        y_px=y_px,
        wheel_dy=wheel_dy,
        keys=action.keys - unknown,
        keys_held=action.keys_held - unknown,
    )


def controls_of(action: Action, previous: Action) -> Controls:
    """Return the input that an action is after the one before."""
    return Controls(encode_action(action), encode_keys(action, previous))


def usable(controls: Controls, previous: Floats, counters: Counter[str]) -> Controls:
    """Return an input that models can read, whatever numbers it came with.

    Args:
        controls: the input.
        previous: the action of the frame before, for numbers that cannot be read.
        counters: count what was put right.

    Raises:
        ValueError: it is not of an input's shape.
    """
    action, keys = controls.action, controls.keys
    if action.shape != (ACTION_SIZE,) or keys.shape != (KEY_SLOTS,):
        raise ValueError(
            f"an input of shapes {action.shape} and {keys.shape}, "
            f"not ({ACTION_SIZE},) and ({KEY_SLOTS},)"
        )
    unknown = (keys < 0) | (keys >= KEY_TABLE)
    if unknown.any():
        counters[KEY_UNKNOWN] += int(unknown.sum())
        keys = np.where(unknown, 0, keys)
    if not is_usable(action):
        action = _within(action, previous, counters)
    return Controls(action, keys)


def is_usable(actions_NA: Floats) -> bool:
    """Return whether actions are within what models can read; NaN is not."""
    return bool(((actions_NA >= _LOWEST) & (actions_NA <= _HIGHEST)).all())


def _within(action: Floats, previous: Floats, counters: Counter[str]) -> Floats:
    unreadable = np.isnan(action)
    counters[NUMBER_UNREADABLE] += int(unreadable.sum())
    action = np.where(unreadable, previous, action)
    clamped: Floats = np.clip(action, _LOWEST, _HIGHEST)
    moved = clamped != action
    counters[POSITION_CLAMPED] += bool(moved[:2].any())
    counters[WHEEL_CLAMPED] += bool(moved[WHEEL])
    counters[NUMBER_CLAMPED] += int(moved[2:].sum()) - bool(moved[WHEEL])
    return clamped
