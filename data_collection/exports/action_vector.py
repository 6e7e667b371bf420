"""An action as a vector of fixed length, for formats that know numbers only."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from data_collection.action import Action

KEY_SCANCODES = (*range(4, 102), *range(224, 232))
"""The keys of a full keyboard by SDL scancode: letters to menu key, then the modifiers."""
_PLACE = {scancode: place for place, scancode in enumerate(KEY_SCANCODES)}

NAMES = (
    "x_px",
    "y_px",
    "held_left",
    "held_middle",
    "held_right",
    "clicked_left",
    "clicked_middle",
    "clicked_right",
    "clicks",
    "wheel_dy",
    *(f"key_{scancode}" for scancode in KEY_SCANCODES),
    "other_keys",
)
"""What each element is: pixels, 0 or 1 for buttons and keys, counts for the rest."""


def action_vector(action: Action) -> npt.NDArray[np.float32]:
    """Return an action as float32, (len(NAMES),): a key is 1 if held or pressed."""
    keys = np.zeros(len(KEY_SCANCODES), np.float32)
    others = 0
    for scancode in action.keys:
        place = _PLACE.get(scancode)
        if place is None:
            others += 1
        else:
            keys[place] = 1
    pointer = (action.x_px, action.y_px, *action.held, *action.clicked)
    head = (*pointer, action.clicks, action.wheel_dy)
    return np.concatenate((np.array(head, np.float32), keys, np.array([others], np.float32)))
