"""The policy applied to a run as it stands, and to what a sender has done so far."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from interactive.commands import Envelope
from interactive.outcome import Rejected
from interactive.policy import CHANGES, Hold, Policy, Role, RoleLimits, RunView
from interactive.server.inbox import Inbox
from interactive.server.state import FoldedRun
from interactive.server.tokens import Principal

MINUTE_S = 60.0
LOOK_BACK = 64
"""How many of a sender's newest commands are looked at for those that wait."""


class CommandJudge:
    """Says of each command whether it is refused, held for approval, or accepted.

    Args:
        policy: what is accepted from whom.
        run: how the run stands.
        inbox: what was accepted before.
        clock: monotonic seconds, for the rate of a sender.
    """

    def __init__(
        self, policy: Policy, run: FoldedRun, inbox: Inbox, clock: Callable[[], float]
    ) -> None:
        self._policy = policy
        self._run = run
        self._inbox = inbox
        self._clock = clock
        self._sent_s: dict[str, deque[float]] = {}

    def verdict(self, envelope: Envelope, who: Principal) -> Rejected | Hold | None:
        """Judge a command that was not seen before; the inbox's lock is held."""
        limits = self._policy.limits(who.role)
        verdict = self._policy.judge(envelope, who.role, self._view(who, limits))
        self._note(who.issuer.name, limits)
        return verdict

    def preview(self, envelope: Envelope, who: Principal) -> Rejected | Hold | None:
        """Judge a command that is not sent: nothing is counted."""
        view = self._view(who, self._policy.limits(who.role))
        return self._policy.judge(envelope, who.role, view)

    def _view(self, who: Principal, limits: RoleLimits) -> RunView:
        run, inbox, sender = self._run, self._inbox, who.issuer.name
        return RunView(
            step=run.step,
            lr=run.lr,
            settings=run.capabilities.get("settings") or {},
            diverged=run.diverged,
            agents_halted=who.role is Role.AGENT and inbox.halt() is not None,
            accepted=inbox.count_of(sender),
            recent=self._recent(sender),
            last_change=run.last_change(sender),
            waiting=self._waiting(sender) if limits.looks_back else (),
            sender_of=inbox.sender_of,
            sender=sender,
        )

    def _waiting(self, sender: str) -> list[Envelope]:
        """Return a sender's changes that have no outcome yet."""
        return [
            one
            for one in self._inbox.newest_of(sender, LOOK_BACK)
            if one.command.command in CHANGES and str(one.command_id) not in self._run.outcomes
        ]

    def _recent(self, sender: str) -> int:
        sent_s = self._sent_s.get(sender, ())
        since_s = self._clock() - MINUTE_S
        return sum(1 for one_s in sent_s if one_s > since_s)

    def _note(self, sender: str, limits: RoleLimits) -> None:
        """Remember when a command came; no more of them than the limit counts to."""
        if limits.commands_per_minute:
            sent_s = self._sent_s.setdefault(sender, deque(maxlen=limits.commands_per_minute))
            sent_s.append(self._clock())
