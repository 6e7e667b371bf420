"""What became of a command, and the reasons for which one may be refused."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Reason(str, Enum):
    """Why a command was refused; each comes with a hint for the sender."""

    MALFORMED = "malformed"
    OUT_OF_BOUNDS = "out_of_bounds"
    UNKNOWN_CHECKPOINT = "unknown_checkpoint"
    UNKNOWN_EVALUATION = "unknown_evaluation"
    UNKNOWN_SOURCE = "unknown_source"
    BRANCH_EXISTS = "branch_exists"
    STALE_GENERATION = "stale_generation"
    STEP_PASSED = "step_passed"
    EXPIRED = "expired"
    UNSUPPORTED = "unsupported"
    ID_REUSED = "id_reused"
    RUN_ENDED = "run_ended"
    FORBIDDEN = "forbidden"
    UNKNOWN_SCHEDULE = "unknown_schedule"
    UNKNOWN_GROUP = "unknown_group"
    UNKNOWN_SETTING = "unknown_setting"
    UNKNOWN_MODULE = "unknown_module"
    UNKNOWN_OPERATION = "unknown_operation"
    UNKNOWN_DATASET = "unknown_dataset"
    UNKNOWN_COMMAND = "unknown_command"
    SUPERSEDED = "superseded"
    VETOED = "vetoed"
    CHANGE_TOO_LARGE = "change_too_large"
    COOLING_DOWN = "cooling_down"
    BUDGET_SPENT = "budget_spent"
    RATE_LIMITED = "rate_limited"
    AGENTS_HALTED = "agents_halted"
    ALREADY_DECIDED = "already_decided"
    HOLDS_SECRET = "holds_secret"


@dataclass(frozen=True, slots=True)
class Rejected:
    """A refusal: a value, not an exception."""

    code: Reason
    hint: str


class CommandState(str, Enum):
    """The life of a command, append-only."""

    RECEIVED = "received"
    ACCEPTED = "accepted"
    AWAITING_APPROVAL = "awaiting_approval"
    VETOED = "vetoed"
    APPLIED = "applied"
    REJECTED = "rejected"
    FAILED = "failed"
    EXPIRED = "expired"
    SUPERSEDED = "superseded"


FINAL_STATES = frozenset(CommandState) - {
    CommandState.RECEIVED,
    CommandState.ACCEPTED,
    CommandState.AWAITING_APPROVAL,
}


class IssuerKind(str, Enum):
    """Who is behind a token."""

    PERSON = "person"
    MODEL = "model"
    SCRIPT = "script"


@dataclass(frozen=True, slots=True)
class Issuer:
    """The sender of a command, as its token says."""

    name: str
    kind: IssuerKind
