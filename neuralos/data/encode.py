"""From desktop pixels and actions to what the models read."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from data_collection.action import Action
from neuralos.shapes import SCREEN_HEIGHT_PX, SCREEN_WIDTH_PX, Screen

ACTION_SIZE = 11
"""x and y in screen pixels, three buttons held, three clicked, wheel notches, double click, and
the frame periods since the frame before: 1 unless frames were left out."""

HELD, CLICKED, WHEEL, DOUBLE, PERIODS = slice(2, 5), slice(5, 8), 8, 9, 10
"""Where in an action its numbers stand; those before are x and y."""

KEY_SLOTS = 8
"""The first half are keys pressed in this frame, the second half keys held on."""

KEY_TABLE = 512
"""SDL scancodes are below this; 0 is no key."""

WHEEL_MOST = 3
"""Notches of the wheel in one frame, at most."""

TINY_SCREEN = Screen()
"""128×96 pixels, as the configuration ``tiny`` has them."""

Floats = npt.NDArray[np.float32]
Keys = npt.NDArray[np.int64]
Frames = npt.NDArray[np.uint8]


def reduce_frames(
    frames: npt.NDArray[np.uint8], screen: Screen = TINY_SCREEN
) -> npt.NDArray[np.uint8]:
    """Return frames (N, 384, 512, 3) as a simulator sees them, (N, Y, P, 3).

    Each pixel is the rounded mean of ``reduction`` × ``reduction``.

    Raises:
        ValueError: the frames have another size.
    """
    count, reduction = len(frames), screen.reduction
    height_px, width_px = screen.height_px, screen.width_px
    wanted = (count, SCREEN_HEIGHT_PX, SCREEN_WIDTH_PX, 3)
    if frames.shape != wanted:
        raise ValueError(f"frames of shape {frames.shape}, not {wanted}")
    if reduction == 1:
        return frames
    rows = frames.reshape(count, height_px, reduction, -1)
    lines = np.zeros((count, height_px, rows.shape[3]), dtype=np.uint16)
    for index in range(reduction):
        lines += rows[:, :, index]
    columns = lines.reshape(count, height_px, width_px, reduction, 3)
    blocks = np.full((count, height_px, width_px, 3), reduction**2 // 2, dtype=np.uint16)
    for index in range(reduction):
        blocks += columns[:, :, :, index]
    return (blocks // reduction**2).astype(np.uint8)


def enlarge_frame(
    frame: npt.NDArray[np.uint8], screen: Screen = TINY_SCREEN
) -> npt.NDArray[np.uint8]:
    """Return a frame (Y, P, 3) at 512×384, each pixel repeated ``reduction``² times."""
    if screen.reduction == 1:
        return frame
    return frame.repeat(screen.reduction, 0).repeat(screen.reduction, 1)


def encode_action(action: Action, periods: float = 1.0) -> Floats:
    """Return the numbers of an action, (A,).

    Args:
        action: what happened.
        periods: within how many frame periods of 1/15 s it did.
    """
    wheel = max(-WHEEL_MOST, min(WHEEL_MOST, action.wheel_dy))
    numbers = (action.x_px, action.y_px, *action.held, *action.clicked)
    return np.array((*numbers, wheel, action.clicks == 2, periods), dtype=np.float32)


def encode_keys(action: Action, previous: Action) -> Keys:
    """Return the key slots of an action, (K,): pressed just now, then held on."""
    slots = np.zeros(KEY_SLOTS, dtype=np.int64)
    half = KEY_SLOTS // 2
    pressed = sorted(action.keys - previous.keys_held)[:half]
    held = sorted(action.keys & previous.keys_held)[:half]
    slots[: len(pressed)] = [key % KEY_TABLE for key in pressed]
    slots[half : half + len(held)] = [key % KEY_TABLE for key in held]
    return slots
