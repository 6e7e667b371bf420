"""Who may ask for what: the roles, and the bounds within which a command is accepted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from interactive.commands import Command, Pause, Resume, Stop, UpdateMixture, UpdateOptimizer
from interactive.outcome import Reason, Rejected


class Role(str, Enum):
    """What the bearer of a token may do."""

    VIEWER = "viewer"
    """Reads."""
    AGENT = "agent"
    """Reads, and steers within the policy."""
    OPERATOR = "operator"
    """Reads and steers."""
    ADMIN = "admin"
    """Does everything that a person may do, sending clips included."""
    COLLECTOR = "collector"
    """Sends clips, and nothing else."""
    TRAINER = "trainer"
    """Takes the commands and says how the run stands; nothing else."""


GRANTS: Mapping[Role, frozenset[Role]] = {
    Role.VIEWER: frozenset({Role.VIEWER}),
    Role.AGENT: frozenset({Role.VIEWER, Role.AGENT}),
    Role.OPERATOR: frozenset({Role.VIEWER, Role.AGENT, Role.OPERATOR}),
    Role.ADMIN: frozenset({Role.VIEWER, Role.AGENT, Role.OPERATOR, Role.ADMIN, Role.COLLECTOR}),
    Role.COLLECTOR: frozenset({Role.COLLECTOR}),
    Role.TRAINER: frozenset({Role.TRAINER}),
}
"""The roles that each role includes."""

NOT_FOR_AGENTS = (Pause, Resume, Stop)
"""Whether the run goes on at all is for people to say."""


def _default_bounds() -> dict[str, tuple[float, float]]:
    return {
        "lr": (1e-12, 1.0),
        "weight_decay": (0.0, 10.0),
        "eps": (1e-16, 1.0),
        "max_grad_norm": (1e-6, 1e6),
    }


@dataclass(frozen=True)
class Policy:
    """Bounds of the numbers that may be asked for; outside is refused, never clamped.

    Args:
        bounds: the lowest and highest accepted value of each optimizer number.
        max_weight: the highest accepted mixture weight of a source.
        max_half_life_clips: the highest accepted half-life of a source, in clips.
    """

    bounds: Mapping[str, tuple[float, float]] = field(default_factory=_default_bounds)
    max_weight: float = 1e6
    max_half_life_clips: float = 1e9

    def judge(self, command: Command, role: Role) -> Rejected | None:
        """Return why a role may not send this command, or None where it may."""
        if role is Role.AGENT and isinstance(command, NOT_FOR_AGENTS):
            hint = f"an agent's token may not send {command.command}; use an operator's token"
            return Rejected(Reason.FORBIDDEN, hint)
        if isinstance(command, UpdateOptimizer):
            for name, value in command.changes().items():
                low, high = self.bounds.get(name, (float("-inf"), float("inf")))
                if not low <= value <= high:
                    return _out_of_bounds(name, value, low, high)
        if isinstance(command, UpdateMixture):
            for source, weight in (command.weights or {}).items():
                if weight > self.max_weight:
                    return _out_of_bounds(f"weights.{source}", weight, 0.0, self.max_weight)
            for source, clips in (command.half_life_clips or {}).items():
                if clips > self.max_half_life_clips:
                    name = f"half_life_clips.{source}"
                    return _out_of_bounds(name, clips, 0.0, self.max_half_life_clips)
        return None


def _out_of_bounds(name: str, value: float, low: float, high: float) -> Rejected:
    hint = f"{name}={value:g} is outside [{low:g}, {high:g}]"
    return Rejected(Reason.OUT_OF_BOUNDS, hint)
