"""What every task offers."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from data_collection.users.hand import Gesture, Hand
from data_collection.users.view import View


class Task(Protocol):
    """One thing to get done; ``next`` looks at the screen again after each gesture."""

    @property
    def goal(self) -> str:
        """The task in a few words."""
        ...

    def reached(self, view: View) -> bool:
        """Say whether it is done."""
        ...

    def next(self, view: View, hand: Hand, rng: np.random.Generator) -> Gesture:
        """Return the next gesture towards the goal; never an empty one."""
        ...
