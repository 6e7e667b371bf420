"""Who may ask for what: the roles, and the limits within which a command is accepted."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, get_args

from interactive.bounds import DEFAULT_BOUNDS, Interval, judge_numbers, nearest
from interactive.commands import (
    Batch,
    Command,
    Envelope,
    ReplaceSchedule,
    ScaleSchedule,
    UpdateOptimizer,
)
from interactive.outcome import Reason, Rejected


class Role(str, Enum):
    """What the bearer of a token may do."""

    VIEWER = "viewer"
    """Reads."""
    AGENT = "agent"
    """Reads, and steers within the policy."""
    OPERATOR = "operator"
    """Reads and steers, approves and vetoes."""
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

COMMANDS: tuple[str, ...] = tuple(
    cls.model_fields["command"].default for cls in get_args(get_args(Command)[0])
)
"""The names of all commands."""

CHANGES = frozenset(COMMANDS) - {
    "pause", "resume", "step", "stop", "evaluate", "save_checkpoint", "note",
}  # fmt: skip
"""The commands that change how the run trains."""

NOT_FOR_AGENTS = ("pause", "resume", "step", "stop")
"""Whether the run goes on at all is for people to say."""

FOR_PEOPLE_TO_APPROVE: Mapping[str, float] = {
    "load_checkpoint": 60.0,
    "module_operation": 0.0,
    "update_dataset": 0.0,
}
"""What agents ask for and people approve; a rollback goes through by itself after a minute."""


@dataclass(frozen=True, slots=True)
class Hold:
    """A verdict: not refused, and not delivered before a person has had a say.

    After ``window_s`` it is delivered all the same unless it was vetoed; None needs a yes.
    """

    window_s: float | None


@dataclass(frozen=True, slots=True)
class RunView:
    """What is known of a run, and of a sender, when a command is judged.

    Args:
        step: the last step made.
        lr: the learning rate that the optimizer has; None where nobody has said.
        settings: what the trainer registered, by name, with its bounds.
        diverged: whether the newest loss is no finite number.
        agents_halted: whether agents may send nothing.
        accepted: how many commands of the sender were accepted so far.
        recent: how many it sent in the last minute.
        last_change: the first step under the newest change that it made on this branch.
        waiting: the envelopes of its changes that were accepted and not met yet.
        sender_of: who sent a command that is known by its id.
        sender: who sends this one.
    """

    step: int = 0
    lr: float | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    diverged: bool = False
    agents_halted: bool = False
    accepted: int = 0
    recent: int = 0
    last_change: int | None = None
    waiting: Sequence[Envelope] = ()
    sender_of: Callable[[str], str | None] = lambda command_id: None
    sender: str = ""


@dataclass(frozen=True)
class RoleLimits:
    """How far a role may go; 0 is no limit.

    Args:
        forbidden: commands that it may not send.
        approval: commands that a person must approve, with the seconds after which one is
            delivered by itself unless it was vetoed; 0 needs a yes.
        lr_ratio: by how much one command may multiply or divide the present learning rate.
        cooldown_steps: the least number of steps between two of its changes.
        commands: how many commands it may have accepted in all.
        commands_per_minute: how many it may send in a minute.
    """

    forbidden: tuple[str, ...] = ()
    approval: Mapping[str, float] = field(default_factory=dict)
    lr_ratio: float = 0.0
    cooldown_steps: int = 0
    commands: int = 0
    commands_per_minute: int = 0

    def __post_init__(self) -> None:
        """Refuse limits that make no sense."""
        for name in (*self.forbidden, *self.approval):
            if name not in COMMANDS:
                raise ValueError(f"no command is called {name!r}{nearest(name, list(COMMANDS))}")
        counts = (self.cooldown_steps, self.commands, self.commands_per_minute)
        if min(0, *counts, *self.approval.values()) < 0:
            raise ValueError("a limit is at least 0, which is no limit")
        if self.lr_ratio and not self.lr_ratio > 1:
            raise ValueError("lr_ratio is above 1, or 0 for no limit")

    @property
    def looks_back(self) -> bool:
        """Return whether a sender's earlier changes matter."""
        return bool(self.lr_ratio or self.cooldown_steps)


@dataclass(frozen=True, slots=True)
class AgentLimits(RoleLimits):
    """The limits of agents where the configuration does not say otherwise."""

    forbidden: tuple[str, ...] = NOT_FOR_AGENTS
    approval: Mapping[str, float] = field(default_factory=lambda: dict(FOR_PEOPLE_TO_APPROVE))
    lr_ratio: float = 10.0
    commands: int = 1000
    commands_per_minute: int = 60


@dataclass(frozen=True)
class Policy:
    """What is accepted from whom; outside is refused, never clamped.

    Args:
        bounds: the lowest and highest accepted value of each kind of number.
        agent: the limits of agents.
        operator: those of operators.
        admin: those of admins.
    """

    bounds: Mapping[str, Interval] = field(default_factory=lambda: dict(DEFAULT_BOUNDS))
    agent: AgentLimits = field(default_factory=AgentLimits)
    operator: RoleLimits = field(default_factory=RoleLimits)
    admin: RoleLimits = field(default_factory=RoleLimits)

    def __post_init__(self) -> None:
        """Refuse bounds that make no sense, and add those that are not named."""
        for name, bound in self.bounds.items():
            if name not in DEFAULT_BOUNDS:
                raise ValueError(f"{name!r} has no bounds{nearest(name, list(DEFAULT_BOUNDS))}")
            if len(bound) != 2 or not bound[0] <= bound[1]:
                raise ValueError(f"the bounds of {name} are [lowest, highest]")
        object.__setattr__(self, "bounds", {**DEFAULT_BOUNDS, **self.bounds})

    def limits(self, role: Role) -> RoleLimits:
        """Return how far a role may go."""
        return {Role.AGENT: self.agent, Role.ADMIN: self.admin}.get(role, self.operator)

    def judge(self, envelope: Envelope, role: Role, view: RunView) -> Rejected | Hold | None:
        """Say whether a role may send this now.

        Returns:
            A refusal, or a hold where a person must have a say first, or None.
        """
        limits, command = self.limits(role), envelope.command
        refusal = (
            _halted(role, view)
            or _forbidden(limits, command, role)
            or _taken_back(envelope, role, view)
            or judge_numbers(command, self.bounds, view.settings)
            or _spent(limits, view)
            or _too_large(limits, command, view)
            or _too_soon(limits, envelope, view)
        )
        if refusal is not None:
            return refusal
        windows = [limits.approval[name] for name in _names(command) if name in limits.approval]
        if view.diverged and command.command == "load_checkpoint" and 0.0 not in windows:
            return None  # A run whose loss is not a number is not kept waiting for a veto.
        if not windows:
            return None
        return Hold(None if 0.0 in windows else max(windows))


def _halted(role: Role, view: RunView) -> Rejected | None:
    if role is Role.AGENT and view.agents_halted:
        return Rejected(Reason.AGENTS_HALTED, "a person has halted all agents of this run")
    return None


def _forbidden(limits: RoleLimits, command: Command, role: Role) -> Rejected | None:
    for name in _names(command):
        if name in limits.forbidden:
            hint = f"the token of {role.value} may not send {name}; use an operator's token"
            return Rejected(Reason.FORBIDDEN, hint)
    return None


def _taken_back(envelope: Envelope, role: Role, view: RunView) -> Rejected | None:
    """An agent takes back its own commands only, not those of people."""
    if envelope.supersedes is None or role is not Role.AGENT:
        return None
    sender = view.sender_of(str(envelope.supersedes))
    if sender is None or sender == view.sender:
        return None
    return Rejected(Reason.FORBIDDEN, f"{envelope.supersedes} is a command of {sender}, not yours")


def _spent(limits: RoleLimits, view: RunView) -> Rejected | None:
    if limits.commands and view.accepted >= limits.commands:
        hint = f"{view.accepted} of {limits.commands} commands were accepted; no more in this run"
        return Rejected(Reason.BUDGET_SPENT, hint)
    if limits.commands_per_minute and view.recent >= limits.commands_per_minute:
        most = limits.commands_per_minute
        hint = f"at most {most} commands a minute; send it later, with a new id"
        return Rejected(Reason.RATE_LIMITED, hint)
    return None


def _too_large(limits: RoleLimits, command: Command, view: RunView) -> Rejected | None:
    """Compare with the present learning rate, and with what the sender's waiting commands make."""
    if not limits.lr_ratio:
        return None
    waiting = [ratio for one in view.waiting for ratio in _factors(one.command)]
    factor = math.prod(waiting)
    for one in _parts(command):
        if isinstance(one, ScaleSchedule):
            factor *= one.factor
            ratio = factor
        elif isinstance(one, (UpdateOptimizer, ReplaceSchedule)) and one.lr is not None:
            if not view.lr:
                hint = "the present learning rate is not known yet; send it once a step was made"
                return Rejected(Reason.CHANGE_TOO_LARGE, hint)
            ratio = one.lr / view.lr
        else:
            continue
        if not 1 / limits.lr_ratio <= ratio * (1 + 1e-9) <= limits.lr_ratio * (1 + 2e-9):
            hint = (
                f"it would multiply the learning rate by {ratio:.4g}; at most"
                f" {limits.lr_ratio:g} times up or down at once"
            )
            return Rejected(Reason.CHANGE_TOO_LARGE, hint)
    return None


def _too_soon(limits: RoleLimits, envelope: Envelope, view: RunView) -> Rejected | None:
    if not limits.cooldown_steps or envelope.command.command not in CHANGES:
        return None
    due = _due(envelope, view)
    others = [_due(one, view) for one in view.waiting if one.command_id != envelope.supersedes]
    if view.last_change is not None:
        others.append(view.last_change)
    for other in others:
        if abs(due - other) < limits.cooldown_steps:
            hint = (
                f"a change of yours stands at step {other}; the next may come at step"
                f" {other + limits.cooldown_steps} (at_step), or send several as one batch"
            )
            return Rejected(Reason.COOLING_DOWN, hint)
    return None


def _due(envelope: Envelope, view: RunView) -> int:
    return max(envelope.at_step or 0, view.step + 1)


def _parts(command: Command) -> Sequence[Command]:
    return command.commands if isinstance(command, Batch) else (command,)


def _names(command: Command) -> Iterator[str]:
    yield command.command
    if isinstance(command, Batch):
        yield from (one.command for one in command.commands)


def _factors(command: Command) -> Iterator[float]:
    yield from (one.factor for one in _parts(command) if isinstance(one, ScaleSchedule))
